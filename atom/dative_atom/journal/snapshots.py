"""Snapshots: what a stream's source gave last, by key: a hash of each document and the fields that its deletion needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dative_atom.journal.contract import SnapshotChanges
from dative_atom.journal.store import Session, Store

KEYS_A_QUESTION: Final = 10_000


class Snapshots(Store):
    """See the module; the contract's words stand in `contract.Journal`."""

    def snapshot_count(self, owner: str) -> int:
        with self.reading() as db:
            return int(db.execute("SELECT count(*) FROM snapshot WHERE owner = ?", (owner,)).fetchone()[0])

    def snapshot_hashes(self, owner: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self.reading() as db:
            for start in range(0, len(keys), KEYS_A_QUESTION):
                asked = keys[start : start + KEYS_A_QUESTION]
                marks = ",".join("?" * len(asked))
                sql = f"SELECT key, hash FROM snapshot WHERE owner = ? AND key IN ({marks})"
                found.update(db.execute(sql, (owner, *asked)).fetchall())
        return found

    def snapshot_keys(self, owner: str, rows_max: int) -> Iterator[list[bytes]]:
        after = b""
        while True:
            keys = self.snapshot_page(owner, after, rows_max)
            if not keys:
                return
            after = keys[-1]
            yield keys

    def snapshot_page(self, owner: str, after: bytes, rows_max: int) -> list[bytes]:
        """The next hashes of keys beyond one; b"" is before all."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT key FROM snapshot WHERE owner = ? AND key > ? ORDER BY key LIMIT ?", (owner, after, rows_max)
            ).fetchall()
        return [row[0] for row in rows]

    def snapshot_bodies(self, owner: str, keys: Sequence[bytes]) -> list[bytes]:
        found: dict[bytes, bytes] = {}
        with self.reading() as db:
            for start in range(0, len(keys), KEYS_A_QUESTION):
                asked = keys[start : start + KEYS_A_QUESTION]
                marks = ",".join("?" * len(asked))
                sql = f"SELECT key, body FROM snapshot WHERE owner = ? AND key IN ({marks})"
                found.update(db.execute(sql, (owner, *asked)).fetchall())
        return [self.unseal(found[key], f"{owner}/{key.hex()}") for key in keys]

    def compared(self, db: Session, changes: SnapshotChanges) -> None:
        """Part of a settlement: what was told of is what is compared with from now on."""
        owner = changes.owner
        db.executemany(
            "INSERT INTO snapshot VALUES (?, ?, ?, ?)"
            " ON CONFLICT (owner, key) DO UPDATE SET hash = excluded.hash, body = excluded.body",
            [(owner, key, digest, self.seal(body, f"{owner}/{key.hex()}")) for key, digest, body in changes.put],
        )
        db.executemany("DELETE FROM snapshot WHERE owner = ? AND key = ?", [(owner, key) for key in changes.gone])
