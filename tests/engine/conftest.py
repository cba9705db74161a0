"""An execution in a temporary directory: journal, process from YAML, systems in memory, a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.ids import DeadLetterId, ExecutionId, ProcessName
from dative.process.load import canonical_process, load
from dative_atom.connectors.base import UNFENCED, Fence
from dative_atom.engine.memory import MemorySystem, MemoryTarget
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.journal.contract import Execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.telemetry.recorder import Recorder, trace_of
from dative_atom.worker.protocol import Binding, Keys, Limits, RunExecution

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HEAD = """
apiVersion: dative/v1
kind: Process
metadata: {{name: sync}}
spec:
  connections: {{crm: disk, erp: database}}
  source: {source}
{body}
"""

CALLED = """
apiVersion: dative/v1
kind: Process
metadata: {{name: {name}}}
spec:
  connections: {{erp: database}}
{body}
"""
READ = "{id: read, disk.read: {connection: crm, path: in.csv, format: csv}}"


@dataclass
class Engine:
    """Runs processes against systems in memory. batch_rows: of each execution. waits: the pauses that were taken.

    seen: (step, document numbers) of what flowed out of each step. tables: name, or process/name -> CSV. called: name ->
    the rest of the spec of a process beside it.
    """

    directory: Path
    clock: ManualClock
    journal: SqliteJournal
    system: MemorySystem = field(default_factory=MemorySystem)
    batch_rows: int = 65_536
    waits: list[float] = field(default_factory=list)
    recorder: Recorder = field(default_factory=Recorder)
    control: Control = field(default_factory=Control)
    serial: int = 0
    seen: list[tuple[str, list[int]]] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    allows: list[str] = field(default_factory=lambda: ["scripts", "command:/bin/cat", "command:/bin/sh"])
    parameters: dict[str, str] = field(default_factory=dict)
    keys: Keys = field(default_factory=lambda: Keys({1: "11" * 32}))
    fence: Fence = UNFENCED
    token: int = 0
    atom: str = ""

    def target(self, step: str, **settings: object) -> MemoryTarget:
        """The target of a step, made before it is opened so that a test can say how it behaves."""
        return self.system.targets.setdefault(step, MemoryTarget(**settings))  # type: ignore[arg-type]

    def write_process(self, body: str, source: str = READ) -> dict[str, str]:
        """The artifacts of a process whose spec has this body."""
        loaded = load(HEAD.format(body=body, source=source), filename="sync.yaml")
        assert loaded.process is not None, loaded.findings
        path = self.directory / "process.json"
        path.write_bytes(canonical_process(loaded.process))
        artifacts = {"sync.json": str(path)}
        for name, text in self.tables.items():
            table = self.directory / f"{name.replace('/', '-')}.csv"
            table.write_text(text)
            artifacts[f"{name}.csv" if "/" in name else f"sync/{name}.csv"] = str(table)
        for name, text in self.called.items():
            inner = load(CALLED.format(name=name, body=text), filename=f"{name}.yaml")
            assert inner.process is not None, inner.findings
            file = self.directory / f"{name}.json"
            file.write_bytes(canonical_process(inner.process))
            artifacts[f"{name}/process.json"] = str(file)
        return artifacts

    def plan(self, retry_of: list[DeadLetterId] | None = None) -> ExecutionId:
        self.serial += 1
        execution_id = ExecutionId(f"01JX{self.serial:022d}")
        execution = Execution(
            execution_id=execution_id,
            process=ProcessName("sync"),
            process_version=1,
            stream="env/sync",
            trigger="manual",
            planned_at=self.clock.now(),
            manifest_digest="sha256:00",
            retry_of=retry_of or [],
        )
        if retry_of:
            self.journal.retry(retry_of, execution)
        else:
            assert self.journal.plan(execution)
        return execution_id

    def message(self, body: str, execution_id: ExecutionId, source: str = READ) -> RunExecution:
        return RunExecution(
            execution_id=execution_id,
            process="sync.json",
            artifacts=self.write_process(body, source),
            bindings=[Binding("crm", "disk", {}, {}), Binding("erp", "database", {}, {})],
            environment_id="env",
            environment="test",
            journal=str(self.directory / "journal.db"),
            limits=Limits(batch_rows=self.batch_rows),
            parameters=self.parameters,
            allows=self.allows,
            keys=self.keys,
            fencing_token=self.token,
            atom_id=self.atom,
        )

    def run(
        self,
        body: str,
        *,
        execution_id: ExecutionId | None = None,
        retry_of: list[DeadLetterId] | None = None,
        source: str = READ,
    ) -> Execution:
        """Plan and run one execution of a process with this body to its end."""
        execution_id = execution_id or self.plan(retry_of)
        self.recorder, self.control = Recorder(trace_id=trace_of(execution_id)), Control()
        surroundings = Surroundings(
            self.clock, self.system.connect, self.control, self._wait, observe=self._observe, fence=self.fence
        )
        return run_execution(self.message(body, execution_id, source), self.journal, surroundings, self.recorder)

    def afresh(self) -> None:
        """An empty journal and empty targets, as before the first execution."""
        self.journal.close()
        self.serial += 1
        self.journal = SqliteJournal(self.directory / f"journal-{self.serial}.db", self.clock)
        self.system.targets.clear()
        self.seen.clear()

    def _observe(self, step: str, out: pa.RecordBatch) -> None:
        self.seen.append((step, out.column(0).to_pylist()))

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.clock.advance(seconds)
        return self.control.halted.is_set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def engine(tmp_path: Path, clock: ManualClock) -> Iterator[Engine]:
    journal = SqliteJournal(tmp_path / "journal.db", clock)
    made = Engine(tmp_path, clock, journal)
    yield made
    made.journal.close()


@pytest.fixture
def accounts() -> Callable[..., pa.Table]:
    """Makes accounts; `bad` rows have an unreadable date."""

    def make(rows: int, bad: Mapping[int, str] | None = None) -> pa.Table:
        dates = [(bad or {}).get(row, "01/31/2024") for row in range(rows)]
        return pa.table(
            {
                "Id": [f"A{row:06d}" for row in range(rows)],
                "First": [f"F{row}" if row % 3 else None for row in range(rows)],
                "Last": [f"L{row}" for row in range(rows)],
                "Industry": ["Healthcare" if row % 4 == 0 else "Retail" for row in range(rows)],
                "Phone": [f"+49 30 {row:06d}" for row in range(rows)],
                "Revenue": [f"{row}.50" for row in range(rows)],
                "Currency": ["USD" if row % 2 else "EUR" for row in range(rows)],
                "Since": dates,
            }
        )

    return make
