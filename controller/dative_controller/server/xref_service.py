"""XrefService: looks at and changes the cross-reference tables of an atom, each call audited before it is sent."""

from __future__ import annotations

from typing import Any

import grpc.aio
from dative.errors import DativeError
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2, control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.server.caller import caller
from dative_controller.server.choose import choose_atom
from dative_controller.server.core import Core
from dative_controller.store import environments, fleet

Context = grpc.aio.ServicerContext[Any, Any]


class XrefServicer(control_pb2_grpc.XrefServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def ReadXref(  # noqa: N802
        self, request: control_pb2.ControlReadXrefRequest, _context: Context
    ) -> control_pb2.ControlReadXrefResponse:
        """Errors: control.not_found, rpc.permission_denied, rpc.invalid, fleet.atom_offline, journal.unknown_xref."""
        row = await self._atom(request.environment, request.atom)
        command = agent_pb2.Command(read_xref=request.question)
        result = await self._send(row, command, "ReadXref", request.question.table, request, "")
        return control_pb2.ControlReadXrefResponse(answer=result.read_xref, atom=row.name)

    async def ChangeXref(  # noqa: N802
        self, request: control_pb2.ControlChangeXrefRequest, _context: Context
    ) -> control_pb2.ControlChangeXrefResponse:
        """As ReadXref; also journal.xref_invalid, and then nothing has changed."""
        row = await self._atom(request.environment, request.atom)
        command = agent_pb2.Command(change_xref=request.change)
        result = await self._send(row, command, "ChangeXref", request.change.table, request, request.request_id)
        return control_pb2.ControlChangeXrefResponse(changed=result.change_xref, atom=row.name)

    async def _atom(self, environment: str, atom: str) -> fleet.AtomRow:
        if not atom:
            await self._only(environment)
        return await choose_atom(self._core, environment, molecule=None, atom=atom)

    async def _only(self, environment: str) -> None:
        """Every atom has tables of its own: which one is meant is said where there are several."""

        who = caller()

        def names(sql: Connection) -> list[str]:
            row = environments.find(sql, environment)
            who.require(row.environment_id)
            return [each.name for each in fleet.listed(sql, row.environment_id) if each.state == "approved"]

        found = await self._core.database.read(names)
        if len(found) > 1:
            raise DativeError(f"{environment} has {len(found)} atoms, {', '.join(found[:10])}: name one", code=INVALID)

    async def _send(
        self, row: fleet.AtomRow, command: agent_pb2.Command, action: str, table: str, request: Any, request_id: str
    ) -> agent_pb2.CommandResult:
        return await self._core.commander.send(
            row,
            command,
            entry=self._core.entry(action, f"{row.name}: {table[:100]}", request),
            request_id=request_id,
            traceparent=caller().trace.traceparent,
        )
