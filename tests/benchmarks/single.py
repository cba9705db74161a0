"""What one document costs when it comes alone, and what a trace costs: measured inside one process."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path

from dative.clock import SystemClock
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.telemetry import otlp
from dative_atom.telemetry.recorder import Recorder
from dative_atom.worker.protocol import Limits

from tests.benchmarks import ours


def run(uri: str, rows: int) -> dict[str, list[float]]:
    """Seconds a document, by step at the top of the process and together; the first tenth is left out as warm-up."""
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as name:
        directory = Path(name)
        message = ours.plan(directory, ours.prepare_journal(directory, rows), uri, limits=Limits(batch_rows=1))
        journal = SqliteJournal(Path(message.journal), SystemClock())
        recorder = Recorder()
        ended = run_execution(message, journal, Surroundings(SystemClock()), recorder)
        assert ended.counts.read == rows, ended
        journal.close()
        inner: dict[tuple[str, int], float] = defaultdict(float)
        for step in recorder.steps:
            if step.verb in ("map", "decide", "database.upsert"):
                inner[step.verb, step.batch] += (step.end_ns - step.start_ns) / 1e9
    return _by_step(inner, rows)


def _by_step(inner: dict[tuple[str, int], float], rows: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"map": [], "decide": [], "database.upsert": [], "together": []}
    for batch in sorted({batch for _, batch in inner})[rows // 10 :]:
        parts = [inner.get((verb, batch), 0.0) for verb in ("map", "decide", "database.upsert")]
        for verb, seconds in zip(found, [*parts, sum(parts)], strict=True):
            found[verb].append(seconds)
    return found


def trace_cost(batches: int) -> tuple[int, float]:
    """(spans, CPU seconds) of recording and encoding the trace of an *accounts sync* of that many batches."""
    started = time.process_time()
    recorder = Recorder()
    for batch in range(batches):
        for step in ("read", "to-customer", "hipaa", "hide", "deliver", "work"):
            with recorder.step(step, "map", batch, 20_000) as timer:
                timer.documents_out = 20_000
        for name in ("COPY STAGE", "UPSERT customer", "UPSERT dative_position", "COMMIT"):
            recorder.called(
                name,
                traceparent=recorder.traceparent(),
                start_ns=0,
                end_ns=1,
                attributes={
                    "db.system.name": "postgresql",
                    "db.operation.name": name,
                    "db.collection.name": "customer",
                },
            )
    spans = otlp.execution_spans(recorder, time.time_ns(), {"dative.process.name": "accounts-sync"})
    otlp.encode(spans, {"dative.atom.id": "a"})
    return len(spans), time.process_time() - started
