"""Blobs from the controller by digest: into staging, resumed where an earlier try stopped, verified before they count."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import grpc
from dative.bundle.blobs import BlobStore, BlobWriter
from dative.bundle.manifest import Artifact
from dative.errors import DativeError
from dative.errors.agent import DISK_FULL, FETCH_STALLED
from dative.rpc import error_from
from dative.v1 import agent_pb2, agent_pb2_grpc
from dative.waiting import Backoff, WaitingClock

from dative_atom.agent.connection import given_up

STALL_S = 30.0
"""Without a byte for so long, the call is given up and made again from the offset reached."""
TRIES_MAX = 6
_TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


class Fetcher:
    """stub: the AtomService of the current channel; may raise a DativeError when there is none."""

    def __init__(
        self,
        blobs: BlobStore,
        stub: Callable[[], agent_pb2_grpc.AtomServiceStub],
        clock: WaitingClock,
        *,
        stall_s: float = STALL_S,
    ) -> None:
        self._blobs = blobs
        self._stub = stub
        self._clock = clock
        self._stall_s = stall_s

    async def fetch(self, artifact: Artifact) -> None:
        """Bring one blob here, in at most TRIES_MAX calls. What came is kept between calls and for a later fetch.

        Errors: agent.disk_full, bundle.blob_mismatch, agent.fetch_stalled, and what the controller refuses with.
        """
        backoff = Backoff(0.5, 10.0)
        for tries_left in reversed(range(TRIES_MAX)):
            writer = await self._writer(artifact)
            try:
                await self._receive(writer, artifact)
            except DativeError as failed:
                if failed.code.grpc not in _TRANSIENT or failed.code is DISK_FULL or not tries_left:
                    raise
                await self._clock.sleep(backoff.next_s())
            except OSError as failed:
                raise _on_disk(artifact, failed) from failed
            else:
                return
            finally:
                writer.close()

    async def _writer(self, artifact: Artifact) -> BlobWriter:
        try:
            return await asyncio.to_thread(self._blobs.writer, artifact.digest, artifact.size)
        except OSError as failed:
            raise _on_disk(artifact, failed) from failed

    async def _receive(self, writer: BlobWriter, artifact: Artifact) -> None:
        if writer.offset < artifact.size:
            await self._stream(writer, artifact)
        await asyncio.to_thread(writer.finish)

    async def _stream(self, writer: BlobWriter, artifact: Artifact) -> None:
        request = agent_pb2.FetchBlobRequest(digest=artifact.digest, offset=writer.offset)
        call = self._stub().FetchBlob(request)
        try:
            while True:
                async with asyncio.timeout(self._stall_s):
                    answer = await call.read()
                if answer is grpc.aio.EOF:
                    return
                # Invariant 7: the writer stops at the first byte past the signed size.
                writer.write(answer.data)
        except TimeoutError as silent:
            raise DativeError(
                f"{artifact.name}: no byte for {self._stall_s:g} s after {writer.offset} of {artifact.size}",
                code=FETCH_STALLED,
            ) from silent
        except asyncio.CancelledError as closed:
            if given_up():
                raise
            raise DativeError(f"{artifact.name}: the channel was closed", code=FETCH_STALLED) from closed
        except grpc.RpcError as failed:
            raise error_from(failed) from failed
        finally:
            call.cancel()


def _on_disk(artifact: Artifact, failed: OSError) -> DativeError:
    full = failed.errno in (errno.ENOSPC, errno.EDQUOT)
    words = "the disk is full" if full else failed.strerror or str(failed)
    return DativeError(f"{artifact.name} ({artifact.size} bytes) could not be stored: {words}", code=DISK_FULL)
