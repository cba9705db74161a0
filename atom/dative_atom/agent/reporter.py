"""What the agent itself reports: executions it plans or must end, events, its own spans. All through the spool.

Everything else an execution reports is written by its worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

from dative.errors import DativeError
from dative.rpc import status_of
from dative.v1 import telemetry_pb2, types_pb2
from dative.waiting import WaitingClock

from dative_atom.agent.books import Books
from dative_atom.agent.identity import AtomIdentity
from dative_atom.agent.log import log, redactor
from dative_atom.journal.contract import Attempt, Counts, Execution, ExecutionState
from dative_atom.telemetry.recorder import Attributes, new_span_id, new_trace_id, parse_traceparent

_STATES = {
    ExecutionState.PENDING: types_pb2.EXECUTION_STATE_PENDING,
    ExecutionState.RUNNING: types_pb2.EXECUTION_STATE_RUNNING,
    ExecutionState.SUCCEEDED: types_pb2.EXECUTION_STATE_SUCCEEDED,
    ExecutionState.PARTIAL: types_pb2.EXECUTION_STATE_PARTIAL,
    ExecutionState.FAILED: types_pb2.EXECUTION_STATE_FAILED,
    ExecutionState.CANCELLED: types_pb2.EXECUTION_STATE_CANCELLED,
}


def failure_of(error: DativeError) -> dict[str, str]:
    """The error as the journal keeps it, secrets taken out."""
    return {
        "code": error.code.name,
        "message": redactor.redact(error.message),
        "where": redactor.redact(error.where),
        "next": error.next,
    }


def counts_message(counts: Counts) -> types_pb2.Counts:
    return types_pb2.Counts(**{name: getattr(counts, name) for name in Counts.__dataclass_fields__})


def execution_message(execution: Execution, identity: AtomIdentity) -> types_pb2.Execution:
    """The execution as the wire carries it."""
    message = types_pb2.Execution(
        execution_id=execution.execution_id,
        environment_id=identity.environment_id,
        molecule_id=identity.molecule_id,
        atom_id=identity.atom_id,
        process=execution.process,
        process_version=execution.process_version,
        trigger=execution.trigger,
        state=_STATES[execution.state],
        counts=counts_message(execution.counts),
        attempt=execution.attempt,
        trace_id=execution.trace_id,
        manifest_digest=execution.manifest_digest,
        retry_of=execution.retry_of[0] if execution.retry_of else "",
    )
    for name in ("planned_at", "started_at", "finished_at"):
        moment: datetime | None = getattr(execution, name)
        if moment is not None:
            getattr(message, name).FromDatetime(moment)
    message.fencing_token = execution.fencing_token
    for attempt in execution.attempts:
        _add_attempt(message, attempt)
    if execution.failure:
        message.failure.CopyFrom(types_pb2.Status(**execution.failure))
    return message


def _add_attempt(message: types_pb2.Execution, attempt: Attempt) -> None:
    told = message.attempts.add(
        attempt=attempt.attempt,
        atom_id=attempt.atom_id,
        fencing_token=attempt.fencing_token,
        reason="" if attempt.reason in _STATES else attempt.reason,  # a state is no reason: the execution's own says it
        trace_id=attempt.trace_id,
    )
    told.started_at.FromDatetime(attempt.started_at)
    if attempt.ended_at is not None:
        told.ended_at.FromDatetime(attempt.ended_at)


class Reporter:
    """Writes records into the outbox. `written` is set at each, for the relay to look."""

    def __init__(self, books: Books, identity: AtomIdentity, clock: WaitingClock) -> None:
        self._books, self._journal = books, books.journal
        self._identity = identity
        self._clock = clock
        self.written = asyncio.Event()

    async def _write(self, kind: str, record: telemetry_pb2.Record) -> None:
        await self._books.run(self._journal.report, kind, record.SerializeToString())
        self.written.set()

    async def execution(self, execution: Execution) -> None:
        await self._write("execution", telemetry_pb2.Record(execution=execution_message(execution, self._identity)))

    async def event(self, kind: str, error: DativeError, fields: Mapping[str, str] | None = None) -> None:
        """Something a person may want to know that is no execution."""
        log.warning(kind, code=error.code.name, reason=error.message, **(fields or {}))
        status = status_of(error)
        status.message = redactor.redact(status.message)
        record = telemetry_pb2.Event(
            kind=kind,
            status=status,
            occurred_at_ms=int(self._clock.now().timestamp() * 1000),
            fields=dict(fields or {}),
        )
        await self._write("event", telemetry_pb2.Record(event=record))

    async def span(
        self,
        name: str,
        *,
        traceparent: str,
        start_ns: int,
        attributes: Attributes,
        error: str = "",
        execution_id: str = "",
        trace_id: str = "",
    ) -> str:
        """One span of the agent's own, now ended, child of `traceparent` or a root. Returns its trace id."""
        parent = parse_traceparent(traceparent)
        trace_id = parent[0] if parent else trace_id or new_trace_id()
        body = await asyncio.to_thread(
            _encoded, name, trace_id, parent[1] if parent else "", start_ns, attributes, error, self.resource()
        )
        spans = telemetry_pb2.Spans(otlp=body, items=1, execution_id=execution_id)
        await self._write("spans", telemetry_pb2.Record(spans=spans))
        return trace_id

    def resource(self) -> dict[str, str]:
        """OpenTelemetry's resource of this atom."""
        return {"service.instance.id": self._identity.atom_id, "dative.atom.id": self._identity.atom_id}


def _encoded(
    name: str,
    trace_id: str,
    parent_id: str,
    start_ns: int,
    attributes: Attributes,
    error: str,
    resource: Mapping[str, str],
) -> bytes:
    # Loaded at the first span: the SDK is not needed to be ready.
    from opentelemetry.trace import SpanKind

    from dative_atom.telemetry.otlp import Span, encode

    span = Span(
        name=name,
        trace_id=trace_id,
        span_id=new_span_id(),
        parent_id=parent_id,
        start_ns=start_ns,
        end_ns=time.time_ns(),
        attributes=attributes,
        kind=SpanKind.CONSUMER if parent_id else SpanKind.INTERNAL,
        error=error,
    )
    return encode([span], resource)
