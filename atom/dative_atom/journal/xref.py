"""Cross-reference tables written at run time: one SQLite table each, unique both ways, looked up a batch at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from dative.errors import StopRun
from dative.errors import journal as codes
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.contract import LinkRows
from dative_atom.journal.outbox import Outbox

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
        """The column is unique: a key has one answer."""
        name = f"xref:{table}:{column}"
        return (
            db.execute("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", (name,)).fetchone() is not None
        )

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
        if replaced:
            self._xref_replaced(db, rows.table, replaced)
        return changed

    def _xref_replaced(self, db: sqlite3.Connection, table: str, rows: int) -> None:
        status = types_pb2.Status(
            code="xref.replaced", message=f"{rows} rows of cross-reference {table} gave way to newer ones", where=table
        )
        event = telemetry_pb2.Event(
            kind="xref.replaced", status=status, occurred_at_ms=int(self.clock.now().timestamp() * 1000)
        )
        self.reported(db, "event", telemetry_pb2.Record(event=event).SerializeToString())

    def _xref_columns(self, db: sqlite3.Connection, table: str) -> set[str]:
        return {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (f"xref:{table}",))}

    def _xref_ensure(self, db: sqlite3.Connection, rows: LinkRows) -> None:
        present = self._xref_columns(db, rows.table)
        unique = rows.unique or tuple(rows.columns)
        if not present:
            columns = ", ".join(f"{_quoted(name)} TEXT" for name in rows.columns)
            db.execute(f"CREATE TABLE {_table(rows.table)} ({columns})")
        for name in rows.columns if present else ():
            if name not in present:
                db.execute(f"ALTER TABLE {_table(rows.table)} ADD COLUMN {_quoted(name)} TEXT")
        for name in unique:
            index = _quoted(f"xref:{rows.table}:{name}")
            db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {_table(rows.table)} ({_quoted(name)})")
