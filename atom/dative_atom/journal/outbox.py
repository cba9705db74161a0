"""The outbox: records on their way to the controller, numbered without holes, bounded, kept a while after they arrived.

A record is written in the transaction that made it true. Acknowledged ones stay for the backup horizon, because a
controller that is restored from a backup asks for them again.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from dative.ids import new_id
from dative.v1 import telemetry_pb2

from dative_atom.journal.contract import OutboxRecord
from dative_atom.journal.database import Database

SPOOL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Unacknowledged bytes. Beyond it spans, then tracked documents are replaced by a record of what was dropped, oldest
first; executions, dead letters and events never are."""
BACKUP_HORIZON_S: Final = 48 * 3600.0
_DROPPABLE: Final = ("spans", "tracked_documents")


class Outbox(Database):
    """See the module; the parts above inherit it to report in their own transactions."""

    spool_bytes_max = SPOOL_BYTES_MAX

    def created(self, db: sqlite3.Connection) -> None:
        super().created(db)
        db.execute("INSERT INTO spool VALUES (1, ?, 0, 0, 0)", (new_id(self.clock.now()),))

    def spool_epoch(self) -> str:
        with self.reading() as db:
            return str(db.execute("SELECT epoch FROM spool").fetchone()[0])

    def report(self, kind: str, body: bytes) -> None:
        with self.transaction() as db:
            self.reported(db, kind, body)

    def reported(self, db: sqlite3.Connection, kind: str, body: bytes) -> None:
        """As `report`, inside the caller's transaction."""
        db.execute(
            "INSERT INTO outbox (kind, created_at, size, body) VALUES (?, ?, ?, ?)",
            (kind, self.clock.now().timestamp(), len(body), body),
        )
        total = db.execute(
            "UPDATE spool SET records = records + 1, bytes = bytes + ? RETURNING bytes", (len(body),)
        ).fetchone()[0]
        if total > self.spool_bytes_max:
            self._make_room(db, total - self.spool_bytes_max)

    def _make_room(self, db: sqlite3.Connection, wanted: int) -> None:
        """Put a record of the loss in place of what is dropped, so that the sequence has no hole and the loss shows."""
        for kind in _DROPPABLE:
            rows = db.execute(
                "SELECT sequence, size FROM outbox WHERE kind = ? AND sequence > (SELECT acknowledged FROM spool)"
                " ORDER BY sequence LIMIT 1000",
                (kind,),
            ).fetchall()
            for sequence, size in rows:
                if wanted <= 0:
                    return
                dropped = telemetry_pb2.Record(
                    dropped=telemetry_pb2.Dropped(signal=kind, items=1, reason="spool full")
                ).SerializeToString()
                db.execute(
                    "UPDATE outbox SET kind = 'dropped', size = ?, body = ? WHERE sequence = ?",
                    (len(dropped), dropped, sequence),
                )
                db.execute("UPDATE spool SET bytes = bytes - ?", (size - len(dropped),))
                wanted -= size - len(dropped)

    def outbox(self, after: int, *, rows_max: int = 500, bytes_max: int = 900_000) -> list[OutboxRecord]:
        """The next records, at least one when there is any, however large it is."""
        found: list[OutboxRecord] = []
        room = bytes_max
        with self.reading() as db:
            rows = db.execute(
                "SELECT sequence, kind, size, body FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, rows_max),
            )
            for sequence, kind, size, body in rows:
                if found and size > room:
                    break
                room -= size
                found.append(OutboxRecord(sequence, kind, body))
            rows.close()
        return found

    def acknowledge(self, sequence: int) -> None:
        with self.transaction() as db:
            former = db.execute("SELECT acknowledged FROM spool").fetchone()[0]
            records, size = db.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM outbox WHERE sequence > ? AND sequence <= ?",
                (former, sequence),
            ).fetchone()
            if records:
                db.execute(
                    "UPDATE spool SET acknowledged = ?, records = records - ?, bytes = bytes - ?",
                    (sequence, records, size),
                )
            db.execute(
                "DELETE FROM outbox WHERE sequence <= ? AND created_at < ?",
                (max(former, sequence), self.clock.now().timestamp() - BACKUP_HORIZON_S),
            )

    def acknowledged(self) -> int:
        with self.reading() as db:
            return int(db.execute("SELECT acknowledged FROM spool").fetchone()[0])

    def spooled(self) -> tuple[int, int]:
        with self.reading() as db:
            records, size = db.execute("SELECT records, bytes FROM spool").fetchone()
        return records, size
