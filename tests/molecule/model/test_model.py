"""A model of the protocol, made of its own transition functions, driven through reordering, pauses and loss.

Three members run the real `Membership`, election, `Leader.round`, `Claims` and `place`, each with a view that is as old as
the machine likes and a clock that may stand still (a paused process, or one blind to its deadline). Requests and answers are
lost, or arrive long after they were given up. The target and the journal refuse old tokens, as the real ones do.

Checked after every step, from etcd's own history and from what the target and the journal counted:
- at most one member has an execution and a deadline that is not over;
- every checkpoint was written under the token of the assignment that stood at that moment, and batches only rise;
- every effect was applied once; every execution ended once;
- and when the faults stop, everything ends.

`test_the_model_sees` plants bugs, one at a time, and each must be found: this is how the model was seen red.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from dative.clock import Clock
from dative.errors import DativeError
from dative.waiting import HandClock
from dative_atom.molecule.claim import Claim, Claims, FencedOff, fencing_token
from dative_atom.molecule.coordination import Compare, Unavailable
from dative_atom.molecule.election import Candidacy, resign, stand
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.leader import Leader, LeaderSettings, Move
from dative_atom.molecule.membership import Facts, Identity, Membership, member_value
from dative_atom.molecule.memory import Fault, MemoryCluster
from dative_atom.molecule.session import margin_of
from dative_atom.molecule.signal import Signal
from dative_atom.molecule.submit import Submission, cancel, submit
from dative_atom.molecule.values import CheckpointValue, decode
from dative_atom.molecule.view import View
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

KEYS = Keys("env-1", "hq")
TTL_S = 5.0
EPOCH = 3
MEMBERS = 3
EXECUTIONS_MAX = 5
BATCHES = 3
ROUNDS_MAX = 400


class Seen:
    """A member's clock: the world's, unless it stands still."""

    def __init__(self, world: Clock) -> None:
        self._world = world
        self.stopped_s: float | None = None

    def now(self) -> datetime:
        return self._world.now()

    def elapsed_s(self) -> float:
        return self._world.elapsed_s() if self.stopped_s is None else self.stopped_s

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the model's members do not wait")


@dataclass
class Lease:
    """A session, without its tasks: the machine renews it."""

    lease_id: int
    deadline_s: float
    clock: Seen
    closed: bool = False

    @property
    def valid(self) -> bool:
        return not self.closed and self.clock.elapsed_s() < self.deadline_s


@dataclass
class Held:
    claim: Claim
    batch: int = 0
    working: bool = True


@dataclass
class Target:
    """Of one execution: the token it saw last, how far it is, how often each batch was applied."""

    token: int = 0
    batch: int = 0
    effects: dict[int, int] = field(default_factory=dict)


@dataclass
class World:
    """The journal and the target. checks_tokens: False is a planted bug."""

    checks_tokens: bool = True
    planned: dict[str, Submission] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)

    async def unfinished(self) -> list[Submission]:
        return [one for name, one in self.planned.items() if name not in self.ends]

    async def is_final(self, execution_id: str) -> bool:
        return execution_id in self.ends

    async def end(self, execution_id: str, error: DativeError | None) -> None:
        if execution_id not in self.ends:
            self.ends[execution_id] = 1

    def begin(self, name: str, token: int) -> bool:
        """False: it is over. Errors: FencedOff."""
        self._guard(self.tokens.get(name, 0), token)
        self.tokens[name] = max(token, self.tokens.get(name, 0))
        target = self.targets.setdefault(name, Target())
        target.token = max(token, target.token)
        return name not in self.ends

    def apply(self, name: str, token: int, batch: int) -> None:
        target = self.targets[name]
        self._guard(target.token, token)
        target.effects[batch] = target.effects.get(batch, 0) + 1
        target.batch = max(target.batch, batch + 1)

    def finish(self, name: str, token: int) -> None:
        self._guard(self.tokens[name], token)
        self.ends[name] = self.ends.get(name, 0) + 1

    def _guard(self, known: int, token: int) -> None:
        if self.checks_tokens and token < known:
            raise FencedOff("an old token")


@dataclass(frozen=True)
class Bugs:
    """What is planted; nothing by default."""

    claims: type[Claims] = Claims
    leader: type[Leader] = Leader
    checks_tokens: bool = True
    looks_at_deadline: bool = True
    margin_s: float = margin_of(TTL_S)


class Node:
    """One member, moved by the machine only."""

    def __init__(self, number: int, cluster: MemoryCluster, world: World, bugs: Bugs) -> None:
        self.atom, self.world, self.bugs = f"hq-{number}", world, bugs
        self.client = cluster.client(self.atom)
        self.cluster = cluster
        self.clock = Seen(cluster.clock)
        self.view = View(KEYS)
        self.session: Lease | None = None
        self.candidacy: Candidacy | None = None
        self.leader: Leader | None = None
        self.membership: Membership | None = None
        self.draining = False
        self.held: dict[str, Held] = {}
        self.follow: Any = SimpleNamespace(view=self.view, changed=Signal(), until_revision=self._does_not_wait)

    async def _does_not_wait(self, _revision: int, _within_s: float) -> bool:
        return False

    @property
    def value(self) -> Any:
        identity = Identity(atom=self.atom, boot=self.atom, host=self.atom, data_dir=self.atom)
        return member_value(identity, Facts(slots=2), draining=self.draining)

    def alive(self) -> bool:
        """Whether this member believes that it may act. What it ran under a session that it knows to be lost, it stops."""
        if self.session is None:
            return False
        if self.session.valid or not self.bugs.looks_at_deadline:
            return True
        self.leave()
        return False

    def leave(self) -> None:
        self.session = self.candidacy = self.leader = self.membership = None
        self.held.clear()

    async def join(self) -> None:
        if self.cluster.item(KEYS.member(self.atom)) is not None:
            return  # what its former life left has not gone yet
        sent_s = self.clock.elapsed_s()
        lease = await self.client.grant(TTL_S)
        self.session = Lease(lease.lease_id, sent_s + lease.ttl_s - self.bugs.margin_s, self.clock)
        self.view.reset(await self.client.load(KEYS.prefix))
        identity = Identity(atom=self.atom, boot=self.atom, host=self.atom, data_dir=self.atom)
        self.membership = Membership(self.client, KEYS, self.clock, identity, lease.lease_id)
        await self.membership.register(self.value, TTL_S, Signal())

    async def keep_alive(self) -> None:
        assert self.session is not None
        sent_s = self.clock.elapsed_s()
        holds_s = await self.client.keep_alive(self.session.lease_id)
        self.session.deadline_s = max(self.session.deadline_s, sent_s + holds_s - self.bugs.margin_s)

    def hear(self, revisions: int) -> None:
        until = min(self.cluster.revision, self.view.revision + revisions)
        self.view.apply(self.cluster.changes(KEYS.prefix, self.view.revision, until))
        self.look()

    def look(self) -> None:
        """Stop what the view says is gone, as `work.Work.look` does."""
        for name, held in list(self.held.items()):
            mine = self.view.assigned.get(name, {}).get(self.atom)
            gone = mine is None or mine.item.create_revision != held.claim.revision
            if gone and self.view.revision >= held.claim.revision:
                del self.held[name]

    async def stand(self) -> None:
        assert self.session is not None
        if self.draining:
            if self.candidacy is not None:
                await resign(self.client, self.candidacy)
            self.candidacy = self.leader = None
        elif self.candidacy is None:
            self.candidacy = await stand(self.client, KEYS, self.atom, self.session.lease_id)

    async def lead(self) -> None:
        if self.candidacy is None or self.session is None or not self.candidacy.leads(self.view):
            return
        if self.leader is None:
            self.leader = self.bugs.leader(
                self.client,
                KEYS,
                self.follow,
                self.session,
                self.candidacy,
                self.world,
                self.clock,
                atom=self.atom,
                epoch=EPOCH,
                settings=LeaderSettings(claim_within_s=3.0, reconcile_every_s=4.0),
            )
        await self.leader.round()

    @property
    def claims(self) -> Claims:
        session: Any = self.session if self.bugs.looks_at_deadline else SimpleNamespace(valid=True)
        return self.bugs.claims(self.client, KEYS, self.atom, session, EPOCH)

    async def claim(self) -> None:
        assert self.session is not None
        if self.draining:
            return
        for assignment in list(self.view.assigned_to(self.atom, self.session.lease_id)):
            execution = self.view.executions.get(assignment.execution_id)
            if execution is None or execution.value.state != "A" or execution.execution_id in self.held:
                continue
            try:
                claim = await self.claims.claim(assignment, execution)
                going = self.world.begin(execution.execution_id, claim.token)
            except FencedOff:
                continue
            held = self.held[execution.execution_id] = Held(claim, self.world.targets[execution.execution_id].batch)
            if not going:
                held.working, held.batch = False, BATCHES

    async def step(self, name: str) -> None:
        """One batch: the effect, then the checkpoint; or the end. Fenced: dropped at once."""
        held = self.held[name]
        try:
            if held.claim.value.cancel and held.working:
                held.working, held.batch = False, BATCHES
                self.world.finish(name, held.claim.token)
            if held.batch < BATCHES:
                self.world.apply(name, held.claim.token, held.batch)
                held.batch += 1
                await self.claims.checkpoint(held.claim, held.batch, f"journal:{held.batch}", {"read": held.batch})
                return
            if held.working:
                held.working = False
                self.world.finish(name, held.claim.token)
            await self.claims.finish(held.claim)
            del self.held[name]
        except FencedOff:
            del self.held[name]

    async def hand_over(self, name: str, refused: bool) -> None:
        held = self.held[name]
        if not held.working:
            return
        held.working = False
        try:
            await self.claims.hand_over(held.claim, refused=refused)
        except FencedOff:
            pass
        except DativeError:
            held.working = True  # it was not given back for certain; it goes on
            return
        del self.held[name]


class Protocol(RuleBasedStateMachine):
    bugs = Bugs()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = HandClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.cluster = MemoryCluster(self.clock)
        self.world = World(self.bugs.checks_tokens)
        self.nodes = [Node(number, self.cluster, self.world, self.bugs) for number in range(MEMBERS)]
        self.read_to = 1
        self.assigned: dict[str, int] = {}
        self.batches: dict[str, int] = {}

    # ---- the machine's hands ---------------------------------------------------------------------------------------

    def do(self, doing: Coroutine[Any, Any, Any]) -> None:
        async def quietly() -> None:
            # What passes by itself: the member tries again when the machine lets it.
            with contextlib.suppress(DativeError):
                await doing

        self.loop.run_until_complete(quietly())
        self.check()

    @initialize()
    def everybody_joins(self) -> None:
        for node in self.nodes:
            self.do(node.join())
            self.do(node.stand())
        for number in range(3):
            self.submit(number, number % MEMBERS, 1 + number % 2)

    @rule(number=st.integers(0, EXECUTIONS_MAX - 1), by=st.integers(0, MEMBERS - 1), parts=st.integers(1, 2))
    def submit(self, number: int, by: int, parts: int) -> None:
        for part in range(parts):
            name = f"e{number}.{part}" if parts > 1 else f"e{number}"
            of = f"e{number}" if parts > 1 else ""
            one = Submission(execution_id=name, stream=f"s{number % 3}", at_ms=number, of=of, partition=str(part))
            if name not in self.world.ends:
                self.world.planned.setdefault(name, one)
                self.do(submit(self.nodes[by].client, KEYS, self.world.planned[name]))

    @rule(number=st.integers(0, EXECUTIONS_MAX - 1), by=st.integers(0, MEMBERS - 1))
    def cancel(self, number: int, by: int) -> None:
        self.do(cancel(self.nodes[by].client, KEYS, f"e{number}"))

    # Whole turns, so that a run of the machine goes far; the single moves below come in between.

    @rule(
        order=st.permutations(range(MEMBERS)),
        seconds=st.sampled_from([0.0, 0.5, 1.0]),
        rounds=st.integers(1, 3),
        revisions=st.sampled_from([1, 3, 1000]),
    )
    def a_while_passes(self, order: list[int], seconds: float, rounds: int, revisions: int) -> None:
        """revisions: so many each hears of in a turn; with few of them, views lag."""
        for _ in range(rounds):
            self.clock.advance(seconds)
            self.cluster.expire()
            for number in order:
                self._turn(self.nodes[number], 1, revisions)

    @rule(
        number=st.integers(0, MEMBERS - 1),
        blind=st.booleans(),
        seconds=st.sampled_from([2.0, 4.0, 6.0, 8.0]),
        steps=st.integers(0, 1),
    )
    def one_is_paused_and_the_others_go_on(self, number: int, blind: bool, seconds: float, steps: int) -> None:
        """It wakes in the middle of its work, or of leading. blind: nor does it see the time that passed, until `wakes`."""
        if blind:
            self.goes_blind(number)
        others = [node for node in self.nodes if node is not self.nodes[number]]
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            self.cluster.expire()
            for node in others:
                self._turn(node, steps)
        self.lead(number)
        self.work(number, 1)

    def _turn(self, node: Node, steps: int, revisions: int = 1000) -> None:
        self.join(self.nodes.index(node))
        if not node.alive():
            return
        self.do(node.keep_alive())
        node.hear(revisions)
        self.lead(self.nodes.index(node))
        if node.alive():
            node.hear(revisions)
            self.do(node.claim())
        self.work(self.nodes.index(node), steps)

    @rule(number=st.integers(0, MEMBERS - 1))
    def join(self, number: int) -> None:
        node = self.nodes[number]
        if not node.alive() and node.clock.stopped_s is None:
            self.do(node.join())

    @rule(number=st.integers(0, MEMBERS - 1), revisions=st.sampled_from([1, 2, 5, 1000]))
    def hear(self, number: int, revisions: int) -> None:
        if self.nodes[number].session is not None:
            self.nodes[number].hear(revisions)

    @rule(number=st.integers(0, MEMBERS - 1))
    def keep_alive(self, number: int) -> None:
        if self.nodes[number].alive():
            self.do(self.nodes[number].keep_alive())

    @rule(number=st.integers(0, MEMBERS - 1))
    def lead(self, number: int) -> None:
        node = self.nodes[number]
        if node.alive():
            self.do(node.stand())
            self.do(node.lead())

    @rule(number=st.integers(0, MEMBERS - 1))
    def claim(self, number: int) -> None:
        if self.nodes[number].alive():
            self.do(self.nodes[number].claim())

    @rule(number=st.integers(0, MEMBERS - 1), steps=st.integers(1, 4))
    def work(self, number: int, steps: int) -> None:
        node = self.nodes[number]
        for _ in range(steps):
            for name in list(node.held):
                if node.alive() and name in node.held:
                    self.do(node.step(name))

    @rule(number=st.integers(0, MEMBERS - 1), refused=st.booleans())
    def hand_over(self, number: int, refused: bool) -> None:
        node = self.nodes[number]
        for name in list(node.held)[:1]:
            if node.alive():
                self.do(node.hand_over(name, refused))

    @rule(number=st.integers(0, MEMBERS - 1), draining=st.booleans())
    def drain(self, number: int, draining: bool) -> None:
        node = self.nodes[number]
        node.draining = draining
        if node.alive() and node.membership is not None:
            self.do(node.membership.update(node.value))

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.cluster.expire()
        self.check()

    @rule(number=st.integers(0, MEMBERS - 1))
    def goes_blind(self, number: int) -> None:
        clock = self.nodes[number].clock
        clock.stopped_s = clock.elapsed_s()

    @rule(number=st.integers(0, MEMBERS - 1))
    def wakes(self, number: int) -> None:
        self.nodes[number].clock.stopped_s = None

    @rule(number=st.integers(0, MEMBERS - 1), cut_off=st.booleans())
    def partition(self, number: int, cut_off: bool) -> None:
        self.nodes[number].client.partitioned = cut_off

    @rule(number=st.integers(0, MEMBERS - 1), fault=st.sampled_from(list(Fault)), times=st.integers(1, 3))
    def loses(self, number: int, fault: Fault, times: int) -> None:
        self.nodes[number].client.lose_next(fault, times)

    @rule(number=st.integers(0, MEMBERS - 1))
    def late_requests_arrive(self, number: int) -> None:
        self.nodes[number].client.deliver()
        self.check()

    @precondition(lambda self: self.cluster.quorum)
    @rule(full=st.booleans())
    def database(self, full: bool) -> None:
        self.cluster.full = full

    # ---- what must hold ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        for node in self.nodes:
            node.alive()
        self._history()
        now_s = self.clock.elapsed_s()
        owners: dict[str, list[str]] = {}
        for node in self.nodes:
            for name, held in node.held.items():
                if held.working and node.session is not None and now_s < node.session.deadline_s:
                    owners.setdefault(name, []).append(node.atom)
        assert all(len(who) == 1 for who in owners.values()), f"two owners: {owners}"
        for name, target in self.world.targets.items():
            assert all(times == 1 for times in target.effects.values()), f"{name}: effects {target.effects}"
        assert all(times == 1 for times in self.world.ends.values()), f"ended more than once: {self.world.ends}"

    def _history(self) -> None:
        """Every checkpoint that was committed since, against the assignment that stood then."""
        for changes in self.cluster.history:
            if changes.revision <= self.read_to:
                continue
            before = dict(self.assigned)
            for change in changes.changes:
                named = KEYS.named(change.key)
                if named is None or named.kind not in ("assigned", "ckpt"):
                    continue
                if named.kind == "assigned" and change.now is not None:
                    self.assigned[named.execution_id] = change.now.create_revision
                elif named.kind == "assigned":
                    self.assigned.pop(named.execution_id, None)
                elif change.now is None:
                    self.batches.pop(named.execution_id, None)
                else:
                    value = decode(CheckpointValue, change.now.value)
                    current = fencing_token(EPOCH, before.get(named.execution_id, 0))
                    assert value.token == current, f"{change.key}: checkpoint of {value.token} under {current}"
                    assert value.batches >= self.batches.get(named.execution_id, 0), f"{change.key} went back"
                    self.batches[named.execution_id] = value.batches
            self.read_to = changes.revision

    def teardown(self) -> None:
        """The faults stop: everything that was planned ends, and etcd holds nothing of it."""
        try:
            self.cluster.full = False
            for node in self.nodes:
                node.client.partitioned, node.clock.stopped_s, node.draining = False, None, False
                node.client._next.clear()
                node.client.deliver()
            for _ in range(ROUNDS_MAX):
                if self._over():
                    return
                self.clock.advance(0.5)
                for node in self.nodes:
                    self._calm(node)
            assert self._over(), f"left: {self.world.planned.keys() - self.world.ends.keys()} {self.cluster.items()}"
        finally:
            self.loop.close()

    def _over(self) -> bool:
        prefixes = (KEYS.prefix + "exec/", KEYS.prefix + "assigned/", KEYS.prefix + "ckpt/")
        return self.world.planned.keys() == self.world.ends.keys() and not any(
            self.cluster.items(prefix) for prefix in prefixes
        )

    def _calm(self, node: Node) -> None:
        if not node.alive():
            self.do(node.join())
            return
        assert node.membership is not None
        self.do(node.keep_alive())
        if not node.alive() or KEYS.member(node.atom) not in {item.key for item in self.cluster.items()}:
            node.leave()
            return
        self.do(node.membership.update(node.value))
        node.hear(1000)
        self.do(node.stand())
        node.hear(1000)
        self.do(node.lead())
        node.hear(1000)
        self.do(node.claim())
        for name in list(node.held):
            self.do(node.step(name))


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def test_the_protocol_holds() -> None:
    run_state_machine_as_test(Protocol, settings=SETTINGS)


# ---- planted bugs ---------------------------------------------------------------------------------------------------


class UnguardedCheckpoints(Claims):
    """A checkpoint compares nothing, and looks at no deadline."""

    async def checkpoint(self, claim: Claim, batches: int, position: str, counts: Any) -> None:
        self._session = SimpleNamespace(valid=True)
        self._mine = lambda _claim: Compare.absent(KEYS.prefix)
        claim.checkpoint_revision = next(
            (item.mod_revision for item in self._coordination.cluster.items(KEYS.checkpoint(claim.execution_id))), 0
        )
        await super().checkpoint(claim, batches, position, counts)


class UnguardedClaims(Claims):
    """A claim compares neither the assignment nor the execution."""

    async def claim(self, assignment: Any, execution: Any) -> Claim:
        item = self._coordination.cluster.item(execution.item.key)
        if item is None:
            raise FencedOff("gone")
        revision = assignment.item.create_revision
        return Claim(
            execution.execution_id,
            revision,
            fencing_token(EPOCH, revision),
            execution.value,
            item.mod_revision,
            None,
            0,
        )


class BlindLeader(Leader):
    """Neither the term is compared nor what was decided from."""

    async def _transact(self, moves: Any) -> int:
        operations = [operation for move in moves for operation in move.operations]
        return (await self._coordination.transact([], operations)).revision


class LeaderWithoutOrphans(Leader):
    """What was lost with its member is left to itself."""

    def _repairing(self, repaired: Any) -> Move:
        raise Unavailable("not taken back")


class NeverFinishes(Claims):
    """The end is not written."""

    async def finish(self, claim: Claim) -> None:
        try:
            await self._coordination.transact([self._mine(claim)], [])
        except DativeError as error:
            raise Unavailable("lost") from error


PLANTED: dict[str, tuple[Bugs, str]] = {
    "a checkpoint without its compare": (
        Bugs(claims=UnguardedCheckpoints, looks_at_deadline=False),
        "checkpoint of",
    ),
    "deadline ignored and token unchecked": (Bugs(looks_at_deadline=False, checks_tokens=False), "effects|ended more"),
    "a deadline after the lease": (Bugs(margin_s=-4.0), "two owners"),
    "a claim without its compare": (Bugs(claims=UnguardedClaims), "two owners|left"),
    "a leader that compares nothing": (Bugs(leader=BlindLeader), "two owners|left|effects|checkpoint of"),
    "orphans that are left to themselves": (Bugs(leader=LeaderWithoutOrphans), "left"),
    "a finish that is not written": (Bugs(claims=NeverFinishes), "left"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_the_model_sees(planted: str) -> None:
    bugs, seen = PLANTED[planted]
    machine = type("Planted", (Protocol,), {"bugs": bugs})
    looking = settings(SETTINGS, max_examples=2000, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(AssertionError, match=seen):
        run_state_machine_as_test(machine, settings=looking)
