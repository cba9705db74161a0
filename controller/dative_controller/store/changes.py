"""The change feed and the answers of requests already done.

The feed is how controllers that share a database hear of one another's changes: a row in the transaction of the change,
its sequence given out under the organization's row lock, so that it never runs ahead of the commit order.
"""

from __future__ import annotations

from dataclasses import dataclass

from dative.errors import rpc as codes
from sqlalchemy import Connection, delete, func, select, update

from dative_controller.store.database import insert, refuse
from dative_controller.store.schema import answered_request, change, organization


@dataclass(frozen=True, slots=True)
class Change:
    """kind: "trust" | "desired" (environment, molecule) | "command" (atom) | "atom" (revoked, approved, quarantined, a newer
    stream) | "molecule" (its settings)."""

    kind: str
    environment_id: str = ""
    molecule_id: str = ""
    atom_id: str = ""


def lock(connection: Connection) -> None:
    """Hold the organization's row until the end of this transaction: changes are made one after the other."""
    connection.execute(update(organization).values(change_sequence=organization.c.change_sequence))


def publish(connection: Connection, changed: Change, now_ms: int) -> int:
    """Put a change into the feed; returns its sequence."""
    sequence = connection.execute(
        update(organization)
        .values(change_sequence=organization.c.change_sequence + 1)
        .returning(organization.c.change_sequence)
    ).scalar_one()
    connection.execute(
        change.insert().values(
            sequence=sequence,
            kind=changed.kind,
            environment_id=changed.environment_id,
            molecule_id=changed.molecule_id,
            atom_id=changed.atom_id,
            at_ms=now_ms,
        )
    )
    return int(sequence)


def newest(connection: Connection) -> int:
    """The sequence of the newest change."""
    return int(connection.execute(select(func.max(organization.c.change_sequence))).scalar_one() or 0)


def since(connection: Connection, sequence: int, rows_max: int = 1000) -> list[tuple[int, Change]]:
    """Changes after `sequence`, oldest first, at most `rows_max`: ask again from the last one."""
    query = select(change).where(change.c.sequence > sequence).order_by(change.c.sequence).limit(rows_max)
    return [
        (row.sequence, Change(row.kind, row.environment_id, row.molecule_id, row.atom_id))
        for row in connection.execute(query)
    ]


def answer_of(connection: Connection, *, request_id: str, actor: str, method: str, request_digest: str) -> bytes | None:
    """The answer given to this very request before, or None. Errors: rpc.request_id_reused."""
    row = connection.execute(
        select(answered_request).where(answered_request.c.request_id == request_id, answered_request.c.actor == actor)
    ).one_or_none()
    if row is None:
        return None
    if (row.method, row.request_digest) != (method, request_digest):
        raise refuse(codes.REQUEST_ID_REUSED, f"request id {request_id} was used for {row.method} with other fields")
    return bytes(row.response)


def remember(
    connection: Connection,
    *,
    request_id: str,
    actor: str,
    method: str,
    request_digest: str,
    response: bytes,
    now_ms: int,
) -> None:
    """Keep the answer, so that the same request again gets it instead of being done twice."""
    connection.execute(
        insert(connection, answered_request)
        .values(
            request_id=request_id,
            actor=actor,
            method=method,
            request_digest=request_digest,
            response=response,
            at_ms=now_ms,
        )
        .on_conflict_do_nothing()
    )


def forget(connection: Connection, *, changes_before_ms: int, answers_before_ms: int) -> None:
    """Let go of what nobody asks for any more."""
    connection.execute(delete(change).where(change.c.at_ms < changes_before_ms))
    connection.execute(delete(answered_request).where(answered_request.c.at_ms < answers_before_ms))
