"""Faults by script: which requests fail, how often, and how. What a fault does to a connection is done in app.py.

A fault matches a method and a path; it may let some requests pass first, and then strikes a number of times. Struck
"before", the org never sees the request; struck "after", the org has carried it out and only the answer is lost, which
is the case where a client must find out instead of sending again.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from dative.errors.sandbox import BadCommand

Kind = Literal["status", "html", "hang", "reset", "close", "truncate", "drip", "delay", "expire_tokens"]
KINDS: tuple[str, ...] = ("status", "html", "hang", "reset", "close", "truncate", "drip", "delay", "expire_tokens")
FAULTS_MAX = 1000

HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>We are down for maintenance.</h1></body></html>"
)


@dataclass
class Fault:
    """One scripted fault.

    path: a regular expression searched in the path with its query. times: how often it strikes, -1 for ever. skip: how
    many matching requests pass first. stage: before or after the org has carried the request out.
    kind: status (answer `status` with `body`), html (an edge server's page), hang (silence until the client goes away or
    the sandbox stops, at most `seconds`), reset (TCP RST), close (end without an answer), truncate (end after
    `after_bytes` of the body), drip (`after_bytes` of the body every `seconds`), delay (wait `seconds`, then answer as
    usual), expire_tokens (every token dies first, then the request goes its way).
    """

    path: str = ".*"
    method: str = "*"
    kind: Kind = "status"
    times: int = 1
    skip: int = 0
    stage: Literal["before", "after"] = "before"
    status: int = 503
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after_bytes: int = 100
    seconds: float = 60.0
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadCommand(f"fault kind {self.kind!r} is unknown; choose one of {', '.join(KINDS)}")
        if self.stage not in ("before", "after"):
            raise BadCommand(f"fault stage {self.stage!r} is neither 'before' nor 'after'")
        try:
            self._pattern = re.compile(self.path)
        except re.error as error:
            raise BadCommand(f"fault path {self.path!r} is no regular expression: {error}") from error

    def matches(self, method: str, path: str) -> bool:
        return self.method.upper() in ("*", method) and self._pattern.search(path) is not None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Fault":
        known = {f.name for f in fields(cls) if f.init}
        unknown = sorted(set(data) - known)
        if unknown:
            raise BadCommand(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


class FaultScript:
    """The faults in force, first match first. Thread safe. At most FAULTS_MAX; one more is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._struck = threading.Condition(self._lock)
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            if len(self._faults) >= FAULTS_MAX:
                raise BadCommand(f"{FAULTS_MAX} faults are in force already; clear them first")
            self._faults.append(fault)
            return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def list(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def wait_struck(self, fault: Fault, timeout_s: float = 10.0) -> bool:
        """Wait until this fault has struck at least once; False when the time is up."""
        with self._struck:
            return self._struck.wait_for(lambda: fault.struck > 0, timeout_s)

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, counted; None lets it pass. A used up fault stays listed for assertions."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not fault.matches(method, path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= fault.times > 0
                fault.struck += 1
                self._struck.notify_all()
                return fault
        return None
