"""Numbers of sequences, one after the other, for every process of this environment that asks.

A number is taken in a transaction of its own, before it is used, because it may reach a target before its batch has
settled: settled with the batch, a kill in between would give it twice. So a kill skips the numbers that were taken. A
number that was asked for under a key is remembered with it, and whoever asks again with that key gets it again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from dative_atom.journal.xref import CrossReferences

_TABLES = (
    "CREATE TABLE IF NOT EXISTS sequence (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sequence_number (name TEXT, key TEXT, number INTEGER NOT NULL,"
    " PRIMARY KEY (name, key)) WITHOUT ROWID",
)


class Sequences(CrossReferences):
    """See the module; the contract's words stand in `contract.Journal`."""

    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int:
        with self.transaction() as db:
            return self._take(db, sequence, count, start, step)

    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]:
        with self.transaction() as db:
            self._tables(db)
            found: dict[str, int] = dict(
                db.execute(
                    "SELECT key, number FROM sequence_number WHERE name = ? AND key IN (SELECT value FROM json_each(?))",
                    (sequence, json.dumps(list(keys))),
                ).fetchall()
            )
            new = [key for key in dict.fromkeys(keys) if key not in found]
            first = self._take(db, sequence, len(new), start, step)
            given = {key: first + place * step for place, key in enumerate(new)}
            db.executemany(
                "INSERT INTO sequence_number VALUES (?, ?, ?)",
                ((sequence, key, number) for key, number in given.items()),
            )
        return {**found, **given}

    def sequence_peek(self, sequence: str, keys: Sequence[str]) -> tuple[int | None, dict[str, int]]:
        with self.transaction() as db:
            there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'sequence%'")}
            if not {"sequence", "sequence_number"} <= there:
                return None, {}
            row = db.execute("SELECT next FROM sequence WHERE name = ?", (sequence,)).fetchone()
            found = db.execute(
                "SELECT key, number FROM sequence_number WHERE name = ? AND key IN (SELECT value FROM json_each(?))",
                (sequence, json.dumps(list(keys))),
            )
            return (int(row[0]) if row else None), dict(found.fetchall())

    def _take(self, db: sqlite3.Connection, sequence: str, count: int, start: int, step: int) -> int:
        self._tables(db)
        row = db.execute(
            "INSERT INTO sequence VALUES (?1, ?2 + ?3) ON CONFLICT DO UPDATE SET next = max(next, ?2) + ?3 RETURNING next",
            (sequence, start, count * step),
        ).fetchone()
        return int(row[0]) - count * step

    @staticmethod
    def _tables(db: sqlite3.Connection) -> None:
        for statement in _TABLES:
            db.execute(statement)
