"""Executions in the journal: planned, begun, finished, and the stream each of them moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from dative.errors import StopRun
from dative.errors import journal as codes
from dative.errors.molecule import FENCED
from dative.ids import ExecutionId

from dative_atom.journal.contract import Attempt, Counts, Execution, ExecutionState
from dative_atom.journal.execution_types import ATTEMPTS_KEPT, whole_stream
from dative_atom.journal.outbox import Outbox
from dative_atom.journal.store import Session

_COLUMNS = "planned, state, attempt, started_at, finished_at, trace_id, counts, failure, fencing_token, attempts"
_encode = msgspec.json.Encoder().encode
_planned = msgspec.json.Decoder(Execution).decode
_counts = msgspec.json.Decoder(Counts).decode
_failure = msgspec.json.Decoder(dict[str, str]).decode
_attempts = msgspec.json.Decoder(tuple[Attempt, ...]).decode


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _execution(row: tuple[Any, ...]) -> Execution:
    planned, state, attempt, started_at, finished_at, trace_id, counts, failure, fencing_token, attempts = row
    return replace(
        _planned(planned),
        state=ExecutionState(state),
        attempt=attempt,
        started_at=_time(started_at),
        finished_at=_time(finished_at),
        trace_id=trace_id,
        counts=_counts(counts),
        failure=_failure(failure) if failure else None,
        fencing_token=fencing_token,
        attempts=_attempts(attempts) if attempts else (),
    )


def _ended(attempts: Sequence[Attempt], at: datetime, reason: str) -> list[Attempt]:
    """The attempts, the newest of them ended, if it was not."""
    if not attempts or attempts[-1].ended_at is not None:
        return list(attempts)
    return [*attempts[:-1], replace(attempts[-1], ended_at=at, reason=reason)]


class Executions(Outbox):
    """See the module; the contract's words stand in `contract.Journal`."""

    def plan(self, execution: Execution) -> bool:
        with self.transaction() as db:
            return self.planned(db, execution)

    def planned(self, db: Session, execution: Execution) -> bool:
        """As `plan`, inside the caller's transaction."""
        cursor = db.execute(
            "INSERT INTO execution (execution_id, stream, state, attempt, is_retry, counts, planned)"
            " VALUES (?, ?, 'pending', 0, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                execution.execution_id,
                execution.stream,
                int(bool(execution.retry_of)),
                _encode(Counts()),
                _encode(execution),
            ),
        )
        return cursor.rowcount == 1

    def begin(
        self,
        execution_id: ExecutionId,
        at: datetime,
        trace_id: str = "",
        fencing_token: int = 0,
        *,
        atom_id: str = "",
        former: str = "lost",
    ) -> Execution:
        with self.transaction() as db:
            found = self.held(db, execution_id, fencing_token)
            if found.state.final:
                raise StopRun(f"execution {execution_id} is {found.state.value}", code=codes.ALREADY_FINISHED)
            attempts = _ended(found.attempts, at, former)
            attempts.append(Attempt(found.attempt + 1, atom_id, fencing_token, at, trace_id=trace_id))
            if len(attempts) > ATTEMPTS_KEPT:
                del attempts[1 : 1 + len(attempts) - ATTEMPTS_KEPT]
            db.execute(
                "UPDATE execution SET state = 'running', attempt = attempt + 1, trace_id = ?, fencing_token = ?,"
                " attempts = ?, started_at = coalesce(started_at, ?) WHERE execution_id = ?",
                (trace_id, fencing_token, _encode(attempts), at.isoformat(), execution_id),
            )
            return self.must(db, execution_id)

    def finish(
        self,
        execution_id: ExecutionId,
        state: ExecutionState,
        at: datetime,
        failure: Mapping[str, str] | None,
        fencing_token: int = 0,
    ) -> Execution:
        with self.transaction() as db:
            found = self.held(db, execution_id, fencing_token)
            return found if found.state.final else self.finished(db, found, state, at, failure)

    def finished(
        self,
        db: Session,
        execution: Execution,
        state: ExecutionState,
        at: datetime,
        failure: Mapping[str, str] | None,
    ) -> Execution:
        """As `finish`, inside the caller's transaction, which holds the execution."""
        execution_id = execution.execution_id
        db.execute(
            "UPDATE execution SET state = ?, finished_at = ?, failure = ?, attempts = ? WHERE execution_id = ?",
            (
                state.value,
                at.isoformat(),
                _encode(dict(failure)) if failure else None,
                _encode(_ended(execution.attempts, at, state.value)),
                execution_id,
            ),
        )
        if state in (ExecutionState.SUCCEEDED, ExecutionState.PARTIAL) and not execution.retry_of:
            self._read_to_end(db, execution, clean=state is ExecutionState.SUCCEEDED)
        db.execute("DELETE FROM remembered WHERE owner = ?", (execution_id,))
        db.execute("DELETE FROM cached WHERE execution_id = ?", (execution_id,))
        self.released(db, execution)
        return self.must(db, execution_id)

    def released(self, db: Session, execution: Execution) -> None:
        """Called in the transaction that ends an execution: what it held is free again."""

    def _read_to_end(self, db: Session, execution: Execution, *, clean: bool) -> None:
        started = execution.started_at.isoformat() if execution.started_at else None
        db.execute(
            "INSERT INTO stream (stream, read_to_end_at, clean_at) VALUES (?, ?, ?) ON CONFLICT (stream) DO UPDATE"
            " SET read_to_end_at = excluded.read_to_end_at, clean_at = coalesce(excluded.clean_at, stream.clean_at)",
            (execution.stream, started, started if clean else None),
        )

    def execution(self, execution_id: ExecutionId) -> Execution | None:
        with self.reading() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM execution WHERE execution_id = ?", (execution_id,)).fetchone()
        return _execution(row) if row else None

    def unfinished(self) -> list[Execution]:
        with self.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM execution WHERE state IN ('pending', 'running') ORDER BY execution_id"
            ).fetchall()
        return [_execution(row) for row in rows]

    def parts_of(self, db: Session, parent_id: ExecutionId) -> list[Execution]:
        """The executions that are parts of this one, in their order."""
        rows = db.execute(
            f"SELECT {_COLUMNS} FROM execution WHERE execution_id IN (SELECT execution_id FROM part WHERE parent_id = ?)",
            (parent_id,),
        ).fetchall()
        return sorted((_execution(row) for row in rows), key=lambda one: one.partition or 0)

    def last_times(self, stream: str) -> tuple[datetime | None, datetime | None]:
        whole = whole_stream(stream)
        with self.reading() as db:
            row = db.execute("SELECT read_to_end_at, clean_at FROM stream WHERE stream = ?", (whole,)).fetchone()
        return (_time(row[0]), _time(row[1])) if row else (None, None)

    def held(self, db: Session, execution_id: ExecutionId, fencing_token: int) -> Execution:
        """The execution, held against every other change until the transaction ends, if the token still holds it.

        Invariant 4: a member that was paused beyond its lease changes nothing of what another one has now.
        Errors: molecule.fenced, journal.unknown_execution.
        """
        found = self.must(db, execution_id, held=True)
        if fencing_token < found.fencing_token:
            raise StopRun(
                f"execution {execution_id} was begun with fencing token {found.fencing_token}, this is {fencing_token}",
                code=FENCED,
                where=execution_id,
            )
        return found

    def must(self, db: Session, execution_id: ExecutionId, *, held: bool = False) -> Execution:
        """The execution; held: against every other change. Errors: journal.unknown_execution."""
        row = db.execute(
            f"SELECT {_COLUMNS} FROM execution WHERE execution_id = ?{self.FOR_UPDATE if held else ''}", (execution_id,)
        ).fetchone()
        if row is None:
            raise StopRun(f"execution {execution_id} is not in the journal", code=codes.UNKNOWN_EXECUTION)
        return _execution(row)
