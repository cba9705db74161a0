"""TrustService: the organization's trust documents, signed by its root keys, which this controller never has."""

from __future__ import annotations

from typing import Any

import grpc.aio
from dative.v1 import control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.rollout import trust as rules
from dative_controller.server.caller import Caller, caller
from dative_controller.server.core import Core
from dative_controller.store import trust
from dative_controller.store.changes import Change, publish

Context = grpc.aio.ServicerContext[Any, Any]


class TrustServicer(control_pb2_grpc.TrustServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetTrust(self, _request: control_pb2.GetTrustRequest, _context: Context) -> control_pb2.GetTrustResponse:  # noqa: N802
        newest = await self._core.database.read(trust.newest)
        return control_pb2.GetTrustResponse(
            trust_envelope=newest[1] if newest else b"",
            online_public_key=self._core.online.public.raw,
            ca_certificate_pem=self._core.authority.ca_pem,
        )

    async def PutTrust(self, request: control_pb2.PutTrustRequest, _context: Context) -> control_pb2.PutTrustResponse:  # noqa: N802
        caller().require("")

        def put(sql: Connection, _who: Caller) -> tuple[control_pb2.PutTrustResponse, str]:
            version = rules.put(
                sql, request.trust_envelope, organization_id=self._core.organization_id, now=self._core.clock.now()
            )
            publish(sql, Change("trust"), self._core.now_ms())  # connected atoms walk to it
            return control_pb2.PutTrustResponse(version=version), f"trust {version}"

        return await self._core.change(request, control_pb2.PutTrustResponse, put)
