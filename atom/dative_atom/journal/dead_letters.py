"""Dead letters: parked with their sealed payload, repaired, retried under their own identity, reported as they move."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from dative.errors import RejectDocument
from dative.errors import journal as codes
from dative.ids import DeadLetterId, ExecutionId, ProcessName, derived_id
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.contract import DeadLetter, Execution, ParkedDocument
from dative_atom.journal.executions import Executions

_COLUMNS = "dead_letter_id, execution_id, process, created_at, expires_at, attempts, state, parked, trace_id"
_encode = msgspec.json.Encoder().encode
_parked = msgspec.json.Decoder(ParkedDocument).decode


class DeadLetters(Executions):
    """See the module; the contract's words stand in `contract.Journal`."""

    def dead_letters(
        self, *, state: str | None = "waiting", queue: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        with self.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM dead_letter WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR queue = ?2)"
                " ORDER BY dead_letter_id LIMIT ?3",
                (state, queue, limit),
            ).fetchall()
        return [self._dead_letter(row) for row in rows]

    def dead_letter(self, dead_letter_id: DeadLetterId) -> DeadLetter | None:
        with self.reading() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM dead_letter WHERE dead_letter_id = ?", (dead_letter_id,)
            ).fetchone()
        return self._dead_letter(row) if row else None

    def repair(self, dead_letter_id: DeadLetterId, fields: Mapping[str, Any]) -> DeadLetter:
        with self.transaction() as db:
            found = self._waiting(db, dead_letter_id)
            parked = replace(found.parked, payload={**found.parked.payload, **fields})
            db.execute(
                "UPDATE dead_letter SET parked = ? WHERE dead_letter_id = ?",
                (self.seal(_encode(parked), dead_letter_id), dead_letter_id),
            )
            return replace(found, parked=parked)

    def retry(self, dead_letter_ids: Sequence[DeadLetterId], execution: Execution) -> None:
        with self.transaction() as db:
            for dead_letter_id in dead_letter_ids:
                found = self._waiting(db, dead_letter_id)
                db.execute(
                    "UPDATE dead_letter SET state = 'retrying', retrying = ? WHERE dead_letter_id = ?",
                    (execution.execution_id, dead_letter_id),
                )
                self._moved(db, replace(found, state="retrying"), execution.stream)
            self.planned(db, execution)

    def park(self, db: sqlite3.Connection, execution: Execution, parked: ParkedDocument) -> None:
        """Keep a document, inside the caller's transaction: a new dead letter, or its origin waiting again."""
        now = self.clock.now()
        former = self._row(db, parked.origin) if parked.origin else None
        letter = DeadLetter(
            dead_letter_id=former.dead_letter_id if former else _identity(execution, parked),
            execution_id=former.execution_id if former else execution.execution_id,
            process=execution.process,
            created_at=former.created_at if former else now,
            expires_at=now + timedelta(seconds=parked.keep_s),
            attempts=former.attempts + 1 if former else 1,
            state="waiting",
            parked=parked,
            trace_id=execution.trace_id,
        )
        db.execute(
            "INSERT OR REPLACE INTO dead_letter (dead_letter_id, execution_id, queue, state, attempts, created_at,"
            " expires_at, process, stream, trace_id, retrying, parked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (
                letter.dead_letter_id,
                letter.execution_id,
                parked.queue,
                letter.state,
                letter.attempts,
                letter.created_at.isoformat(),
                letter.expires_at.isoformat(),
                letter.process,
                execution.stream,
                letter.trace_id,
                self.seal(_encode(parked), letter.dead_letter_id),
            ),
        )
        self._moved(db, letter, execution.stream)

    def resolve(self, db: sqlite3.Connection, execution: Execution, dead_letter_id: DeadLetterId) -> None:
        """Its document has been written now, inside the caller's transaction."""
        found = self._row(db, dead_letter_id)
        if found is None or found.state == "resolved":
            return
        db.execute(
            "UPDATE dead_letter SET state = 'resolved', retrying = NULL WHERE dead_letter_id = ?", (dead_letter_id,)
        )
        self._moved(db, replace(found, state="resolved"), execution.stream)

    def _moved(self, db: sqlite3.Connection, letter: DeadLetter, stream: str) -> None:
        """Tell the controller, without the payload."""
        parked = letter.parked
        message = types_pb2.DeadLetter(
            dead_letter_id=letter.dead_letter_id,
            environment_id=stream.split("/", 1)[0],
            execution_id=letter.execution_id,
            process=letter.process,
            queue=parked.queue,
            step=parked.step,
            document=parked.document,
            code=parked.code,
            reason=parked.reason,
            field=parked.field,
            keys=dict(parked.keys),
            attempts=letter.attempts,
            state=letter.state,
            trace_id=letter.trace_id,
        )
        message.created_at.FromDatetime(letter.created_at)
        message.expires_at.FromDatetime(letter.expires_at)
        self.reported(db, "dead_letter", telemetry_pb2.Record(dead_letter=message).SerializeToString())

    def _waiting(self, db: sqlite3.Connection, dead_letter_id: DeadLetterId) -> DeadLetter:
        found = self._row(db, dead_letter_id)
        if found is None:
            raise RejectDocument(f"dead letter {dead_letter_id} is not on this atom", code=codes.UNKNOWN_DEAD_LETTER)
        if found.state != "waiting":
            raise RejectDocument(f"dead letter {dead_letter_id} is {found.state}", code=codes.DEAD_LETTER_BUSY)
        return found

    def _row(self, db: sqlite3.Connection, dead_letter_id: DeadLetterId) -> DeadLetter | None:
        row = db.execute(f"SELECT {_COLUMNS} FROM dead_letter WHERE dead_letter_id = ?", (dead_letter_id,)).fetchone()
        return self._dead_letter(row) if row else None

    def _dead_letter(self, row: tuple[Any, ...]) -> DeadLetter:
        return DeadLetter(
            dead_letter_id=DeadLetterId(row[0]),
            execution_id=ExecutionId(row[1]),
            process=ProcessName(row[2]),
            created_at=datetime.fromisoformat(row[3]),
            expires_at=datetime.fromisoformat(row[4]),
            attempts=row[5],
            state=row[6],
            parked=_parked(self.unseal(row[7], row[0])),
            trace_id=row[8],
        )


def _identity(execution: Execution, parked: ParkedDocument) -> DeadLetterId:
    """Made from the document's identity, so that settling twice parks it once; sorted by the execution's plan."""
    return DeadLetterId(derived_id(execution.planned_at, execution.execution_id, str(parked.document)))
