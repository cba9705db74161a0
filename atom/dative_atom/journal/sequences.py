"""Numbers of sequences, one after the other, for every process of this environment that asks.

A number is taken in a transaction of its own, before it is used, because it may reach a target before its batch has
settled: settled with the batch, a kill in between would give it twice. So a kill skips the numbers that were taken. A
number that was asked for under a key is remembered with it, and whoever asks again with that key gets it again.
"""

from __future__ import annotations

from collections.abc import Sequence

from dative_atom.journal.store import Session
from dative_atom.journal.xref import CrossReferences

_KNOWN = "SELECT key, number FROM sequence_number WHERE name = ? AND key IN (SELECT c0 FROM {} AS k)"


class Sequences(CrossReferences):
    """See the module; the contract's words stand in `contract.Journal`."""

    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int:
        with self.transaction() as db:
            return self._take(db, sequence, count, start, step)

    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]:
        table, values = self.given(keys)
        with self.transaction() as db:
            # Held first: two that ask for the same key at once are given one number.
            self.held_name(db, f"sequence:{sequence}")
            found: dict[str, int] = dict(db.execute(_KNOWN.format(table), (sequence, *values)).fetchall())
            new = [key for key in dict.fromkeys(keys) if key not in found]
            first = self._take(db, sequence, len(new), start, step)
            given = {key: first + place * step for place, key in enumerate(new)}
            db.executemany(
                "INSERT INTO sequence_number VALUES (?, ?, ?)",
                [(sequence, key, number) for key, number in given.items()],
            )
        return {**found, **given}

    def sequence_peek(self, sequence: str, keys: Sequence[str]) -> tuple[int | None, dict[str, int]]:
        table, values = self.given(keys)
        with self.reading() as db:
            row = db.execute("SELECT next FROM sequence WHERE name = ?", (sequence,)).fetchone()
            found = db.execute(_KNOWN.format(table), (sequence, *values))
            return (int(row[0]) if row else None), dict(found.fetchall())

    def _take(self, db: Session, sequence: str, count: int, start: int, step: int) -> int:
        taken = count * step
        row = db.execute(
            "INSERT INTO sequence VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
            " SET next = CASE WHEN sequence.next > ? THEN sequence.next ELSE ? END + ? RETURNING next",
            (sequence, start + taken, start, start, taken),
        ).fetchone()
        return int(row[0]) - taken
