"""DeploymentService: blobs, plans' check index, deployments and how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from dative.bundle.blobs import SIZE_MAX, is_digest
from dative.errors import DativeError
from dative.errors.rpc import INVALID
from dative.errors.store import BLOB_INVALID
from dative.v1 import control_pb2, control_pb2_grpc
from sqlalchemy import Connection

from dative_controller.links.atom_service import read_chunks
from dative_controller.rollout import deploy, progress, trust
from dative_controller.server.caller import Caller, caller
from dative_controller.server.core import Core, page_size
from dative_controller.store import deployments, environments, fleet
from dative_controller.store import trust as trust_rows
from dative_controller.telemetry.log import log

Context = grpc.aio.ServicerContext[Any, Any]
DIGESTS_MAX = 10_000
UPLOAD_BYTES_MAX = 256 << 20
"""One blob. The bundle's own limit is higher; what a deployer uploads here ends earlier."""


class DeploymentServicer(control_pb2_grpc.DeploymentServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core
        # One writer a digest; a fixed number of locks, because digests are the callers' to choose.
        self._uploads = [asyncio.Lock() for _ in range(64)]

    async def GetDesired(  # noqa: N802
        self, request: control_pb2.GetDesiredRequest, _context: Context
    ) -> control_pb2.GetDesiredResponse:
        who = caller()
        molecule = request.molecule or "default"

        def read(sql: Connection) -> control_pb2.GetDesiredResponse:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            current = deployments.desired(sql, row.environment_id, molecule)
            sealed = environments.newest_sealed(sql, row.environment_id)
            answer = control_pb2.GetDesiredResponse(
                check_index=deploy.check_index(sql, row, molecule),
                environment=environments.message(sql, row),
                secrets_digest=sealed.digest if sealed else "",
                organization_id=self._core.organization_id,
                atoms=sum(atom.state == "approved" for atom in fleet.listed(sql, row.environment_id, molecule)),
            )
            if current is not None:
                answer.generation, answer.manifest_envelope = current.generation, current.envelope
            if trust_rows.newest(sql) is not None:
                _, document = trust.newest(sql)
                answer.trust_version, answer.release_epoch = document.version, document.release_epoch
            return answer

        return await self._core.database.read(read)

    async def PutBlob(  # noqa: N802
        self, requests: AsyncIterator[control_pb2.PutBlobRequest], _context: Context
    ) -> control_pb2.PutBlobResponse:
        """Written beside and renamed: a broken upload leaves nothing that could be taken for the blob (Invariant 5)."""
        first = await anext(requests, None)
        if first is None or not is_digest(first.digest) or first.size > min(SIZE_MAX, UPLOAD_BYTES_MAX):
            raise DativeError(f"the first message names a digest and at most {UPLOAD_BYTES_MAX} bytes", code=INVALID)
        async with self._uploads[int(first.digest[-4:], 16) % len(self._uploads)]:
            if not self._core.blobs.has(first.digest):
                await self._receive(first, requests)
        who, now_ms = caller(), self._core.now_ms()
        size = (await asyncio.to_thread(self._core.blobs.path(first.digest).stat)).st_size
        await self._core.database.write(lambda sql: deployments.add_blob(sql, first.digest, size, who.subject, now_ms))
        return control_pb2.PutBlobResponse()

    async def _receive(
        self, first: control_pb2.PutBlobRequest, requests: AsyncIterator[control_pb2.PutBlobRequest]
    ) -> None:
        writer = await asyncio.to_thread(self._core.blobs.writer, first.digest, first.size)
        try:
            # A client sends whole blobs, so what an earlier broken upload left is passed over, not appended to.
            skip = writer.offset
            message: control_pb2.PutBlobRequest | None = first
            while message is not None:
                data = message.data[skip:]
                skip -= len(message.data) - len(data)
                if data:
                    await asyncio.to_thread(writer.write, data)
                message = await anext(requests, None)
            await asyncio.to_thread(writer.finish)
        except DativeError as wrong:
            raise DativeError(wrong.message, code=BLOB_INVALID) from wrong
        finally:
            writer.close()

    async def GetBlob(  # noqa: N802
        self, request: control_pb2.GetBlobRequest, _context: Context
    ) -> AsyncIterator[control_pb2.GetBlobResponse]:
        if not is_digest(request.digest):
            raise DativeError(f"{request.digest[:80]!r} is no digest", code=INVALID)
        within = caller().environments()
        await self._core.database.read(lambda sql: deployments.may_see(sql, request.digest, within))
        async for chunk in read_chunks(self._core.blobs, request.digest, 0):
            yield control_pb2.GetBlobResponse(data=chunk)

    async def MissingBlobs(  # noqa: N802
        self, request: control_pb2.MissingBlobsRequest, _context: Context
    ) -> control_pb2.MissingBlobsResponse:
        if len(request.digests) > DIGESTS_MAX or not all(map(is_digest, request.digests)):
            raise DativeError(f"at most {DIGESTS_MAX} digests, each of the form sha256:…", code=INVALID)
        missing = await self._core.database.read(lambda sql: deployments.missing_blobs(sql, request.digests))
        return control_pb2.MissingBlobsResponse(digests=missing)

    async def CreateDeployment(  # noqa: N802
        self, request: control_pb2.CreateDeploymentRequest, _context: Context
    ) -> control_pb2.CreateDeploymentResponse:
        def create(sql: Connection, who: Caller) -> tuple[control_pb2.CreateDeploymentResponse, str]:
            wanted = deploy.Wanted(
                envelope=request.manifest_envelope,
                expected_check_index=request.expected_check_index,
                reason=request.reason,
                kind=request.kind or "deploy",
                created_by=who.subject,
                traceparent=who.trace.traceparent,
                rollout=request.rollout if request.HasField("rollout") else None,
            )
            if wanted.kind not in deploy.KINDS:
                raise DativeError(f"kind must be one of {', '.join(deploy.KINDS)}", code=INVALID)
            deployment_id, manifest = deploy.create(
                sql,
                wanted,
                organization_id=self._core.organization_id,
                version=self._core.version,
                now=self._core.clock.now(),
            )
            who.require(manifest.environment_id)
            answer = control_pb2.CreateDeploymentResponse(deployment_id=deployment_id, generation=manifest.generation)
            return answer, f"{manifest.environment_id}/{manifest.audience.molecule_id}@{manifest.generation}"

        answer = await self._core.change(request, control_pb2.CreateDeploymentResponse, create)
        log.info("deployment.created", deployment_id=answer.deployment_id, generation=answer.generation)
        return answer

    async def WatchDeployment(  # noqa: N802
        self, request: control_pb2.WatchDeploymentRequest, _context: Context
    ) -> AsyncIterator[control_pb2.WatchDeploymentResponse]:
        row = await self._core.database.read(lambda sql: deployments.find(sql, request.deployment_id))
        caller().require(row.environment_id)
        async for state in progress.watch(self._core.database, row.deployment_id, self._core.hub.progressed):
            yield state

    async def ListDeployments(  # noqa: N802
        self, request: control_pb2.ListDeploymentsRequest, _context: Context
    ) -> control_pb2.ListDeploymentsResponse:
        who = caller()

        def read(sql: Connection) -> list[control_pb2.Deployment]:
            row = environments.find(sql, request.environment)
            who.require(row.environment_id)
            rows = deployments.page(
                sql,
                row.environment_id,
                request.molecule or "default",
                before_generation=request.before_generation,
                rows_max=page_size(request.page_size),
            )
            return [deployments.message(found) for found in rows]

        return control_pb2.ListDeploymentsResponse(deployments=await self._core.database.read(read))
