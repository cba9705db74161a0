"""Commands from people to atoms: stored, delivered at most once by whichever controller holds the stream, awaited."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from dative.clock import Clock
from dative.errors import DativeError
from dative.errors import control as codes
from dative.ids import new_id
from dative.rpc import error_of
from dative.v1 import agent_pb2
from sqlalchemy import Connection, select

from dative_controller.links.feed import Feed
from dative_controller.links.hub import Hub, milliseconds
from dative_controller.store import audit, changes, commands, fleet
from dative_controller.store.changes import Change
from dative_controller.store.database import Database
from dative_controller.store.schema import command as command_table

LOOK_AGAIN_S = 0.5


class Commander:
    """Sends commands. timeout: how long the answer is awaited, which is also the command's expiry."""

    def __init__(self, database: Database, hub: Hub, feed: Feed, clock: Clock, *, timeout: timedelta) -> None:
        self._database = database
        self._hub = hub
        self._feed = feed
        self._clock = clock
        self._timeout_s = timeout.total_seconds()

    async def send(
        self,
        row: fleet.AtomRow,
        command: agent_pb2.Command,
        *,
        entry: audit.Entry,
        request_id: str,
        traceparent: str,
        timeout: timedelta | None = None,
    ) -> agent_pb2.CommandResult:
        """Have it carried out and return the result; the same request id is the same command, sent once.

        timeout: for a command that takes longer than most; at least the commander's own.

        Errors: fleet.atom_offline, links.command_unanswered, and the coded error that the atom answered with.
        """
        kind = command.WhichOneof("kind") or ""
        now = self._clock.now()
        command.command_id = command_id(entry.actor, row.atom_id, kind, request_id) if request_id else new_id(now)
        command.traceparent = traceparent
        command.actor = entry.actor
        within_s = max(self._timeout_s, timeout.total_seconds() if timeout else 0.0)
        command.expires_at.FromDatetime(now + timedelta(seconds=within_s))
        await self._database.write(lambda sql: self._store(sql, row, command, entry))
        self._feed.poke()
        return await self._result(row, command.command_id, within_s)

    def _store(self, sql: Connection, row: fleet.AtomRow, command: agent_pb2.Command, entry: audit.Entry) -> None:
        changes.lock(sql)
        known = select(command_table.c.command_id).where(command_table.c.command_id == command.command_id)
        if sql.execute(known).one_or_none() is not None:
            return
        fresh = fleet.admit(sql, row.atom_id)
        if not fresh.connected:
            raise DativeError(f"atom {fresh.name} is not connected", code=codes.ATOM_OFFLINE, where=fresh.name)
        now_ms = milliseconds(self._clock)
        commands.add(sql, row.atom_id, command, entry.actor)
        audit.append(sql, entry, now_ms)
        changes.publish(sql, Change("command", row.environment_id, row.molecule_id, row.atom_id), now_ms)

    async def _result(self, row: fleet.AtomRow, identity: str, within_s: float) -> agent_pb2.CommandResult:
        deadline = self._clock.elapsed_s() + within_s
        while True:
            seen = self._hub.answered.count
            result = await self._database.read(lambda sql: commands.result_of(sql, identity))
            if result is not None:
                if result.status.code:
                    raise error_of(result.status)
                return result
            left_s = deadline - self._clock.elapsed_s()
            if left_s <= 0:
                raise DativeError(f"no answer within {within_s:.0f} s", code=codes.COMMAND_UNANSWERED, where=row.name)
            await self._hub.answered.wait(seen, min(left_s, LOOK_AGAIN_S))


def command_id(actor: str, atom_id: str, kind: str, request_id: str) -> str:
    """The one id of what this person asked for with this request id."""
    return hashlib.sha256(json.dumps([actor, atom_id, kind, request_id]).encode()).hexdigest()[:32]
