"""What a new row of a cross-reference does to the rows that it meets, row by row.

A table may have more columns than a link writes: a row that stands there and agrees takes the new values in, and keeps
what it has beside them. One that does not agree gives way, or keeps its place, as the table says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from dative_atom.journal.contract import LinkRows


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def among(rows: LinkRows, unique: Sequence[str]) -> Iterator[int]:
    """The rows that meet an earlier one among themselves in a unique column, and are not the same."""
    seen: dict[tuple[str, str], tuple[str, ...]] = {}
    for index, row in enumerate(zip(*rows.columns.values(), strict=True)):
        values = dict(zip(rows.columns, row, strict=True))
        met = [seen[name, values[name]] for name in unique if (name, values[name]) in seen]
        if any(other != row for other in met):
            yield index
            continue
        seen.update({(name, values[name]): row for name in unique})


class Merge:
    """One batch of rows on their way into a table, in the caller's transaction."""

    def __init__(
        self, db: sqlite3.Connection, table: str, names: Sequence[str], wide: Sequence[str], rows: LinkRows
    ) -> None:
        """table: quoted. names: the columns of the rows. wide: those that the table has beside them."""
        self._db, self._table, self._names, self._rows = db, table, list(names), rows
        self._all = [*names, *wide]
        listed = ", ".join(_quoted(name) for name in self._all)
        unique = () if rows.unique is None else rows.unique or tuple(names)
        self._unique = [name for name in unique if name in names]
        met = self._unique or self._names
        joint = " OR " if self._unique else " AND "
        where = joint.join(f"{_quoted(name)} = :{place}" for place, name in enumerate(self._names) if name in met)
        self._find = f"SELECT rowid, {listed} FROM {table} WHERE {where} ORDER BY rowid"
        marks = ", ".join("?" for _ in self._all)
        self._insert = f"INSERT INTO {table} ({listed}) VALUES ({marks})"

    def run(self) -> tuple[int, int, int]:
        """(rows that are new or changed, rows that gave way, rows that were refused)."""
        changed = replaced = refused = 0
        for values in zip(*self._rows.columns.values(), strict=True):
            met = self._db.execute(self._find, {str(place): value for place, value in enumerate(values)}).fetchall()
            agreeing = [row for row in met if self._agrees(row[1:], values)]
            if len(agreeing) < len(met) and self._rows.conflict == "error":
                refused += 1
                continue
            merged = self._merged(agreeing, values)
            if len(met) == 1 and tuple(met[0][1:]) == merged:
                continue
            self._db.executemany(f"DELETE FROM {self._table} WHERE rowid = ?", ((row[0],) for row in met))
            self._db.execute(self._insert, merged)
            changed += 1
            replaced += len(met) - len(agreeing)
        return changed, replaced, refused

    def _agrees(self, row: Sequence[str | None], values: Sequence[str]) -> bool:
        return all(there is None or there == value for there, value in zip(row, values, strict=False))

    def _merged(self, agreeing: Sequence[Sequence[str | None]], values: Sequence[str]) -> tuple[str | None, ...]:
        beside = [
            next((row[1 + place] for row in reversed(agreeing) if row[1 + place] is not None), None)
            for place in range(len(self._names), len(self._all))
        ]
        return (*values, *beside)
