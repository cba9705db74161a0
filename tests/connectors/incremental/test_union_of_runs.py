"""Whatever happens to a source, between runs and during them: the union of the runs is the truth, and nothing comes twice.

A state machine inserts, changes, deletes and undeletes rows, lets transactions commit late, moves clocks back, changes
the fields that are asked for, kills executions at any settled read and resumes them. Positions and the ledger go through
the real journal. DATIVE_EXAMPLES sets how many histories are tried: `make faults` tries many.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from dative.bundle.canonical import canonical_json
from dative.clock import ManualClock, SystemClock
from dative.ids import ExecutionId, ProcessName, StepId
from dative_atom.connectors.base import Operation, RunContext
from dative_atom.engine.books.ledger import JournalLedger
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Settlement
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.telemetry.recorder import Recorder
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

EXAMPLES = int(os.environ.get("DATIVE_EXAMPLES", "12"))
STREAM = "env/sync"
# The atom's own clock is wrong by decades, of the org by months (logins need the real one): no reader may go by it.
WRONG = datetime(2077, 1, 1, tzinfo=UTC)
CONTENT = st.text("abcdefgh", min_size=1, max_size=6)
INDEX = st.integers(0, 20)


class Runs:
    """Executions of one incremental read over a journal, killed and resumed; what they have delivered."""

    def __init__(self, world: Any, directory: Path) -> None:
        self.world = world
        (directory / "journal.db").unlink(missing_ok=True)
        self.journal = SqliteJournal(directory / "journal.db", ManualClock(WRONG))
        self.mirror: dict[str, tuple[str, bool]] = {}
        self.delivered: Counter[Any] = Counter()
        self.more = False
        self.asked = 0
        self.clock = SystemClock() if world.connector == "salesforce" else ManualClock(WRONG)
        self._number = 0
        self._under_way: ExecutionId | None = None

    def run(self, kills: list[int], during: Callable[[], None] | None = None) -> None:
        """One execution to its end. kills: settled reads after which each attempt before the last one is killed."""
        for reads_max in [*kills, 10**6]:
            self._attempt(reads_max, during)
            during = None
        assert self._under_way is not None
        self.journal.finish(self._under_way, ExecutionState.SUCCEEDED, WRONG, None)
        self._under_way = None

    def _begin(self) -> ExecutionId:
        if self._under_way is None:
            self._number += 1
            self._under_way = ExecutionId(f"01JX{self._number:022d}")
            made = Execution(self._under_way, ProcessName("sync"), 1, STREAM, "manual", WRONG, "sha256:00")
            assert self.journal.plan(made)
        self.journal.begin(self._under_way, WRONG)
        return self._under_way

    def _attempt(self, reads_max: int, during: Callable[[], None] | None) -> None:
        execution = self._begin()
        ledger = JournalLedger(self.journal, STREAM)
        context = RunContext(execution, self.clock, Recorder(), threading.Event(), {}, ledger)
        world, stands = self.world, self.journal.resume(execution)
        connector = world.connect()
        operation = Operation(StepId("read"), world.connector, world.operation, world.options(self.more))
        reader = connector.reader(operation, context)
        position = json.loads(stands.position) if stands.position else None
        reads = reader.read(position, 2)
        for count, read in enumerate(reads):
            if count >= reads_max:
                break
            self._settle(execution, stands.batch + count, read, ledger.take())
            if during is not None:
                during()
        reads.close()  # type: ignore[attr-defined]
        reader.close()
        connector.close()

    def _settle(self, execution: ExecutionId, batch: int, read: Any, seen: Any) -> None:
        for row in read.batch.to_pylist():
            key, content, deleted = self.world.key(row)
            self.mirror[key] = (content, deleted)
            # Asked for other fields, a source delivers again: what is no repeat then is one within the same asking.
            self.delivered[(self.asked, *sorted((name, str(value)) for name, value in row.items()))] += 1
        position = canonical_json(dict(read.position))
        more = {"seen": seen.pairs(), "forget_before": seen.forget_before}
        self.journal.settle(Settlement(execution, STREAM, batch, position, 0, Counts(), **more))

    def close(self) -> None:
        self.journal.close()
        self.world.close()


class Histories(RuleBasedStateMachine):
    """make: a fresh world and the runs over it."""

    make: ClassVar[Callable[[], Runs]]

    def __init__(self) -> None:
        super().__init__()
        self.runs = type(self).make()
        self.world = self.runs.world
        self.skewed = False
        self._contents = 0

    def _content(self, text: str) -> str:
        """Every version has a content of its own, so that a repeat can be told from a change back."""
        self._contents += 1
        return f"{text}{self._contents}"

    @rule(text=CONTENT)
    def insert(self, text: str) -> None:
        self.world.insert(self._content(text))

    @rule(index=INDEX, text=CONTENT)
    def update(self, index: int, text: str) -> None:
        self.world.change(index, self._content(text), None)

    @rule(index=INDEX, deleted=st.booleans())
    def delete_or_undelete(self, index: int, deleted: bool) -> None:
        self.world.change(index, None, deleted)

    @rule()
    def begin(self) -> None:
        self.world.begin()

    @rule(index=st.none() | INDEX, text=CONTENT)
    def write_late(self, index: int | None, text: str) -> None:
        self.world.write_late(index, self._content(text))

    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        self.world.end(commit)

    @rule(seconds=st.sampled_from([0.4, 1, 7, 25, 90]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def ask_for_other_fields(self) -> None:
        self.runs.more = not self.runs.more
        self.runs.asked += 1

    @rule(kills=st.lists(st.integers(0, 4), max_size=2), text=CONTENT, edit=st.booleans())
    def run(self, kills: list[int], text: str, edit: bool) -> None:
        due = self.world.due()
        during = (lambda: self.world.insert(self._content(text))) if edit else None
        self.runs.run(kills, during)
        missed = {key: row for key, row in due.items() if self.runs.mirror.get(key) != row}
        assert not missed, f"not delivered, or an older version: {missed}"

    @precondition(lambda self: self.world.can_skew)
    @rule(seconds=st.sampled_from([1, 40, 3600]))
    def clock_goes_back(self, seconds: float) -> None:
        """A step back is healed by the first run that sees it, within the overlap; repeats are allowed then."""
        self.world.advance(-seconds)
        self.skewed = True
        self.runs.run([])

    def teardown(self) -> None:
        try:
            truth = self.world.visible()
            self.runs.run([])
            assert self.runs.mirror == truth
            if not self.skewed:
                assert [row for row, times in self.runs.delivered.items() if times > 1] == []
        finally:
            self.runs.close()


@pytest.mark.parametrize("system", ["salesforce", "postgres", "sqlite", "memory"])
def test_however_a_source_is_edited_and_runs_are_killed_their_union_is_the_truth(
    system: str, make_world: Callable[[str], Any], tmp_path: Path
) -> None:
    class OneSystem(Histories):
        make = staticmethod(lambda: Runs(make_world(system), tmp_path))  # type: ignore[assignment]

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OneSystem,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            # The same histories every time in the suite; `make faults` draws new ones.
            derandomize="DATIVE_EXAMPLES" not in os.environ,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
