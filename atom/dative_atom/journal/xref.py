"""Cross-reference tables written at run time: one SQLite table each, looked up a batch at a time.

Every column has an index, a unique one where its values stand once. What a new row does to those it meets is decided
in `xref_merge`; here are the tables, the questions and the bulk way.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from dative.errors import StopRun
from dative.errors import journal as codes
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.contract import LinkRows, XrefSummary
from dative_atom.journal.outbox import Outbox
from dative_atom.journal.xref_merge import Merge, among

KEY_SEPARATOR: Final = "\x1f"


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _table(name: str) -> str:
    return _quoted(f"xref:{name}")


def _key(column: Sequence[str]) -> str:
    """SQL of the key of a row: the values of these columns, joined."""
    return f" || char({ord(KEY_SEPARATOR)}) || ".join(f"x.{_quoted(name)}" for name in column)


def _part(place: int, several: bool) -> str:
    return f"json_extract(k.value, '$[{place}]')" if several else "k.value"


class CrossReferences(Outbox):
    """See the module; the contract's words stand in `contract.Journal`."""

    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        with self.reading() as db:
            if not {*column, want} <= self._xref_columns(db, table):
                return {}
            if len(column) == 1 and self._xref_indexed(db, table, column[0]):
                # The keys drive, one probe each, and the answer comes as one text: rows would cost as much as the probes.
                sought = (
                    f"SELECT x.{_quoted(want)} FROM {_table(table)} AS x WHERE x.{_quoted(column[0])} = k.value"
                    f" AND x.{_quoted(want)} IS NOT NULL ORDER BY x.rowid DESC LIMIT 1"
                )
                query = f"SELECT json_group_array(({sought})) FROM json_each(?) AS k"
                found = json.loads(db.execute(query, (json.dumps(list(keys)),)).fetchone()[0])
                return {key: value for key, value in zip(keys, found, strict=True) if value is not None}
            # Without an index SQLite makes one of its own, for a join only.
            several = len(column) > 1
            parts = [f"x.{_quoted(name)} = {_part(place, several)}" for place, name in enumerate(column)]
            asked = [key.split(KEY_SEPARATOR) for key in keys] if several else list(keys)
            rows = db.execute(
                f"SELECT {_key(column)}, x.{_quoted(want)} FROM json_each(?) AS k CROSS JOIN {_table(table)} AS x"
                f" ON {' AND '.join(parts)} WHERE x.{_quoted(want)} IS NOT NULL ORDER BY x.rowid",
                (json.dumps(asked),),
            ).fetchall()
        return dict(rows)

    def _xref_indexed(self, db: sqlite3.Connection, table: str, column: str) -> bool:
        return f"xref:{table}:{column}" in self._xref_indexes(db, table)

    def xref_rows(self, table: str) -> int:
        with self.reading() as db:
            if not self._xref_columns(db, table):
                return 0
            return int(db.execute(f"SELECT count(*) FROM {_table(table)}").fetchone()[0])

    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        with self.reading() as db:
            if not {*column, want} <= self._xref_columns(db, table):
                return []
            present = " AND ".join(f"x.{_quoted(name)} IS NOT NULL" for name in (*column, want))
            return db.execute(
                f"SELECT {_key(column)}, x.{_quoted(want)} FROM {_table(table)} AS x WHERE {present} ORDER BY x.rowid"
            ).fetchall()

    def xref_load(self, rows: LinkRows) -> int:
        with self.transaction() as db:
            return self.linked(db, rows)

    def xref_load_all(self, rows: Sequence[LinkRows]) -> int:
        with self.transaction() as db:
            return sum(self.linked(db, each) for each in rows)

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def linked(self, db: sqlite3.Connection, rows: LinkRows) -> int:
        """As `xref_load`, inside the caller's transaction."""
        names = list(rows.columns)
        lengths = {len(values) for values in rows.columns.values()}
        if not names or len(lengths) != 1 or any(None in values for values in rows.columns.values()):
            raise StopRun(
                f"xref {rows.table}: columns {', '.join(names) or 'none'} of {sorted(lengths)} rows, or a null",
                code=codes.XREF_INVALID,
            )
        self._xref_ensure(db, rows)
        wide = self._xref_columns(db, rows.table) - set(names)
        if not wide and rows.conflict == "replace":
            return self._in_bulk(db, rows, names)
        changed, replaced, refused = Merge(db, _table(rows.table), names, sorted(wide), rows).run()
        self._told(db, rows.table, "xref.replaced", replaced, "gave way to newer ones")
        self._told(db, rows.table, "xref.conflict", refused, "were not linked: another row has one of their values")
        return changed

    def _in_bulk(self, db: sqlite3.Connection, rows: LinkRows, names: Sequence[str]) -> int:
        """Rows with every column of the table, each taking the place of those it meets."""
        before = db.execute(f"SELECT count(*) FROM {_table(rows.table)}").fetchone()[0]
        columns = ", ".join(_quoted(name) for name in names)
        same = " AND ".join(f"{_quoted(name)} IS ?{number}" for number, name in enumerate(names, 1))
        marks = ", ".join(f"?{number}" for number in range(1, len(names) + 1))
        cursor = db.executemany(
            f"INSERT OR REPLACE INTO {_table(rows.table)} ({columns}) SELECT {marks}"
            f" WHERE NOT EXISTS (SELECT 1 FROM {_table(rows.table)} WHERE {same})",
            zip(*rows.columns.values(), strict=True),
        )
        changed = cursor.rowcount
        replaced = changed - (db.execute(f"SELECT count(*) FROM {_table(rows.table)}").fetchone()[0] - before)
        self._told(db, rows.table, "xref.replaced", replaced, "gave way to newer ones")
        return changed

    def _told(self, db: sqlite3.Connection, table: str, kind: str, rows: int, what: str) -> None:
        """An event: what happens to a link is never silent."""
        if not rows:
            return
        status = types_pb2.Status(code=kind, message=f"{rows} rows of cross-reference {table} {what}", where=table)
        event = telemetry_pb2.Event(kind=kind, status=status, occurred_at_ms=self.now_ms())
        self.reported(db, "event", telemetry_pb2.Record(event=event).SerializeToString())

    def xref_conflicts(self, rows: LinkRows) -> list[int]:
        with self.reading() as db:
            known = self._xref_columns(db, rows.table)
            unique = [name for name in self._unique_of(rows) if name in rows.columns]
            found = set(among(rows, unique))
            given = json.dumps(list(zip(*rows.columns.values(), strict=True)))
            places = {name: f"json_extract(k.value, '$[{place}]')" for place, name in enumerate(rows.columns)}
            alike = " AND ".join(
                f"(x.{_quoted(name)} IS {place} OR x.{_quoted(name)} IS NULL)"
                for name, place in places.items()
                if name in known
            )
            for name in unique if known else ():
                if name in known:
                    found.update(
                        row[0]
                        for row in db.execute(
                            f"SELECT DISTINCT k.key FROM json_each(?) AS k JOIN {_table(rows.table)} AS x"
                            f" ON x.{_quoted(name)} = {places[name]} WHERE NOT ({alike})",
                            (given,),
                        )
                    )
        return sorted(found)

    # People.

    def xref_tables(self) -> list[XrefSummary]:
        with self.reading() as db:
            names = [
                row[0].removeprefix("xref:")
                for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'xref:%'")
            ]
            return [self._summary(db, name) for name in sorted(names)]

    def _summary(self, db: sqlite3.Connection, name: str) -> XrefSummary:
        columns = tuple(row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (f"xref:{name}",)))
        indexes = self._xref_indexes(db, name)
        unique = tuple(column for column in columns if indexes.get(f"xref:{name}:{column}"))
        count = db.execute(f"SELECT count(*) FROM {_table(name)}").fetchone()[0]
        return XrefSummary(name, columns, unique, int(count))

    def xref_page(self, table: str, after: int = 0, limit: int = 1000) -> list[tuple[int, dict[str, str | None]]]:
        with self.reading() as db:
            columns = self._summary(db, table).columns if self._xref_columns(db, table) else ()
            if not columns:
                return []
            listed = ", ".join(_quoted(name) for name in columns)
            rows = db.execute(
                f"SELECT rowid, {listed} FROM {_table(table)} WHERE rowid > ? ORDER BY rowid LIMIT ?", (after, limit)
            ).fetchall()
        return [(row[0], dict(zip(columns, row[1:], strict=True))) for row in rows]

    def xref_remove(self, table: str, column: str, keys: Sequence[str]) -> int:
        with self.transaction() as db:
            if column not in self._xref_columns(db, table):
                return 0
            return db.execute(
                f"DELETE FROM {_table(table)} WHERE {_quoted(column)} IN (SELECT value FROM json_each(?))",
                (json.dumps(list(keys)),),
            ).rowcount

    # The tables themselves.

    def _xref_columns(self, db: sqlite3.Connection, table: str) -> set[str]:
        return {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (f"xref:{table}",))}

    def _xref_indexes(self, db: sqlite3.Connection, table: str) -> dict[str, bool]:
        """Its indexes, and whether each is unique."""
        rows = db.execute('SELECT name, "unique" FROM pragma_index_list(?)', (f"xref:{table}",))
        return {name: bool(unique) for name, unique in rows}

    def _xref_ensure(self, db: sqlite3.Connection, rows: LinkRows) -> None:
        present = self._xref_columns(db, rows.table)
        if not present:
            columns = ", ".join(f"{_quoted(name)} TEXT" for name in rows.columns)
            db.execute(f"CREATE TABLE {_table(rows.table)} ({columns})")
        for name in rows.columns if present else ():
            if name not in present:
                db.execute(f"ALTER TABLE {_table(rows.table)} ADD COLUMN {_quoted(name)} TEXT")
        indexes, unique = self._xref_indexes(db, rows.table), self._unique_of(rows)
        for name in rows.columns:
            index = f"xref:{rows.table}:{name}"
            if indexes.get(index) != (name in unique):
                self._index(db, rows.table, name, unique=name in unique)

    def _index(self, db: sqlite3.Connection, table: str, column: str, *, unique: bool) -> None:
        index = _quoted(f"xref:{table}:{column}")
        db.execute(f"DROP INDEX IF EXISTS {index}")
        try:
            db.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX {index} ON {_table(table)} ({_quoted(column)})")
        except sqlite3.IntegrityError as error:
            raise StopRun(
                f"cross-reference {table} is declared unique in {column}, and has a value there twice",
                code=codes.XREF_NOT_UNIQUE,
                where=table,
            ) from error

    @staticmethod
    def _unique_of(rows: LinkRows) -> Sequence[str]:
        return () if rows.unique is None else rows.unique or tuple(rows.columns)
