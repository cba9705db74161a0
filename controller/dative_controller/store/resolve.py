"""What a person typed, turned into one row: an id, a name, or a prefix of an id that fits once."""

from __future__ import annotations

from typing import Any

from dative.errors import control as codes
from sqlalchemy import ColumnElement, Connection, Row, Table, or_, select

from dative_controller.store.database import refuse

CANDIDATES_MAX = 5


def one(
    connection: Connection,
    table: Table,
    kind: str,
    wanted: str,
    *,
    id_column: str,
    name_column: str | None = "name",
    within: ColumnElement[bool] | None = None,
) -> Row[Any]:
    """The row of `table` that `wanted` names.

    within: only rows for which this holds. Errors: control.not_found; control.ambiguous with the candidates.
    """
    identity = table.c[id_column]
    if not wanted:
        raise refuse(codes.NOT_FOUND, f"name the {kind}: nothing was given")
    exact = [identity == wanted] + ([table.c[name_column] == wanted] if name_column else [])
    # ULIDs compare by their characters, so that a prefix is a range and the primary key's index serves it.
    prefix = (
        (identity >= wanted.upper()) & (identity < wanted.upper() + "\x7f") if wanted.isalnum() else identity == wanted
    )
    for condition in (or_(*exact), prefix):
        query = select(table).where(condition).limit(CANDIDATES_MAX)
        found = list(connection.execute(query if within is None else query.where(within)))
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(str(row._mapping[id_column]) for row in found)
            raise refuse(codes.AMBIGUOUS, f"{wanted} fits more than one {kind}: {named}")
    raise refuse(codes.NOT_FOUND, f"no {kind} {wanted}")
