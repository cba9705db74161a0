"""Time, passed in: the wall clock for stamps, a clock that never jumps for deadlines.

Nothing that decides by time reads a clock of its own, so that a test can hold it. This file knows nobody who uses it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What code that needs the time is given."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC. May jump; only for stamps and schedules."""
        ...

    def elapsed_s(self) -> float:
        """Seconds since some fixed moment; never jumps and counts suspended time. For deadlines and durations."""
        ...


class SystemClock:
    """The machine's clocks. CLOCK_BOOTTIME, because a laptop that slept past a deadline has missed it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class ManualClock:
    """A clock that moves when it is told to: for tests and simulators."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("ManualClock needs an aware datetime")
        self._start = now.astimezone(UTC)
        self._elapsed = timedelta()

    def now(self) -> datetime:
        return self._start + self._elapsed

    def elapsed_s(self) -> float:
        return self._elapsed.total_seconds()

    def advance(self, seconds: float) -> None:
        self._elapsed += timedelta(seconds=seconds)
