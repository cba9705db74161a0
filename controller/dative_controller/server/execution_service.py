"""ExecutionService: runs started and stopped by a person, what ran, one document's way, one trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2, control_pb2, control_pb2_grpc, telemetry_pb2, types_pb2
from sqlalchemy import Connection

from dative_controller.reporting.otlp import decode
from dative_controller.server.caller import Caller, caller
from dative_controller.server.choose import choose_atom, holder
from dative_controller.server.core import Core, page_size
from dative_controller.server.documents import find_documents, read_receipts
from dative_controller.server.visible import visible_in
from dative_controller.store import attempts, dead_letters, fleet, reports, traces

Context = grpc.aio.ServicerContext[Any, Any]
NOTICES_SHOWN = 50
DEAD_LETTERS_SHOWN = 20
LOOK_AGAIN_S = 1.0
READER_KEY_BYTES = 32
FINISHED = (
    types_pb2.EXECUTION_STATE_SUCCEEDED,
    types_pb2.EXECUTION_STATE_PARTIAL,
    types_pb2.EXECUTION_STATE_FAILED,
    types_pb2.EXECUTION_STATE_CANCELLED,
)


class ExecutionServicer(control_pb2_grpc.ExecutionServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def RunProcess(  # noqa: N802
        self, request: control_pb2.ControlRunProcessRequest, _context: Context
    ) -> control_pb2.ControlRunProcessResponse:
        row = await choose_atom(
            self._core, request.environment, molecule=request.molecule or "default", atom=request.atom
        )
        run = agent_pb2.RunProcess(process=request.process, trace=request.trace, parameters=request.parameters)
        result = await self._core.commander.send(
            row,
            agent_pb2.Command(run_process=run),
            entry=self._core.entry("RunProcess", f"{row.atom_id}/{request.process[:100]}", request),
            request_id=request.request_id,
            traceparent=caller().trace.traceparent,
        )
        return control_pb2.ControlRunProcessResponse(execution_id=result.run_process.execution_id, atom=row.name)

    async def DryRun(  # noqa: N802
        self, request: control_pb2.ControlDryRunRequest, _context: Context
    ) -> control_pb2.ControlDryRunResponse:
        """The controller passes the sealed answer on and can not read it."""
        if len(request.reader_public_key) != READER_KEY_BYTES:
            raise DativeError(f"the reader's key has not {READER_KEY_BYTES} bytes", code=INVALID)
        row = await choose_atom(
            self._core, request.environment, molecule=request.molecule or "default", atom=request.atom
        )
        wanted = agent_pb2.DryRun(
            process=request.process,
            parameters=request.parameters,
            documents_max=request.documents_max,
            shown_max=request.shown_max,
            reader_public_key=request.reader_public_key,
        )
        result = await self._core.commander.send(
            row,
            agent_pb2.Command(dry_run=wanted),
            entry=self._core.entry("DryRun", f"{row.atom_id}/{request.process[:100]}", request),
            request_id=request.request_id,
            traceparent=caller().trace.traceparent,
        )
        return control_pb2.ControlDryRunResponse(sealed_outcome=result.dry_run.sealed_outcome, atom=row.name)

    async def ProfileSteps(  # noqa: N802
        self, request: control_pb2.ControlProfileStepsRequest, _context: Context
    ) -> control_pb2.ControlProfileStepsResponse:
        """The atom decides what it looks at; see `agent.proto`."""
        row = await choose_atom(
            self._core, request.environment, molecule=request.molecule or "default", atom=request.atom
        )
        result = await self._core.commander.send(
            row,
            agent_pb2.Command(profile_steps=agent_pb2.ProfileSteps(process=request.process, steps=request.steps)),
            entry=self._core.entry("ProfileSteps", f"{row.atom_id}/{request.process[:100]}", request),
            request_id=request.request_id,
            traceparent=caller().trace.traceparent,
        )
        return control_pb2.ControlProfileStepsResponse(steps=result.profile_steps.steps, atom=row.name)

    async def CancelExecution(  # noqa: N802
        self, request: control_pb2.ControlCancelExecutionRequest, _context: Context
    ) -> control_pb2.ControlCancelExecutionResponse:
        who = caller()

        def read(sql: Connection) -> tuple[str, fleet.AtomRow | None]:
            found = reports.find_execution(sql, request.execution_id)
            who.require(found.environment_id)
            return found.execution_id, holder(sql, found.atom_id)

        execution_id, row = await self._core.database.read(read)
        if row is None:
            raise DativeError(f"the atom of execution {execution_id} is gone", code=codes.ATOM_OFFLINE)
        await self._core.commander.send(
            row,
            agent_pb2.Command(cancel_execution=agent_pb2.CancelExecution(execution_id=execution_id)),
            entry=self._core.entry("CancelExecution", execution_id, request),
            request_id=request.request_id,
            traceparent=who.trace.traceparent,
        )
        return control_pb2.ControlCancelExecutionResponse()

    async def ListExecutions(  # noqa: N802
        self, request: control_pb2.ListExecutionsRequest, _context: Context
    ) -> control_pb2.ListExecutionsResponse:
        who = caller()
        rows_max = page_size(request.page_size)

        def read(sql: Connection) -> list[types_pb2.Execution]:
            return reports.execution_page(
                sql,
                environments=visible_in(sql, who, request.environment),
                process=request.process,
                states=list(request.states),
                since_ms=request.since.ToMilliseconds(),
                before=request.before_execution_id,
                rows_max=rows_max,
            )

        found = await self._core.database.read(read)
        more = found[-1].execution_id if len(found) == rows_max else ""
        return control_pb2.ListExecutionsResponse(executions=found, next_before_execution_id=more)

    async def GetExecution(  # noqa: N802
        self, request: control_pb2.GetExecutionRequest, _context: Context
    ) -> control_pb2.GetExecutionResponse:
        who = caller()
        return await self._core.database.read(lambda sql: _shown(sql, who, request.execution_id))

    async def WatchExecution(  # noqa: N802
        self, request: control_pb2.GetExecutionRequest, _context: Context
    ) -> AsyncIterator[control_pb2.GetExecutionResponse]:
        """The execution at once and at each change, until it is over. One that was not reported yet is waited for."""
        who, last = caller(), None
        while last is None or last.execution.state not in FINISHED:
            seen = self._core.ingestor.stored.count
            try:
                now = await self._core.database.read(lambda sql: _shown(sql, who, request.execution_id))
            except DativeError as unknown:
                # An execution that was just started reports itself within moments, under its whole id.
                if unknown.code is not codes.NOT_FOUND or len(request.execution_id) != 26 or last is not None:
                    raise
                await self._core.ingestor.stored.wait(seen, LOOK_AGAIN_S)
                continue
            if now != last:
                yield now
                last = now
            if now.execution.state not in FINISHED:
                await self._core.ingestor.stored.wait(seen, LOOK_AGAIN_S)

    async def FindDocuments(  # noqa: N802
        self, request: control_pb2.FindDocumentsRequest, _context: Context
    ) -> control_pb2.FindDocumentsResponse:
        return await find_documents(self._core, request)

    async def ReadReceipts(  # noqa: N802
        self, request: control_pb2.ControlReadReceiptsRequest, _context: Context
    ) -> AsyncIterator[control_pb2.ControlReadReceiptsResponse]:
        async for piece in read_receipts(self._core, request):
            yield piece

    async def GetTrace(self, request: control_pb2.GetTraceRequest, _context: Context) -> control_pb2.GetTraceResponse:  # noqa: N802
        await self._core.spans.flush()
        who = caller()

        def read(sql: Connection) -> tuple[list[control_pb2.Span], bool]:
            trace_id = request.trace_id.lower()
            if not trace_id:
                row = reports.find_execution(sql, request.execution_id)
                who.require(row.environment_id)
                trace_id = row.trace_id
            spans, more = traces.of_trace(sql, trace_id)
            if not spans:
                raise DativeError(
                    f"no spans of trace {trace_id or request.execution_id} are kept", code=codes.NOT_FOUND
                )
            return spans, more

        spans, more = await self._core.database.read(read)
        known = {span.span_id for span in spans}
        orphaned = sum(bool(span.parent_span_id) and span.parent_span_id not in known for span in spans)
        return control_pb2.GetTraceResponse(spans=spans, incomplete=more or orphaned > 1)

    async def ExportSpans(  # noqa: N802
        self, request: control_pb2.ExportSpansRequest, _context: Context
    ) -> control_pb2.ExportSpansResponse:
        """A client's own spans: stamped with who sent them, whatever they claim."""
        rows, stamped = decode(request.otlp, {"service.name": "dative-cli", "enduser.id": caller().subject})
        await self._core.database.write(lambda sql: traces.add(sql, rows))
        self._core.forward(stamped)
        return control_pb2.ExportSpansResponse()


def _shown(sql: Connection, who: Caller, wanted: str) -> control_pb2.GetExecutionResponse:
    row = reports.find_execution(sql, wanted)
    who.require(row.environment_id)
    atom = fleet.by_id(sql, row.atom_id)
    execution = types_pb2.Execution.FromString(row.body)
    del execution.attempts[:]
    execution.attempts.extend(attempts.of_execution(sql, row))
    return control_pb2.GetExecutionResponse(
        execution=execution,
        dead_letters=dead_letters.page(
            sql, dead_letters.Wanted(state="", execution_id=row.execution_id), rows_max=DEAD_LETTERS_SHOWN
        )[0],
        atom_name=atom.name if atom else "",
        notices=[_notice(one) for one in reports.notices(sql, row, rows_max=NOTICES_SHOWN)],
    )


def _notice(told: telemetry_pb2.Event) -> control_pb2.Notice:
    fields = told.fields
    notice = control_pb2.Notice(level=fields["level"], title=fields["title"], text=fields["text"], step=fields["step"])
    notice.at.FromMilliseconds(told.occurred_at_ms)
    return notice
