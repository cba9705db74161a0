"""Executions that several members work on: each part an execution of its own, and the end of all of them together.

A part is planned, begun, settled and finished as any execution is, under a token of its own. Only its stream is not the
whole one: what parts settle becomes the stream's when all have come to rest, in the transaction that ends the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce

import msgspec
from dative.errors import StopRun
from dative.errors import journal as codes
from dative.ids import ExecutionId, derived_id

from dative_atom.journal.contract import (
    POSITION_BYTES_MAX,
    Counts,
    Execution,
    ExecutionState,
    Partition,
    PartitionState,
)
from dative_atom.journal.execution_types import PARTITIONS_MAX
from dative_atom.journal.executions import Executions
from dative_atom.journal.store import Session

_DONE = (ExecutionState.SUCCEEDED, ExecutionState.PARTIAL)
_encode = msgspec.json.Encoder().encode


class Partitions(Executions):
    """See the module; the contract's words stand in `molecular.Molecular`."""

    def plan_partitions(
        self,
        parent_id: ExecutionId,
        partitions: Sequence[Partition],
        position: bytes | None,
        fencing_token: int = 0,
    ) -> list[PartitionState]:
        _check(parent_id, partitions, position)
        with self.transaction() as db:
            parent = self.held(db, parent_id, fencing_token)
            if parent.state.final:
                raise StopRun(f"execution {parent_id} is {parent.state.value}", code=codes.ALREADY_FINISHED)
            stands = _position(db, parent.stream)
            new = db.execute(
                "INSERT INTO partitioned VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (parent_id, parent.stream, stands, position),
            ).rowcount
            if new:
                done = self._done_before(db, parent, stands)
                for partition in partitions:
                    self._plan_part(db, parent, partition, done)
            return self._parts(db, parent_id)

    def _plan_part(self, db: Session, parent: Execution, partition: Partition, done: set[tuple[int, bytes]]) -> None:
        execution = replace(
            parent,
            execution_id=ExecutionId(derived_id(parent.planned_at, parent.execution_id, str(partition.index))),
            stream=f"{parent.stream}#{partition.index}",
            state=ExecutionState.PENDING,
            attempt=0,
            counts=Counts(),
            started_at=None,
            trace_id="",
            fencing_token=0,
            attempts=(),
            parent_id=parent.execution_id,
            partition=partition.index,
        )
        # What a part of an earlier execution left half-way is read again from the stream's position.
        self._forget_stream(db, execution.stream)
        self.planned(db, execution)
        digest = self.hashed(partition.body)
        done_before = (partition.index, digest) in done
        db.execute(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)",
            (
                execution.execution_id,
                parent.execution_id,
                partition.index,
                digest,
                self.seal(partition.body, f"{execution.execution_id}/part"),
                int(done_before),
            ),
        )
        if done_before:
            # Its documents are accounted for in the execution that had them, so this one has none of them (Invariant 2).
            self.finished(db, execution, ExecutionState.SUCCEEDED, self.clock.now(), None)

    def _done_before(self, db: Session, parent: Execution, stands: bytes | None) -> set[tuple[int, bytes]]:
        """The parts that the stream's last divided execution brought to rest, though others of its parts failed."""
        former = db.execute(
            "SELECT p.parent_id, p.position_from, e.state FROM partitioned p JOIN execution e ON"
            " e.execution_id = p.parent_id WHERE p.stream = ? AND p.parent_id <> ? ORDER BY p.parent_id DESC"
            " LIMIT 1",
            (parent.stream, parent.execution_id),
        ).fetchone()
        if former is None or former[2] not in ("failed", "cancelled") or former[1] != stands:
            return set()
        rows = db.execute(
            "SELECT part.number, part.digest FROM part JOIN execution e ON e.execution_id = part.execution_id"
            " WHERE part.parent_id = ? AND e.state IN ('succeeded', 'partial')",
            (former[0],),
        )
        return {(number, digest) for number, digest in rows}

    def partitions(self, parent_id: ExecutionId) -> list[PartitionState]:
        with self.reading() as db:
            return self._parts(db, parent_id)

    def _parts(self, db: Session, parent_id: ExecutionId) -> list[PartitionState]:
        rows = db.execute(
            "SELECT execution_id, number, body, done_before FROM part WHERE parent_id = ? ORDER BY number", (parent_id,)
        ).fetchall()
        known = {one.execution_id: one for one in self.parts_of(db, parent_id)}
        return [
            PartitionState(Partition(number, self.unseal(body, f"{identity}/part")), known[identity], bool(done_before))
            for identity, number, body, done_before in rows
        ]

    def partition_of(self, execution_id: ExecutionId) -> Partition | None:
        with self.reading() as db:
            row = db.execute("SELECT number, body FROM part WHERE execution_id = ?", (execution_id,)).fetchone()
        return Partition(row[0], self.unseal(row[1], f"{execution_id}/part")) if row else None

    def finish_partitioned(self, parent_id: ExecutionId, at: datetime, fencing_token: int = 0) -> Execution | None:
        with self.transaction() as db:
            parent = self.held(db, parent_id, fencing_token)
            if parent.state.final:
                return parent
            parts = self.parts_of(db, parent_id)
            if not parts or not all(part.state.final for part in parts):
                return None
            counts = reduce(Counts.__add__, (part.counts for part in parts), parent.counts)
            db.execute("UPDATE execution SET counts = ? WHERE execution_id = ?", (_encode(counts), parent_id))
            broken = [part for part in parts if part.state not in _DONE]
            if broken:
                return self.finished(db, parent, _broken_state(broken), at, _failure(broken, len(parts)))
            self._whole(db, parent, parts)
            clean = all(part.state is ExecutionState.SUCCEEDED for part in parts)
            return self.finished(db, parent, ExecutionState.SUCCEEDED if clean else ExecutionState.PARTIAL, at, None)

    def _whole(self, db: Session, parent: Execution, parts: Sequence[Execution]) -> None:
        # Invariant 1: the position becomes valid in the transaction that finds every document before it at rest.
        (position,) = db.execute(
            "SELECT position_to FROM partitioned WHERE parent_id = ?", (parent.execution_id,)
        ).fetchone()
        if position is not None:
            db.execute(
                "INSERT INTO stream (stream, position) VALUES (?, ?)"
                " ON CONFLICT (stream) DO UPDATE SET position = excluded.position",
                (parent.stream, position),
            )
        for part in parts:
            db.execute(
                "INSERT INTO ledger SELECT CAST(? AS TEXT), key, version FROM ledger WHERE stream = ?"
                " ON CONFLICT (stream, key) DO UPDATE SET version = excluded.version",
                (parent.stream, part.stream),
            )
            for name, body in db.execute(
                "SELECT name, body FROM remembered WHERE owner = ?", (part.stream,)
            ).fetchall():
                value = self.seal(self.unseal(body, f"{part.stream}/{name}"), f"{parent.stream}/{name}")
                db.execute(
                    "INSERT INTO remembered VALUES (?, ?, ?) ON CONFLICT (owner, name) DO UPDATE SET body = excluded.body",
                    (parent.stream, name, value),
                )
            self._forget_stream(db, part.stream)

    @staticmethod
    def _forget_stream(db: Session, stream: str) -> None:
        for table, column in (("stream", "stream"), ("ledger", "stream"), ("remembered", "owner")):
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (stream,))

    def released(self, db: Session, execution: Execution) -> None:
        """Parts that nobody began end with the whole; whoever runs one is told by the molecule."""
        super().released(db, execution)
        db.execute(
            "UPDATE execution SET state = 'cancelled', finished_at = ? WHERE state = 'pending' AND execution_id IN"
            " (SELECT execution_id FROM part WHERE parent_id = ?)",
            (self.clock.now().isoformat(), execution.execution_id),
        )


def _check(parent_id: ExecutionId, partitions: Sequence[Partition], position: bytes | None) -> None:
    if not 0 < len(partitions) <= PARTITIONS_MAX or [one.index for one in partitions] != list(range(len(partitions))):
        raise StopRun(
            f"execution {parent_id}: {len(partitions)} parts, 1..{PARTITIONS_MAX} numbered from 0 are possible",
            code=codes.PARTITIONS_INVALID,
        )
    if position is not None and len(position) > POSITION_BYTES_MAX:
        raise ValueError(f"position of {len(position)} bytes, at most {POSITION_BYTES_MAX}")


def _position(db: Session, stream: str) -> bytes | None:
    row = db.execute("SELECT position FROM stream WHERE stream = ?", (stream,)).fetchone()
    return row[0] if row else None


def _broken_state(broken: Sequence[Execution]) -> ExecutionState:
    cancelled = all(part.state is ExecutionState.CANCELLED for part in broken)
    return ExecutionState.CANCELLED if cancelled else ExecutionState.FAILED


def _failure(broken: Sequence[Execution], parts: int) -> dict[str, str]:
    """What the first part that failed says, with how many did."""
    first = next((part for part in broken if part.failure), broken[0])
    said = dict(first.failure or {"code": "", "message": first.state.value})
    said["message"] = (
        f"{len(broken)} of {parts} parts did not end well; part {first.partition}: {said.get('message', '')}"
    )
    return said
