"""How many of the org's API calls are used, as every answer says, and when to stop using more."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dative.errors.base import StopRun
from dative.errors.salesforce import CALLS_EXHAUSTED

_USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")


@dataclass
class CallBudget:
    """The org's calls within 24 hours. reserve: the share that is left to other applications, 0..1.

    Source: REST API Developer Guide, "Sforce-Limit-Info Header". Errors carry it too, and are counted too.
    """

    reserve: float
    used: int = 0
    allowed: int = 0

    def learn(self, header: str | None) -> None:
        found = _USAGE.search(header or "")
        if found:
            self.used, self.allowed = int(found[1]), int(found[2])

    def check(self) -> None:
        """StopRun salesforce.calls_exhausted before a call that would eat into the reserve."""
        if self.allowed and self.used >= self.allowed * (1 - self.reserve):
            raise StopRun(
                f"{self.used} of {self.allowed} API calls are used and {self.reserve:.0%} are kept for others",
                code=CALLS_EXHAUSTED,
            )
