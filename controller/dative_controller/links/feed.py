"""The change feed, followed: one loop reads what was committed and hands it to the hub.

On PostgreSQL a NOTIFY wakes the other controllers; the poll is the safety net under it and all that a transaction
pooler leaves working. The notification is sent after the commit by one coalescing task, because a NOTIFY inside every
transaction takes a lock at commit and halved the commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import psycopg
from sqlalchemy import text

from dative_controller.store import changes
from dative_controller.store.changes import Change
from dative_controller.store.database import Database, StoreError
from dative_controller.telemetry.log import log
from dative_controller.telemetry.signal import Signal

CHANNEL = "dative_changes"
COALESCE_S = 0.02
RECONNECT_S = 1.0


class Feed:
    """Where this controller stands in the feed, and who is told when it moves."""

    def __init__(self, database: Database, *, poll_s: float) -> None:
        self._database = database
        self._poll_s = poll_s
        self._read = Signal()
        self._written = Signal()
        self._sequence = 0

    async def start(self) -> None:
        """What was committed before this moment reaches atoms when they connect."""
        self._sequence = await self._database.read(changes.newest)

    def poke(self) -> None:
        """This controller committed a change: read it at once and tell the others."""
        self._read.notify()
        self._written.notify()

    async def follow_forever(self, apply: Callable[[list[Change]], Awaitable[None]]) -> None:
        """apply: what is done with changes, in commit order."""
        while True:
            seen = self._read.count
            try:
                await self._catch_up(apply)
            except StoreError as failed:
                log.warning("feed.stalled", error=str(failed))
            await self._read.wait(seen, self._poll_s)

    async def _catch_up(self, apply: Callable[[list[Change]], Awaitable[None]]) -> None:
        while True:
            found = await self._database.read(partial(changes.since, sequence=self._sequence))
            if not found:
                return
            await apply([change for _, change in found])
            self._sequence = found[-1][0]

    async def listen_forever(self) -> None:
        """PostgreSQL only: hear of the others' commits, on a direct connection of its own."""
        url = self._database.url.replace("postgresql+psycopg://", "postgresql://", 1)
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._read.notify()  # what was missed while nobody listened
                    async for _ in connection.notifies():
                        self._read.notify()
            except psycopg.OperationalError as lost:
                log.warning("feed.connection_lost", error=str(lost))
            await asyncio.sleep(RECONNECT_S)

    async def notify_forever(self) -> None:
        """PostgreSQL only: tell the others, once for all that was committed in a short while."""
        told = 0
        while True:
            count = await self._written.wait(told, self._poll_s)
            if count == told:
                continue
            await asyncio.sleep(COALESCE_S)
            told = self._written.count
            try:
                await self._database.write(lambda sql: sql.execute(text(f"NOTIFY {CHANNEL}")))
            except StoreError as failed:
                log.warning("feed.not_notified", error=str(failed))  # their poll makes up for it
