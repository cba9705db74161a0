"""Where a case is played: a folder with process, tables, source, targets and journal, and one execution in it.

The engine is the real one, from the journal to the settlement; time is virtual: a pause that anything waits for moves
the clock by its length and takes none.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from dative.clock import Clock, ManualClock, SystemClock
from dative.errors import DativeError
from dative.ids import ExecutionId, ProcessName, StepId
from dative.process.load import canonical_process
from dative.process.model import Process
from dative.process.shapes import DocumentsSettings
from dative.process.tables import XrefTable
from dative.secrets import MaskKeys

from dative_atom.documents.batch import DOCUMENT, payload
from dative_atom.documents.json import to_json
from dative_atom.engine.failures import failure_of
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Connect, Surroundings, run_execution
from dative_atom.engine.sources.starts import CALLER
from dative_atom.journal.contract import Counts, DeadLetter, Execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.testing.system import Effect, effects, write_source
from dative_atom.worker.protocol import Binding, Keys, Limits, RunExecution

EXECUTION: Final = ExecutionId("01CASE00000000000000000000")
ENVIRONMENT: Final = "test"
MEMORY_BYTES: Final = 512 * 1024**2
LETTERS_MAX: Final = 10_000
TEST_KEYS: Final = MaskKeys({1: hashlib.sha256(b"dative process test").digest()})
"""No secret: a case gives the same tokens and hashes on every machine, and no environment's."""


class SkippingClock(ManualClock):
    """A clock that whoever waits moves; nobody waits in real time."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.waited_s = 0.0

    def wait(self, seconds: float) -> None:
        self.waited_s += seconds
        self.advance(seconds)


class _Halted(threading.Event):
    """An event on which waiting for a time takes none."""

    def __init__(self, clock: SkippingClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        if not self.is_set():
            self._clock.wait(timeout)
        return self.is_set()


class SkippingControl(Control):
    """The control of an execution in virtual time."""

    def __init__(self, clock: SkippingClock) -> None:
        super().__init__()
        self.halted = _Halted(clock)


@dataclass(frozen=True)
class Played:
    """What became of a case.

    steps: the documents after each step, the source first; documents are JSON values. effects: everything that targets
    applied. links: cross-reference table -> pairs of its first two columns. failure: code, message, where, next of what
    ended the execution as a whole, or kept it from beginning.
    """

    counts: Counts = field(default_factory=Counts)
    steps: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    effects: Sequence[Effect] = ()
    dead_letters: Sequence[DeadLetter] = ()
    links: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    waited_s: float = 0.0
    failure: Mapping[str, str] | None = None

    def written(self, step: str) -> list[Mapping[str, Any]]:
        """What the step's target has been given and has applied, in order."""
        return [effect.document for effect in self.effects if effect.step == step]


class Observed:
    """Documents after each step, by number, so that a batch that starts over is not seen twice."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
        self._guard = threading.Lock()

    def __call__(self, step: StepId, out: pa.RecordBatch) -> None:
        numbers = out.column(DOCUMENT).to_pylist()
        rows = to_json(payload(out))
        with self._guard:
            seen = self._steps.setdefault(str(step), {})
            repeats: Counter[int] = Counter()
            for number, row in zip(numbers, rows, strict=True):
                # Where a step makes several documents of one, their order tells them apart.
                seen[number, repeats[number]] = row
                repeats[number] += 1

    def documents(self) -> dict[str, list[dict[str, Any]]]:
        return {step: [rows[key] for key in sorted(rows)] for step, rows in self._steps.items()}


@dataclass
class Stage:
    """One case's folder. tables: name -> CSV text, of a called process as "<process>/<table>".

    bindings: of the connections that are no files of the case. called: the processes that the process calls.
    """

    folder: Path
    process: Process
    now: datetime
    tables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    batch_rows: int | None = None
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    called: Mapping[str, Process] = field(default_factory=dict)

    def prepare(self, rows: pa.RecordBatch | None) -> RunExecution:
        """Write everything down and plan the execution. rows: what the case's own source delivers."""
        if rows is not None:
            write_source(self.folder, rows)
        path = self.folder / "process.json"
        path.write_bytes(canonical_process(self.process))
        artifacts = {"process.json": str(path)}
        for name, text in self.tables.items():
            table = self.folder / f"{name.replace('/', '+')}.csv"
            table.write_text(text, encoding="utf-8")
            artifacts[f"{name}.csv" if "/" in name else f"{self.process.name}/{name}.csv"] = str(table)
        connections = dict(self.process.spec.connections)
        for name, process in self.called.items():
            file = self.folder / f"{name}+process.json"
            file.write_bytes(canonical_process(process))
            artifacts[f"{name}/process.json"] = str(file)
            connections = {**process.spec.connections, **connections}
        bound = [self.bindings.get(name) or Binding(name, connector, {}, {}) for name, connector in connections.items()]
        if isinstance(self.process.spec.source.settings, DocumentsSettings):
            bound.append(Binding(CALLER, "documents", {}, {}))
        self._plan()
        return RunExecution(
            execution_id=EXECUTION,
            process="process.json",
            artifacts=artifacts,
            bindings=bound,
            environment_id=ENVIRONMENT,
            environment=ENVIRONMENT,
            journal=str(self.folder / "journal.db"),
            parameters=dict(self.parameters),
            limits=Limits(MEMORY_BYTES, self.batch_rows or Limits().batch_rows),
            allows=["scripts"],
            keys=Keys(TEST_KEYS.to_hex()),
        )

    def _plan(self) -> None:
        journal = self.journal(ManualClock(self.now))
        try:
            journal.plan(
                Execution(
                    execution_id=EXECUTION,
                    process=ProcessName(self.process.name),
                    process_version=1,
                    stream=f"{ENVIRONMENT}/{self.process.name}",
                    trigger="manual",
                    planned_at=self.now,
                    manifest_digest="sha256:00",
                )
            )
        finally:
            journal.close()

    def journal(self, clock: Clock | None = None) -> SqliteJournal:
        return SqliteJournal(self.folder / "journal.db", clock or SystemClock())

    def play(self, message: RunExecution, connect: Connect) -> Played:
        """Run it in this process. Never raises for what is wrong with the process."""
        clock, observed = SkippingClock(self.now), Observed()
        journal = self.journal(clock)
        try:
            surroundings = Surroundings(clock, connect, SkippingControl(clock), observe=observed)
            ended = run_execution(message, journal, surroundings)
            return self.played(journal, ended.failure, observed.documents(), clock.waited_s)
        except DativeError as error:
            return Played(failure=failure_of(error, cancelled=False))
        finally:
            journal.close()

    def ended(self) -> bool:
        """The journal says that the execution is over."""
        journal = self.journal()
        try:
            execution = journal.execution(EXECUTION)
        finally:
            journal.close()
        return execution is not None and execution.state.final

    def read(self) -> Played:
        """What became of the execution that other processes ran here."""
        journal = self.journal()
        try:
            return self.played(journal)
        finally:
            journal.close()

    def played(
        self,
        journal: SqliteJournal,
        failure: Mapping[str, str] | None = None,
        steps: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        waited_s: float = 0.0,
    ) -> Played:
        """What journal and targets say became of the execution."""
        execution = journal.execution(EXECUTION)
        letters = journal.dead_letters(state=None, limit=LETTERS_MAX)
        return Played(
            counts=execution.counts if execution is not None else Counts(),
            steps=steps or {},
            effects=effects(self.folder),
            dead_letters=sorted(letters, key=lambda letter: letter.parked.document),
            links={name: _links(journal, name, table) for name, table in self._xrefs()},
            waited_s=waited_s,
            failure=failure if failure is not None or execution is None else execution.failure,
        )

    def _xrefs(self) -> Iterator[tuple[str, XrefTable]]:
        for name, table in self.process.spec.tables.items():
            if isinstance(table, XrefTable):
                yield name, table


def _links(journal: SqliteJournal, name: str, table: XrefTable) -> list[tuple[str, str]]:
    return sorted(journal.xref_all(name, table.columns[0], table.columns[1]))
