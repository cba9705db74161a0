"""Answers the agent's question what an execution would change: opens the journal, runs dry, tells."""

from __future__ import annotations

import msgspec
from dative.clock import Clock

from dative_atom.engine.dry.dry_run import dry_run
from dative_atom.engine.failures import failure_of
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Connect, Surroundings
from dative_atom.worker.journals import journal_of
from dative_atom.worker.memory import limit_growth
from dative_atom.worker.protocol import DryRan, DryRun


def dry_ran(message: DryRun, connect: Connect, clock: Clock, control: Control) -> DryRan:
    """The answer, whatever happens. control: cancels it, as an execution."""
    try:
        limit_growth(message.execution.limits.memory_bytes)
        with journal_of(message.execution, clock) as journal:
            found = dry_run(
                message.execution,
                journal,
                Surroundings(clock, connect, control),
                message.shown_max,
                message.documents_max,
            )
    except Exception as error:  # noqa: BLE001 - the worker outlives every question; the agent is told
        return DryRan(message.request_id, b"", failure_of(error, cancelled=control.cancelled))
    return DryRan(message.request_id, msgspec.json.encode(found.as_json()))
