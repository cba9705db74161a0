"""The org's own clock, and how its times are written.

Every stamp, token life, locator life and limit window of the org follows this clock, never the machine's. It can stand
still, run with real time, be moved and be set. Times travel and are stored in one text form whose order is their order.
"""

import threading
import time
from datetime import UTC, datetime, timedelta


class VirtualClock:
    """A clock that starts where it is told and runs with real time until it is frozen. Thread safe."""

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        self._lock = threading.Lock()
        self._base = start or datetime.now(UTC)
        self._started = None if frozen else time.monotonic()

    def now(self) -> datetime:
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward, or back with a negative number; it goes on running or standing as before."""
        with self._lock:
            self._base += timedelta(seconds=seconds)
            return self._now()

    def set(self, to: datetime) -> datetime:
        with self._lock:
            self._base = to
            if self._started is not None:
                self._started = time.monotonic()
            return self._now()

    def freeze(self) -> datetime:
        """Stand still from now on; only `advance` and `set` move it."""
        with self._lock:
            self._base, self._started = self._now(), None
            return self._base

    def run(self) -> datetime:
        """Run with real time again, from where it stands."""
        with self._lock:
            self._base, self._started = self._now(), time.monotonic()
            return self._base

    @property
    def frozen(self) -> bool:
        return self._started is None

    def _now(self) -> datetime:
        if self._started is None:
            return self._base
        return self._base + timedelta(seconds=time.monotonic() - self._started)


def stamp(at: datetime) -> str:
    """A time as the org stamps records: UTC, whole seconds, `2026-01-31T10:20:30.000+0000`."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"


def stamp_millis(at: datetime) -> str:
    """As `stamp`, with the milliseconds kept."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def parse_time(text: str) -> datetime | None:
    """A datetime as Salesforce accepts it: `Z` or an offset required, seconds' fraction optional. None when it is not one."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo is not None and "T" in text.upper() else None
