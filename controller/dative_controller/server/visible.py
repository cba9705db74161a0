"""Which environments a caller's question is about."""

from __future__ import annotations

from sqlalchemy import Connection

from dative_controller.server.caller import Caller
from dative_controller.store import environments


def visible_in(sql: Connection, who: Caller, environment: str) -> list[str] | None:
    """Ids of the environments to look in; None: all. Errors: control.not_found, rpc.permission_denied."""
    if not environment:
        return who.environments()
    row = environments.find(sql, environment)
    who.require(row.environment_id)
    return [str(row.environment_id)]
