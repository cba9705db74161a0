"""What PostgreSQL calls things: tables passed with a statement, held names, and a cross-reference as a table of its own.

Names may be longer than PostgreSQL's 63 bytes, so what a cross-reference's columns are called stands in `xref_column`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from psycopg.errors import UniqueViolation

from dative_atom.journal.store import Session, Store

NAME_BYTES_MAX: Final = 63


class PostgresTables(Store):
    """See the module; what the methods promise stands in `Store`."""

    FOR_UPDATE = " FOR UPDATE"
    ROW = '"xref:row"'
    NOT_UNIQUE = UniqueViolation

    def given(self, *columns: Sequence[str]) -> tuple[str, list[Any]]:
        names = ", ".join(f"c{place}" for place in range(len(columns)))
        arrays = ", ".join("CAST(? AS text[])" for _ in columns)
        table = f"(SELECT {names}, n - 1 AS n FROM unnest({arrays}) WITH ORDINALITY AS u({names}, n))"
        return table, [list(values) for values in columns]

    def held_name(self, db: Session, name: str, *, shared: bool = False) -> None:
        # A number of 64 bits made from the name: two names that share one wait for each other, and nothing else.
        lock = f"pg_advisory_xact_lock{'_shared' if shared else ''}"
        db.execute(
            f"SELECT {lock}(hashtextextended(current_schema() || '/' || CAST(? AS text), 0))", (name,)
        ).fetchone()

    def identifier(self, name: str) -> str:
        encoded = name.encode()
        if len(encoded) > NAME_BYTES_MAX or "\0" in name:
            digest = hashlib.sha256(encoded).hexdigest()[:32]
            name = f"{encoded[: NAME_BYTES_MAX - 33].decode(errors='ignore')}~{digest}".replace("\0", "")
        return '"' + name.replace('"', '""') + '"'

    def xref_names(self, db: Session) -> list[str]:
        return [row[0] for row in db.execute("SELECT DISTINCT name FROM xref_column ORDER BY name")]

    def xref_columns(self, db: Session, table: str) -> list[str]:
        rows = db.execute("SELECT column_name FROM xref_column WHERE name = ? ORDER BY place", (table,))
        return [row[0] for row in rows]

    def xref_indexes(self, db: Session, table: str) -> dict[str, bool]:
        found = "SELECT column_name, is_unique FROM xref_column WHERE name = ? AND is_unique IS NOT NULL"
        return dict(db.execute(found, (table,)).fetchall())

    def xref_create(self, db: Session, table: str, columns: Sequence[str]) -> None:
        listed = "".join(f', {self.identifier(name)} text COLLATE "C"' for name in columns)
        row = f"{self.ROW} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        db.execute(f"CREATE TABLE {self.identifier(f'xref:{table}')} ({row}{listed})")
        for column in columns:
            self._known(db, table, column)

    def xref_add_column(self, db: Session, table: str, column: str) -> None:
        added = f'{self.identifier(column)} text COLLATE "C"'
        db.execute(f"ALTER TABLE {self.identifier(f'xref:{table}')} ADD COLUMN {added}")
        self._known(db, table, column)

    def _known(self, db: Session, table: str, column: str) -> None:
        db.execute(
            "INSERT INTO xref_column SELECT CAST(? AS text), count(*), CAST(? AS text), NULL FROM xref_column WHERE name = ?",
            (table, column, table),
        )

    def xref_index(self, db: Session, table: str, column: str, *, unique: bool) -> None:
        index = self.identifier(f"xref:{table}:{column}")
        db.execute(f"DROP INDEX IF EXISTS {index}")
        on = f"{self.identifier(f'xref:{table}')} ({self.identifier(column)})"
        db.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX {index} ON {on}")
        noted = "UPDATE xref_column SET is_unique = ? WHERE name = ? AND column_name = ?"
        db.execute(noted, (unique, table, column))

    def xref_by_index(self, db: Session, table: str, column: str, want: str, keys: Sequence[str]) -> dict[str, str]:
        given, values = self.given(keys)
        wanted = f"x.{self.identifier(want)}"
        rows = db.execute(
            f"SELECT k.c0, {wanted} FROM {given} AS k JOIN {self.identifier(f'xref:{table}')} AS x"
            f" ON x.{self.identifier(column)} = k.c0 WHERE {wanted} IS NOT NULL ORDER BY x.{self.ROW}",
            values,
        )
        return dict(rows.fetchall())
