"""What an execution records of itself while it runs: tuples, not spans.

A span costs 12–19 µs to make and most are never kept, so an execution writes tuples and makes ids from random bits;
`otlp.py` turns them into spans once, at the end, if `sampler.py` decides to keep the trace. Spans are per execution,
per batch and step, and per call of a system: never per document. This file knows no exporter and no engine.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

SPANS_MAX = 2000
"""Beyond it, steps and calls that went well are counted instead of kept; failures always are kept."""

Attributes = Mapping[str, str | int | float | bool]
_random = random.SystemRandom()


def new_trace_id() -> str:
    return f"{_random.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    return f"{_random.getrandbits(64) or 1:016x}"


def trace_of(execution_id: str) -> str:
    """The trace of an execution that nobody else began one for: the same in every attempt, on whatever member."""
    return hashlib.sha256(f"trace/{execution_id}".encode()).hexdigest()[:32]


def span_of(execution_id: str, attempt: int) -> str:
    """The root span of an attempt: known to the next one also when the attempt was lost before it told anything."""
    return hashlib.sha256(f"attempt/{attempt}/{execution_id}".encode()).hexdigest()[:16]


def traceparent(trace_id: str, span_id: str) -> str:
    """W3C header value. Always marked sampled: whether it is kept is not known yet."""
    return f"00-{trace_id}-{span_id}-01"


def parse_traceparent(value: str) -> tuple[str, str] | None:
    """(trace id, span id) of a W3C header value, or None when it is none. Source: W3C Trace Context §3.2."""
    parts = value.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16 or parts[0] == "ff":
        return None
    try:
        if int(parts[1], 16) == 0 or int(parts[2], 16) == 0:
            return None
    except ValueError:
        return None
    return parts[1].lower(), parts[2].lower()


class StepTuple(NamedTuple):
    """One step over one batch."""

    span_id: str
    parent_id: str
    step: str
    verb: str
    batch: int
    start_ns: int
    end_ns: int
    documents_in: int
    documents_out: int
    documents_failed: int
    error: str


class CallTuple(NamedTuple):
    """One call of a system."""

    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str


@dataclass
class StepTimer:
    """A step that is running over a batch; its owner fills in the numbers before it ends."""

    span_id: str
    documents_in: int = 0
    documents_out: int = 0
    documents_failed: int = 0
    error: str = ""


@dataclass
class StepTotals:
    """One step over all batches, for the execution's report. rules: how often each of its rules did something."""

    verb: str
    documents_in: int = 0
    documents_out: int = 0
    documents_failed: int = 0
    seconds: float = 0.0
    rules: dict[str, int] = field(default_factory=dict)


class Former(Protocol):
    """An attempt of an execution, as the journal knows it (`Attempt`)."""

    @property
    def attempt(self) -> int: ...
    @property
    def atom_id(self) -> str: ...
    @property
    def reason(self) -> str: ...


@dataclass
class Recorder:
    """Everything recorded of one attempt of one execution. Threads of the execution share it.

    parent: the caller's (trace id, span id), None for a new root. At SPANS_MAX see there; `dropped` counts.
    """

    parent: tuple[str, str] | None = None
    trace_id: str = field(default_factory=new_trace_id)
    root_id: str = field(default_factory=new_span_id)
    start_ns: int = field(default_factory=time.time_ns)
    steps: list[StepTuple] = field(default_factory=list)
    calls: list[CallTuple] = field(default_factory=list)
    totals: dict[str, StepTotals] = field(default_factory=dict)
    links: list[tuple[str, str, Attributes]] = field(default_factory=list)
    dropped: int = 0

    def __post_init__(self) -> None:
        if self.parent is not None:
            self.trace_id = self.parent[0]
        self._current = threading.local()
        self._lock = threading.Lock()

    def of_attempt(self, execution_id: str, attempts: Sequence[Former]) -> None:
        """Whose this is, before anything is recorded. attempts: all that are known, the one that is recorded last."""
        *former, own = attempts
        self.root_id = span_of(execution_id, own.attempt)
        if former:
            last = former[-1]
            told: Attributes = {
                "dative.attempt": last.attempt,
                "dative.atom.id": last.atom_id,
                "dative.ended": last.reason,
            }
            self.links.append((self.trace_id, span_of(execution_id, last.attempt), told))

    @contextmanager
    def step(self, step: str, verb: str, batch: int, documents_in: int) -> Iterator[StepTimer]:
        """Record one step over one batch; calls made inside, in this thread, become its children."""
        parent_id = self.current
        timer = StepTimer(new_span_id(), documents_in)
        start_ns = time.time_ns()
        self._current.span_id = timer.span_id
        try:
            yield timer
        except BaseException as error:
            timer.error = timer.error or type(error).__name__
            raise
        finally:
            self._current.span_id = parent_id
            self._ended(step, verb, batch, parent_id, start_ns, time.time_ns(), timer)

    def _ended(
        self, step: str, verb: str, batch: int, parent_id: str, start_ns: int, end_ns: int, timer: StepTimer
    ) -> None:
        failed = bool(timer.error or timer.documents_failed)
        with self._lock:
            totals = self.totals.setdefault(step, StepTotals(verb))
            totals.documents_in += timer.documents_in
            totals.documents_out += timer.documents_out
            totals.documents_failed += timer.documents_failed
            totals.seconds += (end_ns - start_ns) / 1e9
            if not failed and len(self.steps) + len(self.calls) >= SPANS_MAX:
                self.dropped += 1
                return
            self.steps.append(
                StepTuple(
                    timer.span_id,
                    parent_id,
                    step,
                    verb,
                    batch,
                    start_ns,
                    end_ns,
                    timer.documents_in,
                    timer.documents_out,
                    timer.documents_failed,
                    timer.error,
                )
            )

    def count(self, step: str, verb: str, rules: Mapping[str, int]) -> None:
        """How often the rules of a step did something in a batch."""
        with self._lock:
            totals = self.totals.setdefault(step, StepTotals(verb))
            for name, times in rules.items():
                if times:
                    totals.rules[name] = totals.rules.get(name, 0) + times

    @property
    def current(self) -> str:
        """The span under which this thread records."""
        span_id: str = getattr(self._current, "span_id", self.root_id)
        return span_id

    @contextmanager
    def under(self, span_id: str) -> Iterator[None]:
        """Record what this thread does as children of a span that another thread has opened."""
        before = self.current
        self._current.span_id = span_id
        try:
            yield
        finally:
            self._current.span_id = before

    def traceparent(self) -> str:
        """For a call that is about to be made: this trace and a new span id."""
        return traceparent(self.trace_id, new_span_id())

    def called(
        self, name: str, *, traceparent: str, start_ns: int, end_ns: int, attributes: Attributes, error: str = ""
    ) -> None:
        """See `dative_atom.connectors.base.CallLog`, which this class is."""
        parsed = parse_traceparent(traceparent)
        span_id = parsed[1] if parsed else new_span_id()
        parent_id = self.current
        with self._lock:
            if not error and len(self.steps) + len(self.calls) >= SPANS_MAX:
                self.dropped += 1
                return
            self.calls.append(CallTuple(span_id, parent_id, name, start_ns, end_ns, dict(attributes), error))
