"""Deployments, what is desired of each molecule, what each atom answered, and which blobs they name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dative.errors import control as codes
from dative.errors.store import BLOB_MISSING
from dative.v1 import control_pb2
from sqlalchemy import Connection, Row, or_, select, tuple_
from sqlalchemy.exc import IntegrityError

from dative_controller.store.database import insert, refuse
from dative_controller.store.resolve import one
from dative_controller.store.schema import atom, atom_ack, blob, deployment, deployment_blob, desired_state

DeploymentRow = Row[Any]


@dataclass(frozen=True, slots=True)
class NewDeployment:
    deployment_id: str
    environment_id: str
    molecule_id: str
    release_epoch: int
    generation: int
    manifest_digest: str
    envelope: bytes
    kind: str
    created_by: str
    created_ms: int
    reason: str
    processes: list[str]
    atom_ids: list[str] | None
    traceparent: str
    rollback_of: int


def desired(connection: Connection, environment_id: str, molecule_id: str) -> DeploymentRow | None:
    """What should run there now; None: nothing was deployed yet."""
    query = select(deployment).join(desired_state, desired_state.c.deployment_id == deployment.c.deployment_id)
    return connection.execute(
        query.where(desired_state.c.environment_id == environment_id, desired_state.c.molecule_id == molecule_id)
    ).one_or_none()


def add(connection: Connection, new: NewDeployment, digests: Iterable[str]) -> None:
    """Store it and make it desired. Errors: deployment.generation_conflict when another took that generation."""
    values = {name: getattr(new, name) for name in new.__dataclass_fields__ if name not in ("processes", "atom_ids")}
    try:
        with connection.begin_nested():
            connection.execute(
                deployment.insert().values(
                    **values,
                    processes=json.dumps(new.processes),
                    atom_ids="" if new.atom_ids is None else json.dumps(new.atom_ids),
                )
            )
    except IntegrityError as taken:
        raise refuse(codes.GENERATION, f"generation {new.generation} is deployed already") from taken
    for digest in sorted(set(digests)):
        connection.execute(deployment_blob.insert().values(deployment_id=new.deployment_id, digest=digest))
    connection.execute(
        insert(connection, desired_state)
        .values(environment_id=new.environment_id, molecule_id=new.molecule_id, deployment_id=new.deployment_id)
        .on_conflict_do_update(
            index_elements=["environment_id", "molecule_id"], set_={"deployment_id": new.deployment_id}
        )
    )


def find(connection: Connection, wanted: str) -> DeploymentRow:
    return one(connection, deployment, "deployment", wanted, id_column="deployment_id", name_column=None)


def page(
    connection: Connection, environment_id: str, molecule_id: str, *, before_generation: int, rows_max: int
) -> list[DeploymentRow]:
    """Newest first, below that generation (0: from the newest)."""
    query = (
        select(deployment)
        .where(deployment.c.environment_id == environment_id, deployment.c.molecule_id == molecule_id)
        .order_by(deployment.c.release_epoch.desc(), deployment.c.generation.desc())
        .limit(rows_max)
    )
    if before_generation:
        query = query.where(deployment.c.generation < before_generation)
    return list(connection.execute(query))


def is_for(row: DeploymentRow, atom_id: str) -> bool:
    """Whether the deployment's audience includes this atom of its molecule."""
    return not row.atom_ids or atom_id in json.loads(row.atom_ids)


def message(row: DeploymentRow) -> control_pb2.Deployment:
    shown = control_pb2.Deployment(
        deployment_id=row.deployment_id,
        environment_id=row.environment_id,
        molecule_id=row.molecule_id,
        generation=row.generation,
        manifest_digest=row.manifest_digest,
        kind=row.kind,
        created_by=row.created_by,
        reason=row.reason,
        processes=json.loads(row.processes),
        trace_id=row.traceparent[3:35],
        rollback_of=row.rollback_of,
    )
    shown.created_at.FromMilliseconds(row.created_ms)
    return shown


def record_ack(
    connection: Connection, deployment_id: str, atom_id: str, *, phase: int, status: bytes | None, now_ms: int
) -> None:
    """The last word of an atom on a deployment."""
    values = {"phase": phase, "status": status, "at_ms": now_ms}
    connection.execute(
        insert(connection, atom_ack)
        .values(deployment_id=deployment_id, atom_id=atom_id, **values)
        .on_conflict_do_update(index_elements=["deployment_id", "atom_id"], set_=values)
    )


def at_generation(
    connection: Connection, environment_id: str, molecule_id: str, generation: int
) -> DeploymentRow | None:
    """The newest deployment of that generation: a raised release epoch may give a number out again."""
    return connection.execute(
        select(deployment)
        .where(
            deployment.c.environment_id == environment_id,
            deployment.c.molecule_id == molecule_id,
            deployment.c.generation == generation,
        )
        .order_by(deployment.c.release_epoch.desc())
        .limit(1)
    ).one_or_none()


def progress(connection: Connection, row: DeploymentRow) -> list[Row[Any]]:
    """Approved atoms of the molecule in the audience, each with phase and status of its ack (None: none yet)."""
    query = (
        select(atom, atom_ack.c.phase.label("ack_phase"), atom_ack.c.status.label("ack_status"))
        .outerjoin(
            atom_ack,
            (atom_ack.c.atom_id == atom.c.atom_id) & (atom_ack.c.deployment_id == row.deployment_id),
        )
        .where(
            atom.c.environment_id == row.environment_id,
            atom.c.molecule_id == row.molecule_id,
            atom.c.state == "approved",
        )
        .order_by(atom.c.name)
    )
    return [found for found in connection.execute(query) if is_for(row, found.atom_id)]


def add_blob(connection: Connection, digest: str, size: int, actor: str, now_ms: int) -> None:
    connection.execute(
        insert(connection, blob)
        .values(digest=digest, size=size, created_by=actor, created_ms=now_ms)
        .on_conflict_do_nothing()
    )


def missing_blobs(connection: Connection, digests: Iterable[str]) -> list[str]:
    """Those of `digests` that are not stored, in the order given."""
    wanted = list(dict.fromkeys(digests))
    held = set(connection.execute(select(blob.c.digest).where(blob.c.digest.in_(wanted))).scalars())
    return [digest for digest in wanted if digest not in held]


def blob_sizes(connection: Connection, digests: Iterable[str]) -> dict[str, int]:
    rows = connection.execute(select(blob.c.digest, blob.c.size).where(blob.c.digest.in_(list(digests))))
    return {row.digest: row.size for row in rows}


def may_read(connection: Connection, atom_row: Row[Any], digest: str) -> None:
    """An atom reads only what a manifest for its own molecule names. Errors: store.blob_missing, whether held or not."""
    query = (
        select(deployment.c.atom_ids)
        .join(deployment_blob, deployment_blob.c.deployment_id == deployment.c.deployment_id)
        .where(
            deployment_blob.c.digest == digest,
            tuple_(deployment.c.environment_id, deployment.c.molecule_id)
            == tuple_(atom_row.environment_id, atom_row.molecule_id),
        )
    )
    if not any(is_for(row, atom_row.atom_id) for row in connection.execute(query)):
        raise refuse(BLOB_MISSING, f"{digest} is named by no manifest for this atom", atom_row.name)


def may_see(connection: Connection, digest: str, environments: list[str] | None) -> None:
    """A deployer reads what was deployed where they deploy (None: everywhere). Errors: store.blob_missing."""
    if environments is None:
        return
    named = select(deployment.c.deployment_id).outerjoin(
        deployment_blob, deployment_blob.c.deployment_id == deployment.c.deployment_id
    )
    query = named.where(
        deployment.c.environment_id.in_(environments),
        or_(deployment_blob.c.digest == digest, deployment.c.manifest_digest == digest),
    )
    if connection.execute(query.limit(1)).first() is None:
        raise refuse(BLOB_MISSING, f"{digest} was deployed in none of your environments")
