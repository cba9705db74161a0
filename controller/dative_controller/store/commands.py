"""Commands to atoms: rows with an id and an expiry, handed out at most once, their results kept."""

from __future__ import annotations

from dative.v1 import agent_pb2
from sqlalchemy import Connection, delete, select, update

from dative_controller.store.schema import command


def add(connection: Connection, atom_id: str, body: agent_pb2.Command, created_by: str) -> None:
    connection.execute(
        command.insert().values(
            command_id=body.command_id,
            atom_id=atom_id,
            state="pending",
            body=body.SerializeToString(),
            expires_ms=body.expires_at.ToMilliseconds(),
            created_by=created_by,
        )
    )


def claim(connection: Connection, atom_id: str, now_ms: int, rows_max: int = 100) -> list[agent_pb2.Command]:
    """Pending commands of an atom, marked delivered *before* they are sent.

    Invariant 8: a stream that breaks in between leaves a command unknown; it is never sent a second time.
    """
    waiting = (
        select(command.c.command_id)
        .where(command.c.atom_id == atom_id, command.c.state == "pending", command.c.expires_ms > now_ms)
        .order_by(command.c.command_id)
        .limit(rows_max)
        .with_for_update(skip_locked=True)
    )
    claimed = connection.execute(
        update(command)
        .where(command.c.command_id.in_(waiting), command.c.state == "pending")
        .values(state="delivered")
        .returning(command.c.command_id, command.c.body)
    )
    rows = sorted(claimed, key=lambda row: row.command_id)
    return [agent_pb2.Command.FromString(row.body) for row in rows]


def finish(connection: Connection, atom_id: str, result: agent_pb2.CommandResult) -> bool:
    """Store the result; only the atom that the command was for may. A second result changes nothing."""
    done = connection.execute(
        update(command)
        .where(command.c.command_id == result.command_id, command.c.atom_id == atom_id, command.c.state == "delivered")
        .values(state="done", result=result.SerializeToString())
    )
    return done.rowcount == 1


def result_of(connection: Connection, command_id: str) -> agent_pb2.CommandResult | None:
    body = connection.execute(select(command.c.result).where(command.c.command_id == command_id)).scalar_one_or_none()
    return agent_pb2.CommandResult.FromString(body) if body is not None else None


def drop(connection: Connection, command_id: str) -> None:
    """Its result has been taken and is not to be kept."""
    connection.execute(delete(command).where(command.c.command_id == command_id))


def forget(connection: Connection, expired_before_ms: int) -> None:
    connection.execute(delete(command).where(command.c.expires_ms < expired_before_ms))
