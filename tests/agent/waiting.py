"""Waiting for what real processes and sockets bring about, and letting a clock's time pass for the tasks that sleep on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dative.waiting import HandClock

WITHIN_S = 20.0


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
