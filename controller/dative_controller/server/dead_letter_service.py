"""DeadLetterService: what waits, why, its payload sealed to who asks, repaired and retried at the atom that holds it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import grpc.aio
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2, control_pb2, control_pb2_grpc, types_pb2
from sqlalchemy import Connection

from dative_controller.server.caller import caller
from dative_controller.server.core import Core, page_size
from dative_controller.server.permissions import OPERATORS
from dative_controller.server.visible import visible_in
from dative_controller.store import fleet, reports

Context = grpc.aio.ServicerContext[Any, Any]
RETRIES_MAX = 10_000
PER_COMMAND_MAX = 1_000
KEY_BYTES = 32


class DeadLetterServicer(control_pb2_grpc.DeadLetterServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListDeadLetters(  # noqa: N802
        self, request: control_pb2.ListDeadLettersRequest, _context: Context
    ) -> control_pb2.ListDeadLettersResponse:
        who = caller()
        rows_max = page_size(request.page_size)

        def read(sql: Connection) -> list[types_pb2.DeadLetter]:
            within = visible_in(sql, who, request.environment)
            return reports.dead_letter_page(
                sql,
                environments=within,
                process=request.process,
                code=request.code,
                state=request.state or "waiting",
                execution_id=reports.find_execution(sql, request.execution_id).execution_id
                if request.execution_id
                else "",
                before=request.before_dead_letter_id,
                rows_max=rows_max,
            )

        found = await self._core.database.read(read)
        more = found[-1].dead_letter_id if len(found) == rows_max else ""
        return control_pb2.ListDeadLettersResponse(dead_letters=found, next_before_dead_letter_id=more)

    async def GetDeadLetter(  # noqa: N802
        self, request: control_pb2.GetDeadLetterRequest, _context: Context
    ) -> control_pb2.GetDeadLetterResponse:
        """With a reader's key the payload is fetched from the atom, sealed to that key; operators only, and audited."""
        letter, row = await self._held(request.dead_letter_id)
        answer = control_pb2.GetDeadLetterResponse(dead_letter=letter, seal_public_key=row.seal_public_key)
        if not request.reader_public_key:
            return answer
        caller().require(letter.environment_id, OPERATORS)
        if len(request.reader_public_key) != KEY_BYTES:
            raise DativeError(f"reader_public_key must be {KEY_BYTES} bytes", code=INVALID)
        show = agent_pb2.ShowDeadLetter(
            dead_letter_id=letter.dead_letter_id, reader_public_key=request.reader_public_key
        )
        result = await self._core.commander.send(
            row,
            agent_pb2.Command(show_dead_letter=show),
            entry=self._core.entry("ShowDeadLetter", letter.dead_letter_id, request),
            request_id="",
            traceparent=caller().trace.traceparent,
        )
        answer.sealed_payload = result.show_dead_letter.sealed_payload
        return answer

    async def RepairDeadLetter(  # noqa: N802
        self, request: control_pb2.ControlRepairDeadLetterRequest, _context: Context
    ) -> control_pb2.ControlRepairDeadLetterResponse:
        letter, row = await self._held(request.dead_letter_id)
        repair = agent_pb2.RepairDeadLetter(dead_letter_id=letter.dead_letter_id, sealed_fields=request.sealed_fields)
        await self._core.commander.send(
            row,
            agent_pb2.Command(repair_dead_letter=repair),
            entry=self._core.entry("RepairDeadLetter", letter.dead_letter_id, request),
            request_id=request.request_id,
            traceparent=caller().trace.traceparent,
        )
        return control_pb2.ControlRepairDeadLetterResponse()

    async def RetryDeadLetters(  # noqa: N802
        self, request: control_pb2.ControlRetryDeadLettersRequest, _context: Context
    ) -> control_pb2.ControlRetryDeadLettersResponse:
        """The named ones, or all waiting ones that match; at most RETRIES_MAX at once, the newest first."""
        chosen = await self._chosen(request)
        by_atom: dict[str, list[str]] = defaultdict(list)
        for letter in chosen:
            by_atom[letter.atom_id].append(letter.dead_letter_id)
        answer = control_pb2.ControlRetryDeadLettersResponse(dead_letters=len(chosen))
        for atom_id, identities in by_atom.items():
            row = await self._core.database.read(lambda sql, at=atom_id: fleet.by_id(sql, at))  # type: ignore[misc]
            if row is None:
                raise DativeError(f"atom {atom_id} is gone", code=codes.ATOM_OFFLINE)
            for start in range(0, len(identities), PER_COMMAND_MAX):
                part = identities[start : start + PER_COMMAND_MAX]
                result = await self._core.commander.send(
                    row,
                    agent_pb2.Command(retry_dead_letters=agent_pb2.RetryDeadLetters(dead_letter_ids=part)),
                    entry=self._core.entry("RetryDeadLetters", f"{row.atom_id}: {len(part)}", request),
                    request_id=f"{request.request_id}/{start}" if request.request_id else "",
                    traceparent=caller().trace.traceparent,
                )
                answer.execution_ids.extend(result.retry_dead_letters.execution_ids)
        return answer

    async def _chosen(self, request: control_pb2.ControlRetryDeadLettersRequest) -> list[types_pb2.DeadLetter]:
        who = caller()
        if not request.dead_letter_ids and not (request.process or request.code):
            raise DativeError("name dead letters, a process or a code", code=INVALID)

        def read(sql: Connection) -> list[types_pb2.DeadLetter]:
            within = visible_in(sql, who, request.environment)
            if not request.dead_letter_ids:
                return reports.dead_letter_page(
                    sql, environments=within, process=request.process, code=request.code, rows_max=RETRIES_MAX
                )
            rows = [reports.find_dead_letter(sql, wanted) for wanted in request.dead_letter_ids]
            for row in rows:
                who.require(row.environment_id)
            return [types_pb2.DeadLetter.FromString(row.body) for row in rows]

        return await self._core.database.read(read)

    async def _held(self, wanted: str) -> tuple[types_pb2.DeadLetter, fleet.AtomRow]:
        """The dead letter and the atom that holds its payload."""
        who = caller()

        def read(sql: Connection) -> tuple[types_pb2.DeadLetter, fleet.AtomRow | None]:
            row = reports.find_dead_letter(sql, wanted)
            who.require(row.environment_id)
            return types_pb2.DeadLetter.FromString(row.body), fleet.by_id(sql, row.atom_id)

        letter, row = await self._core.database.read(read)
        if row is None:
            raise DativeError(f"the atom of dead letter {letter.dead_letter_id} is gone", code=codes.ATOM_OFFLINE)
        return letter, row
