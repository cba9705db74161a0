"""Who had an execution when, and how each attempt ended: one row an assignment and attempt.

Told by its owner, and by whoever went on, which reads the molecule's journal. An execution that one atom did in one
attempt has no rows: its own record says it all.
"""

from __future__ import annotations

from typing import Any

from dative.v1 import types_pb2
from sqlalchemy import Connection, Row, case, delete, select

from dative_controller.store.database import insert
from dative_controller.store.schema import atom, execution, execution_attempt

ATTEMPTS_MAX = 50
"""Of one execution shown, the newest; and of one report taken."""
FINAL = frozenset(
    {
        types_pb2.EXECUTION_STATE_SUCCEEDED,
        types_pb2.EXECUTION_STATE_PARTIAL,
        types_pb2.EXECUTION_STATE_FAILED,
        types_pb2.EXECUTION_STATE_CANCELLED,
    }
)


def put(sql: Connection, reported: types_pb2.Execution) -> None:
    """What a report says of its own attempt, also a late one of an owner that lost it, and of the others' attempts.

    reported: with atom and environment as they are known, not as they were sent.
    """
    if not (reported.fencing_token or reported.attempt > 1 or len(reported.attempts) > 1):
        return
    owner = select(execution.c.environment_id).where(execution.c.execution_id == reported.execution_id)
    if sql.execute(owner).scalar_one_or_none() != reported.environment_id:
        return
    told = [_own(reported)] if reported.attempt else []
    for values in (*told, *map(_entry, reported.attempts[-ATTEMPTS_MAX:])):
        _merge(sql, {"execution_id": reported.execution_id, **values})


def _own(reported: types_pb2.Execution) -> dict[str, Any]:
    first = reported.attempt == 1 and reported.HasField("started_at")
    return {
        "fencing_token": reported.fencing_token,
        "attempt": reported.attempt,
        "atom_id": reported.atom_id,
        "state": reported.state,
        "started_ms": reported.started_at.ToMilliseconds() if first else 0,
        "ended_ms": reported.finished_at.ToMilliseconds() if reported.state in FINAL else 0,
        "reason": "",
        "trace_id": reported.trace_id,
    }


def _entry(told: types_pb2.Attempt) -> dict[str, Any]:
    return {
        "fencing_token": told.fencing_token,
        "attempt": told.attempt,
        "atom_id": told.atom_id,
        "state": 0,
        "started_ms": told.started_at.ToMilliseconds(),
        "ended_ms": told.ended_at.ToMilliseconds(),
        "reason": told.reason,
        "trace_id": told.trace_id,
    }


def _merge(sql: Connection, values: dict[str, Any]) -> None:
    """What is said is taken, what is left out of it stays; a state only rises."""
    statement = insert(sql, execution_attempt).values(**values)
    new, old = statement.excluded, execution_attempt.c
    kept: dict[str, Any] = {
        name: case((new[name] > 0, new[name]), else_=old[name]) for name in ("started_ms", "ended_ms")
    }
    kept |= {name: case((new[name] != "", new[name]), else_=old[name]) for name in ("atom_id", "reason", "trace_id")}
    kept["state"] = case((new.state > old.state, new.state), else_=old.state)
    sql.execute(statement.on_conflict_do_update(index_elements=["execution_id", "fencing_token", "attempt"], set_=kept))


def of_execution(sql: Connection, of: Row[Any]) -> list[types_pb2.Attempt]:
    """Oldest first, the newest ATTEMPTS_MAX; atoms by the names they have in the execution's environment. of: its row."""
    query = (
        select(execution_attempt, atom.c.name)
        .outerjoin(atom, (atom.c.atom_id == execution_attempt.c.atom_id) & (atom.c.environment_id == of.environment_id))
        .where(execution_attempt.c.execution_id == of.execution_id)
        .order_by(execution_attempt.c.fencing_token.desc(), execution_attempt.c.attempt.desc())
        .limit(ATTEMPTS_MAX)
    )
    return [_shown(row) for row in reversed(list(sql.execute(query)))]


def _shown(row: Row[Any]) -> types_pb2.Attempt:
    shown = types_pb2.Attempt(
        attempt=row.attempt,
        atom_id=row.atom_id,
        atom=row.name or "",
        fencing_token=row.fencing_token,
        reason=row.reason,
        trace_id=row.trace_id,
    )
    if row.started_ms:
        shown.started_at.FromMilliseconds(row.started_ms)
    if row.ended_ms:
        shown.ended_at.FromMilliseconds(row.ended_ms)
    return shown


def forget(sql: Connection, before_ms: int) -> None:
    """Retention: those of executions that are forgotten with it."""
    gone = select(execution.c.execution_id).where(execution.c.reported_ms < before_ms)
    sql.execute(delete(execution_attempt).where(execution_attempt.c.execution_id.in_(gone)))
