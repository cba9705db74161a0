"""Cross-reference tables written at run time: one table each, looked up a batch at a time.

Every column has an index, a unique one where its values stand once. What a new row does to those it meets is decided
in `xref_merge`; here are the tables, the questions and the way in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dative.errors import StopRun
from dative.errors import journal as codes
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.contract import LinkRows, XrefSummary
from dative_atom.journal.outbox import Outbox
from dative_atom.journal.store import Session
from dative_atom.journal.xref_merge import Merge, among

KEY_SEPARATOR: Final = "\x1f"


class CrossReferences(Outbox):
    """See the module; the contract's words stand in `contract.Journal`."""

    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        with self.reading() as db:
            if not {*column, want} <= {*self.xref_columns(db, table)}:
                return {}
            if len(column) == 1 and column[0] in self.xref_indexes(db, table):
                return self.xref_by_index(db, table, column[0], want, keys)
            asked = [key.split(KEY_SEPARATOR) for key in keys] if len(column) > 1 else [[key] for key in keys]
            given, values = self.given(*([parts[place] for parts in asked] for place in range(len(column))))
            alike = " AND ".join(f"x.{self.identifier(name)} = k.c{place}" for place, name in enumerate(column))
            rows = db.execute(
                f"SELECT {self._key(column)}, x.{self.identifier(want)} FROM {given} AS k {self.DRIVES}"
                f" {self._table(table)} AS x ON {alike} WHERE x.{self.identifier(want)} IS NOT NULL ORDER BY x.{self.ROW}",
                values,
            ).fetchall()
        return dict(rows)

    def xref_rows(self, table: str) -> int:
        with self.reading() as db:
            if not self.xref_columns(db, table):
                return 0
            return int(db.execute(f"SELECT count(*) FROM {self._table(table)}").fetchone()[0])

    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        with self.reading() as db:
            if not {*column, want} <= {*self.xref_columns(db, table)}:
                return []
            present = " AND ".join(f"x.{self.identifier(name)} IS NOT NULL" for name in (*column, want))
            return db.execute(
                f"SELECT {self._key(column)}, x.{self.identifier(want)} FROM {self._table(table)} AS x WHERE {present}"
                f" ORDER BY x.{self.ROW}"
            ).fetchall()

    def xref_load(self, rows: LinkRows) -> int:
        with self.transaction() as db:
            return self.linked(db, rows)

    def xref_load_all(self, rows: Sequence[LinkRows]) -> int:
        with self.transaction() as db:
            return sum(self.linked(db, each) for each in rows)

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def linked(self, db: Session, rows: LinkRows) -> int:
        """As `xref_load`, inside the caller's transaction."""
        names = list(rows.columns)
        lengths = {len(values) for values in rows.columns.values()}
        if not names or len(lengths) != 1 or any(None in values for values in rows.columns.values()):
            raise StopRun(
                f"xref {rows.table}: columns {', '.join(names) or 'none'} of {sorted(lengths)} rows, or a null",
                code=codes.XREF_INVALID,
            )
        # Held before it is looked at: two that link at once each see what the other did, whole.
        self.held_name(db, f"xref:{rows.table}")
        self._xref_ensure(db, rows)
        wide = sorted({*self.xref_columns(db, rows.table)} - set(names))
        changed, replaced, refused = Merge(self, db, self._table(rows.table), wide, rows).run()
        self._told(db, rows.table, "xref.replaced", replaced, "gave way to newer ones")
        self._told(db, rows.table, "xref.conflict", refused, "were not linked: another row has one of their values")
        return changed

    def _told(self, db: Session, table: str, kind: str, rows: int, what: str) -> None:
        """An event: what happens to a link is never silent."""
        if not rows:
            return
        status = types_pb2.Status(code=kind, message=f"{rows} rows of cross-reference {table} {what}", where=table)
        event = telemetry_pb2.Event(kind=kind, status=status, occurred_at_ms=self.now_ms())
        self.reported(db, "event", telemetry_pb2.Record(event=event).SerializeToString())

    def xref_conflicts(self, rows: LinkRows) -> list[int]:
        with self.reading() as db:
            known = self.xref_columns(db, rows.table)
            unique = [name for name in self._unique_of(rows) if name in rows.columns]
            found = set(among(rows, unique))
            given, values = self.given(*rows.columns.values())
            places = {name: f"k.c{place}" for place, name in enumerate(rows.columns)}
            alike = " AND ".join(
                f"(x.{self.identifier(name)} = {place} OR x.{self.identifier(name)} IS NULL)"
                for name, place in places.items()
                if name in known
            )
            for name in unique:
                if name in known:
                    met = db.execute(
                        f"SELECT DISTINCT k.n FROM {given} AS k JOIN {self._table(rows.table)} AS x"
                        f" ON x.{self.identifier(name)} = {places[name]} WHERE NOT ({alike})",
                        values,
                    )
                    found.update(row[0] for row in met)
        return sorted(found)

    # People.

    def xref_tables(self) -> list[XrefSummary]:
        with self.reading() as db:
            return [self._summary(db, name) for name in sorted(self.xref_names(db))]

    def _summary(self, db: Session, name: str) -> XrefSummary:
        columns, indexes = tuple(self.xref_columns(db, name)), self.xref_indexes(db, name)
        count = db.execute(f"SELECT count(*) FROM {self._table(name)}").fetchone()[0]
        return XrefSummary(name, columns, tuple(column for column in columns if indexes.get(column)), int(count))

    def xref_page(self, table: str, after: int = 0, limit: int = 1000) -> list[tuple[int, dict[str, str | None]]]:
        with self.reading() as db:
            columns = self.xref_columns(db, table)
            if not columns:
                return []
            listed = ", ".join(self.identifier(name) for name in columns)
            rows = db.execute(
                f"SELECT {self.ROW}, {listed} FROM {self._table(table)} WHERE {self.ROW} > ? ORDER BY {self.ROW} LIMIT ?",
                (after, limit),
            ).fetchall()
        return [(row[0], dict(zip(columns, row[1:], strict=True))) for row in rows]

    def xref_remove(self, table: str, column: str, keys: Sequence[str]) -> int:
        given, values = self.given(keys)
        with self.transaction() as db:
            self.held_name(db, f"xref:{table}")
            if column not in self.xref_columns(db, table):
                return 0
            return db.execute(
                f"DELETE FROM {self._table(table)} WHERE {self.identifier(column)} IN (SELECT c0 FROM {given} AS k)",
                values,
            ).rowcount

    # The tables themselves.

    def _table(self, name: str) -> str:
        return self.identifier(f"xref:{name}")

    def _key(self, column: Sequence[str]) -> str:
        """SQL of the key of a row: the values of these columns, joined."""
        return f" || '{KEY_SEPARATOR}' || ".join(f"x.{self.identifier(name)}" for name in column)

    def _xref_ensure(self, db: Session, rows: LinkRows) -> None:
        present = self.xref_columns(db, rows.table)
        if not present:
            self.xref_create(db, rows.table, list(rows.columns))
        for name in rows.columns if present else ():
            if name not in present:
                self.xref_add_column(db, rows.table, name)
        indexes, unique = self.xref_indexes(db, rows.table), self._unique_of(rows)
        for name in rows.columns:
            if indexes.get(name) != (name in unique):
                self._index(db, rows.table, name, unique=name in unique)

    def _index(self, db: Session, table: str, column: str, *, unique: bool) -> None:
        try:
            self.xref_index(db, table, column, unique=unique)
        except self.NOT_UNIQUE as error:
            raise StopRun(
                f"cross-reference {table} is declared unique in {column}, and has a value there twice",
                code=codes.XREF_NOT_UNIQUE,
                where=table,
            ) from error

    @staticmethod
    def _unique_of(rows: LinkRows) -> Sequence[str]:
        return () if rows.unique is None else rows.unique or tuple(rows.columns)
