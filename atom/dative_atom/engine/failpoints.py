"""Named boundaries of an execution at which a test may kill the worker, or do something else to it.

`DATIVE_FAILPOINT="name[:step][:count]"` makes the process SIGKILL itself when it reaches that boundary for the count-th
time (default 1); "stop@name…" makes it SIGSTOP itself there, until somebody wakes it up. Without the variable, `reach`
is one look at an empty string. A process that forks its workers arms them with `arm`; `count` tells how often a run
passes which boundary, so that a test can act at each passage of each.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
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
"""In the order in which every execution passes them; the tests kill at each one."""

STEP_NAMES: Final = (
    "step.before",
    "step.after",
    "write.before",
    "write.after",
    "probe.before",
    "probe.after",
    "commit.before",
    "commit.after",
)
"""Passed by a step, whose id follows the name: around leading a batch through it, and around each call of its target."""

JOURNAL_COMMITTED: Final = "journal.committed"
OTHER_NAMES: Final = (
    "journal.begun",
    "journal.committing",
    JOURNAL_COMMITTED,
    "acknowledge.before",
    "acknowledge.after",
)
"""Around each transaction of the journal while the execution runs, whoever makes it, and around telling the source."""

BY_CHANCE: Final = ("acknowledge.before", "acknowledge.after")
"""Passed once or more often, as the threads of a run happen to meet."""

ECHOES: Final = ("step.before", "step.after", "journal.begun", "journal.committing", *BY_CHANCE)
"""Nothing outside the process has changed since the boundary before, so that a kill ends like one there. The engine's own
proof (tests/proof) kills here too; a builder's case leaves them out and keeps its time."""


def die() -> None:
    """At once, without cleaning up."""
    os.kill(os.getpid(), signal.SIGKILL)


def pause() -> None:
    """Stop the whole process, every thread of it.

    Sent to this thread: one for the process may be taken by another, and this one would go on for a while.
    """
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


STOP: Final = "stop@"


class _Armed:
    """What was asked for. name: with its step, empty when nothing was. act: what happens there."""

    def __init__(self, asked: str, act: Callable[[], None] = die) -> None:
        self.act = pause if asked.startswith(STOP) else act
        asked = asked.removeprefix(STOP)
        name, *rest = asked.split(":")
        if name in STEP_NAMES:
            if not rest:
                raise ValueError(f"{VARIABLE}: {name} is a boundary of a step; name it: {name}:<step>")
            name = at(name, rest.pop(0))
        elif name and name not in NAMES and name not in OTHER_NAMES:
            there = ", ".join((*NAMES, *STEP_NAMES, *OTHER_NAMES))
            raise ValueError(f"{VARIABLE}: {name!r} is no boundary; there are {there}")
        self.name = name
        self.left = int(rest[0]) if rest else 1


def at(name: str, step: str) -> str:
    """A boundary of a step."""
    return f"{name}:{step}"


_armed = _Armed(os.environ.get(VARIABLE, ""))
_passed: Counter[str] | None = None
_watched = _armed.name
"""Empty as long as nobody kills or counts."""
_guard = threading.Lock()


def arm(asked: str, act: Callable[[], None] = die) -> None:
    """As the variable says it, for this process from now on; an empty text disarms. act: called there, by whatever thread
    comes by."""
    global _armed, _watched
    _armed = _Armed(asked, act)
    _watched = _armed.name or ("counted" if _passed is not None else "")


def count() -> Counter[str]:
    """Count from now on which boundary is passed how often; the counter goes on counting."""
    global _passed, _watched
    _passed = Counter()
    _watched = _watched or "counted"
    return _passed


def reach(name: str, step: str = "") -> None:
    """The execution is at this boundary. What a test asked for happens here."""
    if not _watched:
        return
    _reached(at(name, step) if step else name)


def _reached(name: str) -> None:
    with _guard:
        if _passed is not None:
            _passed[name] += 1
        if name != _armed.name:
            return
        _armed.left -= 1
        if _armed.left == 0:
            _armed.act()
