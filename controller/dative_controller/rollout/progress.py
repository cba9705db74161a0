"""How far a deployment is, atom by atom; followed until every atom answered for good."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dative.errors.control import VERSION_CONFLICT
from dative.v1 import control_pb2, types_pb2
from sqlalchemy import Connection

from dative_controller.store import deployments, rollouts
from dative_controller.store.database import Database
from dative_controller.telemetry.signal import Signal

FINAL = (types_pb2.PHASE_ACTIVE, types_pb2.PHASE_ROLLED_BACK, types_pb2.PHASE_REFUSED)
LOOK_AGAIN_S = 1.0
"""Acks stored by another controller raise no signal here."""


def read(sql: Connection, deployment_id: str) -> control_pb2.WatchDeploymentResponse:
    """The deployment's state now. Superseded by a newer one: done, its unanswered atoms say so."""
    row = deployments.find(sql, deployment_id)
    current = deployments.desired(sql, row.environment_id, row.molecule_id)
    superseded = current is not None and current.deployment_id != row.deployment_id
    shown = control_pb2.WatchDeploymentResponse(deployment=deployments.message(row))
    for found in deployments.progress(sql, row):
        atom = shown.atoms.add(
            atom_id=found.atom_id, name=found.name, phase=found.ack_phase or 0, online=found.connected
        )
        if found.ack_status:
            atom.status.ParseFromString(found.ack_status)
        elif superseded and atom.phase not in FINAL:
            atom.status.code = VERSION_CONFLICT.name
            atom.status.message = f"generation {current.generation} came after" if current else ""
    rolling = rollouts.of(sql, row.deployment_id)
    if rolling is None:
        shown.done = superseded or all(atom.phase in FINAL for atom in shown.atoms)
        return shown
    shown.rollout.CopyFrom(rollouts.message(sql, rolling))
    members = rollouts.members(sql, row.deployment_id)
    for atom in shown.atoms:
        member = members.get(atom.atom_id)
        atom.step = member.step if member else "waiting"
        if member is not None and member.step == "gating":
            atom.gate_until.FromMilliseconds(member.active_ms + rolling.gate_ms)
    shown.done = rolling.state != "rolling"
    return shown


async def watch(
    database: Database, deployment_id: str, signal: Signal
) -> AsyncIterator[control_pb2.WatchDeploymentResponse]:
    """The state at once and at each change, up to the one that is done."""
    last: control_pb2.WatchDeploymentResponse | None = None
    while last is None or not last.done:
        seen = signal.count
        now = await database.read(lambda sql: read(sql, deployment_id))
        if now != last:
            yield now
            last = now
        if not now.done:
            await signal.wait(seen, LOOK_AGAIN_S)
