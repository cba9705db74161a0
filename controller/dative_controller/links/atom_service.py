"""AtomService: the control stream with its one writer, blobs by digest, certificates renewed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
from dative.bundle.blobs import BlobStore, is_digest
from dative.clock import Clock
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.rpc import INVALID
from dative.errors.store import BLOB_MISSING
from dative.v1 import agent_pb2, agent_pb2_grpc

from dative_controller.links.certificates import Certificates
from dative_controller.links.hub import Hub
from dative_controller.links.peer import Peer, peer_of
from dative_controller.links.session import Session
from dative_controller.store import deployments, fleet
from dative_controller.store.database import Database
from dative_controller.telemetry.log import log
from dative_controller.telemetry.metrics import Metrics

HELLO_WITHIN_S = 10.0
MISSED_HEARTBEATS = 3
LAST_WORDS_S = 1.0
CHUNK_BYTES = 64 * 1024
BLOB_STREAMS_MAX = 128

Stream = grpc.aio.ServicerContext[agent_pb2.ConnectRequest, agent_pb2.ConnectResponse]
Desired = Callable[[Session], Awaitable[agent_pb2.DesiredState | None]]


class AtomServicer(agent_pb2_grpc.AtomServiceServicer):
    """desired: what to push to a session now, or None when it runs that already (rollout's part)."""

    def __init__(
        self,
        hub: Hub,
        database: Database,
        blobs: BlobStore,
        certificates: Certificates,
        clock: Clock,
        metrics: Metrics,
        *,
        organization_id: str,
        desired: Desired,
    ) -> None:
        self._hub = hub
        self._database = database
        self._blobs = blobs
        self._certificates = certificates
        self._clock = clock
        self._metrics = metrics
        self._organization_id = organization_id
        self._desired = desired
        self._blob_slots = asyncio.Semaphore(BLOB_STREAMS_MAX)

    def _peer(self, context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
        return peer_of(context, self._organization_id, self._clock.now())

    # ---- the control stream -------------------------------------------------------------------------------------

    async def Connect(self, _requests: AsyncIterator[agent_pb2.ConnectRequest], context: Stream) -> None:  # noqa: N802
        peer = self._peer(context)
        first = await self._hello(context)
        hello = first.hello
        session, welcome = await self._hub.open(peer, hello)
        session.last_sequence = first.sequence
        session.send(agent_pb2.ConnectResponse(welcome=welcome))
        session.want_push()
        log.info("stream.opened", atom=session.name, session=session.number, version=hello.description.version)
        try:
            await self._hub.deliver(session)
            why = await self._serve(session, context)
        finally:
            await asyncio.shield(self._hub.close(session))
        log.info("stream.closed", atom=session.name, session=session.number, why=why.code.name if why else "peer left")
        if why is not None:
            raise why

    async def _hello(self, context: Stream) -> agent_pb2.ConnectRequest:
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                first = await context.read()
        except TimeoutError as silent:
            raise DativeError(f"no Hello within {HELLO_WITHIN_S:.0f} s", code=codes.PROTOCOL) from silent
        if not isinstance(first, agent_pb2.ConnectRequest) or first.WhichOneof("kind") != "hello":
            raise DativeError("the first message of a stream must be Hello", code=codes.PROTOCOL)
        return first

    async def _serve(self, session: Session, context: Stream) -> DativeError | None:
        """Read and write until the peer leaves, the session is ended, or its certificate expires."""
        reader = asyncio.create_task(self._read_all(session, context), name=f"read {session.name}")
        writer = asyncio.create_task(self._write_all(session, context), name=f"write {session.name}")
        left_s = (session.closes_at - self._clock.now()).total_seconds()
        try:
            waited: set[asyncio.Future[Any]] = {reader, writer, session.ended}
            done, _ = await asyncio.wait(waited, timeout=max(left_s, 0), return_when=asyncio.FIRST_COMPLETED)
            if not done:
                # The handshake checked the certificate once; the stream must not outlive it.
                session.end(DativeError("the certificate of this stream expired", code=codes.CERTIFICATE_OLD))
            for task in (reader, writer):
                if task in done and (failed := task.exception()) is not None:
                    session.end(_as_coded(failed, session))
            session.end(None)
            await asyncio.wait({writer}, timeout=LAST_WORDS_S)
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
        return session.ended.result()

    async def _write_all(self, session: Session, context: Stream) -> None:
        """The one writer of this stream."""
        while (item := await session.next_message()) != "ended":
            if isinstance(item, agent_pb2.ConnectResponse):
                await context.write(item)
                continue
            async with self._hub.push_slots:
                desired = await self._desired(session)
                if desired is not None:
                    self._metrics.links_pushes_total += 1
                    await context.write(agent_pb2.ConnectResponse(desired_state=desired))

    async def _read_all(self, session: Session, context: Stream) -> None:
        silence_s = session.heartbeat_s * MISSED_HEARTBEATS
        while True:
            try:
                async with asyncio.timeout(silence_s):
                    message = await context.read()
            except TimeoutError as silent:
                raise DativeError(f"silent for {silence_s:.0f} s", code=codes.SILENT, where=session.name) from silent
            if not isinstance(message, agent_pb2.ConnectRequest):
                return
            if not session.in_sequence(message.sequence):
                self._metrics.links_sequence_gaps_total += 1
                session.send(agent_pb2.ConnectResponse(report_full_state=agent_pb2.ReportFullState()))
            if await self._take(session, message):
                return

    async def _take(self, session: Session, message: agent_pb2.ConnectRequest) -> bool:
        """Handle one message; True when the peer says goodbye."""
        kind = message.WhichOneof("kind")
        if kind == "heartbeat":
            self._hub.beat(session, message.heartbeat, message.sequence)
            if session.process is not None:
                await self._hub.look_for_twin(session)
        elif kind == "desired_state_ack":
            await self._hub.acknowledge(session, message.desired_state_ack)
        elif kind == "molecule_status":
            await self._hub.hear(session, message.molecule_status)
        elif kind == "status_report":
            await self._hub.report(session, message.status_report)
        elif kind == "command_result":
            await self._hub.finish(session, message.command_result)
        elif kind == "hello":
            raise DativeError("Hello comes once a stream", code=codes.PROTOCOL, where=session.name)
        return bool(kind == "goodbye")  # a kind unknown here comes from a newer atom and is passed over

    # ---- blobs and certificates ---------------------------------------------------------------------------------

    async def FetchBlob(  # noqa: N802
        self, request: agent_pb2.FetchBlobRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[agent_pb2.FetchBlobResponse]:
        peer = self._peer(context)
        if not is_digest(request.digest):
            raise DativeError(f"{request.digest[:80]!r} is no digest", code=INVALID)
        await self._database.read(lambda sql: deployments.may_read(sql, fleet.admit(sql, peer.atom_id), request.digest))
        async with self._blob_slots:
            async for chunk in read_chunks(self._blobs, request.digest, request.offset):
                yield agent_pb2.FetchBlobResponse(data=chunk)

    async def RenewCertificate(  # noqa: N802
        self, request: agent_pb2.RenewCertificateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> agent_pb2.RenewCertificateResponse:
        peer = self._peer(context)
        chain = await self._database.write(
            lambda sql: self._certificates.renew(sql, peer, request.csr_der, self._clock.now())
        )
        return agent_pb2.RenewCertificateResponse(
            certificate_chain_pem=chain, ca_certificate_pem=self._certificates.ca_pem
        )


async def read_chunks(blobs: BlobStore, digest: str, offset: int) -> AsyncIterator[bytes]:
    """The blob from `offset` in chunks of at most 64 KiB. Errors: store.blob_missing when its file is not there."""
    if not blobs.has(digest):
        raise DativeError(f"{digest} is not on this controller's disk", code=BLOB_MISSING)
    file = await asyncio.to_thread(blobs.open, digest)
    with file:
        file.seek(offset)
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def _as_coded(failed: BaseException, session: Session) -> DativeError:
    if isinstance(failed, DativeError):
        return failed
    log.error("stream.failed", atom=session.name, exc_info=failed)
    return DativeError(f"the stream failed: {type(failed).__name__}", where=session.name)
