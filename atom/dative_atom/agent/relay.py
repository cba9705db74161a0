"""From the spool on disk to the controller's store: in order, resumed where the controller says, on a stream of its own.

Records are at least once on the wire; the controller stores each once by its sequence. Acknowledged ones stay in the
spool for the backup horizon, so that a controller restored from a backup gets them again.
"""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
from dative.errors import DativeError
from dative.errors.agent import LINK_PROTOCOL, LINK_SILENT
from dative.rpc import error_from
from dative.v1 import telemetry_pb2
from dative.waiting import Backoff, WaitingClock, either

from dative_atom.agent.books import Books
from dative_atom.agent.connection import Connection, given_up, telemetry_service
from dative_atom.agent.health import Health
from dative_atom.agent.link import Link
from dative_atom.agent.log import log

BATCH_BYTES_MAX = 900_000
BATCH_ROWS_MAX = 500
ANSWER_WITHIN_S = 60.0
LOOK_EVERY_S = 1.0
"""Workers write to the spool in their own processes and can not wake the agent."""
SLOW_DOWN_MAX_S = 60.0

Stream = grpc.aio.StreamStreamCall[telemetry_pb2.IngestRecordsRequest, telemetry_pb2.IngestRecordsResponse]


class Relay:
    """written: set by the agent's own reporter, for a look without delay. `idle` is set when all is acknowledged."""

    def __init__(
        self,
        books: Books,
        connection: Connection,
        link: Link,
        health: Health,
        clock: WaitingClock,
        written: asyncio.Event,
    ) -> None:
        self._books, self._journal = books, books.journal
        self._connection = connection
        self._link = link
        self._health = health
        self._clock = clock
        self._written = written
        self.idle = asyncio.Event()

    async def flushed(self) -> None:
        """Until everything that is in the spool now is stored at the controller."""
        self.idle.clear()
        self._written.set()
        await self.idle.wait()

    async def run(self) -> None:
        """Never ends by itself: without a link it waits for one, after a failure it waits with full jitter to 60 s."""
        backoff = Backoff(1.0, 60.0)
        while True:
            await self._link.connected.wait()
            try:
                await self._stream(backoff)
            except DativeError as failed:
                self._health.set("spool", failed)
                log.warning("relay.lost", code=failed.code.name, reason=failed.message)
                await self._clock.sleep(backoff.next_s())

    async def _stream(self, backoff: Backoff) -> None:
        call: Stream = telemetry_service(self._connection.channel()).IngestRecords()
        try:
            after = await self._resume(call)
            self._health.set("spool", None)
            backoff.reset()
            while True:
                after = await self._send_next(call, after)
        except grpc.RpcError as failed:
            raise error_from(failed) from failed
        except asyncio.CancelledError as closed:
            if given_up():
                raise
            raise DativeError("the records' channel was closed", code=LINK_SILENT) from closed
        except asyncio.InvalidStateError as ended:
            raise DativeError("the controller closed the records' stream", code=LINK_SILENT) from ended
        finally:
            call.cancel()

    async def _resume(self, call: Stream) -> int:
        """After which sequence to go on: the controller's word counts, not what was acknowledged once."""
        epoch = await self._books.run(self._journal.spool_epoch)
        answer = await self._answer(call)
        if answer.spool_epoch != epoch:
            await call.write(telemetry_pb2.IngestRecordsRequest(spool_epoch=epoch))
            answer = await self._answer(call)
        if answer.spool_epoch != epoch:
            raise DativeError("the controller answers for another spool", code=LINK_PROTOCOL)
        self._epoch = epoch
        return int(answer.committed_sequence)

    async def _answer(self, call: Stream) -> telemetry_pb2.IngestRecordsResponse:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await call.read()
        except TimeoutError as silent:
            raise DativeError(f"records unanswered for {ANSWER_WITHIN_S:.0f} s", code=LINK_SILENT) from silent
        if not isinstance(answer, telemetry_pb2.IngestRecordsResponse):
            code = await call.code()
            if code is grpc.StatusCode.OK:
                raise DativeError("the controller closed the records' stream", code=LINK_SILENT)
            trailing = await call.trailing_metadata()
            raise error_from(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, await call.details()))
        return answer

    async def _send_next(self, call: Stream, after: int) -> int:
        """Send one batch and wait until it is stored. Returns after which sequence to go on."""
        request = await self._batch(after)
        if request is None:
            self.idle.set()
            await self._wait_for_more(call)
            return after
        self.idle.clear()
        await call.write(request)
        answer = await self._answer(call)
        committed = int(answer.committed_sequence)
        await self._books.run(self._journal.acknowledge, committed)
        if answer.HasField("slow_down"):
            seconds = answer.slow_down.ToTimedelta().total_seconds()
            await self._clock.sleep(min(max(seconds, 0.0), SLOW_DOWN_MAX_S))
        return committed

    async def _wait_for_more(self, call: Stream) -> None:
        if call.done():
            raise DativeError("the controller closed the records' stream", code=LINK_SILENT)
        await either(self._clock, self._written, LOOK_EVERY_S)
        self._written.clear()

    async def _batch(self, after: int) -> telemetry_pb2.IngestRecordsRequest | None:
        records = await self._books.run(self._journal.outbox, after, rows_max=BATCH_ROWS_MAX, bytes_max=BATCH_BYTES_MAX)
        if not records:
            return None
        request = telemetry_pb2.IngestRecordsRequest(spool_epoch=self._epoch, first_sequence=after + 1)
        hole = min(records[0].sequence - after - 1, BATCH_ROWS_MAX)
        if hole > 0:
            # Older than the backup horizon, and the controller lost them: said, never silent, and the sequence holds.
            lost = telemetry_pb2.Record(dropped=telemetry_pb2.Dropped(signal="records", items=1, reason="not kept"))
            request.records.extend([lost] * hole)
            return request
        request.records.extend(telemetry_pb2.Record.FromString(record.body) for record in records)
        return request
