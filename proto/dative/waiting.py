"""Time for tasks: a clock that can also be slept on, and the full-jitter backoff every retry here uses.

A test passes a clock that it moves by hand; nothing that waits calls asyncio.sleep by itself.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

from dative.clock import Clock, SystemClock


class WaitingClock(Clock, Protocol):
    """`dative.clock.Clock`, and sleep by it."""

    async def sleep(self, seconds: float) -> None: ...


class SystemWaitingClock(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


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
