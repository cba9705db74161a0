"""A record among ten million tracked documents: what it costs to take them in and to index them, and to find one.

The parts are what atoms send: the engine's own records of settled batches, through the controller's own ingestion. Bodies
are made outside of what is measured.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from dative.clock import SystemClock
from dative.v1 import telemetry_pb2
from dative_controller.reporting.find import Search, find
from dative_controller.reporting.index import key_bytes
from dative_controller.reporting.indexer import Indexer
from dative_controller.reporting.ingest import Ingestor
from dative_controller.store.database import Database
from dative_controller.store.migrate import upgrade
from dative_controller.store.reports import Reporter
from dative_controller.telemetry.metrics import Metrics

from tests.benchmarks.books import batches, key

REPORTER = Reporter("A1", "E1", "default")
EPOCH = "bench"


@dataclass(frozen=True)
class Searched:
    """Seconds of each search, by what was searched. sizes: bytes on disk, by what; cpu_s: by what, for all documents."""

    seconds: dict[str, list[float]]
    sizes: dict[str, int]
    cpu_s: dict[str, float]
    segments: int


def records(documents: int) -> Iterator[telemetry_pb2.Record]:
    """Of the batches of an accounts sync, found by their id and by their name."""
    for batch in batches(documents):
        for body in batch.books(("Id", "Name")).tracked:
            yield telemetry_pb2.Record(tracked_documents=telemetry_pb2.TrackedDocuments.FromString(body))


async def measure(url: str, documents: int) -> Searched:
    """Take in so many documents, index them, search."""
    database = Database(url)
    try:
        await asyncio.to_thread(upgrade, database)
        return await _Bench(database).run(documents)
    finally:
        await database.close()


class _Bench:
    def __init__(self, database: Database) -> None:
        self._database = database
        clock = SystemClock()
        self._ingestor = Ingestor(database, clock, Metrics(), forward=lambda _: None)
        self._indexer = Indexer(database, clock, self._ingestor.stored)
        self._cpu_s = {"ingest": 0.0, "index": 0.0}

    async def run(self, documents: int) -> Searched:
        committing = asyncio.ensure_future(self._ingestor.commit_forever())
        try:
            await self._take_in(documents)
        finally:
            committing.cancel()
        seconds = {
            "a key in one document": await self._searches([key(number) for number in _drawn(documents, 40)]),
            "a key in many (25 of 10 M)": await self._searches([f"Customer {n}" for n in _drawn(400_000, 15)]),
            "an absent key": await self._searches([key(documents + n) for n in range(40)], absent=True),
        }
        return Searched(seconds, await self._sizes(), self._cpu_s, await self._count("tracked_segment"))

    async def _take_in(self, documents: int) -> None:
        sequence = 1
        made = records(documents)
        while group := list(islice(made, 2)):
            began = time.process_time()
            await self._ingestor.take(REPORTER, EPOCH, sequence, group)
            self._cpu_s["ingest"] += time.process_time() - began
            sequence += len(group)
            began = time.process_time()
            while await self._indexer.step():
                pass
            self._cpu_s["index"] += time.process_time() - began

    async def _searches(self, keys: list[str], *, absent: bool = False) -> list[float]:
        seconds = []
        for one in keys:
            began = time.perf_counter()
            found = await find(self._database, Search(key_bytes(one)))
            seconds.append(time.perf_counter() - began)
            assert bool(found.documents) is not absent, one
        return seconds

    async def _sizes(self) -> dict[str, int]:
        sums = {"documents": "tracked_body", "index": "tracked_page"}
        return {name: await self._sum(table) for name, table in sums.items()}

    async def _sum(self, table: str) -> int:
        return await self._database.read(
            lambda sql: int(sql.exec_driver_sql(f"SELECT coalesce(sum(length(body)), 0) FROM {table}").scalar_one())
        )

    async def _count(self, table: str) -> int:
        return await self._database.read(
            lambda sql: int(sql.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
        )


def _drawn(below: int, count: int) -> list[int]:
    return random.Random(7).sample(range(below), count)


def run(documents: int, url: str = "") -> list[str]:
    """The lines of the table. url: of a database; default: SQLite in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as directory:
        found = asyncio.run(measure(url or f"sqlite:///{Path(directory) / 'dative.db'}", documents))
    millions = documents / 1e6
    lines = [
        f"{name:28} median {1000 * median(times):6.1f} ms   worst {1000 * max(times):6.1f} ms   ({len(times)} keys)"
        for name, times in found.seconds.items()
    ]
    lines.append(
        f"CPU per million documents: taken in {found.cpu_s['ingest'] / millions:.2f} s, indexed (two keys each)"
        f" {found.cpu_s['index'] / millions:.2f} s"
    )
    lines.append(
        f"disk per document: {found.sizes['documents'] / documents:.1f} bytes as atoms send it, the index"
        f" {found.sizes['index'] / documents:.1f} bytes, {found.segments} segments"
    )
    return lines
