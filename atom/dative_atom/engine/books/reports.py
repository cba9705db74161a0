"""What an execution tells the controller: records for the journal's outbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from dative.v1 import telemetry_pb2, types_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from dative_atom.engine.message import Message
from dative_atom.journal.contract import Execution, ExecutionState, Journal
from dative_atom.telemetry.otlp import Span, encode, execution_spans
from dative_atom.telemetry.recorder import Recorder, span_of
from dative_atom.telemetry.sampler import Ended, keep

_STATES = {
    ExecutionState.PENDING: types_pb2.EXECUTION_STATE_PENDING,
    ExecutionState.RUNNING: types_pb2.EXECUTION_STATE_RUNNING,
    ExecutionState.SUCCEEDED: types_pb2.EXECUTION_STATE_SUCCEEDED,
    ExecutionState.PARTIAL: types_pb2.EXECUTION_STATE_PARTIAL,
    ExecutionState.FAILED: types_pb2.EXECUTION_STATE_FAILED,
    ExecutionState.CANCELLED: types_pb2.EXECUTION_STATE_CANCELLED,
}


def report_execution(journal: Journal, execution: Execution, message: Message, recorder: Recorder) -> None:
    """The execution as it stands: at its begin and at its end."""
    record = telemetry_pb2.Record(execution=_execution(execution, message, recorder))
    journal.report("execution", record.SerializeToString())


def report_spans(journal: Journal, execution: Execution, message: Message, recorder: Recorder) -> None:
    """The trace of this attempt, if it is kept: failures always are, uneventful executions by the sampler's ratio."""
    end_ns = time.time_ns()
    failed = execution.state is ExecutionState.FAILED
    reason = keep(
        Ended(
            trace_id=recorder.trace_id,
            failed=failed,
            documents_failed=execution.counts.dead_lettered,
            attempt=execution.attempt,
            seconds=(end_ns - recorder.start_ns) / 1e9,
            p95_s=None,  # the controller knows the process' other executions, an atom does not
            runs_of_version=0,  # likewise, so a trace is kept and the spool lets go of it first
            asked=message.keep_trace or execution.trigger != "schedule",
        )
    )
    if reason is None:
        return
    error = (execution.failure or {}).get("code", "") if failed else ""
    attributes = {**_attributes(execution), **_whose(message.atom_id, message.fencing_token), "dative.kept": reason}
    spans = [*_former(execution, recorder), *execution_spans(recorder, end_ns, attributes, error)]
    body = telemetry_pb2.Spans(
        otlp=encode(spans, message.resource), items=len(spans), execution_id=execution.execution_id
    )
    journal.report("spans", telemetry_pb2.Record(spans=body).SerializeToString())


def _former(execution: Execution, recorder: Recorder) -> list[Span]:
    """Root spans of the attempts before, which were lost with everything they had recorded.

    An attempt that could still tell its own has the same span id, and the controller keeps the first that it was told.
    """
    return [
        Span(
            name=f"execute {execution.process}",
            trace_id=recorder.trace_id,
            span_id=span_of(execution.execution_id, former.attempt),
            parent_id=recorder.parent[1] if recorder.parent else "",
            start_ns=_ns(former.started_at),
            end_ns=_ns(former.ended_at or former.started_at),
            attributes={
                "dative.execution.id": execution.execution_id,
                "dative.process.name": execution.process,
                "dative.attempt": former.attempt,
                **_whose(former.atom_id, former.fencing_token),
            },
            error=former.reason,
        )
        for former in execution.attempts[:-1]
    ]


def _whose(atom_id: str, fencing_token: int) -> dict[str, str | int]:
    return {"dative.atom.id": atom_id, "dative.fencing_token": fencing_token}


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1000


def _attributes(execution: Execution) -> dict[str, str | int]:
    counts = execution.counts
    return {
        "dative.execution.id": execution.execution_id,
        "dative.process.name": execution.process,
        "dative.process.version": execution.process_version,
        "dative.trigger": execution.trigger,
        "dative.attempt": execution.attempt,
        "dative.bundle.digest": execution.manifest_digest,
        "dative.schedule.planned_at": execution.planned_at.isoformat(),
        "dative.documents.read": counts.read,
        "dative.documents.written": counts.written,
        "dative.documents.filtered": counts.filtered,
        "dative.documents.dead_lettered": counts.dead_lettered,
        "dative.documents.masked": counts.masked,
    }


def _execution(execution: Execution, message: Message, recorder: Recorder) -> types_pb2.Execution:
    counts = execution.counts
    return types_pb2.Execution(
        execution_id=execution.execution_id,
        environment_id=message.environment_id,
        molecule_id=message.molecule_id,
        atom_id=message.atom_id,
        process=execution.process,
        process_version=execution.process_version,
        trigger=execution.trigger,
        planned_at=_time(execution.planned_at),
        started_at=_time(execution.started_at),
        finished_at=_time(execution.finished_at),
        state=_STATES[execution.state],
        counts=types_pb2.Counts(
            read=counts.read,
            written=counts.written,
            filtered=counts.filtered,
            returned=counts.returned,
            dead_lettered=counts.dead_lettered,
            masked=counts.masked,
            batches=counts.batches,
        ),
        attempt=execution.attempt,
        trace_id=recorder.trace_id,
        failure=_status(execution.failure),
        manifest_digest=execution.manifest_digest,
        retry_of=execution.retry_of[0] if execution.retry_of else "",
        steps=[
            types_pb2.StepCounts(
                step=step,
                verb=totals.verb,
                documents_in=totals.documents_in,
                documents_out=totals.documents_out,
                documents_failed=totals.documents_failed,
                seconds=totals.seconds,
                rules=totals.rules,
            )
            for step, totals in recorder.totals.items()
        ],
    )


def _status(failure: Mapping[str, str] | None) -> types_pb2.Status | None:
    if failure is None:
        return None
    return types_pb2.Status(**{name: failure.get(name, "") for name in ("code", "message", "where", "next")})


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
