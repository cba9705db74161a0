"""A deployment member by member: gates, the way back that was signed beforehand, and what each member runs meanwhile."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import msgspec
import pytest
from dative.bundle.envelope import Envelope, sign
from dative.bundle.manifest import DEPLOYMENT_TYPE, Manifest
from dative.clock import ManualClock
from dative.rpc import error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import types_pb2
from dative_controller.cli.rolling import way_back
from dative_controller.rollout.roller import Roller
from dative_controller.rollout.rolling import Decision, Member, Policy, decide
from dative_controller.store import reports
from dative_controller.store.reports import Reporter

ACTIVE, REFUSED, BACK = types_pb2.PHASE_ACTIVE, types_pb2.PHASE_REFUSED, types_pb2.PHASE_ROLLED_BACK
POLICY = Policy(max_unavailable=1, gate_ms=30_000, activate_ms=600_000)
NOW = 1_000_000


def member(name: str, step: str = "", **more: Any) -> Member:
    values = {"connected": True, "well": True, "heard_ms": NOW, "admitted_ms": NOW - 60_000, "active_ms": NOW - 40_000}
    return Member(name, name, step=step, **(values | more))  # type: ignore[arg-type]


# What members are like -> what is decided. "why" is a part of the reason.
DECISIONS: dict[str, tuple[list[Member], Decision | str]] = {
    "the first by name": ([member("a"), member("b")], Decision(admit=("a",))),
    "one at a time": ([member("a", "activating"), member("b")], Decision()),
    "two were allowed": ([member("a"), member("b"), member("c")], Decision(admit=("a", "b"))),
    "who is away or not well is not begun with": (
        [member("a", connected=False), member("b", well=False), member("c", well=None), member("d")],
        Decision(admit=("d",)),
    ),
    "active: its gate begins": ([member("a", "activating", phase=ACTIVE), member("b")], Decision(gate=("a",))),
    "in its gate": ([member("a", "gating", phase=ACTIVE, active_ms=NOW - 29_999), member("b")], Decision()),
    "through its gate": (
        [member("a", "gating", phase=ACTIVE), member("b")],
        Decision(admit=("b",), passed=("a",)),
    ),
    "not heard of since its gate ended": ([member("a", "gating", phase=ACTIVE, heard_ms=NOW - 20_000)], Decision()),
    "away at the end of its gate": ([member("a", "gating", phase=ACTIVE, connected=False)], Decision()),
    "the last one": ([member("a", "passed"), member("b", "gating")], Decision(passed=("b",), done=True)),
    "who is away gets it later": ([member("a", "passed"), member("b", connected=False)], Decision(done=True)),
    "nobody is there": ([member("a", connected=False)], Decision()),
    "somebody is not well": ([member("a", "passed"), member("b", well=False)], Decision()),
    "refused": ([member("a", "activating", phase=REFUSED, why="too old (bundle.x)")], "a refused it: too old"),
    "rolled back": ([member("a", "gating", phase=BACK)], "a went back to what ran before"),
    "not well under it": ([member("a", "gating", phase=ACTIVE, well=False)], "a is not well"),
    "not well before it was active": (
        [member("a", "gating", phase=ACTIVE, well=False, heard_ms=NOW - 50_000)],
        Decision(),
    ),
    "more failures than before": (
        [member("a", "gating", phase=ACTIVE, failed=2, failed_before=1)],
        "2 executions of a",
    ),
    "as many failures as before": (
        [member("a", "gating", phase=ACTIVE, failed=1, failed_before=1)],
        Decision(passed=("a",), done=True),
    ),
    "it never activates": ([member("a", "activating", admitted_ms=NOW - 600_001)], "did not activate it within 600 s"),
    "it is gone": (
        [member("a", "gating", phase=ACTIVE, active_ms=NOW - 630_001, connected=False)],
        "not heard of again",
    ),
}


@pytest.mark.parametrize(("members", "wanted"), DECISIONS.values(), ids=DECISIONS.keys())
def test_what_a_rollout_does_next(members: list[Member], wanted: Decision | str) -> None:
    policy = replace(POLICY, max_unavailable=2 if len(members) == 3 and not members[0].step else 1)
    found = decide(members, policy, NOW)
    if isinstance(wanted, str):
        assert found.failed is not None
        assert wanted in found.failed[1]
        assert not found.admit
    else:
        assert found == wanted


# ---- with a real controller -----------------------------------------------------------------------------------------


class Site:
    """Three atoms that follow what they are given, a controller and a clock moved by hand."""

    def __init__(self, world: Any, clock: ManualClock, links: dict[str, Any]) -> None:
        self.world, self.clock, self.links = world, clock, links
        self.phases: dict[str, int] = {}
        self.well: dict[str, bool] = {}
        self.got: dict[str, list[int]] = {name: [] for name in links}
        core = world.controller.core
        self.roller = Roller(
            core.database, core.hub, core.feed, clock, organization_id=core.organization_id, version=core.version
        )

    async def beat(self) -> None:
        """Every atom takes what waits for it, answers, and beats."""
        for name, link in self.links.items():
            await link.send(heartbeat=a.Heartbeat(healthy=self.well.get(name, True)))
            while (message := await link.next()).WhichOneof("kind") != "heartbeat_ack":
                if message.WhichOneof("kind") == "desired_state":
                    self.got[name].append(message.desired_state.generation)
                    await link.acknowledge(message.desired_state, self.phases.get(name, ACTIVE))

    async def on(self, seconds: float = 31) -> None:
        self.clock.advance(seconds)
        for _ in range(3):
            await self.beat()
            await self.roller.step()
        await self.beat()

    async def state(self, deployment_id: str) -> Any:
        admin = self.world.admin
        request = c.WatchDeploymentRequest(deployment_id=deployment_id)
        call = admin.call(admin.deployment.WatchDeployment, request)
        found = await call.read()
        call.cancel()
        return found

    async def generation(self) -> int:
        admin = self.world.admin
        desired = await admin.call(admin.deployment.GetDesired, c.GetDesiredRequest(environment="test"))
        return int(desired.generation)

    async def roll(self, data: bytes, *, back: bool = True, **changed: Any) -> Any:
        """Deploy `data` member by member. changed: fields of the way back that are made wrong."""
        admin = self.world.admin
        await admin.put_blob(data)
        desired = await admin.call(admin.deployment.GetDesired, c.GetDesiredRequest(environment="test"))
        envelope = await admin.manifest("test", {"orders": data}, issued_at=self.clock.now().replace(microsecond=0))
        policy = c.RolloutPolicy()
        if back:
            current, new = (manifest_of(one) for one in (desired.manifest_envelope, envelope))
            made = way_back(current, new, self.clock.now().replace(microsecond=0))
            made = msgspec.structs.replace(made, **changed)
            policy.return_envelope = sign(DEPLOYMENT_TYPE, made.to_payload(), [admin.keys.release]).to_bytes()
        request = c.CreateDeploymentRequest(
            request_id=secrets.token_hex(8), manifest_envelope=envelope, rollout=policy, kind="deploy"
        )
        return await admin.call(admin.deployment.CreateDeployment, request)


def manifest_of(envelope: bytes) -> Manifest:
    return Manifest.parse(Envelope.parse(envelope, bytes_max=1 << 20).payload)


@pytest.fixture
async def site(start: Any) -> Any:
    clock = ManualClock(datetime.now(UTC))
    world = await start(clock=clock, access_token_lifetime=timedelta(days=3), refresh_token_lifetime=timedelta(days=9))
    async with AsyncExitStack() as stack:
        links = {}
        for name in ("hq-1", "hq-2", "hq-3"):
            links[name] = await stack.enter_async_context((await world.new_atom(name)).connect())
        made = Site(world, clock, links)
        await world.admin.deploy(data=b'{"v":1}')
        await made.on(1)
        yield made


async def test_a_generation_goes_member_by_member_each_through_its_gate(site: Any) -> None:
    created = await site.roll(b'{"v":2}')
    await site.on(0)
    assert [site.got[name][-1] for name in sorted(site.got)] == [2, 1, 1]
    found = await site.state(created.deployment_id)
    assert [atom.step for atom in found.atoms] == ["gating", "waiting", "waiting"]
    assert (found.rollout.state, found.done, found.rollout.can_return) == ("rolling", False, True)
    await site.on(29)
    assert site.got["hq-2"][-1] == 1
    await site.on(2)
    assert [site.got[name][-1] for name in sorted(site.got)] == [2, 2, 1]
    await site.on()
    await site.on()
    found = await site.state(created.deployment_id)
    assert (found.rollout.state, found.done) == ("done", True)
    assert [site.got[name] for name in sorted(site.got)] == [[1, 2]] * 3
    assert not found.rollout.can_return, "a way back that is not needed is let go of"


WRONG = {
    "rolled back": ("phases", BACK, "went back"),
    "refused": ("phases", REFUSED, "refused it"),
    "not well": ("well", False, "is not well"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_member_that_goes_bad_brings_all_of_them_back_by_what_was_signed(site: Any, case: str) -> None:
    which, value, why = WRONG[case]
    created = await site.roll(b'{"v":2}')
    await site.on(0)
    if which == "phases":
        site.phases["hq-2"] = value
    await site.on()
    getattr(site, which)["hq-2"] = value
    await site.on(1)
    getattr(site, which).clear()
    await site.on(1)
    found = await site.state(created.deployment_id)
    assert (found.rollout.state, found.rollout.failed_atom, found.rollout.returned_as) == ("returned", "hq-2", 3)
    assert why in found.rollout.reason
    assert await site.generation() == 3
    assert [generations[-1] for generations in site.got.values()] == [3, 3, 3]
    assert 2 not in site.got["hq-3"]
    kinds = await site.world.admin.call(
        site.world.admin.deployment.ListDeployments, c.ListDeploymentsRequest(environment="test")
    )
    assert [one.kind for one in kinds.deployments] == ["return", "deploy", "deploy"]
    assert kinds.deployments[0].rollback_of == 1
    await site.world.admin.deploy(data=b'{"v":4}', issued_at=site.clock.now().replace(microsecond=0))
    assert await site.generation() == 4


async def test_executions_that_fail_under_the_new_generation_bring_it_back(site: Any) -> None:
    created = await site.roll(b'{"v":2}')
    await site.on(0)
    found = await site.state(created.deployment_id)
    core = site.world.controller.core
    answer = site.links["hq-1"].atom.enrolled
    who = Reporter(answer.atom_id, answer.environment_id, answer.molecule_id)
    run = types_pb2.Execution(
        execution_id="X", process="orders", attempt=1, state=5, manifest_digest=found.deployment.manifest_digest
    )
    await core.database.write(lambda sql: reports.put_execution(sql, who, run, core.now_ms()))
    await site.on(5)
    found = await site.state(created.deployment_id)
    assert (found.rollout.state, found.rollout.failed_atom) == ("returned", "hq-1")
    assert "1 executions of hq-1 failed" in found.rollout.reason


@pytest.mark.parametrize("late", [False, True])
async def test_without_a_way_back_or_after_its_time_the_rollout_halts_and_others_keep_what_they_have(
    site: Any, late: bool
) -> None:
    created = await site.roll(b'{"v":2}', back=late)
    await site.on(0)
    if late:
        site.clock.advance(timedelta(hours=25).total_seconds())
    site.well["hq-1"] = False
    await site.on(1)
    found = await site.state(created.deployment_id)
    assert (found.rollout.state, found.done, await site.generation()) == ("halted", True, 2)
    assert ("could not be taken" in found.rollout.reason) == late
    assert [site.got[name][-1] for name in sorted(site.got)] == [2, 1, 1]
    # The next one is for everybody again.
    await site.world.admin.deploy(data=b'{"v":3}', issued_at=site.clock.now().replace(microsecond=0))
    await site.on(1)
    assert [generations[-1] for generations in site.got.values()] == [3, 3, 3]


BACKS: dict[str, dict[str, Any]] = {
    "generation": {"generation": 9},
    "predecessor": {"previous_digest": "sha256:" + "0" * 64},
    "rollback_of": {"rollback_of": None, "allow_release_counter_decrease": False},
    "expiry": {"expires_at": datetime.now(UTC).replace(microsecond=0) + timedelta(days=60)},
    "artifacts": {"artifacts": ()},
}


@pytest.mark.parametrize(("name", "changed"), BACKS.items())
async def test_a_way_back_that_is_not_what_runs_now_is_refused_with_the_deployment(
    site: Any, name: str, changed: dict[str, Any]
) -> None:
    if name == "artifacts":
        changed = {"processes": (), "artifacts": ()}
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await site.roll(b'{"v":2}', **changed)
    error = error_from(refused.value)
    assert error.code.name == "rollout.return_invalid"
    assert name in error.message
    assert await site.generation() == 1


async def test_nobody_asks_for_a_return_but_the_rollout_itself(site: Any) -> None:
    admin = site.world.admin
    request = c.CreateDeploymentRequest(manifest_envelope=await admin.manifest("test", {}), kind="return")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await admin.call(admin.deployment.CreateDeployment, request)
    assert error_from(refused.value).code.name == "rpc.invalid_argument"
