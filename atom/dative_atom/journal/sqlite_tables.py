"""What SQLite calls things: tables passed with a statement, names, and a cross-reference as a table of its own.

A cross-reference `x` is the table `xref:x`, the index of its column `c` is `xref:x:c`; SQLite's own catalogue knows both.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from dative_atom.journal.store import Session, Store


class SqliteTables(Store):
    """See the module; what the methods promise stands in `Store`."""

    ROW = "rowid"
    # SQLite would else read the table and look up each row among the few.
    DRIVES = "CROSS JOIN"
    NOT_UNIQUE = sqlite3.IntegrityError

    def given(self, *columns: Sequence[str]) -> tuple[str, list[Any]]:
        if len(columns) == 1:
            return "(SELECT value AS c0, key AS n FROM json_each(?))", [json.dumps(list(columns[0]))]
        parts = ", ".join(f"json_extract(value, '$[{place}]') AS c{place}" for place in range(len(columns)))
        return f"(SELECT {parts}, key AS n FROM json_each(?))", [json.dumps(list(zip(*columns, strict=True)))]

    def held_name(self, db: Session, name: str, *, shared: bool = False) -> None:
        """A transaction holds the whole file."""

    def identifier(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def xref_names(self, db: Session) -> list[str]:
        rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'xref:%' ORDER BY name")
        return [row[0].removeprefix("xref:") for row in rows]

    def xref_columns(self, db: Session, table: str) -> list[str]:
        return [row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (f"xref:{table}",))]

    def xref_indexes(self, db: Session, table: str) -> dict[str, bool]:
        rows = db.execute('SELECT name, "unique" FROM pragma_index_list(?)', (f"xref:{table}",))
        return {name.removeprefix(f"xref:{table}:"): bool(unique) for name, unique in rows}

    def xref_create(self, db: Session, table: str, columns: Sequence[str]) -> None:
        listed = ", ".join(f"{self.identifier(name)} TEXT" for name in columns)
        db.execute(f"CREATE TABLE {self.identifier(f'xref:{table}')} ({listed})")

    def xref_add_column(self, db: Session, table: str, column: str) -> None:
        db.execute(f"ALTER TABLE {self.identifier(f'xref:{table}')} ADD COLUMN {self.identifier(column)} TEXT")

    def xref_index(self, db: Session, table: str, column: str, *, unique: bool) -> None:
        index = self.identifier(f"xref:{table}:{column}")
        db.execute(f"DROP INDEX IF EXISTS {index}")
        on = f"{self.identifier(f'xref:{table}')} ({self.identifier(column)})"
        db.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX {index} ON {on}")

    def xref_by_index(self, db: Session, table: str, column: str, want: str, keys: Sequence[str]) -> dict[str, str]:
        # The keys drive, one probe each, and the answer comes as one text: rows would cost as much as the probes.
        wanted, sought_in = self.identifier(want), self.identifier(f"xref:{table}")
        sought = (
            f"SELECT x.{wanted} FROM {sought_in} AS x WHERE x.{self.identifier(column)} = k.value"
            f" AND x.{wanted} IS NOT NULL ORDER BY x.rowid DESC LIMIT 1"
        )
        query = f"SELECT json_group_array(({sought})) FROM json_each(?) AS k"
        found = json.loads(db.execute(query, (json.dumps(list(keys)),)).fetchone()[0])
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}
