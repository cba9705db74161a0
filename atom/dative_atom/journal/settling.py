"""Settling: the one transaction in which a batch comes to rest, and the preparation before a target's own commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import msgspec
from dative.errors import StopRun
from dative.errors import journal as codes
from dative.ids import ExecutionId
from dative.v1 import telemetry_pb2

from dative_atom.journal.contract import POSITION_BYTES_MAX, Counts, Execution, Resume, Settlement
from dative_atom.journal.execution_types import whole_stream
from dative_atom.journal.framing import length_prefix
from dative_atom.journal.leading import Leading
from dative_atom.journal.parking import Parking
from dative_atom.journal.partitions import Partitions
from dative_atom.journal.receipts import ReceiptBook
from dative_atom.journal.retries import Retries
from dative_atom.journal.sequences import Sequences
from dative_atom.journal.snapshots import Snapshots
from dative_atom.journal.store import Session
from dative_atom.journal.vault import VaultBlocks

_encode = msgspec.msgpack.Encoder().encode
_settlement = msgspec.msgpack.Decoder(Settlement).decode
_counts = msgspec.json.Decoder(Counts).decode


_TRACKED_FIELD: Final = telemetry_pb2.Record.DESCRIPTOR.fields_by_name["tracked_documents"].number


class Settling(Parking, Retries, Sequences, ReceiptBook, VaultBlocks, Snapshots, Leading, Partitions):
    """See the module; the contract's words stand in `contract.Journal`."""

    _preparing: tuple[bytes, Settlement] | None = None
    """What this journal prepared last, beside its bytes: where these are still on disk, they need not be read again."""

    def resume(self, execution_id: ExecutionId) -> Resume:
        with self.reading() as db:
            row = db.execute(
                "SELECT s.position, e.next_batch, e.next_document, e.counts FROM execution e"
                " LEFT JOIN stream s ON s.stream = e.stream WHERE e.execution_id = ?",
                (execution_id,),
            ).fetchone()
        if row is None:
            raise StopRun(f"execution {execution_id} is not in the journal", code=codes.UNKNOWN_EXECUTION)
        return Resume(row[0], row[1], row[2], _counts(row[3]))

    def prepare(self, settlement: Settlement) -> None:
        body = self.seal(_encode(settlement), settlement.execution_id)
        with self.transaction() as db:
            self.held(db, settlement.execution_id, settlement.fencing_token)
            db.execute(
                "INSERT INTO prepared VALUES (?, ?) ON CONFLICT (execution_id) DO UPDATE SET body = excluded.body",
                (settlement.execution_id, body),
            )
        self._preparing = body, settlement

    def prepared(self, execution_id: ExecutionId) -> Settlement | None:
        with self.reading() as db:
            return self._prepared(db, execution_id)

    def discard(
        self, execution_id: ExecutionId, halfway: tuple[str, bytes] | None = None, fencing_token: int = 0
    ) -> None:
        with self.transaction() as db:
            self.held(db, execution_id, fencing_token)
            db.execute("DELETE FROM prepared WHERE execution_id = ?", (execution_id,))
            self._keep_halfway(db, halfway)
        self._preparing = None

    def halfway(self, stream: str) -> bytes:
        with self.reading() as db:
            row = db.execute("SELECT body FROM halfway WHERE stream = ?", (stream,)).fetchone()
        return self.unseal(row[0], f"{stream}/halfway") if row else b""

    def _keep_halfway(self, db: Session, halfway: tuple[str, bytes] | None) -> None:
        if halfway is None:
            return
        stream, body = halfway
        db.execute("DELETE FROM halfway WHERE stream = ?", (stream,))
        if body:
            db.execute("INSERT INTO halfway VALUES (?, ?)", (stream, self.seal(body, f"{stream}/halfway")))

    def settle(
        self,
        settlement: Settlement | None = None,
        *,
        execution_id: ExecutionId | None = None,
        fencing_token: int | None = None,
    ) -> Counts:
        if settlement is not None:
            execution_id = settlement.execution_id
        elif execution_id is None:
            raise ValueError("settle needs a settlement or an execution id")
        with self.transaction() as db:
            settlement = settlement or self._prepared(db, execution_id)
            token = fencing_token if fencing_token is not None else settlement.fencing_token if settlement else 0
            execution = self.held(db, execution_id, token)
            if settlement is None:
                return execution.counts
            if execution.state.final:
                raise StopRun(
                    f"execution {settlement.execution_id} is {execution.state.value}", code=codes.ALREADY_FINISHED
                )
            counts = self._settled(db, execution, settlement)
        self._preparing = None
        return counts

    def _settled(self, db: Session, execution: Execution, settlement: Settlement) -> Counts:
        next_batch = db.execute(
            "SELECT next_batch FROM execution WHERE execution_id = ?", (settlement.execution_id,)
        ).fetchone()[0]
        db.execute("DELETE FROM prepared WHERE execution_id = ?", (settlement.execution_id,))
        if settlement.batch < next_batch:
            return execution.counts
        counts = replace(execution.counts + settlement.counts, batches=execution.counts.batches + 1)
        db.execute(
            "UPDATE execution SET counts = ?, next_batch = ?, next_document = ? WHERE execution_id = ?",
            (msgspec.json.encode(counts), settlement.batch + 1, settlement.documents_end, settlement.execution_id),
        )
        self._move(db, settlement)
        self._keep_halfway(db, settlement.halfway)
        profile = self.keep_profile(db, settlement.profile)
        for event in settlement.events:
            self.reported(db, "event", event)
        owner = settlement.execution_id
        sealed = [(owner, self.seal(body, f"{owner}/cache")) for body in settlement.cached]
        db.executemany("INSERT INTO cached (execution_id, body) VALUES (?, ?)", sealed)
        self._remember(db, owner, settlement.remembered)
        self._remember(db, settlement.stream, settlement.persisted)
        self.park(db, execution, settlement.dead_letters, profile)
        for dead_letter_id in settlement.resolved:
            self.resolve(db, execution, dead_letter_id)
        for links in settlement.links:
            self.linked(db, links)
        self.receipted(db, settlement)
        if settlement.snapshot is not None:
            self.compared(db, settlement.snapshot)
        for serialized in settlement.tracked:
            self.reported(db, "tracked_documents", length_prefix(_TRACKED_FIELD, len(serialized)) + serialized)
        return counts

    def _remember(self, db: Session, owner: str, values: Mapping[str, bytes]) -> None:
        # Values of documents: sealed like these.
        db.executemany(
            "INSERT INTO remembered VALUES (?, ?, ?) ON CONFLICT (owner, name) DO UPDATE SET body = excluded.body",
            [(owner, name, self.seal(body, f"{owner}/{name}")) for name, body in values.items()],
        )

    def remembered(self, execution_id: ExecutionId, stream: str) -> dict[str, bytes]:
        owners = (whole_stream(stream), stream, execution_id)
        with self.reading() as db:
            rows = db.execute(
                "SELECT owner, name, body FROM remembered WHERE owner IN (?, ?, ?)",
                owners,
            ).fetchall()
        rows.sort(key=lambda row: owners.index(row[0]))
        return {name: self.unseal(body, f"{owner}/{name}") for owner, name, body in rows}

    def cached(self, execution_id: ExecutionId) -> list[bytes]:
        with self.reading() as db:
            rows = db.execute("SELECT body FROM cached WHERE execution_id = ? ORDER BY sequence", (execution_id,))
            return [self.unseal(body, f"{execution_id}/cache") for (body,) in rows]

    def _move(self, db: Session, settlement: Settlement) -> None:
        # Invariant 1: the position becomes valid in the transaction that explains every document read before it.
        if settlement.position is not None:
            if len(settlement.position) > POSITION_BYTES_MAX:
                raise ValueError(f"position of {len(settlement.position)} bytes, at most {POSITION_BYTES_MAX}")
            db.execute(
                "INSERT INTO stream (stream, position) VALUES (?, ?)"
                " ON CONFLICT (stream) DO UPDATE SET position = excluded.position",
                (settlement.stream, settlement.position),
            )
        db.executemany(
            "INSERT INTO ledger VALUES (?, ?, ?) ON CONFLICT (stream, key) DO UPDATE SET version = excluded.version",
            [(settlement.stream, key, version) for key, version in settlement.seen],
        )
        if settlement.forget_before is not None:
            db.execute(
                "DELETE FROM ledger WHERE stream = ? AND version < ?", (settlement.stream, settlement.forget_before)
            )

    def _prepared(self, db: Session, execution_id: ExecutionId) -> Settlement | None:
        row = db.execute("SELECT body FROM prepared WHERE execution_id = ?", (execution_id,)).fetchone()
        if row is None:
            return None
        preparing = self._preparing
        if preparing is not None and preparing[0] == row[0]:
            return preparing[1]
        return _settlement(self.unseal(row[0], execution_id))

    def position(self, stream: str) -> bytes | None:
        with self.reading() as db:
            row = db.execute("SELECT position FROM stream WHERE stream = ?", (stream,)).fetchone()
        return row[0] if row else None

    def ledger(self, stream: str, keys: Iterable[str]) -> dict[str, str]:
        table, values = self.given(list(keys))
        with self.reading() as db:
            rows = db.execute(
                f"SELECT key, version FROM ledger WHERE stream IN (?, ?) AND key IN (SELECT c0 FROM {table} AS k)"
                " ORDER BY stream",
                (whole_stream(stream), stream, *values),
            ).fetchall()
        return dict(rows)
