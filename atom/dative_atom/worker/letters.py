"""Answers the agent's question where an edited dead letter would end: opens the journal, rehearses, tells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from dative.clock import Clock
from dative.ids import DeadLetterId, ExecutionId, ProcessName

from dative_atom.engine.dry.rehearsal import Connect, Outcome, rehearse
from dative_atom.engine.failures import failure_of
from dative_atom.journal.contract import Execution
from dative_atom.worker.journals import journal_of
from dative_atom.worker.memory import limit_growth
from dative_atom.worker.protocol import Rehearse, Rehearsed, RunExecution

_fields = msgspec.json.Decoder(dict[str, Any]).decode


def rehearsed(message: Rehearse, connect: Connect, clock: Clock) -> Rehearsed:
    """The answer, whatever happens: what a retry would stop with is a coded failure in it."""
    try:
        outcome = _rehearse(message, connect, clock)
    except Exception as error:  # noqa: BLE001 - the worker outlives every question; the agent is told
        return Rehearsed(message.request_id, b"", failure_of(error, cancelled=False))
    return Rehearsed(message.request_id, msgspec.json.encode(outcome))


def _rehearse(message: Rehearse, connect: Connect, clock: Clock) -> Outcome:
    limit_growth(message.execution.limits.memory_bytes)
    with journal_of(message.execution, clock) as journal:
        letter = journal.check_repair(DeadLetterId(message.dead_letter_id), _fields(message.fields))
        execution = _as_if(message.execution, message.stream, letter.dead_letter_id, letter.process, clock.now())
        return rehearse(message.execution, execution, letter, journal, connect, clock, reveal=message.reveal)


def _as_if(
    message: RunExecution, stream: str, dead_letter_id: DeadLetterId, process: ProcessName, now: datetime
) -> Execution:
    """The retry that is rehearsed; never planned."""
    return Execution(
        execution_id=ExecutionId(message.execution_id),
        process=process,
        process_version=0,
        stream=stream,
        trigger="retry",
        planned_at=now,
        manifest_digest="",
        parameters=message.parameters,
        retry_of=(dead_letter_id,),
        started_at=now,
    )
