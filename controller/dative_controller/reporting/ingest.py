"""Records into the store: at least once on the wire, exactly once here, committed before they are acknowledged.

Many streams' batches share one transaction (group commit): a commit costs a disk's flush, a record some microseconds.
A record that can not be read is counted and noted as an event; it never holds up the ones behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dative.clock import Clock
from dative.errors import DativeError
from dative.errors.rpc import INVALID
from dative.letters import taken_apart
from dative.rpc import status_of
from dative.v1 import telemetry_pb2, types_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dative_controller.reporting.otlp import decode
from dative_controller.store import dead_letters, reports, traces, tracking
from dative_controller.store.database import Database
from dative_controller.store.reports import Reporter
from dative_controller.telemetry.log import log
from dative_controller.telemetry.metrics import Metrics
from dative_controller.telemetry.signal import Signal

WAITING_MAX = 256
"""Batches that may wait for the database; a stream that has more to say waits itself, and its atom's spool holds it."""
GROUP_MAX = 64
SLOW_DOWN_AFTER_S = 0.5


@dataclass(slots=True)
class Item:
    """One record, decoded. Exactly one of the fields is what it is; `unreadable` says why it is none."""

    record: telemetry_pb2.Record
    spans: list[traces.SpanRow] = field(default_factory=list)
    letters: list[types_pb2.DeadLetter] = field(default_factory=list)
    request: ExportTraceServiceRequest | None = None
    unreadable: DativeError | None = None


@dataclass(eq=False, slots=True)
class Batch:
    """Consecutive records of one spool. done: the committed sequence, once it is committed."""

    reporter: Reporter
    spool_epoch: str
    first_sequence: int
    items: list[Item]
    done: asyncio.Future[int]


class Ingestor:
    """Takes batches and commits them in groups. forward: what is done with stamped spans after their commit."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        *,
        forward: Callable[[ExportTraceServiceRequest], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._forward = forward
        self._queue: asyncio.Queue[Batch] = asyncio.Queue(WAITING_MAX)
        self._slowest_s = 0.0
        self.stored = Signal()

    async def committed(self, reporter: Reporter, spool_epoch: str) -> int:
        return await self._database.read(lambda sql: reports.committed(sql, reporter.atom_id, spool_epoch))

    async def take(
        self, reporter: Reporter, spool_epoch: str, first_sequence: int, records: Sequence[telemetry_pb2.Record]
    ) -> int:
        """Store the records; returns what is committed, which is less than their end after a gap: resume from there."""
        items = await asyncio.to_thread(lambda: [_decoded(record, reporter) for record in records])
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        await self._queue.put(Batch(reporter, spool_epoch, first_sequence, items, done))
        return await done

    def slow_down_s(self) -> float:
        """How long streams should pause before the next batch: what the database lags behind, nothing in good times."""
        return self._slowest_s if self._slowest_s > SLOW_DOWN_AFTER_S else 0.0

    async def commit_forever(self) -> None:
        while True:
            group = [await self._queue.get()]
            while len(group) < GROUP_MAX and not self._queue.empty():
                group.append(self._queue.get_nowait())
            await self._commit(group)

    async def _commit(self, group: list[Batch]) -> None:
        began = self._clock.elapsed_s()
        now_ms = int(self._clock.now().timestamp() * 1000)
        try:
            results = await self._database.write(lambda sql: [_store(sql, batch, now_ms) for batch in group])
        except DativeError as failed:
            log.warning("ingest.failed", batches=len(group), error=str(failed))
            for batch in group:
                if not batch.done.done():  # its stream may be gone; a result for nobody must not end this task
                    batch.done.set_exception(failed)
            return
        self._slowest_s = self._clock.elapsed_s() - began
        self._metrics.ingest_commits_total += 1
        for batch, (committed, fresh) in zip(group, results, strict=True):
            self._count(batch, fresh)
            if not batch.done.done():
                batch.done.set_result(committed)
        self.stored.notify()

    def _count(self, batch: Batch, fresh: list[Item]) -> None:
        self._metrics.ingest_records_total += len(fresh)
        self._metrics.ingest_records_duplicate_total += len(batch.items) - len(fresh)
        for item in fresh:
            if item.unreadable is not None:
                self._metrics.ingest_records_unreadable_total += 1
            if item.request is not None:
                self._forward(item.request)


def _decoded(record: telemetry_pb2.Record, reporter: Reporter) -> Item:
    """The record, what it holds many of unpacked: outside the transaction, in a thread."""
    kind = record.WhichOneof("kind")
    try:
        if kind == "spans":
            rows, request = decode(record.spans.otlp, _resource(reporter))
            return Item(record, rows, request=request)
        if kind == "dead_letters":
            return Item(record, letters=taken_apart(record.dead_letters))
    except DativeError as broken:
        return Item(record, unreadable=broken)
    return Item(record)


def _resource(reporter: Reporter) -> dict[str, str]:
    return {
        "service.instance.id": reporter.atom_id,
        "dative.atom.id": reporter.atom_id,
        "dative.environment.id": reporter.environment_id,
        "dative.molecule": reporter.molecule_id,
    }


def _store(sql: Connection, batch: Batch, now_ms: int) -> tuple[int, list[Item]]:
    """(committed sequence, the records that were new). The sequence and the records commit together or not at all."""
    committed = reports.committed(sql, batch.reporter.atom_id, batch.spool_epoch)
    end = batch.first_sequence + len(batch.items) - 1
    if batch.first_sequence > committed + 1 or end <= committed:
        return committed, []
    skip = committed + 1 - batch.first_sequence
    fresh = batch.items[skip:]
    for sequence, item in enumerate(fresh, start=committed + 1):
        _put(sql, batch, sequence, item, now_ms)
    reports.advance(sql, batch.reporter.atom_id, batch.spool_epoch, end, now_ms)
    return end, fresh


def _put(sql: Connection, batch: Batch, sequence: int, item: Item, now_ms: int) -> None:
    if item.unreadable is None:
        try:
            with sql.begin_nested():
                _put_record(sql, batch, sequence, item, now_ms)
        except (DBAPIError, ValueError, OverflowError) as refused:
            if isinstance(refused, DBAPIError) and refused.connection_invalidated:
                raise
            kind = item.record.WhichOneof("kind")
            if len(item.letters) > 1:
                # One that is refused never holds up the ones beside it.
                for letter in item.letters:
                    alone = Item(item.record, letters=[letter])
                    _put(sql, batch, sequence, alone, now_ms)
                    item.unreadable = item.unreadable or alone.unreadable
                return
            item.unreadable = DativeError(f"record {sequence} ({kind}) was refused by the store", code=INVALID)
    if item.unreadable is not None:
        event = telemetry_pb2.Event(kind="report.unreadable", status=status_of(item.unreadable), occurred_at_ms=now_ms)
        reports.put_event(sql, batch.reporter, spool_epoch=batch.spool_epoch, sequence=sequence, reported=event)


def _put_record(sql: Connection, batch: Batch, sequence: int, item: Item, now_ms: int) -> None:
    record, kind = item.record, item.record.WhichOneof("kind")
    if kind == "execution":
        reports.put_execution(sql, batch.reporter, record.execution, now_ms)
    elif kind == "dead_letter":
        dead_letters.put(sql, batch.reporter, [record.dead_letter])
    elif kind == "dead_letters":
        dead_letters.put(sql, batch.reporter, item.letters)
    elif kind == "spans":
        traces.add(sql, item.spans)
    elif kind == "tracked_documents":
        tracking.put(sql, batch.reporter, record.tracked_documents, now_ms)
    elif kind == "event":
        reports.put_event(sql, batch.reporter, spool_epoch=batch.spool_epoch, sequence=sequence, reported=record.event)
    elif kind == "dropped":
        dropped = telemetry_pb2.Event(kind="spool.dropped", occurred_at_ms=now_ms)
        dropped.fields.update(
            signal=record.dropped.signal, items=str(record.dropped.items), reason=record.dropped.reason
        )
        reports.put_event(sql, batch.reporter, spool_epoch=batch.spool_epoch, sequence=sequence, reported=dropped)
