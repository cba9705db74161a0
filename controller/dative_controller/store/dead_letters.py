"""Dead letters as atoms report them: the record of each, never its document; found again by what people ask for.

Reports come at least once and out of order; every letter says its revision, and the newest one wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dative.v1 import types_pb2
from sqlalchemy import Connection, Row, Select, and_, delete, select

from dative_controller.store.database import insert
from dative_controller.store.reports import Reporter, newer
from dative_controller.store.resolve import one
from dative_controller.store.schema import dead_letter

STATES: Final = ("waiting", "retrying", "resolved", "discarded", "expired")
"""In the order that decides between reports of atoms that do not count revisions yet."""
NOBODY: Final = "-"
PAGE_BYTES_MAX: Final = 800_000
"""A page ends before it would outgrow a message; the next one goes on there."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters. environments: None is all of them; state: "" is every one; assignee: NOBODY is those of nobody."""

    environments: Sequence[str] | None = None
    state: str = "waiting"
    queue: str = ""
    process: str = ""
    code: str = ""
    assignee: str = ""
    execution_id: str = ""
    created_after_ms: int = 0
    created_before_ms: int = 0


def put(connection: Connection, reporter: Reporter, reported: Sequence[types_pb2.DeadLetter]) -> None:
    """Newest wins: by revision, then by attempts, then by state. Another environment's row is never touched."""
    if not reported:
        return
    statement = insert(connection, dead_letter)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["dead_letter_id"],
            set_={name: new[name] for name in dead_letter.c.keys() if name != "dead_letter_id"},  # noqa: SIM118
            where=and_(
                dead_letter.c.environment_id == new.environment_id,
                newer(new, dead_letter, ("revision", "attempts", "state_rank")),
            ),
        ),
        [_row(reporter, letter) for letter in reported],
    )


def _row(reporter: Reporter, reported: types_pb2.DeadLetter) -> dict[str, Any]:
    body = types_pb2.DeadLetter()
    body.CopyFrom(reported)
    body.atom_id, body.environment_id = reporter.atom_id, reporter.environment_id
    return {
        "dead_letter_id": body.dead_letter_id,
        "environment_id": body.environment_id,
        "atom_id": body.atom_id,
        "execution_id": body.execution_id,
        "process": body.process,
        "code": body.code,
        "state": body.state,
        "state_rank": STATES.index(body.state) if body.state in STATES else 0,
        "attempts": body.attempts,
        "document": body.document,
        "expires_ms": body.expires_at.ToMilliseconds(),
        "queue": body.queue,
        "assignee": body.assignee,
        "created_ms": body.created_at.ToMilliseconds(),
        "revision": body.revision,
        "body": body.SerializeToString(),
    }


def page(
    connection: Connection, wanted: Wanted, *, before: str = "", rows_max: int = 50
) -> tuple[list[types_pb2.DeadLetter], str]:
    """Newest first, without their history, below the id `before`; and below which id to go on, "" at the end."""
    query = _chosen(select(dead_letter.c.body), wanted).order_by(dead_letter.c.dead_letter_id.desc())
    if before:
        query = query.where(dead_letter.c.dead_letter_id < before)
    found: list[types_pb2.DeadLetter] = []
    room = PAGE_BYTES_MAX
    for body in connection.execute(query.limit(rows_max)).scalars():
        letter = types_pb2.DeadLetter.FromString(body)
        del letter.history[:]
        room -= letter.ByteSize()
        if found and room < 0:
            return found, found[-1].dead_letter_id
        found.append(letter)
    return found, found[-1].dead_letter_id if len(found) == rows_max else ""


def atoms(connection: Connection, wanted: Wanted) -> list[str]:
    """The atoms that hold such letters, as far as they have reported them."""
    return list(connection.execute(_chosen(select(dead_letter.c.atom_id).distinct(), wanted)).scalars())


def _chosen(query: Select[Any], wanted: Wanted) -> Select[Any]:
    columns = dead_letter.c
    if wanted.environments is not None:
        query = query.where(columns.environment_id.in_(wanted.environments))
    for name in ("state", "queue", "process", "code", "execution_id"):
        if value := getattr(wanted, name):
            query = query.where(columns[name] == value)
    if wanted.assignee:
        query = query.where(columns.assignee == ("" if wanted.assignee == NOBODY else wanted.assignee))
    if wanted.created_after_ms:
        query = query.where(columns.created_ms >= wanted.created_after_ms)
    if wanted.created_before_ms:
        query = query.where(columns.created_ms < wanted.created_before_ms)
    return query


def find(connection: Connection, wanted: str) -> Row[Any]:
    """By id or unique prefix. Errors: control.not_found, control.ambiguous."""
    return one(connection, dead_letter, "dead letter", wanted, id_column="dead_letter_id", name_column=None)


def of_documents(
    connection: Connection, documents: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], types_pb2.DeadLetter]:
    """The newest dead letter of each of these documents (execution id, document number) that has one."""
    query = select(dead_letter.c.execution_id, dead_letter.c.document, dead_letter.c.body).where(
        dead_letter.c.execution_id.in_({execution_id for execution_id, _ in documents}),
        dead_letter.c.document.in_({document for _, document in documents}),
    )
    rows = connection.execute(query.order_by(dead_letter.c.dead_letter_id))
    newest = {(row.execution_id, row.document): row.body for row in rows}
    return {key: types_pb2.DeadLetter.FromString(newest[key]) for key in documents if key in newest}


def forget(connection: Connection, *, expired_before_ms: int) -> None:
    """The record of a letter outlives its document: it goes when its keep has been over for as long as executions are
    kept."""
    connection.execute(delete(dead_letter).where(dead_letter.c.expires_ms.between(1, expired_before_ms)))
