"""Tables that expressions look things up in: rates, and cross-references, held or asked by key for each batch.

A cross-reference of at most HELD_ROWS_MAX rows is held in memory as it stands when the execution begins; a larger one is
asked once per batch for the keys of that batch, so that memory stays flat. Rows that this execution itself links are
settled with their batch and meant for later executions: a lookup may see them or not.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
from dative.process.tables import SequenceTable

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.database import quoted
from dative_atom.engine.evaluation.money import Rates
from dative_atom.engine.evaluation.rows import HELD_ROWS_MAX, CrossReferences
from dative_atom.journal.contract import LinkRows


@dataclass(frozen=True)
class XrefLookup:
    """One column of a cross-reference looked up by others. alias: the column that what it finds stands in, a struct with
    the field v; column: those it is looked up by, their values joined by KEY_SEPARATOR; key: SQL over `batch`.
    """

    alias: str
    table: str
    column: tuple[str, ...]
    want: str
    key: str


@dataclass(frozen=True)
class RateLookup:
    """A rate of two currencies. on: SQL of its date, None for the rates of the execution's own day."""

    alias: str
    table: str
    source: str
    target: str
    on: str | None

    @property
    def join(self) -> str:
        alias = quoted(self.alias)
        pair = f"{alias}.f = {self.source} AND {alias}.t = {self.target}"
        if self.on is None:
            return f"LEFT JOIN {alias} ON {pair}"
        # DuckDB wants an inequality between both sides: a constant day is made one of the document's.
        day = f"CASE WHEN b.{quoted(DOCUMENT)} IS NOT NULL THEN TRY_CAST({self.on} AS DATE) END"
        return f"ASOF LEFT JOIN {alias} ON {pair} AND {day} >= {alias}.day"


Lookup = XrefLookup | RateLookup


class Tables:
    """The tables of one execution. Threads share it: a cross-reference is loaded once, under a lock."""

    def __init__(
        self,
        xrefs: CrossReferences,
        names: frozenset[str],
        rates: Mapping[str, Rates] | None = None,
        sequences: Mapping[str, SequenceTable] | None = None,
    ) -> None:
        """names: of all tables, also of those in `rates` and `sequences`."""
        self.names = names
        self._xrefs = xrefs
        self._rates = rates or {}
        self._sequences = sequences or {}
        self._held: dict[tuple[str, tuple[str, ...], str], Mapping[str, str] | None] = {}
        self._guard = threading.Lock()

    def links(self, lookup: XrefLookup, keys: Sequence[str]) -> Mapping[str, str]:
        """What keys are linked with, at least these ones; a key without a link is missing from it."""
        held = self._held_table(lookup)
        # One question per batch, whatever its size: never a call per document.
        return held if held is not None else self._xrefs.xref_lookup(lookup.table, lookup.column, lookup.want, keys)

    def rate(
        self, lookup: RateLookup, source: str | None, target: str | None, on: date | None = None
    ) -> Decimal | None:
        """One rate, for a small batch: today's, or the newest up to its day."""
        rates = self._rates[lookup.table]
        return rates.today(source, target) if lookup.on is None else rates.on(source, target, on)

    def conflicts(self, rows: LinkRows) -> list[int]:
        """Which links would meet others that do not agree with them."""
        return self._xrefs.xref_conflicts(rows)

    def numbers(self, sequence: str, count: int) -> list[int]:
        """The next numbers of a sequence."""
        table = self._sequences[sequence]
        first = self._xrefs.sequence_take(sequence, count, table.start, table.step)
        return [first + place * table.step for place in range(count)]

    def numbers_of(self, sequence: str, keys: Sequence[str]) -> dict[str, int]:
        """The numbers of these keys, new ones for those that have none."""
        table = self._sequences[sequence]
        return self._xrefs.sequence_given(sequence, keys, table.start, table.step)

    def rates(self, lookup: RateLookup) -> pa.Table:
        """The rows that a large batch joins, as `Rates` has them."""
        rates = self._rates[lookup.table]
        return rates.current if lookup.on is None else rates.dated

    def _held_table(self, lookup: XrefLookup) -> Mapping[str, str] | None:
        key = (lookup.table, lookup.column, lookup.want)
        with self._guard:
            if key not in self._held:
                self._held[key] = self._load(*key)
            return self._held[key]

    def _load(self, table: str, column: tuple[str, ...], want: str) -> Mapping[str, str] | None:
        # A mapping, because a column that is not unique must not double the documents that look it up.
        small = self._xrefs.xref_rows(table) <= HELD_ROWS_MAX
        return dict(self._xrefs.xref_all(table, column, want)) if small else None
