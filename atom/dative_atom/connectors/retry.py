"""Repeats calls that are safe to repeat: bounded, with full jitter, and as long as the system asked for.

Only for idempotent reads inside a connector. A step's own retries belong to the engine, a write is never repeated here.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from dative.errors.base import RetryLater
from dative.errors.connector import Cancelled

T = TypeVar("T")
RETRY_AFTER_EPOCH_MIN = 1_000_000_000
"""A Retry-After beyond this many "seconds" is a moment (seconds since 1970), not a pause of 31 years."""


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header in its three forms: seconds, HTTP date, epoch; None when it says nothing.

    now: the system's own clock (its Date header) where it is known. Never negative.
    Source: RFC 9110 §10.2.3; the epoch form is what several vendors send.
    """
    text = (header or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
        return max(0.0, seconds - now.timestamp()) if seconds >= RETRY_AFTER_EPOCH_MIN else seconds
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Backoff:
    """How often and how long. At `attempts_max` the last error is raised as it is.

    wait_max_s: a longer pause that a system asks for is left to the engine, which need not hold a worker for it.
    """

    attempts_max: int = 4
    first_s: float = 0.5
    factor: float = 2.0
    wait_max_s: float = 30.0

    def pause_s(self, attempt: int, asked_s: float | None) -> float:
        """attempt: from 1. Full jitter below the exponential bound, never shorter than what was asked for."""
        bound = min(self.wait_max_s, self.first_s * self.factor ** (attempt - 1))
        return max(asked_s or 0.0, random.uniform(0.0, bound))  # noqa: S311 - jitter, not a secret


def call_again(
    call: Callable[[], T],
    cancelled: threading.Event,
    backoff: Backoff,
    wait: Callable[[float], bool] | None = None,
) -> T:
    """The call's answer, tried again on RetryLater; Cancelled as soon as `cancelled` is set, also in a pause.

    wait: waits that many seconds and says whether to stop; by default `cancelled.wait`.
    """
    for attempt in range(1, backoff.attempts_max + 1):
        stop_if(cancelled)
        try:
            return call()
        except RetryLater as error:
            pause_s = backoff.pause_s(attempt, error.retry_after_s)
            if attempt == backoff.attempts_max or pause_s > backoff.wait_max_s:
                raise
            if (wait or cancelled.wait)(pause_s):
                raise Cancelled("stopped while waiting to call again") from error
    raise AssertionError("attempts_max is at least 1")


def stop_if(cancelled: threading.Event) -> None:
    """Cancelled when the execution must stop."""
    if cancelled.is_set():
        raise Cancelled("stopped before the next call")
