"""Carries rollouts on: gathers how members are, has `rolling` decide, stores the decision, pushes what follows from it.

Any number of controllers may do so beside one another: each step is one transaction under the organization's lock,
decided anew from what is stored. A controller knows the newest heartbeats of the atoms it holds, and those of others
as they were flushed, so that it never passes a member which it has not heard of since its gate ended.
"""

from __future__ import annotations

from typing import Any

from dative.clock import Clock
from dative.errors import DativeError
from dative.v1 import agent_pb2, types_pb2
from sqlalchemy import Connection, Row

from dative_controller.links.feed import Feed
from dative_controller.links.hub import Hub, milliseconds
from dative_controller.rollout import deploy, rolling
from dative_controller.rollout.rolling import Decision, Member, Policy
from dative_controller.store import audit, changes, deployments, rollouts
from dative_controller.store.changes import Change, publish
from dative_controller.store.database import Database, StoreError
from dative_controller.telemetry.log import log

LOOK_AGAIN_S = 1.0
"""Gates end by time, and what other controllers store raises no signal here."""
ACTOR = "controller:rollout"


class Roller:
    """organization_id, version: as `deploy.create` wants them, for the way back."""

    def __init__(
        self, database: Database, hub: Hub, feed: Feed, clock: Clock, *, organization_id: str, version: str
    ) -> None:
        self._database = database
        self._hub = hub
        self._feed = feed
        self._clock = clock
        self._organization_id = organization_id
        self._version = version

    async def run_forever(self) -> None:
        while True:
            seen = self._hub.progressed.count
            try:
                await self.step()
            except StoreError as failed:
                log.warning("rollout.stalled", error=str(failed))
            await self._hub.progressed.wait(seen, LOOK_AGAIN_S)

    async def step(self) -> None:
        """One look at every open rollout."""
        for deployment_id in await self._database.read(rollouts.open_ones):
            moved = await self._database.write(lambda sql, one=deployment_id: self._advance(sql, one))  # type: ignore[misc]
            if moved:
                self._feed.poke()
                self._hub.progressed.notify()

    def _advance(self, sql: Connection, deployment_id: str) -> bool:
        """Decide and store; True when something changed."""
        changes.lock(sql)
        row = rollouts.of(sql, deployment_id)
        if row is None or row.state != "rolling":
            return False  # another controller was here first
        now_ms = milliseconds(self._clock)
        found = deployments.find(sql, deployment_id)
        members = rolling.in_order(
            self._member(sql, found, row, one, now_ms) for one in deployments.progress(sql, found)
        )
        policy = Policy(row.max_unavailable, row.gate_ms, row.activate_ms)
        decision = rolling.decide(members, policy, now_ms)
        if decision.idle:
            return False
        self._store(sql, row, decision, now_ms)
        if decision.admit or decision.done:
            publish(sql, Change("desired", row.environment_id, row.molecule_id), now_ms)
        return True

    def _member(
        self, sql: Connection, found: deployments.DeploymentRow, row: rollouts.RolloutRow, atom: Row[Any], now_ms: int
    ) -> Member:
        at = rollouts.members(sql, row.deployment_id).get(atom.atom_id)
        well, heard_ms = self._heard(atom)
        failed = failed_before = 0
        if at is not None and at.step == "gating":
            failed = rollouts.failed_executions(
                sql,
                atom.atom_id,
                since_ms=at.admitted_ms,
                until_ms=now_ms + 1,
                manifest_digest=found.manifest_digest,
            )
            failed_before = rollouts.failed_executions(
                sql, atom.atom_id, since_ms=at.admitted_ms - row.gate_ms, until_ms=at.admitted_ms
            )
        status = types_pb2.Status.FromString(atom.ack_status or b"")
        return Member(
            atom_id=atom.atom_id,
            name=atom.name,
            connected=atom.connected,
            step=at.step if at else "",
            admitted_ms=at.admitted_ms if at else 0,
            active_ms=at.active_ms if at else 0,
            phase=atom.ack_phase or 0,
            why=f"{status.message} ({status.code})" if status.code else "",
            well=well,
            heard_ms=heard_ms,
            failed=failed,
            failed_before=failed_before,
        )

    def _heard(self, atom: Row[Any]) -> tuple[bool | None, int]:
        """(well, when): of the newest heartbeat this controller knows."""
        session = self._hub.session(atom.atom_id)
        if session is not None:
            return (session.heartbeat.healthy, session.last_seen_ms) if session.beaten else (None, 0)
        if not atom.heartbeat:
            return None, 0
        return agent_pb2.Heartbeat.FromString(atom.heartbeat).healthy, atom.last_seen_ms

    def _store(self, sql: Connection, row: rollouts.RolloutRow, decision: Decision, now_ms: int) -> None:
        identity = row.deployment_id
        rollouts.admit(sql, identity, decision.admit, now_ms)
        rollouts.step(sql, identity, decision.gate, step="gating", active_ms=now_ms)
        rollouts.step(sql, identity, decision.passed, step="passed")
        if decision.done:
            rollouts.end(sql, identity, state="done")
            log.info("rollout.done", deployment_id=identity)
        elif decision.failed is not None:
            atom_id, why = decision.failed
            rollouts.step(sql, identity, [atom_id], step="failed")
            self._fail(sql, row, atom_id, why, now_ms)

    def _fail(self, sql: Connection, row: rollouts.RolloutRow, atom_id: str, why: str, now_ms: int) -> None:
        """Bring the former content back where that was signed beforehand; else give it to nobody further."""
        ended: dict[str, Any] = {"state": "halted", "failed_atom_id": atom_id}
        if row.return_envelope is not None:
            try:
                with sql.begin_nested():
                    ended |= {"state": "returned", "returned_as": self._return(sql, row, why)}
            except DativeError as refused:
                why = f"{why}; the way back could not be taken: {refused.message} ({refused.code.name})"
        rollouts.end(sql, row.deployment_id, reason=why, **ended)
        what = f"{row.environment_id}/{row.molecule_id}: {why}"[:500]
        action = "ReturnDeployment" if ended["state"] == "returned" else "HaltRollout"
        audit.append(sql, audit.Entry(ACTOR, action, what), now_ms)
        log.warning(f"rollout.{ended['state']}", deployment_id=row.deployment_id, why=why)

    def _return(self, sql: Connection, row: rollouts.RolloutRow, why: str) -> int:
        """Deploy what was signed for the way back, by all the rules of a deployment. Returns its generation."""
        failed = deployments.find(sql, row.deployment_id)
        wanted = deploy.Wanted(
            envelope=bytes(row.return_envelope),
            expected_check_index=0,
            reason=why[:500],
            kind=deploy.RETURN,
            created_by=ACTOR,
            traceparent=failed.traceparent,
        )
        _, manifest = deploy.create(
            sql, wanted, organization_id=self._organization_id, version=self._version, now=self._clock.now()
        )
        return manifest.generation
