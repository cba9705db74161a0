"""A molecule in one process: a cluster in memory and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from dative.waiting import HandClock
from dative_atom.molecule.memory import MemoryCluster, MemoryCoordination


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def cluster(clock: HandClock) -> MemoryCluster:
    return MemoryCluster(clock)


@pytest.fixture
def client(cluster: MemoryCluster) -> MemoryCoordination:
    return cluster.client()


@pytest.fixture
def pass_time(clock: HandClock) -> Callable[[float], Awaitable[None]]:
    """Let so many seconds pass, in steps, with room for every task that wakes."""

    async def passing(seconds: float, step_s: float = 0.25) -> None:
        while True:
            for _ in range(40):
                await asyncio.sleep(0)
            if seconds <= 0:
                return
            clock.advance(min(step_s, seconds))
            seconds -= step_s

    return passing
