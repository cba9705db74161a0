"""Named boundaries of an execution at which a test may kill the worker.

`DATIVE_FAILPOINT="name[:count]"` makes the process SIGKILL itself when it reaches that boundary for the count-th time
(default 1). Without the variable, `reach` is one look at an empty string. A process that forks its workers arms them
with `arm`; `count` tells how often a run passes which boundary.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from typing import Final

VARIABLE: Final = "DATIVE_FAILPOINT"

NAMES: Final = (
    "execution.begun",
    "batch.read",
    "batch.transformed",
    "batch.written",
    "batch.prepared",
    "batch.committed",
    "batch.settled",
    "batch.acknowledged",
    "execution.finishing",
    "execution.finished",
)
"""In the order in which an execution passes them; the tests kill at each one."""


class _Armed:
    """What the environment asked for, read once."""

    def __init__(self, asked: str) -> None:
        name, _, count = asked.partition(":")
        if name and name not in NAMES:
            raise ValueError(f"{VARIABLE}: {name!r} is no boundary; there are {', '.join(NAMES)}")
        self.name = name
        self.left = int(count or 1)


_armed = _Armed(os.environ.get(VARIABLE, ""))
_passed: Counter[str] | None = None
_guard = threading.Lock()


def arm(asked: str) -> None:
    """As the variable says it, for this process from now on; an empty text disarms."""
    global _armed
    _armed = _Armed(asked)


def count() -> Counter[str]:
    """Count from now on which boundary is passed how often; the counter goes on counting."""
    global _passed
    _passed = Counter()
    return _passed


def reach(name: str) -> None:
    """The execution is at this boundary. Dies here, at once and without cleaning up, when a test asked for it."""
    if _passed is not None:
        with _guard:
            _passed[name] += 1
    if name != _armed.name:
        return
    _armed.left -= 1
    if _armed.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
