"""What an atom's books cost: tracked documents and receipts made and settled, against the same batches without them.

Measured by itself, because the difference of two whole runs drowns in their noise.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from dative.clock import SystemClock
from dative.ids import ExecutionId, ProcessName, StepId
from dative.v1 import telemetry_pb2
from dative_atom.documents.batch import number_documents
from dative_atom.engine.books.accounting import Fates
from dative_atom.engine.books.receipts import Books, books_of
from dative_atom.engine.books.tracking import Tracking
from dative_atom.engine.routing import Flow, Reached
from dative_atom.journal.contract import Counts, Execution, Settlement
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.telemetry.recorder import Recorder

BATCH_ROWS = 32_768


@dataclass(frozen=True)
class Batch:
    """What an *accounts sync* knows of a batch when every document of it was written."""

    number: int
    source: pa.RecordBatch
    flow: Flow
    fates: Fates

    def books(self, fields: tuple[str, ...]) -> Books:
        keys = Tracking(fields, (), b"").keys(self.source, None)  # type: ignore[arg-type]  # nothing is hashed
        about = telemetry_pb2.TrackedDocuments(
            execution_id=f"01JX{self.number // 10:022d}",
            process="accounts-sync",
            process_version=3,
            attempt=1,
            batch=self.number,
            settled_at_ms=int(time.time() * 1000),
        )
        return books_of(self.flow, self.fates, keys, about)


def key(number: int) -> str:
    """Like a Salesforce id, in an order that no compression gains from."""
    return f"001{(number * 2_654_435_761) % (1 << 40):015X}"


def batches(documents: int) -> Iterator[Batch]:
    """Batches of accounts with an id and a name that some share."""
    written, upsert, applied = (pa.repeat(pa.scalar(text), BATCH_ROWS) for text in ("written", "upsert", "applied"))
    for number, first in enumerate(range(0, documents, BATCH_ROWS)):
        rows = min(BATCH_ROWS, documents - first)
        numbers = range(first, first + rows)
        columns = {"Id": [key(one) for one in numbers], "Name": [f"Customer {one % 400_000}" for one in numbers]}
        source = number_documents(pa.record_batch(columns), first)
        target = pa.array([f"C-{one:08d}" for one in numbers])
        flow = Flow(number, source, None, Recorder(), "queue")  # type: ignore[arg-type]  # nothing is evaluated
        no_code = pa.nulls(rows, pa.string())
        flow.reached.append(Reached(StepId("upsert"), source.column(0), applied.slice(0, rows), no_code, target))
        counts = Counts(read=rows, written=rows)
        yield Batch(
            number, source, flow, Fates(source.column(0), written.slice(0, rows), upsert.slice(0, rows), target, counts)
        )


def cost(documents: int) -> tuple[float, float]:
    """(CPU seconds, bytes a document on the atom's disk) of the books of so many documents with one tracked key."""
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as directory:
        journal = SqliteJournal(Path(directory) / "journal.db", SystemClock())
        now = datetime.now(UTC)
        run = Execution(ExecutionId("01JX"), ProcessName("p"), 1, "e/p", "schedule", now, "sha256:00")
        journal.plan(run)
        journal.begin(run.execution_id, now)
        spent, size = 0.0, 0
        for batch in batches(documents):
            counts, end = batch.fates.counts, batch.fates.counts.read * (batch.number + 1)
            bare = Settlement(run.execution_id, run.stream, 2 * batch.number, b"{}", end, counts)
            spent -= _settled(journal, bare)
            began = time.process_time()
            books = batch.books(("Id",))
            spent += time.process_time() - began
            size += 2 * sum(len(body) for body in books.tracked)
            kept = {"tracked": books.tracked, "receipts": books.receipts, "receipts_keep_s": 86400.0}
            spent += _settled(journal, replace(bare, batch=2 * batch.number + 1, **kept))  # type: ignore[arg-type]
        journal.close()
    return spent, size / documents


def _settled(journal: SqliteJournal, settlement: Settlement) -> float:
    """CPU seconds of settling it as a transactional target does: prepared first."""
    began = time.process_time()
    journal.prepare(settlement)
    journal.settle(execution_id=settlement.execution_id)
    return time.process_time() - began
