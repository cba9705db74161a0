"""The org's allocations: what was used, what is left, and the refusal when nothing is.

REQUEST_LIMIT_EXCEEDED has two meanings under one code: the day's requests are used up (wait for the window to roll), or
too many long requests run at once (try again in seconds). Only the message tells them apart, as with the vendor.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dative_sandbox.salesforce.clock import VirtualClock
from dative_sandbox.salesforce.errors import ApiError

_WINDOW = timedelta(hours=24)
_OTHER_LIMITS = {
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryJobs": 10_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "HourlyPublishedPlatformEvents": 50_000,
    "DailyDeliveredPlatformEvents": 50_000,
    "DataStorageMB": 1_024,
}


@dataclass
class Limits:
    """Counters of one org. Thread safe.

    daily_requests_max: requests in any 24 hours of the org's clock; the one above is refused with 403.
    concurrent_max: requests that may be older than `long_request_s` (real time) at once; the next one is refused.
    """

    clock: VirtualClock
    daily_requests_max: int = 100_000
    concurrent_max: int = 25
    long_request_s: float = 20.0
    _buckets: deque[tuple[datetime, int]] = field(default_factory=deque)
    _used: int = 0
    _running: dict[int, float] = field(default_factory=dict)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> int:
        """Count one request and let it run; `end` takes the number returned. ApiError 403 when an allocation is used up."""
        with self._lock:
            self._roll()
            self._count(1)
            old = time.monotonic() - self.long_request_s
            if sum(started <= old for started in self._running.values()) >= self.concurrent_max:
                raise ApiError(
                    403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
                )
            if self._used > self.daily_requests_max:
                # A refused request does not use the allocation further.
                self._count(-1)
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self._next += 1
            self._running[self._next] = time.monotonic()
            return self._next

    def end(self, number: int) -> None:
        with self._lock:
            self._running.pop(number, None)

    @property
    def used(self) -> int:
        with self._lock:
            self._roll()
            return self._used

    @used.setter
    def used(self, count: int) -> None:
        with self._lock:
            self._buckets.clear()
            self._used = 0
            self._count(count)

    def header(self) -> str:
        """The value of Sforce-Limit-Info."""
        return f"api-usage={self.used}/{self.daily_requests_max}"

    def body(self) -> dict[str, Any]:
        left = max(0, self.daily_requests_max - self.used)
        shown: dict[str, Any] = {"DailyApiRequests": {"Max": self.daily_requests_max, "Remaining": left}}
        return shown | {name: {"Max": most, "Remaining": most} for name, most in _OTHER_LIMITS.items()}

    def _count(self, count: int) -> None:
        minute = self.clock.now().replace(second=0, microsecond=0)
        if self._buckets and self._buckets[-1][0] == minute:
            self._buckets[-1] = (minute, self._buckets[-1][1] + count)
        else:
            self._buckets.append((minute, count))
        self._used += count

    def _roll(self) -> None:
        oldest = self.clock.now() - _WINDOW
        while self._buckets and self._buckets[0][0] <= oldest:
            self._used -= self._buckets.popleft()[1]
