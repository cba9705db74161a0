"""EnvironmentService: environments, their connections and overrides, and sealed secrets as ciphertext."""

from __future__ import annotations

from typing import Any

import grpc.aio
from dative.bundle.blobs import digest_of
from dative.errors import DativeError
from dative.errors import control as codes
from dative.ids import new_id
from dative.secrets import SealedSet, verify_recipients
from dative.v1 import control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.rollout import trust
from dative_controller.server import environment_rules as rules
from dative_controller.server.caller import Caller, caller
from dative_controller.server.core import Core
from dative_controller.store import deployments, environments

Context = grpc.aio.ServicerContext[Any, Any]


class EnvironmentServicer(control_pb2_grpc.EnvironmentServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateEnvironment(  # noqa: N802
        self, request: control_pb2.CreateEnvironmentRequest, _context: Context
    ) -> control_pb2.CreateEnvironmentResponse:
        caller().require("")
        rules.check_environment_name(request.name)

        def create(sql: Connection, _who: Caller) -> tuple[control_pb2.CreateEnvironmentResponse, str]:
            environment_id = new_id(self._core.clock.now())
            now_ms = self._core.now_ms()
            environments.create(sql, environment_id, request.name, production=request.production, now_ms=now_ms)
            shown = environments.message(sql, environments.find(sql, environment_id))
            return control_pb2.CreateEnvironmentResponse(environment=shown), environment_id

        return await self._core.change(request, control_pb2.CreateEnvironmentResponse, create)

    async def ListEnvironments(  # noqa: N802
        self, _request: control_pb2.ListEnvironmentsRequest, _context: Context
    ) -> control_pb2.ListEnvironmentsResponse:
        visible = caller().environments()

        def read(sql: Connection) -> list[control_pb2.Environment]:
            rows = environments.rows(sql)
            return [environments.message(sql, row) for row in rows if visible is None or row.environment_id in visible]

        return control_pb2.ListEnvironmentsResponse(environments=await self._core.database.read(read))

    async def GetEnvironment(  # noqa: N802
        self, request: control_pb2.GetEnvironmentRequest, _context: Context
    ) -> control_pb2.GetEnvironmentResponse:
        who = caller()

        def read(sql: Connection) -> control_pb2.Environment:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            return environments.message(sql, row)

        return control_pb2.GetEnvironmentResponse(environment=await self._core.database.read(read))

    async def SetEnvironment(  # noqa: N802
        self, request: control_pb2.SetEnvironmentRequest, _context: Context
    ) -> control_pb2.SetEnvironmentResponse:
        rules.check_connections(request.set_connections)
        rules.check_overrides(request.set_overrides.items())
        rules.check_allows(request.allow)

        def change(sql: Connection, who: Caller) -> tuple[control_pb2.SetEnvironmentResponse, str]:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            environments.bump(sql, row.environment_id, request.expected_version)
            environments.delete_connections(sql, row.environment_id, request.delete_connections)
            environments.set_connections(sql, row.environment_id, request.set_connections)
            environments.set_overrides(sql, row.environment_id, request.set_overrides, request.delete_overrides)
            environments.set_allows(sql, row, request.allow, request.disallow)
            if request.HasField("require_approval"):
                environments.set_require_approval(sql, row.environment_id, request.require_approval)
            shown = environments.message(sql, environments.find(sql, row.environment_id))
            return control_pb2.SetEnvironmentResponse(environment=shown), row.environment_id

        return await self._core.change(request, control_pb2.SetEnvironmentResponse, change)

    async def PutSealedSecrets(  # noqa: N802
        self, request: control_pb2.PutSealedSecretsRequest, _context: Context
    ) -> control_pb2.PutSealedSecretsResponse:
        """Also stores the set as a blob, because a manifest names it by its digest."""
        sealed = SealedSet.parse(request.sealed_set)
        digest = digest_of(request.sealed_set)
        await self._core.database.write(lambda _sql: self._core.blobs.put(request.sealed_set, digest))

        def put(sql: Connection, who: Caller) -> tuple[control_pb2.PutSealedSecretsResponse, str]:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            if sealed.environment_id != row.environment_id:
                raise DativeError(
                    f"it is sealed for environment {sealed.environment_id}", code=codes.NOT_FOUND, where=row.name
                )
            _, document = trust.newest(sql)
            verify_recipients(sealed.recipients_envelope, trust=document, environment_id=row.environment_id)
            now_ms = self._core.now_ms()
            environments.put_sealed(
                sql,
                row.environment_id,
                environments.SealedSetRow(sealed.version, digest, request.sealed_set),
                expected_version=request.expected_version,
                names=sealed.versions(),
                actor=who.subject,
                now_ms=now_ms,
            )
            deployments.add_blob(sql, digest, len(request.sealed_set), who.subject, now_ms)
            return control_pb2.PutSealedSecretsResponse(digest=digest, version=sealed.version), row.environment_id

        return await self._core.change(request, control_pb2.PutSealedSecretsResponse, put)

    async def GetSealedSecrets(  # noqa: N802
        self, request: control_pb2.GetSealedSecretsRequest, _context: Context
    ) -> control_pb2.GetSealedSecretsResponse:
        who = caller()

        def read(sql: Connection) -> environments.SealedSetRow | None:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            return environments.newest_sealed(sql, row.environment_id)

        found = await self._core.database.read(read)
        if found is None:
            return control_pb2.GetSealedSecretsResponse()
        return control_pb2.GetSealedSecretsResponse(sealed_set=found.body, digest=found.digest, version=found.version)
