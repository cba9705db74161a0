"""Molecules: their settings, and the newest that their members said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dative.errors import control as codes
from dative.v1 import types_pb2
from sqlalchemy import Connection, Row, and_, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from dative_controller.store.database import insert, refuse
from dative_controller.store.schema import atom, join_token, molecule, molecule_status

MoleculeRow = Row[Any]


def create(sql: Connection, environment_id: str, name: str, settings: types_pb2.MoleculeSettings, now_ms: int) -> None:
    """Errors: control.name_taken. The first version is 1."""
    body = types_pb2.MoleculeSettings()
    body.CopyFrom(settings)
    body.version = 1
    values = {"environment_id": environment_id, "name": name, "version": 1, "created_ms": now_ms}
    try:
        with sql.begin_nested():
            sql.execute(molecule.insert().values(**values, settings=body.SerializeToString()))
    except IntegrityError as taken:
        raise refuse(codes.NAME_TAKEN, f"molecule {name} has settings already") from taken


def replace(
    sql: Connection, environment_id: str, name: str, settings: types_pb2.MoleculeSettings, expected_version: int
) -> None:
    """The next version. expected_version: 0 does not check. Errors: control.not_found, control.version_conflict."""
    row = found(sql, environment_id, name)
    if row is None:
        raise refuse(codes.NOT_FOUND, f"molecule {name} has no settings")
    if expected_version not in (0, row.version):
        raise refuse(codes.VERSION_CONFLICT, f"molecule {name} is at version {row.version}, not {expected_version}")
    body = types_pb2.MoleculeSettings()
    body.CopyFrom(settings)
    body.version = row.version + 1
    sql.execute(
        _at(update(molecule), environment_id, name).values(version=body.version, settings=body.SerializeToString())
    )


def remove(sql: Connection, environment_id: str, name: str) -> None:
    """With what its members said, and with invitations that are still good. Errors: control.not_found."""
    if _execute(sql, _at(delete(molecule), environment_id, name)) == 0:
        raise refuse(codes.NOT_FOUND, f"molecule {name} has no settings")
    sql.execute(
        delete(molecule_status).where(
            molecule_status.c.environment_id == environment_id, molecule_status.c.name == name
        )
    )
    sql.execute(
        delete(join_token).where(join_token.c.environment_id == environment_id, join_token.c.molecule_id == name)
    )


def _at(statement: Any, environment_id: str, name: str) -> Any:
    return statement.where(molecule.c.environment_id == environment_id, molecule.c.name == name)


def _execute(sql: Connection, statement: Any) -> int:
    return sql.execute(statement).rowcount


def found(sql: Connection, environment_id: str, name: str) -> MoleculeRow | None:
    return sql.execute(_at(select(molecule), environment_id, name)).one_or_none()


def settings_of(sql: Connection, environment_id: str, name: str) -> types_pb2.MoleculeSettings | None:
    """None: only a name, whose atoms work alone."""
    row = found(sql, environment_id, name)
    return None if row is None else types_pb2.MoleculeSettings.FromString(row.settings)


def names(sql: Connection, environment_id: str) -> list[str]:
    """Of an environment: those with settings, and those that an atom which is not revoked is in."""
    kept = select(molecule.c.name).where(molecule.c.environment_id == environment_id)
    used = select(atom.c.molecule_id).where(atom.c.environment_id == environment_id, atom.c.state != "revoked")
    return sorted({*sql.execute(kept).scalars(), *sql.execute(used.distinct()).scalars()})


# ---- what members say -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A status as it is stored: order is the term first, then the moment."""

    environment_id: str
    name: str
    status: types_pb2.MoleculeStatus

    @property
    def order(self) -> tuple[int, int]:
        return self.status.term, self.status.observed_at.ToMilliseconds()


def put_status(sql: Connection, said: Said) -> None:
    """Kept unless what is stored is of a higher term, or of the same and later."""
    term, observed_ms = said.order
    values = {"term": term, "observed_ms": observed_ms, "body": said.status.SerializeToString()}
    statement = insert(sql, molecule_status).values(environment_id=said.environment_id, name=said.name, **values)
    stored = molecule_status.c
    sql.execute(
        statement.on_conflict_do_update(
            index_elements=["environment_id", "name"],
            set_=values,
            where=or_(
                statement.excluded.term > stored.term,
                and_(statement.excluded.term == stored.term, statement.excluded.observed_ms >= stored.observed_ms),
            ),
        )
    )


def status_of(sql: Connection, environment_id: str, name: str) -> types_pb2.MoleculeStatus | None:
    body = sql.execute(
        select(molecule_status.c.body).where(
            molecule_status.c.environment_id == environment_id, molecule_status.c.name == name
        )
    ).scalar_one_or_none()
    return None if body is None else types_pb2.MoleculeStatus.FromString(body)
