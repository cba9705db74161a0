"""Environments: connections, overrides, and sealed sets, which are ciphertext here as everywhere on this side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dative.errors import control as codes
from dative.v1 import control_pb2
from sqlalchemy import Connection as Sql
from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from dative_controller.store.database import insert, refuse
from dative_controller.store.resolve import one
from dative_controller.store.schema import connection, environment, override, sealed_set, secret_name

EnvironmentRow = Row[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class SealedSetRow:
    version: int
    digest: str
    body: bytes


def create(sql: Sql, environment_id: str, name: str, *, production: bool, now_ms: int) -> None:
    """Errors: control.name_taken."""
    values = {
        "environment_id": environment_id,
        "name": name,
        "production": production,
        "require_approval": production,
        "created_ms": now_ms,
    }
    try:
        with sql.begin_nested():
            sql.execute(environment.insert().values(**values))
    except IntegrityError as taken:
        raise refuse(codes.NAME_TAKEN, f"there is an environment {name} already") from taken


def find(sql: Sql, wanted: str) -> EnvironmentRow:
    """By id, name or unique prefix of the id. Errors: control.not_found, control.ambiguous."""
    return one(sql, environment, "environment", wanted, id_column="environment_id")


def rows(sql: Sql) -> list[EnvironmentRow]:
    return list(sql.execute(select(environment).order_by(environment.c.name)))


def message(sql: Sql, row: EnvironmentRow) -> control_pb2.Environment:
    """The environment as it is shown: names and versions of secrets, never a value."""
    shown = control_pb2.Environment(
        environment_id=row.environment_id,
        name=row.name,
        production=row.production,
        version=row.version,
        require_approval=row.require_approval,
        allows=str(row.allows).split(),
    )
    shown.created_at.FromMilliseconds(row.created_ms)
    for found in sql.execute(
        select(connection).where(connection.c.environment_id == row.environment_id).order_by(connection.c.name)
    ):
        shown.connections.add(
            name=found.name,
            connector=found.connector,
            settings=json.loads(found.settings),
            secrets=json.loads(found.secrets),
        )
    for found in sql.execute(select(override).where(override.c.environment_id == row.environment_id)):
        shown.overrides[found.name] = found.value
    for found in sql.execute(
        select(secret_name).where(secret_name.c.environment_id == row.environment_id).order_by(secret_name.c.name)
    ):
        shown.secrets.add(name=found.name, version=found.version, set_by=found.set_by).set_at.FromMilliseconds(
            found.set_ms
        )
    return shown


def bump(sql: Sql, environment_id: str, expected_version: int) -> None:
    """The next version. expected_version: 0 does not check. Errors: control.version_conflict."""
    guarded = update(environment).where(environment.c.environment_id == environment_id)
    if expected_version:
        guarded = guarded.where(environment.c.version == expected_version)
    if sql.execute(guarded.values(version=environment.c.version + 1)).rowcount != 1:
        raise refuse(codes.VERSION_CONFLICT, f"the environment is not at version {expected_version} any more")


def set_require_approval(sql: Sql, environment_id: str, required: bool) -> None:
    sql.execute(
        update(environment).where(environment.c.environment_id == environment_id).values(require_approval=required)
    )


def set_allows(sql: Sql, row: EnvironmentRow, allow: Iterable[str], disallow: Iterable[str]) -> None:
    """A word a line, none of which holds white space."""
    words = (set(str(row.allows).split()) | set(allow)) - set(disallow)
    sql.execute(
        update(environment)
        .where(environment.c.environment_id == row.environment_id)
        .values(allows="\n".join(sorted(words)))
    )


def set_connections(sql: Sql, environment_id: str, wanted: Iterable[control_pb2.Connection]) -> None:
    for item in wanted:
        values = {
            "connector": item.connector,
            "settings": json.dumps(dict(item.settings), sort_keys=True),
            "secrets": json.dumps(dict(item.secrets), sort_keys=True),
        }
        sql.execute(
            insert(sql, connection)
            .values(environment_id=environment_id, name=item.name, **values)
            .on_conflict_do_update(index_elements=["environment_id", "name"], set_=values)
        )


def delete_connections(sql: Sql, environment_id: str, names: Iterable[str]) -> None:
    for name in names:
        gone = sql.execute(
            delete(connection).where(connection.c.environment_id == environment_id, connection.c.name == name)
        )
        if gone.rowcount == 0:
            raise refuse(codes.NOT_FOUND, f"no connection {name} in this environment")


def set_overrides(sql: Sql, environment_id: str, values: Mapping[str, str], deleted: Iterable[str]) -> None:
    for name in deleted:
        sql.execute(delete(override).where(override.c.environment_id == environment_id, override.c.name == name))
    for name, value in values.items():
        sql.execute(
            insert(sql, override)
            .values(environment_id=environment_id, name=name, value=value)
            .on_conflict_do_update(index_elements=["environment_id", "name"], set_={"value": value})
        )


def newest_sealed(sql: Sql, environment_id: str) -> SealedSetRow | None:
    row = sql.execute(
        select(sealed_set)
        .where(sealed_set.c.environment_id == environment_id)
        .order_by(sealed_set.c.version.desc())
        .limit(1)
    ).one_or_none()
    return SealedSetRow(row.version, row.digest, bytes(row.body)) if row else None


def put_sealed(
    sql: Sql,
    environment_id: str,
    new: SealedSetRow,
    *,
    expected_version: int,
    names: Mapping[str, int],
    actor: str,
    now_ms: int,
) -> None:
    """Replace the sealed set. names: secret name -> version. Errors: control.version_conflict."""
    highest = sql.execute(
        select(func.max(sealed_set.c.version)).where(sealed_set.c.environment_id == environment_id)
    ).scalar_one()
    if (highest or 0) != expected_version or new.version <= expected_version:
        raise refuse(
            codes.VERSION_CONFLICT,
            f"the sealed set is at version {highest or 0}; version {new.version} was made from {expected_version}",
        )
    sql.execute(
        sealed_set.insert().values(
            environment_id=environment_id, version=new.version, digest=new.digest, body=new.body, set_ms=now_ms
        )
    )
    known = {
        row.name: row.version
        for row in sql.execute(select(secret_name).where(secret_name.c.environment_id == environment_id))
    }
    for gone in known.keys() - names.keys():
        sql.execute(
            delete(secret_name).where(secret_name.c.environment_id == environment_id, secret_name.c.name == gone)
        )
    for name, version in names.items():
        if known.get(name) == version:
            continue
        values = {"version": version, "set_ms": now_ms, "set_by": actor}
        sql.execute(
            insert(sql, secret_name)
            .values(environment_id=environment_id, name=name, **values)
            .on_conflict_do_update(index_elements=["environment_id", "name"], set_=values)
        )
