"""Token buckets in a bounded table: the least recently used one is forgotten first, which can only be kind to it."""

from __future__ import annotations

from collections import OrderedDict

from dative.clock import Clock
from dative.errors import RetryLater
from dative.errors.rpc import RATE_LIMITED

BUCKETS_MAX = 10_000


class Limiter:
    """rate_per_s tokens a second, burst at most, per key."""

    def __init__(self, clock: Clock, *, rate_per_s: float, burst: float, what: str) -> None:
        self._clock = clock
        self._rate = rate_per_s
        self._burst = burst
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Use one token. Errors: rpc.rate_limited with the seconds until there is one."""
        self.check(key)
        left, at = self._buckets.get(key, (self._burst, self._clock.elapsed_s()))
        self._buckets[key] = (left - 1, at)

    def check(self, key: str) -> None:
        """Refuse when there is none left, without using one: for what only failures cost."""
        now = self._clock.elapsed_s()
        left, at = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        self._buckets[key] = (left, now)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        if left < 1:
            wait_s = (1 - left) / self._rate
            raise RetryLater(f"too many {self._what}; again in {wait_s:.0f} s", code=RATE_LIMITED, retry_after_s=wait_s)


def address_of(peer: str) -> str:
    """The host of gRPC's "ipv4:1.2.3.4:567" or "ipv6:[::1]:567", so that another port is no new caller."""
    return peer.rsplit(":", 1)[0]


def is_loopback(peer: str) -> bool:
    return peer.startswith(("ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D", "unix:"))
