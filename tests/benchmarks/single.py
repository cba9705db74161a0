"""What a document costs when it comes alone or in small batches, and what a trace costs: measured inside one process."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from dative.clock import SystemClock
from dative.process.load import load
from dative_atom.documents.batch import number_documents
from dative_atom.engine.compile import compile_process
from dative_atom.engine.evaluation.database import Database
from dative_atom.engine.plan import Plan
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.journal.contract import LinkRows
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.telemetry import otlp
from dative_atom.telemetry.recorder import Recorder
from dative_atom.worker.protocol import Limits

from tests.benchmarks import ours
from tests.benchmarks.accounts import RATES, xref_pairs
from tests.engine.evaluator import Case, MemoryTables

WARM_UP = 20
_TEXTS = ("id", "first_name", "last_name", "industry", "revenue", "currency", "since", "phone", "email", "note")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXTS), ("system_modstamp", pa.timestamp("us", "UTC"))])


def run(uri: str, rows: int, batch_rows: int = 1) -> dict[str, list[float]]:
    """Seconds a batch, by step at the top of the process and together; the first tenth is left out as warm-up."""
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as name:
        directory = Path(name)
        message = ours.plan(directory, ours.prepare_journal(directory, rows), uri, limits=Limits(batch_rows=batch_rows))
        journal = SqliteJournal(Path(message.journal), SystemClock())
        recorder = Recorder()
        ended = run_execution(message, journal, Surroundings(SystemClock()), recorder)
        assert ended.counts.read == rows, ended
        journal.close()
        inner: dict[tuple[str, int], float] = defaultdict(float)
        for step in recorder.steps:
            if step.verb in ("map", "decide", "database.upsert"):
                inner[step.verb, step.batch] += (step.end_ns - step.start_ns) / 1e9
    return _by_step(inner, rows // batch_rows)


def _by_step(inner: dict[tuple[str, int], float], rows: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"map": [], "decide": [], "database.upsert": [], "together": []}
    for batch in sorted({batch for _, batch in inner})[rows // 10 :]:
        parts = [inner.get((verb, batch), 0.0) for verb in ("map", "decide", "database.upsert")]
        for verb, seconds in zip(found, [*parts, sum(parts)], strict=True):
            found[verb].append(seconds)
    return found


@dataclass(frozen=True)
class Paced:
    """Documents at a steady rate. cpu_ms: of the engine a document; latency_s: from the time a document was due."""

    cpu_ms: float
    latency_s: list[float]


def paced(batch_rows: int, per_second: float, batches: int) -> Paced:
    """Map, decision, mask, rates and cross-reference (100,000 rows) of *accounts sync*, journal and target apart."""
    database = Database(256 << 20)
    plan, session = _compiled(database), database.session()
    sources = [number_documents(_accounts(batch_rows, batch), batch * batch_rows) for batch in range(batches + WARM_UP)]
    latency_s: list[float] = []
    cpu_s = 0.0
    for batch, source in enumerate(sources):
        if batch == WARM_UP:
            begun = time.perf_counter()
        due = begun + (batch - WARM_UP) / per_second if batch >= WARM_UP else 0.0
        time.sleep(max(0.0, due - time.perf_counter()) if due else 0.0)
        before = time.thread_time()
        run_steps(plan.transform, source, Flow(batch, source, session, Recorder(), "q"))
        if batch >= WARM_UP:
            cpu_s += time.thread_time() - before
            latency_s.append(time.perf_counter() - due)
    database.close()
    return Paced(1000 * cpu_s / (batches * batch_rows), latency_s)


def _compiled(database: Database) -> Plan:
    loaded = load(ours.PROCESS, filename="process.yaml")
    assert loaded.process is not None, loaded.findings
    tables = MemoryTables()
    keys, values = xref_pairs(100_000)
    tables.xref_load(LinkRows("account-customer", {"salesforce": keys, "erp": values}))
    rates = "".join(f"{currency},EUR,2000-01-01,{rate}\n" for currency, rate in RATES.items())
    case = Case(loaded.process, database, SystemClock())
    now = datetime(2026, 3, 1, tzinfo=UTC)
    context = case._context({"rates": f"from,to,date,rate\n{rates}"}, tables, {}, now)
    return compile_process(loaded.process.spec.steps, _SCHEMA, context)


def _accounts(rows: int, batch: int) -> pa.RecordBatch:
    """Accounts like those of `accounts.SOURCE`, one in eight of them Healthcare."""
    made = []
    for g in range(batch * rows + 1, (batch + 1) * rows + 1):
        made.append(
            {
                "id": f"{g:018}", "first_name": f"First{g % 977}", "last_name": f"Last{g % 1009}",
                "industry": "Healthcare" if g % 8 == 0 else "Energy", "revenue": f"{g % 900000}.25",
                "currency": ("EUR", "USD", "GBP", "CHF", "JPY")[g % 5], "since": f"{g % 12 + 1:02}/{g % 28 + 1:02}/2021",
                "phone": f"+1 555 {g:07}", "email": f"person{g}@example.com",
                "system_modstamp": datetime(2026, 1, 1, tzinfo=UTC), "note": f"note {g}",
            }
        )  # fmt: skip
    return pa.RecordBatch.from_pylist(made, schema=_SCHEMA)


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
