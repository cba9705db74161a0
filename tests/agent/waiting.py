"""A clock that a test moves by hand, and waiting for what real processes and sockets bring about."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime

from dative.clock import ManualClock

WITHIN_S = 20.0


class HandClock(ManualClock):
    """A clock that a test moves; who sleeps on it wakes when it has been moved far enough."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.elapsed_s() + max(seconds, 0.0), self._count, future))
        self._wake()
        await future

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._wake()

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self.elapsed_s():
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)


async def until(condition: Callable[[], object], what: str = "", within_s: float = WITHIN_S) -> None:
    """Wait for something that real processes and sockets bring about."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


async def move(clock: HandClock, seconds: float, step_s: float = 10.0) -> None:
    """Let time pass in steps, with room for the tasks that wake."""
    left = seconds
    while left > 0:
        clock.advance(min(step_s, left))
        left -= step_s
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
