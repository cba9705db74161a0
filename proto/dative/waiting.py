"""Time for tasks: a clock that can also be slept on, and the full-jitter backoff every retry here uses.

A test passes a clock that it moves by hand; nothing that waits calls asyncio.sleep by itself.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from datetime import datetime
from typing import Any, Protocol

from dative.clock import Clock, ManualClock, SystemClock


class WaitingClock(Clock, Protocol):
    """`dative.clock.Clock`, and sleep by it."""

    async def sleep(self, seconds: float) -> None: ...


class SystemWaitingClock(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class HandClock(ManualClock):
    """A clock that moves when it is told to; who sleeps on it wakes when it has moved far enough: for tests and models."""

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
        # Those that were given up in between go too, whenever their time would have come.
        while self._sleepers and (self._sleepers[0][2].done() or self._sleepers[0][0] <= self.elapsed_s()):
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)


async def either(clock: WaitingClock, event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set (True) or so much time has passed (False)."""
    if event.is_set():
        return True
    waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(max(seconds, 0.0)))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(*waiting)
    return event.is_set()


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what a task began and wait for its end, whatever that is.

    Not by suppressing CancelledError around each: a cancel of the caller itself that comes just then would be lost.
    """
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Backoff:
    """Full jitter: the n-th wait is uniform in 0..min(first × 2^n, max). Bounded by `max_s`, never gives up."""

    def __init__(self, first_s: float, max_s: float, random_: random.Random | None = None) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._random = random_ or random.Random()  # noqa: S311  spreads load, guards nothing
        self._tries = 0

    def next_s(self) -> float:
        ceiling = min(self._first_s * 2 ** min(self._tries, 30), self._max_s)
        self._tries += 1
        return self._random.uniform(0, ceiling)

    def reset(self) -> None:
        self._tries = 0
