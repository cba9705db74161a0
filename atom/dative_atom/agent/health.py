"""What is well and what is not, part by part: for the controller's view and for `dative-atom status`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime

from dative.errors import DativeError
from dative.rpc import status_of
from dative.v1 import agent_pb2
from dative.waiting import WaitingClock

from dative_atom.agent.log import redactor

COMPONENTS_MAX = 1000
"""Parts are few; beyond it (thousands of processes, each broken) further ones are left out of the report."""


@dataclass(frozen=True)
class Component:
    path: str
    error: DativeError | None
    changed_at: datetime

    def message(self) -> agent_pb2.ComponentHealth:
        found = agent_pb2.ComponentHealth(path=self.path, healthy=self.error is None)
        found.changed_at.FromDatetime(self.changed_at)
        if self.error is not None:
            status = status_of(self.error)
            status.message = redactor.redact(status.message)
            found.last_error.CopyFrom(status)
        return found


class Health:
    """`changed` is set whenever a part becomes well or ill, or ill for another reason."""

    def __init__(self, clock: WaitingClock) -> None:
        self._clock = clock
        self._parts: dict[str, Component] = {}
        self.changed = asyncio.Event()

    def set(self, path: str, error: DativeError | None) -> None:
        """path: "link", "bundle", "process/account-to-erp". None: it is well."""
        former = self._parts.get(path)
        if former is not None and _same(former.error, error):
            return
        if former is None and len(self._parts) >= COMPONENTS_MAX:
            return
        self._parts[path] = Component(path, error, self._clock.now())
        self.changed.set()

    def forget(self, path: str) -> None:
        if self._parts.pop(path, None) is not None:
            self.changed.set()

    @property
    def healthy(self) -> bool:
        return all(part.error is None for part in self._parts.values())

    def parts(self) -> list[Component]:
        return [self._parts[path] for path in sorted(self._parts)]

    def report(self) -> agent_pb2.StatusReport:
        return agent_pb2.StatusReport(components=[part.message() for part in self.parts()])


def _same(one: DativeError | None, other: DativeError | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.code, one.message) == (other.code, other.message)


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
