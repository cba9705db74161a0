"""The journal of a dry run: reads what the atom knows, keeps in memory what the run settles, and writes nothing.

Only methods that are known to read are passed on; any other one, also one that comes later, is refused.
"""

# ruff: noqa: ARG002 - the contract names what a dry run has no use for

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from dative.errors import StopRun
from dative.errors.dry_run import WRITES
from dative.ids import ExecutionId

from dative_atom.engine.evaluation.rows import HeldRows
from dative_atom.journal.contract import (
    Attempt,
    Counts,
    Execution,
    ExecutionState,
    Journal,
    LinkRows,
    ParkedDocument,
    Resume,
    Settlement,
)

READS: Final = frozenset(
    {
        "position",
        "ledger",
        "last_times",
        "cached",
        "dead_letter",
        "dead_letters",
        "letter_profile",
        "receipts",
        "remembered",
        "snapshot_bodies",
        "snapshot_count",
        "snapshot_hashes",
        "token_block",
        "xref_conflicts",
        "xref_page",
        "xref_tables",
    }
)
LETTERS_MAX: Final = 1000
"""Of those that the run would park; what is more is counted only."""


class DryJournal:
    """`journal.contract.Journal` for one execution that was never planned. Threads share it as they share a journal."""

    def __init__(self, journal: Journal, execution: Execution, cut: Callable[[], bool] = lambda: False) -> None:
        """cut: whether the source was read in part only."""
        self._journal = journal
        self._cut = cut
        self._execution = execution
        self._prepared: Settlement | None = None
        self._next: dict[str, int] = {}
        self._given: dict[str, dict[str, int]] = {}
        self._guard = threading.Lock()
        self._seeds: dict[str, Mapping[str, Sequence[str]]] = {}
        self.letters: list[ParkedDocument] = []
        self.links = 0

    def __getattr__(self, name: str) -> Any:
        if name not in READS:
            raise StopRun(f"a dry run was asked for journal.{name}", code=WRITES)
        return getattr(self._journal, name)

    # --- the execution, in memory -------------------------------------------------------------------------------------

    def begin(
        self,
        execution_id: ExecutionId,
        at: datetime,
        trace_id: str = "",
        fencing_token: int = 0,
        *,
        atom_id: str = "",
        former: str = "lost",
    ) -> Execution:
        self._execution = replace(
            self._execution,
            state=ExecutionState.RUNNING,
            attempt=1,
            attempts=(Attempt(1, atom_id, fencing_token, at, trace_id=trace_id),),
            started_at=at,
            trace_id=trace_id,
        )
        return self._execution

    def execution(self, execution_id: ExecutionId) -> Execution:
        return self._execution

    def finish(
        self,
        execution_id: ExecutionId,
        state: ExecutionState,
        at: datetime,
        failure: Mapping[str, str] | None,
        fencing_token: int = 0,
    ) -> Execution:
        self._execution = replace(self._execution, state=state, finished_at=at, failure=failure)
        return self._execution

    def resume(self, execution_id: ExecutionId) -> Resume:
        """From where the stream really stands."""
        return Resume(self._journal.position(self._execution.stream), 0, 0, Counts())

    def prepared(self, execution_id: ExecutionId) -> Settlement | None:
        return None

    def prepare(self, settlement: Settlement) -> None:
        self._prepared = settlement

    def discard(
        self, execution_id: ExecutionId, halfway: tuple[str, bytes] | None = None, fencing_token: int = 0
    ) -> None:
        self._prepared = None

    def halfway(self, stream: str) -> bytes:
        return b""

    def settle(
        self,
        settlement: Settlement | None = None,
        *,
        execution_id: ExecutionId | None = None,
        fencing_token: int | None = None,
    ) -> Counts:
        """Counts it; its position, links, tracking and receipts go nowhere."""
        settled = settlement or self._prepared
        if settled is None:
            raise StopRun("a dry run settled what it had not prepared", code=WRITES)
        counts = self._execution.counts + settled.counts
        self._execution = replace(self._execution, counts=replace(counts, batches=counts.batches + 1))
        self.letters += settled.dead_letters[: LETTERS_MAX - len(self.letters)]
        self.links += sum(len(next(iter(rows.columns.values()), ())) for rows in settled.links)
        return self._execution.counts

    def report(self, kind: str, body: bytes) -> None:
        """A dry run reports to its caller, and to nobody else."""

    def unknown_tokens(self, tokens: Sequence[str]) -> list[str]:
        """None is kept, so none is asked for."""
        return []

    def snapshot_keys(self, owner: str, rows_max: int) -> Iterator[list[bytes]]:
        """None where the source was read in part: what is missing then is not gone, and nobody knows what is."""
        return iter(()) if self._cut() else self._journal.snapshot_keys(owner, rows_max)

    # --- cross-references: the journal's, and over them the rows that a table begins with -----------------------------

    def xref_load(self, rows: LinkRows) -> int:
        self._seeds[rows.table] = rows.columns
        return self.xref_rows(rows.table)

    def xref_rows(self, table: str) -> int:
        """At most: a row that both have counts twice."""
        seeds = max((len(values) for values in self._seeds.get(table, {}).values()), default=0)
        return self._journal.xref_rows(table) + seeds

    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        held = dict(self._journal.xref_all(table, column, want))
        return list({**held, **self._seeded(table, column, want)}.items())

    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        seeded = self._seeded(table, column, want)
        held = self._journal.xref_lookup(table, column, want, keys)
        return {**held, **{key: seeded[key] for key in keys if key in seeded}}

    def _seeded(self, table: str, column: Sequence[str], want: str) -> dict[str, str]:
        columns = self._seeds.get(table, {})
        return dict(HeldRows(columns).all(column, want)) if {*column, want} <= columns.keys() else {}

    # --- sequences: the numbers that would come next, taken from nobody -----------------------------------------------

    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int:
        with self._guard:
            known = self._next[sequence] if sequence in self._next else self._journal.sequence_peek(sequence, ())[0]
            first = start if known is None else max(known, start)
            self._next[sequence] = first + count * step
            return first

    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]:
        numbers = self._journal.sequence_peek(sequence, keys)[1]
        given = self._given.setdefault(sequence, {})
        for key in keys:
            if key not in numbers and key not in given:
                given[key] = self.sequence_take(sequence, 1, start, step)
        return {key: numbers.get(key, given.get(key, 0)) for key in keys}
