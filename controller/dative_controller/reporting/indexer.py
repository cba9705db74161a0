"""Keeps the index over tracked keys: fresh parts become segments, many small segments become one larger one.

Beside ingestion, never in its way: what no segment covers yet is searched part by part, and the bounds here keep that
little. Several controllers may do this at once over one database; a segment that another one has made is given up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dative.clock import Clock
from dative.ids import new_id

from dative_controller.reporting import index
from dative_controller.store import tracking
from dative_controller.store.database import Database, StoreError
from dative_controller.telemetry.log import log
from dative_controller.telemetry.signal import Signal

LOOK_AGAIN_S = 30.0
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """When parts become a segment, and segments a larger one.

    fresh_documents, fresh_parts: a search opens every fresh part; at either bound they become a segment.
    segment_bytes_max, segment_parts_max: of the parts that one segment covers; read_at_once: of them, from the database.
    merged_at_once segments become one, as long as that one has at most merged_entries_max; larger ones are left as they
    are, because at a page a segment a search reads thousands of them.
    """

    fresh_documents: int = 500_000
    fresh_parts: int = 1_000
    segment_bytes_max: int = 32 << 20
    segment_parts_max: int = 4_000
    read_at_once: int = 32
    merged_at_once: int = 16
    merged_entries_max: int = 4_000_000


class Indexer:
    """stored: notified after each commit of records."""

    def __init__(self, database: Database, clock: Clock, stored: Signal, bounds: Bounds | None = None) -> None:
        self._database = database
        self._clock = clock
        self._stored = stored
        self._bounds = bounds or Bounds()

    async def run_forever(self) -> None:
        seen = -1
        while True:
            try:
                while await self.step():
                    pass
            except StoreError as failed:
                log.warning("index.failed", error=str(failed))
            await asyncio.sleep(PAUSE_S)
            seen = await self._stored.wait(seen, LOOK_AGAIN_S)

    async def step(self) -> bool:
        """One segment more, or several made one. False: there is nothing to do."""
        try:
            return await self._cover() or await self._merge()
        except tracking.SegmentsChanged:
            return True

    async def _cover(self) -> bool:
        parts, documents = await self._database.read(tracking.fresh)
        if parts < self._bounds.fresh_parts and documents < self._bounds.fresh_documents:
            return False
        bodies = await self._bodies()
        segment, unreadable = await asyncio.to_thread(index.build, new_id(self._clock.now()), bodies)
        if unreadable:
            log.warning("tracked.unreadable", parts=len(unreadable), first=unreadable[0])
        covered = [number for number, _ in bodies]
        await self._database.write(lambda sql: tracking.cover(sql, segment, covered))
        return True

    async def _bodies(self) -> list[tuple[int, bytes]]:
        """The oldest fresh parts, as many as make one segment."""
        found: list[tuple[int, bytes]] = []
        size, bounds = 0, self._bounds
        while size < bounds.segment_bytes_max and len(found) < bounds.segment_parts_max:
            after = found[-1][0] if found else 0
            some = await self._database.read(
                lambda sql, at=after: tracking.fresh_bodies(sql, at, bounds.read_at_once)  # type: ignore[misc]
            )
            if not some:
                break
            found += [(number, body) for number, _, body in some]
            size += sum(len(body) for _, _, body in some)
        return found

    async def _merge(self) -> bool:
        former = await self._database.read(
            lambda sql: [
                tracking.with_pages(sql, segment)
                for segment in tracking.mergeable(sql, self._bounds.merged_at_once, self._bounds.merged_entries_max)
            ]
        )
        if not former:
            return False
        merged = await asyncio.to_thread(index.merge, new_id(self._clock.now()), former)
        await self._database.write(lambda sql: tracking.replace(sql, merged, former))
        return True
