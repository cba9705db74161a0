"""A step's `retry:` as code: which errors, how often, how long; every wait can be cancelled.

Full jitter under an exponential bound; what the other side asks for (Retry-After) is honoured and never cut short.
Attempts are bounded by `max_attempts`, all pauses together by `budget_s`: at either bound the error stands.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dative.clock import Clock
from dative.errors import engine as codes
from dative.errors.base import Code, RetryLater, StopRun, code_named
from dative.process.shapes import RetrySettings

BUDGET_S: Final = 3600.0
_CLASS_OF_STATUS: Final = {
    "DEADLINE_EXCEEDED": "timeout",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAVAILABLE": "unavailable",
    "ABORTED": "conflict",
}


@dataclass(frozen=True)
class RetryPolicy:
    """on: classes of errors that are tried again. max_attempts: all of them, the first one included."""

    on: frozenset[str] = frozenset()
    max_attempts: int = 1
    first_s: float = 2.0
    factor: float = 2.0
    max_s: float = 300.0
    budget_s: float = BUDGET_S


NEVER: Final = RetryPolicy()
LOST_COMMIT: Final = RetryPolicy(frozenset({"timeout", "unavailable", "conflict"}), 3, 1.0, 2.0, 10.0, 60.0)
"""For a commit that the target says did not happen, where the step declares no retry: nothing was applied."""


def policy_of(settings: RetrySettings | None, timeout_s: float | None) -> RetryPolicy:
    """timeout_s: of the step; bounds all its attempts together."""
    if settings is None:
        return NEVER
    backoff = settings.backoff
    return RetryPolicy(
        frozenset(settings.on),
        settings.max_attempts,
        backoff.first.total_seconds(),
        float(backoff.factor),
        backoff.max.total_seconds(),
        min(timeout_s or settings.budget.total_seconds(), settings.budget.total_seconds()),
    )


def class_of(code: Code | None) -> str | None:
    """The class of an error, as `retry: {on: […]}` names it; None when it is none that passes by itself."""
    return _CLASS_OF_STATUS.get(code.grpc) if code is not None else None


def class_named(name: str | None) -> str | None:
    return class_of(code_named(name)) if name else None


@dataclass
class Waits:
    """How an execution waits. wait: that many seconds, true when it was cancelled meanwhile. draw: 0..1, for jitter."""

    clock: Clock
    wait: Callable[[float], bool]
    draw: Callable[[], float] = field(default=random.SystemRandom().random)


class Attempts:
    """The attempts of one piece of work under a policy."""

    def __init__(self, policy: RetryPolicy, waits: Waits, where: str) -> None:
        self._policy = policy
        self._waits = waits
        self._where = where
        self._started_s = waits.clock.elapsed_s()
        self.made = 1

    @property
    def most(self) -> int:
        """How many attempts there may be, the first one included."""
        return self._policy.max_attempts

    def covers(self, kind: str | None) -> bool:
        """An error of this class may be tried again, as far as attempts go."""
        return kind in self._policy.on and self.made < self._policy.max_attempts

    def pause(self, error: RetryLater) -> None:
        """Wait before the next attempt. StopRun when the policy does not cover the error or its bounds are reached."""
        kind = getattr(error, "error_class", None) or class_of(error.code)
        if not self.covers(kind):
            raise self._exhausted(error) from error
        self.wait(error.retry_after_s, error)

    def wait(self, asked_s: float | None, error: Exception) -> None:
        """As `pause`, for an error whose class is already covered."""
        policy = self._policy
        bound_s = min(policy.max_s, policy.first_s * policy.factor ** (self.made - 1))
        pause_s = max(asked_s or 0.0, bound_s * self._waits.draw())
        spent_s = self._waits.clock.elapsed_s() - self._started_s
        if spent_s + pause_s > policy.budget_s:
            raise self._exhausted(error) from error
        if self._waits.wait(pause_s):
            raise StopRun("cancelled while waiting for the next attempt", code=codes.CANCELLED, where=self._where)
        self.made += 1

    def _exhausted(self, error: Exception) -> StopRun:
        return StopRun(
            f"{self._where}: {error} after {self.made} attempt{'s' if self.made > 1 else ''}",
            code=codes.RETRIES_EXHAUSTED,
            where=self._where,
        )
