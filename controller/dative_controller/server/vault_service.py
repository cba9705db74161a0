"""VaultService: asks the atoms of an environment what a token stands for, for a reader with the role of its own."""

from __future__ import annotations

from typing import Any

import grpc.aio
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.masks import TOKEN_UNKNOWN
from dative.errors.rpc import INVALID
from dative.v1 import agent_pb2, control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.server.caller import caller
from dative_controller.server.core import Core
from dative_controller.store import environments, fleet

Context = grpc.aio.ServicerContext[Any, Any]
KEY_BYTES = 32
TOKEN_CHARACTERS_MAX = 64


class VaultServicer(control_pb2_grpc.VaultServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def RevealToken(  # noqa: N802
        self, request: control_pb2.ControlRevealTokenRequest, _context: Context
    ) -> control_pb2.ControlRevealTokenResponse:
        """One atom after the other, until one holds the token; each question is audited before it is sent.

        The value comes sealed to the reader's key, which the atom compares with its own bundle.
        """
        if len(request.reader_public_key) != KEY_BYTES or len(request.token) > TOKEN_CHARACTERS_MAX:
            raise DativeError(f"a reader's key has {KEY_BYTES} bytes, a token fewer than 65 characters", code=INVALID)
        environment_id, atoms = await self._asked(request.environment)
        for row in atoms:
            try:
                found = await self._ask(row, request)
            except DativeError as refused:
                if refused.code is not TOKEN_UNKNOWN:
                    raise
            else:
                return control_pb2.ControlRevealTokenResponse(
                    sealed_value=found.sealed_value, environment_id=environment_id, reader=found.reader, atom=row.name
                )
        raise DativeError(f"none of the {len(atoms)} connected atoms holds it", code=TOKEN_UNKNOWN)

    async def _asked(self, environment: str) -> tuple[str, list[fleet.AtomRow]]:
        who = caller()

        def read(sql: Connection) -> tuple[str, list[fleet.AtomRow]]:
            found = environments.find(sql, environment)
            who.require(found.environment_id)
            return found.environment_id, fleet.listed(sql, found.environment_id)

        environment_id, rows = await self._core.database.read(read)
        connected = [row for row in rows if row.state == "approved" and row.connected]
        if not connected:
            raise DativeError(f"no atom of {environment} is connected", code=codes.ATOM_OFFLINE)
        return environment_id, connected

    async def _ask(
        self, row: fleet.AtomRow, request: control_pb2.ControlRevealTokenRequest
    ) -> agent_pb2.RevealTokenResult:
        reveal = agent_pb2.RevealToken(token=request.token, reader_public_key=request.reader_public_key)
        result = await self._core.commander.send(
            row,
            agent_pb2.Command(reveal_token=reveal),
            entry=self._core.entry("RevealToken", f"{row.name}: {request.token}", request),
            request_id="",
            traceparent=caller().trace.traceparent,
        )
        return result.reveal_token
