"""Rollouts: which deployment goes member by member, how far each member is, and what one runs until it is its turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dative.v1 import control_pb2, types_pb2
from sqlalchemy import Connection, Row, select, update

from dative_controller.store.database import insert
from dative_controller.store.deployments import DeploymentRow
from dative_controller.store.schema import atom, deployment, execution, rollout, rollout_member

RolloutRow = Row[Any]
CHAIN_MAX = 50
"""Rollouts upon rollouts that were never finished; beyond it a member keeps what it has."""
FAILURES_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class NewRollout:
    """base_id: "" when nothing was deployed before. return_envelope: None, there is no way back signed."""

    deployment_id: str
    environment_id: str
    molecule_id: str
    base_id: str
    max_unavailable: int
    gate_ms: int
    activate_ms: int
    return_envelope: bytes | None
    return_until_ms: int


def add(sql: Connection, new: NewRollout) -> None:
    values = {name: getattr(new, name) for name in new.__dataclass_fields__}
    sql.execute(rollout.insert().values(**values, state="rolling"))


def of(sql: Connection, deployment_id: str) -> RolloutRow | None:
    """None: the deployment went to every atom at once."""
    return sql.execute(select(rollout).where(rollout.c.deployment_id == deployment_id)).one_or_none()


def open_ones(sql: Connection) -> list[str]:
    """Deployments that are rolling now."""
    return list(sql.execute(select(rollout.c.deployment_id).where(rollout.c.state == "rolling")).scalars())


def supersede(sql: Connection, environment_id: str, molecule_id: str) -> None:
    """A newer deployment of that place exists: those that still roll give nothing to anybody any more."""
    sql.execute(
        update(rollout)
        .where(
            rollout.c.environment_id == environment_id,
            rollout.c.molecule_id == molecule_id,
            rollout.c.state == "rolling",
        )
        .values(state="superseded")
    )


def end(sql: Connection, deployment_id: str, **values: Any) -> None:
    """state: how it ended. The way back is let go of: nobody can release it later."""
    sql.execute(update(rollout).where(rollout.c.deployment_id == deployment_id).values(return_envelope=None, **values))


def members(sql: Connection, deployment_id: str) -> dict[str, Row[Any]]:
    found = sql.execute(select(rollout_member).where(rollout_member.c.deployment_id == deployment_id))
    return {row.atom_id: row for row in found}


def admit(sql: Connection, deployment_id: str, atom_ids: Iterable[str], now_ms: int) -> None:
    for atom_id in atom_ids:
        sql.execute(
            insert(sql, rollout_member)
            .values(deployment_id=deployment_id, atom_id=atom_id, step="activating", admitted_ms=now_ms)
            .on_conflict_do_nothing()
        )


def step(sql: Connection, deployment_id: str, atom_ids: Iterable[str], **values: Any) -> None:
    sql.execute(
        update(rollout_member)
        .where(rollout_member.c.deployment_id == deployment_id, rollout_member.c.atom_id.in_(list(atom_ids)))
        .values(**values)
    )


def row_for(sql: Connection, row: DeploymentRow, atom_id: str) -> DeploymentRow | None:
    """What this atom should run while `row` is desired: itself once it was admitted, until then what was there before.

    A rollout that is done gives its deployment to everybody; one that was halted or superseded to those it had admitted.
    """
    current: DeploymentRow | None = row
    for _ in range(CHAIN_MAX):
        rolling = of(sql, current.deployment_id) if current is not None else None
        if current is None or rolling is None or rolling.state == "done":
            return current
        admitted = select(rollout_member.c.atom_id).where(
            rollout_member.c.deployment_id == current.deployment_id, rollout_member.c.atom_id == atom_id
        )
        if sql.execute(admitted).first() is not None:
            return current
        current = sql.execute(select(deployment).where(deployment.c.deployment_id == rolling.base_id)).one_or_none()
    return None


def failed_executions(sql: Connection, atom_id: str, *, since_ms: int, until_ms: int, manifest_digest: str = "") -> int:
    """Failed ones that the atom reported in [since, until), of that manifest ("" of any); at most FAILURES_COUNTED."""
    query = (
        select(execution.c.body)
        .where(
            execution.c.atom_id == atom_id,
            execution.c.state == types_pb2.EXECUTION_STATE_FAILED,
            execution.c.reported_ms >= since_ms,
            execution.c.reported_ms < until_ms,
        )
        .limit(FAILURES_COUNTED)
    )
    digests = (types_pb2.Execution.FromString(body).manifest_digest for body in sql.execute(query).scalars())
    return sum(manifest_digest in ("", digest) for digest in digests)


def message(sql: Connection, row: RolloutRow) -> control_pb2.Rollout:
    shown = control_pb2.Rollout(
        deployment_id=row.deployment_id,
        state=row.state,
        reason=row.reason,
        max_unavailable=row.max_unavailable,
        can_return=row.return_envelope is not None,
        returned_as=row.returned_as,
    )
    shown.gate.FromMilliseconds(row.gate_ms)
    if row.return_until_ms:
        shown.return_until.FromMilliseconds(row.return_until_ms)
    if row.failed_atom_id:
        name = sql.execute(select(atom.c.name).where(atom.c.atom_id == row.failed_atom_id)).scalar_one_or_none()
        shown.failed_atom = name or row.failed_atom_id
    return shown
