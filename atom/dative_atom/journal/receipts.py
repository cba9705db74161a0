"""Receipts: settled with their batch, read in order, let go of when they are older than their environment keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from dative.ids import ExecutionId, StepId

from dative_atom.journal.contract import Execution, ExecutionState, ReceiptRecord, Receipts, Settlement
from dative_atom.journal.executions import Executions
from dative_atom.journal.store import Session

FORGOTTEN_AT_ONCE_MAX: Final = 64
"""Old records that one settlement, or the end of one execution, lets go of: more than it adds, so the table shrinks, and
never a long transaction."""


class ReceiptBook(Executions):
    """See the module; the contract's words stand in `contract.Journal`."""

    def receipted(self, db: Session, settlement: Settlement) -> None:
        """Keep the settlement's receipts, inside the caller's transaction: valid when the batch is (Invariant 1)."""
        at = (settlement.at or self.clock.now()).timestamp()
        # A batch settles once, so a second record of the same place is a fault that must not pass unseen.
        db.executemany(
            "INSERT INTO receipt (execution_id, batch, step, part, attempt, fencing_token, at, expires_at, rows, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    settlement.execution_id,
                    settlement.batch,
                    one.step,
                    one.part,
                    settlement.attempt,
                    settlement.fencing_token,
                    at,
                    at + settlement.receipts_keep_s,
                    one.rows,
                    _body(settlement, one),
                )
                for one in settlement.receipts
            ],
        )
        self._forget(db)

    def finish(
        self,
        execution_id: ExecutionId,
        state: ExecutionState,
        at: datetime,
        failure: Mapping[str, str] | None,
        fencing_token: int = 0,
    ) -> Execution:
        finished = super().finish(execution_id, state, at, failure, fencing_token)
        with self.transaction() as db:
            self._forget(db)
        return finished

    def _forget(self, db: Session) -> None:
        db.execute(
            "DELETE FROM receipt WHERE sequence IN (SELECT sequence FROM receipt WHERE expires_at < ? LIMIT ?)",
            (self.clock.now().timestamp(), FORGOTTEN_AT_ONCE_MAX),
        )

    def receipts(self, execution_id: ExecutionId, after: int = 0, *, limit: int = 100) -> list[ReceiptRecord]:
        with self.reading() as db:
            rows = db.execute(
                "SELECT sequence, batch, attempt, fencing_token, at, step, part, rows, body FROM receipt"
                " WHERE execution_id = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (execution_id, after, limit),
            ).fetchall()
        return [
            ReceiptRecord(
                sequence=row[0],
                execution_id=execution_id,
                batch=row[1],
                attempt=row[2],
                fencing_token=row[3],
                at=datetime.fromtimestamp(row[4], UTC),
                receipts=Receipts(StepId(row[5]), *row[6:]),
            )
            for row in rows
        ]


def _body(settlement: Settlement, one: Receipts) -> bytes:
    return one.body if one.shared is None else settlement.tracked[one.shared.tracked][-one.shared.arrow :]
