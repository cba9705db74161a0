"""The outbox: records on their way to the controller, numbered without holes, bounded, kept a while after they arrived.

A record is written in the transaction that made it true, as the last thing in it: the numbers of an owner are given one
transaction after the other, and none waits for long. Where several atoms share the journal, each has a spool of its own.
Acknowledged records stay for the backup horizon, because a controller that is restored from a backup asks for them again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from dative.ids import new_id
from dative.v1 import telemetry_pb2

from dative_atom.journal.contract import OutboxRecord
from dative_atom.journal.store import Session, Store

SPOOL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Unacknowledged bytes. Beyond it spans, then tracked documents are replaced by a record of what was dropped, oldest
first; executions, dead letters and events never are."""
BACKUP_HORIZON_S: Final = 48 * 3600.0
_DROPPABLE: Final = ("spans", "tracked_documents")
_TAKEN: Final = (
    "UPDATE spool SET last = last + ?, records = records + ?, bytes = bytes + ? WHERE owner = ? RETURNING last, bytes"
)
_INSERT: Final = "INSERT INTO outbox (owner, sequence, kind, created_at, size, body) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass
class _Reported(threading.local):
    """What this thread's transaction has reported so far."""

    records: list[tuple[str, bytes]] = field(default_factory=list)


class Outbox(Store):
    """See the module; the parts above inherit it to report in their own transactions."""

    spool_bytes_max = SPOOL_BYTES_MAX

    def opened(self, db: Session) -> None:
        super().opened(db)
        self._reported = _Reported()
        self._begin_spool(db)

    def _begin_spool(self, db: Session) -> None:
        """A new epoch, where this atom has no spool: the first time, and after it was given up and its spool adopted."""
        begun = "INSERT INTO spool VALUES (?, ?, 0, 0, 0, 0) ON CONFLICT DO NOTHING"
        db.execute(begun, (self.owner, new_id(self.clock.now())))

    def spool_epoch(self) -> str:
        with self.transaction() as db:
            self._begin_spool(db)
            return str(db.execute("SELECT epoch FROM spool WHERE owner = ?", (self.owner,)).fetchone()[0])

    def report(self, kind: str, body: bytes) -> None:
        with self.transaction() as db:
            self.reported(db, kind, body)

    def reported(self, db: Session, kind: str, body: bytes) -> None:  # noqa: ARG002 - says that a transaction is on
        """As `report`, inside the caller's transaction: written when that commits."""
        self._reported.records.append((kind, body))

    def beginning(self) -> None:
        super().beginning()
        if hasattr(self, "_reported"):
            self._reported.records.clear()

    def committing(self, db: Session) -> None:
        super().committing(db)
        records = self._reported.records
        if not records:
            return
        size = sum(len(body) for _, body in records)
        # The owner's row is held from here to the commit, so the numbers of an owner become visible in their order.
        values = (len(records), len(records), size, self.owner)
        row = db.execute(_TAKEN, values).fetchone()
        if row is None:
            self._begin_spool(db)
            row = db.execute(_TAKEN, values).fetchone()
        last, total = row
        at, first = self.clock.now().timestamp(), last - len(records) + 1
        db.executemany(
            _INSERT,
            [(self.owner, number, kind, at, len(body), body) for number, (kind, body) in enumerate(records, first)],
        )
        if total > self.spool_bytes_max:
            self._make_room(db, total - self.spool_bytes_max)

    def _make_room(self, db: Session, wanted: int) -> None:
        """Put a record of the loss in place of what is dropped, so that the sequence has no hole and the loss shows."""
        for kind in _DROPPABLE:
            rows = db.execute(
                "SELECT sequence, size FROM outbox WHERE owner = ? AND kind = ?"
                " AND sequence > (SELECT acknowledged FROM spool WHERE owner = ?) ORDER BY sequence LIMIT 1000",
                (self.owner, kind, self.owner),
            ).fetchall()
            for sequence, size in rows:
                if wanted <= 0:
                    return
                dropped = telemetry_pb2.Record(
                    dropped=telemetry_pb2.Dropped(signal=kind, items=1, reason="spool full")
                ).SerializeToString()
                db.execute(
                    "UPDATE outbox SET kind = 'dropped', size = ?, body = ? WHERE owner = ? AND sequence = ?",
                    (len(dropped), dropped, self.owner, sequence),
                )
                db.execute("UPDATE spool SET bytes = bytes - ? WHERE owner = ?", (size - len(dropped), self.owner))
                wanted -= size - len(dropped)

    def outbox(self, after: int, *, rows_max: int = 500, bytes_max: int = 900_000) -> list[OutboxRecord]:
        """The next records, at least one when there is any, however large it is."""
        with self.reading() as db:
            sizes = db.execute(
                "SELECT sequence, size FROM outbox WHERE owner = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (self.owner, after, rows_max),
            ).fetchall()
            up_to, room = after, bytes_max
            for sequence, size in sizes:
                if up_to > after and size > room:
                    break
                up_to, room = sequence, room - size
            rows = db.execute(
                "SELECT sequence, kind, body FROM outbox WHERE owner = ? AND sequence > ? AND sequence <= ?"
                " ORDER BY sequence",
                (self.owner, after, up_to),
            ).fetchall()
        return [OutboxRecord(*row) for row in rows]

    def acknowledge(self, sequence: int) -> None:
        with self.transaction() as db:
            held = f"SELECT acknowledged FROM spool WHERE owner = ?{self.FOR_UPDATE}"
            row = db.execute(held, (self.owner,)).fetchone()
            if row is None:
                return
            former = row[0]
            records, size = db.execute(
                "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM outbox"
                " WHERE owner = ? AND sequence > ? AND sequence <= ?",
                (self.owner, former, sequence),
            ).fetchone()
            if records:
                db.execute(
                    "UPDATE spool SET acknowledged = ?, records = records - ?, bytes = bytes - ? WHERE owner = ?",
                    (sequence, records, size, self.owner),
                )
            db.execute(
                "DELETE FROM outbox WHERE owner = ? AND sequence <= ? AND created_at < ?",
                (self.owner, max(former, sequence), self.clock.now().timestamp() - BACKUP_HORIZON_S),
            )

    def acknowledged(self) -> int:
        with self.reading() as db:
            row = db.execute("SELECT acknowledged FROM spool WHERE owner = ?", (self.owner,)).fetchone()
        return int(row[0]) if row else 0

    def spooled(self) -> tuple[int, int]:
        with self.reading() as db:
            row = db.execute("SELECT records, bytes FROM spool WHERE owner = ?", (self.owner,)).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def adopt_spool(self, owner: str) -> int:
        with self.transaction() as db:
            last = 0
            # In one order, so that two that adopt from each other do not wait for each other.
            for one in sorted({owner, self.owner}):
                held = db.execute(f"SELECT last FROM spool WHERE owner = ?{self.FOR_UPDATE}", (one,)).fetchone()
                last = held[0] if held and one == self.owner else last
            if owner == self.owner:
                return 0
            unsent = "FROM outbox WHERE owner = ? AND sequence > (SELECT acknowledged FROM spool WHERE owner = ?)"
            count, size = db.execute(
                f"SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) {unsent}", (owner, owner)
            ).fetchone()
            db.execute(
                "INSERT INTO outbox (owner, sequence, kind, created_at, size, body)"
                f" SELECT ?, ? + row_number() OVER (ORDER BY sequence), kind, created_at, size, body {unsent}",
                (self.owner, last, owner, owner),
            )
            db.execute("DELETE FROM outbox WHERE owner = ?", (owner,))
            db.execute("DELETE FROM spool WHERE owner = ?", (owner,))
            db.execute(
                "UPDATE spool SET last = last + ?, records = records + ?, bytes = bytes + ? WHERE owner = ?",
                (count, count, size, self.owner),
            )
        return int(count)
