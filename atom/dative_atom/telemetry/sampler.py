"""Which traces are kept: decided at the end of an execution, when it is known how it went.

A failed execution is never sampled away. The ratio is a pure function of the trace id, so that all atoms and the
controller decide alike for one trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_RUNS_KEPT: Final = 20
"""Executions of a new version of a process whose traces are kept whatever they did."""
SLOW_FACTOR: Final = 2.0
DEFAULT_RATIO: Final = 0.05


@dataclass(frozen=True)
class Ended:
    """How an execution ended, as far as sampling asks.

    p95_s: of the process' earlier executions, None while it is not known. runs_of_version: how many executions of this
    version came before. asked: someone wants this trace (a manual run, a retry, a deploy, `--trace`).
    """

    trace_id: str
    failed: bool
    documents_failed: int
    attempt: int
    seconds: float
    p95_s: float | None
    runs_of_version: int
    asked: bool


def keep(ended: Ended, ratio: float = DEFAULT_RATIO) -> str | None:
    """Why the trace is kept, or None when it is let go. ratio: 0..1 of the uneventful ones."""
    if ended.failed:
        return "failed"
    if ended.documents_failed:
        return "documents_failed"
    if ended.attempt > 1:
        return "resumed"
    if ended.asked:
        return "asked"
    if ended.runs_of_version < FIRST_RUNS_KEPT:
        return "first_runs"
    if ended.p95_s is not None and ended.seconds > SLOW_FACTOR * ended.p95_s:
        return "slow"
    return "ratio" if int(ended.trace_id[16:], 16) < ratio * 2**64 else None
