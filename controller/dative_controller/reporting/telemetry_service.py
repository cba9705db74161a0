"""TelemetryService: records over a stream of their own, so that a backlog never queues in front of a heartbeat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from dative.clock import Clock
from dative.errors import DativeError
from dative.errors.control import PROTOCOL
from dative.v1 import telemetry_pb2, telemetry_pb2_grpc
from sqlalchemy import Connection

from dative_controller.links.peer import peer_of
from dative_controller.reporting.ingest import Ingestor
from dative_controller.store import fleet, reports
from dative_controller.store.database import Database
from dative_controller.store.reports import Reporter

RECORDS_MAX = 10_000
SPOOL_EPOCH_CHARS_MAX = 64


class TelemetryServicer(telemetry_pb2_grpc.TelemetryServiceServicer):
    """One batch at a time and stream: the next is read when the last is committed, and gRPC's flow control holds it."""

    def __init__(self, ingestor: Ingestor, database: Database, clock: Clock, *, organization_id: str) -> None:
        self._ingestor = ingestor
        self._database = database
        self._clock = clock
        self._organization_id = organization_id

    async def IngestRecords(  # noqa: N802
        self,
        requests: AsyncIterator[telemetry_pb2.IngestRecordsRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[telemetry_pb2.IngestRecordsResponse]:
        peer = peer_of(context, self._organization_id, self._clock.now())

        def admit(sql: Connection) -> tuple[fleet.AtomRow, tuple[str, int]]:
            return fleet.admit(sql, peer.atom_id), reports.newest_spool(sql, peer.atom_id)

        row, (spool_epoch, committed) = await self._database.read(admit)
        reporter = Reporter(row.atom_id, row.environment_id, row.molecule_id)
        # The controller speaks first: where to resume, of the spool that it knows.
        yield telemetry_pb2.IngestRecordsResponse(spool_epoch=spool_epoch, committed_sequence=committed)
        async for request in requests:
            if peer.not_after <= self._clock.now():
                return  # the atom comes back with its renewed certificate and resumes
            yield await self._take(reporter, request)

    async def _take(
        self, reporter: Reporter, request: telemetry_pb2.IngestRecordsRequest
    ) -> telemetry_pb2.IngestRecordsResponse:
        if not 0 < len(request.spool_epoch) <= SPOOL_EPOCH_CHARS_MAX or len(request.records) > RECORDS_MAX:
            raise DativeError("a batch names its spool and has at most 10,000 records", code=PROTOCOL)
        if request.records:
            await self._database.read(lambda sql: fleet.admit(sql, reporter.atom_id))
            committed = await self._ingestor.take(
                reporter, request.spool_epoch, request.first_sequence, request.records
            )
        else:
            committed = await self._ingestor.committed(reporter, request.spool_epoch)
        answer = telemetry_pb2.IngestRecordsResponse(spool_epoch=request.spool_epoch, committed_sequence=committed)
        if slow_down_s := self._ingestor.slow_down_s():
            answer.slow_down.FromMilliseconds(int(slow_down_s * 1000))
        return answer
