"""Something happened, look again: for any number of tasks, none of which misses what comes after it looked."""

from __future__ import annotations

import asyncio

from dative.waiting import WaitingClock, either


class Signal:
    """Take `next` before looking, then wait for it: it is set by whatever fires after it was taken."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        return self._next

    def fire(self) -> None:
        self._next.set()
        self._next = asyncio.Event()


async def soon(clock: WaitingClock, event: asyncio.Event, seconds: float) -> None:
    """Until `event` or that long, whichever comes first."""
    if seconds > 0:
        await either(clock, event, seconds)
    else:
        await asyncio.sleep(0)
