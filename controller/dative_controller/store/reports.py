"""What atoms report: executions, events, and how far each spool is stored.

Reports come at least once and out of order; each row knows whether what arrives is newer than what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dative.v1 import telemetry_pb2, types_pb2
from sqlalchemy import Connection, Row, Table, and_, delete, or_, select
from sqlalchemy.sql.elements import ColumnElement

from dative_controller.store import attempts
from dative_controller.store.database import insert
from dative_controller.store.resolve import one
from dative_controller.store.schema import atom, event, execution, spool_position

NOTICE_KINDS = ("process.notified", "process.notices_left_out")
NOTICES_SEARCHED = 5_000


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports, from its certificate and the registry; overwrites what a record says of itself."""

    atom_id: str
    environment_id: str
    molecule_id: str


def committed(connection: Connection, atom_id: str, spool_epoch: str) -> int:
    """Everything of that spool up to this sequence is stored; 0: nothing yet."""
    return int(
        connection.execute(
            select(spool_position.c.committed_sequence).where(
                spool_position.c.atom_id == atom_id, spool_position.c.spool_epoch == spool_epoch
            )
        ).scalar_one_or_none()
        or 0
    )


def newest_spool(connection: Connection, atom_id: str) -> tuple[str, int]:
    """(spool epoch, committed sequence) that the atom used last; ("", 0) when it never reported."""
    row = connection.execute(
        select(spool_position)
        .where(spool_position.c.atom_id == atom_id)
        .order_by(spool_position.c.updated_ms.desc())
        .limit(1)
    ).one_or_none()
    return (row.spool_epoch, row.committed_sequence) if row else ("", 0)


def advance(connection: Connection, atom_id: str, spool_epoch: str, sequence: int, now_ms: int) -> None:
    values = {"committed_sequence": sequence, "updated_ms": now_ms}
    connection.execute(
        insert(connection, spool_position)
        .values(atom_id=atom_id, spool_epoch=spool_epoch, **values)
        .on_conflict_do_update(index_elements=["atom_id", "spool_epoch"], set_=values)
    )


def newer(excluded: Any, table: Table, names: Sequence[str]) -> ColumnElement[bool]:
    """(a, b, c) of what arrives >= (a, b, c) of what is stored, compared in that order, in any dialect."""
    condition: ColumnElement[bool] = excluded[names[-1]] >= table.c[names[-1]]
    for name in reversed(names[:-1]):
        condition = or_(excluded[name] > table.c[name], and_(excluded[name] == table.c[name], condition))
    return condition


def put_execution(connection: Connection, reporter: Reporter, reported: types_pb2.Execution, now_ms: int) -> None:
    """Newest wins: by fencing token, attempt, state, documents read. Another environment's row is never touched.

    The token comes first: a member that lost an execution and wakes up late counts on with attempts of its own, under
    the token of its former assignment, and never overwrites what the present owner says.
    """
    body = types_pb2.Execution()
    body.CopyFrom(reported)
    body.atom_id, body.environment_id, body.molecule_id = (
        reporter.atom_id,
        reporter.environment_id,
        reporter.molecule_id,
    )
    values = {
        "environment_id": body.environment_id,
        "atom_id": body.atom_id,
        "process": body.process,
        "state": body.state,
        "attempt": body.attempt,
        "documents_read": body.counts.read,
        "started_ms": body.started_at.ToMilliseconds(),
        "reported_ms": now_ms,
        "trace_id": body.trace_id,
        "body": body.SerializeToString(),
        "fencing_token": body.fencing_token,
    }
    statement = insert(connection, execution).values(execution_id=body.execution_id, **values)
    fresher = newer(statement.excluded, execution, ("fencing_token", "attempt", "state", "documents_read"))
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["execution_id"],
            set_=values,
            where=and_(execution.c.environment_id == body.environment_id, fresher),
        )
    )
    attempts.put(connection, body)


def put_event(
    connection: Connection, reporter: Reporter, *, spool_epoch: str, sequence: int, reported: telemetry_pb2.Event
) -> None:
    connection.execute(
        insert(connection, event)
        .values(
            atom_id=reporter.atom_id,
            spool_epoch=spool_epoch,
            sequence=sequence,
            kind=reported.kind,
            occurred_ms=reported.occurred_at_ms,
            body=reported.SerializeToString(),
        )
        .on_conflict_do_nothing()
    )


def notices(connection: Connection, of: Row[Any], *, rows_max: int) -> list[telemetry_pb2.Event]:
    """What an execution has told, oldest first. of: its row. At most NOTICES_SEARCHED events of its time are looked at."""
    query = (
        select(event.c.body)
        .join(atom, atom.c.atom_id == event.c.atom_id)
        # An atom speaks for executions of its own environment only, whatever an event of it names.
        .where(atom.c.environment_id == of.environment_id, event.c.kind.in_(NOTICE_KINDS))
        .where(event.c.occurred_ms >= of.started_ms)
        .order_by(event.c.occurred_ms, event.c.atom_id, event.c.sequence)
        .limit(NOTICES_SEARCHED)
    )
    found = (telemetry_pb2.Event.FromString(body) for body in connection.execute(query).scalars())
    return list(islice((one for one in found if one.fields["execution_id"] == of.execution_id), rows_max))


def execution_page(
    connection: Connection,
    *,
    environments: Sequence[str] | None,
    process: str,
    states: Sequence[int],
    since_ms: int,
    before: str,
    rows_max: int,
) -> list[types_pb2.Execution]:
    """Newest first, below the id `before` ("" from the newest). environments: None is all of them."""
    query = select(execution.c.body).order_by(execution.c.execution_id.desc()).limit(rows_max)
    if environments is not None:
        query = query.where(execution.c.environment_id.in_(environments))
    if process:
        query = query.where(execution.c.process == process)
    if states:
        query = query.where(execution.c.state.in_(states))
    if since_ms:
        query = query.where(execution.c.started_ms >= since_ms)
    if before:
        query = query.where(execution.c.execution_id < before)
    return [types_pb2.Execution.FromString(body) for body in connection.execute(query).scalars()]


def find_execution(connection: Connection, wanted: str) -> Row[Any]:
    """By id or unique prefix. Errors: control.not_found, control.ambiguous."""
    return one(connection, execution, "execution", wanted, id_column="execution_id", name_column=None)


def forget(connection: Connection, *, executions_before_ms: int) -> None:
    """Retention; of dead letters see `dead_letters.forget`."""
    attempts.forget(connection, executions_before_ms)
    connection.execute(delete(event).where(event.c.occurred_ms < executions_before_ms))
    connection.execute(delete(execution).where(execution.c.reported_ms < executions_before_ms))
