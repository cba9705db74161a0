"""What the new rows of a cross-reference do to the rows that they meet.

A table may have more columns than a link writes: a row that stands there and agrees takes the new values in, and keeps
what it has beside them. One that does not agree gives way, or keeps its place, as the table says. What the rows of a
batch meet is read at once, each row decides after the ones before it, and the difference is written at once: two
statements instead of two a row, which would each wait for a database on another host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from dative_atom.journal.contract import LinkRows
from dative_atom.journal.store import Session, Store

Row = tuple[str | None, ...]


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
    """One batch of rows on their way into a table, in the caller's transaction, which holds the table.

    Memory: the rows of the batch and those that they meet.
    """

    def __init__(self, store: Store, db: Session, table: str, wide: Sequence[str], rows: LinkRows) -> None:
        """table: quoted. wide: the columns that the table has beside those of the rows."""
        self._store, self._db, self._table, self._rows = store, db, table, rows
        self._names = list(rows.columns)
        self._all = [*self._names, *wide]
        unique = () if rows.unique is None else rows.unique or tuple(self._names)
        places: list[tuple[int, ...]] = [(self._names.index(name),) for name in unique if name in self._names]
        # What a row meets: those that have its value in any unique column; without one, those with all of its values.
        self._keys = places or [tuple(range(len(self._names)))]
        self._alive: dict[int, Row] = {}
        self._by_key: list[dict[Row, set[int]]] = [defaultdict(set) for _ in self._keys]

    def run(self) -> tuple[int, int, int]:
        """(rows that are new or changed, rows that gave way, rows that were refused)."""
        known = self._read()
        if not known and self._each_alone():
            return (
                self._insert([(*row, *self._beside([])) for row in zip(*self._rows.columns.values(), strict=True)]),
                0,
                0,
            )
        # New rows are behind all that stand there, in the order in which they come.
        fresh = max(known, default=0)
        changed = replaced = refused = 0
        for values in zip(*self._rows.columns.values(), strict=True):
            met = self._met(values)
            agreeing = [row for _, row in met if self._agrees(row, values)]
            if len(agreeing) < len(met) and self._rows.conflict == "error":
                refused += 1
                continue
            merged = self._merged(agreeing, values)
            if len(met) == 1 and met[0][1] == merged:
                continue
            for number, row in met:
                self._drop(number, row)
            fresh += 1
            self._add(fresh, merged)
            changed += 1
            replaced += len(met) - len(agreeing)
        self._write(known)
        return changed, replaced, refused

    def _read(self) -> set[int]:
        """Every row that one of the batch meets; returns their numbers."""
        quoted = self._store.identifier
        listed = ", ".join(f"x.{quoted(name)}" for name in self._all)
        columns = list(self._rows.columns.values())
        for key in self._keys:
            given, values = self._store.given(*(columns[place] for place in key))
            alike = " AND ".join(f"x.{quoted(self._names[place])} = k.c{at}" for at, place in enumerate(key))
            rows = self._db.execute(
                f"SELECT x.{self._store.ROW}, {listed} FROM {given} AS k {self._store.DRIVES} {self._table} AS x ON {alike}",
                values,
            )
            for number, *row in rows:
                if number not in self._alive:
                    self._add(number, tuple(row))
        return set(self._alive)

    def _met(self, values: Row) -> list[tuple[int, Row]]:
        found: set[int] = set()
        for key, numbers in zip(self._keys, self._by_key, strict=True):
            found |= numbers.get(tuple(values[place] for place in key), set())
        return [(number, self._alive[number]) for number in sorted(found)]

    def _add(self, number: int, row: Row) -> None:
        self._alive[number] = row
        for key, numbers in zip(self._keys, self._by_key, strict=True):
            numbers[tuple(row[place] for place in key)].add(number)

    def _drop(self, number: int, row: Row) -> None:
        del self._alive[number]
        for key, numbers in zip(self._keys, self._by_key, strict=True):
            numbers[tuple(row[place] for place in key)].discard(number)

    def _agrees(self, row: Row, values: Row) -> bool:
        return all(there is None or there == value for there, value in zip(row, values, strict=False))

    def _each_alone(self) -> bool:
        """Whether no two rows of the batch meet, which is what most batches are: new links."""
        columns = list(self._rows.columns.values())
        return all(
            len(set(zip(*(columns[place] for place in key), strict=True))) == len(columns[0]) for key in self._keys
        )

    def _merged(self, agreeing: Sequence[Row], values: Row) -> Row:
        return (*values, *self._beside(agreeing))

    def _beside(self, agreeing: Sequence[Row]) -> Row:
        """What those that a row takes in have in the columns that it does not write."""
        return tuple(
            next((row[place] for row in reversed(agreeing) if row[place] is not None), None)
            for place in range(len(self._names), len(self._all))
        )

    def _write(self, known: set[int]) -> None:
        gone = [(number,) for number in known if number not in self._alive]
        self._db.executemany(f"DELETE FROM {self._table} WHERE {self._store.ROW} = ?", gone)
        self._insert([row for number, row in self._alive.items() if number not in known])

    def _insert(self, rows: Sequence[Row]) -> int:
        listed = ", ".join(self._store.identifier(name) for name in self._all)
        marks = ", ".join("?" * len(self._all))
        self._db.executemany(f"INSERT INTO {self._table} ({listed}) VALUES ({marks})", rows)
        return len(rows)
