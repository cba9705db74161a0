"""Which atom does what a person asked for: the one they named, or the least loaded one that is there."""

from __future__ import annotations

from dative.errors import DativeError
from dative.errors import control as codes
from dative.v1 import agent_pb2
from sqlalchemy import Connection

from dative_controller.server.caller import caller
from dative_controller.server.core import Core
from dative_controller.store import environments, fleet, molecules
from dative_controller.store.schema import atom as atom_table


async def choose_atom(core: Core, environment: str, *, molecule: str | None, atom: str) -> fleet.AtomRow:
    """An approved, connected atom that takes work. molecule: None is any. atom: "" chooses.

    Errors: rpc.permission_denied, control.not_found, fleet.atom_offline.
    """
    who = caller()

    def candidates(sql: Connection) -> list[fleet.AtomRow]:
        row = environments.find(sql, environment)
        who.require(row.environment_id)
        if atom:
            return [fleet.find(sql, atom, within=atom_table.c.environment_id == row.environment_id)]
        return fleet.listed(sql, row.environment_id, molecule)

    rows = await core.database.read(candidates)
    if atom:
        return rows[0]
    taking = [row for row in rows if row.state == "approved" and row.connected and not _draining(core, row)]
    if not taking:
        raise DativeError(f"no atom of {environment} is connected and takes work", code=codes.ATOM_OFFLINE)
    return min(taking, key=lambda row: (_running(core, row), row.atom_id))


def holder(sql: Connection, atom_id: str) -> fleet.AtomRow | None:
    """Who answers for what that atom has: itself, or while it is not connected another member of its molecule, which
    has the same journal. A molecule that is only a name shares nothing. None: nobody knows the atom any more."""
    row = fleet.by_id(sql, atom_id)
    if row is None or (row.state == "approved" and row.connected):
        return row
    settings = molecules.settings_of(sql, row.environment_id, row.molecule_id)
    if settings is None:
        return row
    others = fleet.listed(sql, row.environment_id, row.molecule_id)
    return next((other for other in others if other.state == "approved" and other.connected), row)


def _draining(core: Core, row: fleet.AtomRow) -> bool:
    session = core.hub.session(row.atom_id)
    return session.draining if session is not None else bool(row.draining)


def _running(core: Core, row: fleet.AtomRow) -> int:
    session = core.hub.session(row.atom_id)
    if session is not None:
        return session.heartbeat.running_executions
    return agent_pb2.Heartbeat.FromString(row.heartbeat or b"").running_executions
