"""Who runs what: never two owners, never over the slots, nobody starves, nothing moves without need."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest
from dative_atom.molecule.assignment import Placement, Requeue, Stray, Turns, place, repair, requeued
from dative_atom.molecule.coordination import Change, Changes, KeyValue
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.values import (
    VERSION,
    AssignmentValue,
    ExecutionValue,
    MemberValue,
    QuarantineValue,
    Value,
    encode,
)
from dative_atom.molecule.view import View
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = Keys("env-1", "hq")
ALL = 10_000


@dataclass
class World:
    """A view that is changed as the transactions of a leader and of members change it."""

    view: View = field(default_factory=lambda: View(KEYS))
    revision: int = 1

    def put(self, key: str, value: Value | None, lease: int = 0) -> None:
        self.revision += 1
        before = self._created.get(key, self.revision)
        now = KeyValue(key, encode(value), before, self.revision, lease) if value is not None else None
        if now is None:
            self._created.pop(key, None)
        else:
            self._created[key] = before
        self.view.apply(Changes(self.revision, (Change(key, self.revision, now),)))

    _created: dict[str, int] = field(default_factory=dict)

    def member(self, atom: str, slots: int = 2, **more: object) -> None:
        value = MemberValue(v=VERSION, slots=slots, boot=atom, host=atom, data_dir=atom)
        self.put(KEYS.member(atom), msgspec.structs.replace(value, **more), lease=hash(atom) & 0xFFFF)

    def waits(self, name: str, stream: str = "", at_ms: int = 0, **more: object) -> None:
        value = ExecutionValue(v=VERSION, state="P", stream=stream or name, at_ms=at_ms)
        self.put(KEYS.execution(name), msgspec.structs.replace(value, **more))

    def place(self, placement: Placement) -> None:
        execution, atom = placement.execution, placement.member.atom
        self.put(execution.item.key, msgspec.structs.replace(execution.value, state="A", owner=atom))
        lease = placement.member.item.lease
        self.put(KEYS.assigned(atom, execution.execution_id), AssignmentValue(v=VERSION, attempt=1), lease)

    def claim(self, name: str) -> None:
        execution = self.view.executions[name]
        self.put(execution.item.key, msgspec.structs.replace(execution.value, state="R"))

    def finish(self, name: str) -> None:
        owner = self.view.executions[name].value.owner
        self.put(KEYS.execution(name), None)
        self.put(KEYS.assigned(owner, name), None)

    def lose(self, atom: str) -> None:
        for name in [name for name, held in self.view.assigned.items() if atom in held]:
            self.put(KEYS.assigned(atom, name), None)
        self.put(KEYS.member(atom), None)

    def repair(self, one: Requeue | Stray) -> None:
        if isinstance(one, Stray):
            self.put(one.assignment.item.key, None)
            return
        self.put(one.execution.item.key, requeued(one).value)
        if one.assignment is not None:
            self.put(one.assignment.item.key, None)

    def settle(self, turns: Turns | None = None) -> tuple[list[Placement], Turns]:
        placements, turns = place(self.view, turns or Turns(), ALL)
        for placement in placements:
            self.place(placement)
        return placements, turns


def who(placements: list[Placement]) -> dict[str, str]:
    return {one.execution.execution_id: one.member.atom for one in placements}


def checked(world: World) -> None:
    """What holds of every view that came of placements."""
    view = world.view
    for atom, load in view.load.items():
        assert load <= view.members[atom].value.slots, atom
    for name, held in view.assigned.items():
        assert list(held) == [view.executions[name].value.owner]
    for stream, active in view.active.items():
        assert len({one.group for one in active.values()}) == 1, stream
        assert len(active) == 1 or all(one.value.of for one in active.values())


executions = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 5), st.sampled_from(["", "", "d1", "d2"]), st.integers(0, 6)),
    max_size=30,
)
members = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.booleans(), st.sampled_from([(), ("d1",), ("d1", "d2")])), max_size=5
)


def world_of(given_members: list[tuple], given_executions: list[tuple]) -> World:
    world = World()
    for number, (slots, ready, draining, digests) in enumerate(given_members):
        world.member(f"hq-{number}", slots, ready=ready, draining=draining, digests=digests)
    for number, (stream, at_ms, digest, partitions) in enumerate(given_executions):
        if partitions < 2:
            world.waits(f"e{number}", stream, at_ms, digest=digest)
        for part in range(partitions if partitions >= 2 else 0):
            world.waits(f"e{number}.{part}", stream, at_ms, digest=digest, of=f"e{number}", partition=str(part))
    return world


@given(members, executions)
@settings(max_examples=150, deadline=None)
def test_no_two_owners_no_member_over_its_slots_and_again_decides_nothing(given_members, given_executions) -> None:
    world = world_of(given_members, given_executions)
    placements, turns = world.settle()
    assert len({one.execution.execution_id for one in placements}) == len(placements)
    checked(world)
    for one in placements:
        value = one.member.value
        assert value.ready
        assert not value.draining
        assert one.execution.value.digest in ("", *value.digests)
    assert place(world.view, turns, ALL)[0] == []
    assert place(world.view, Turns(), ALL)[0] == []
    assert repair(world.view) == []


@given(members, executions, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_whatever_ends_or_is_lost_everything_that_can_run_ends(
    given_members, given_executions, rnd: random.Random
) -> None:
    world = world_of(given_members, given_executions)
    world.member("hq-9", 1, digests=("d1", "d2"))
    turns = Turns()
    for _ in range(20 * len(given_executions) * 6 + 20):
        for one in repair(world.view):
            world.repair(one)
        assert repair(world.view) == []
        _, turns = world.settle(turns)
        checked(world)
        active = sorted(one.execution_id for one in world.view.active_executions())
        if not active:
            break
        name = rnd.choice(active)
        if rnd.random() < 0.1 and (owner := world.view.executions[name].value.owner) != "hq-9":
            world.lose(owner)
        else:
            world.claim(name)
            world.finish(name)
    assert world.view.executions == {}


@given(st.integers(1, 3), st.integers(2, 6), st.integers(5, 40), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_stream_waits_no_longer_than_the_others_take_a_turn_each(
    slots: int, streams: int, hot: int, rnd: random.Random
) -> None:
    """Stream 0 has a long backlog, older than all others; executions of the others keep coming."""
    world = World()
    world.member("hq-1", slots)
    for number in range(hot):
        world.waits(f"hot{number:03}", "s0", number)
    turns, passed = Turns(), {f"s{number}": 0 for number in range(streams)}
    for step in range(120):
        stream = f"s{1 + step % (streams - 1)}"
        world.waits(f"e{step:03}", stream, 1000 + step)
        placements, turns = world.settle(turns)
        for one in placements:
            for waiting in world.view.waiting:
                if waiting != one.execution.value.stream and waiting not in world.view.active:
                    passed[waiting] += 1
            passed[one.execution.value.stream] = 0
        # Those that are placed in one go are counted one by one, hence the slots beside the streams.
        assert max(passed.values()) <= streams + slots
        active = [one.execution_id for one in world.view.active_executions()]
        world.finish(rnd.choice(active))


def test_the_least_loaded_member_gets_it(keys: Keys) -> None:
    world = World()
    world.member("big", 8)
    world.member("small", 2)
    placed = [who(world.settle()[0]) for number in range(5) if world.waits(f"e{number}") is None]
    assert [next(iter(one.values())) for one in placed] == ["small", "big", "big", "big", "big"]


def test_partitions_spread_over_the_members_and_leave_a_slot_in_eight(keys: Keys) -> None:
    world = World()
    for atom in ("a", "b"):
        world.member(atom, 8)
    for part in range(40):
        world.waits(f"e.{part:02}", "hot", of="e", partition=str(part))
    world.settle()
    assert world.view.load == {"a": 7, "b": 7}
    world.waits("other", "cold", 99)
    assert len(world.settle()[0]) == 1


def test_a_hot_execution_starves_nobody_when_slots_free_up() -> None:
    world = World()
    world.member("a", 2)
    for part in range(20):
        world.waits(f"e.{part:02}", "hot", of="e", partition=str(part))
    _, turns = world.settle()
    for name in ("c1", "c2"):
        world.waits(name, name, 99)
    for part in ("e.00", "e.01"):
        world.finish(part)
        placements, turns = world.settle(turns)
        assert not next(iter(who(placements))).startswith("e.")


def test_one_execution_of_a_stream_and_the_oldest_first() -> None:
    world = World()
    world.member("a", 4)
    world.waits("later", "s", 2)
    world.waits("first", "s", 1)
    assert list(who(world.settle()[0])) == ["first"]
    world.finish("first")
    assert list(who(world.settle()[0])) == ["later"]


def test_what_calls_itself_a_partition_of_one_that_runs_whole_waits() -> None:
    world = World()
    world.member("a", 4)
    world.waits("e", "s")
    world.settle()
    world.waits("e.1", "s", of="e", partition="1")
    assert world.settle()[0] == []
    world.finish("e")
    assert list(who(world.settle()[0])) == ["e.1"]


def test_partitions_of_the_next_execution_wait_for_the_one_before() -> None:
    world = World()
    world.member("a", 8)
    for of in ("e1", "e2"):
        for part in range(2):
            world.waits(f"{of}.{part}", "s", int(of[1]), of=of, partition=str(part))
    assert sorted(who(world.settle()[0])) == ["e1.0", "e1.1"]
    world.finish("e1.0")
    assert world.settle()[0] == []
    world.finish("e1.1")
    assert sorted(who(world.settle()[0])) == ["e2.0", "e2.1"]


@pytest.mark.parametrize(
    "not_it",
    [
        {"draining": True},
        {"ready": False},
        {"slots": 0},
        {"broken": ("p",)},
        {"digests": ("other",)},
        {"protocol": 9, "protocol_min": 9},
    ],
    ids=str,
)
def test_a_member_that_can_not_run_it_is_left_out(not_it: dict) -> None:
    world = World()
    world.member("a", **{"digests": ("d",), **not_it})
    world.waits("e", process="p", digest="d")
    assert world.settle()[0] == []
    world.member("b", digests=("d",))
    assert who(world.settle()[0]) == {"e": "b"}


def test_who_gave_it_back_is_asked_again_only_when_nobody_else_is_there() -> None:
    world = World()
    world.member("a", 4)
    world.member("b", 1)
    world.waits("e", avoid="a")
    assert who(world.settle()[0]) == {"e": "b"}
    world.waits("f", avoid="a")
    assert who(world.settle()[0]) == {"f": "a"}


@pytest.mark.parametrize("change", [{"draining": True}, {"ready": False}, None, "quarantine"], ids=str)
def test_unclaimed_ones_are_taken_off_a_member_and_what_runs_is_not(change: dict | str | None) -> None:
    world = World()
    world.member("a", 2)
    world.waits("claimed")
    world.waits("unclaimed")
    world.settle()
    world.claim("claimed")
    if change == "quarantine":
        world.put(KEYS.quarantine("a"), QuarantineValue(v=VERSION, hosts=("x",), boots=("y",), at_ms=0))
    elif change is None:
        world.put(KEYS.member("a"), None)
    else:
        world.member("a", 2, **change)
    found = repair(world.view)
    assert [(one.execution.execution_id, one.lost) for one in found] == [("unclaimed", False)]


def test_an_orphan_waits_again_and_says_with_whom_it_was_lost() -> None:
    world = World()
    world.member("a", 2)
    world.waits("began")
    world.waits("not")
    world.settle()
    world.claim("began")
    world.lose("a")
    again = {one.execution.execution_id: requeued(one).value for one in repair(world.view)}
    assert (again["began"].attempt, again["began"].lost, again["began"].state) == (2, "a", "P")
    assert (again["not"].attempt, again["not"].lost, again["not"].state) == (1, "", "P")


def test_ten_thousand_that_wait_are_no_burden() -> None:
    world = World()
    for number in range(10):
        world.member(f"m{number}", 16)
    for number in range(10_000):
        world.waits(f"e{number:05}", f"s{number % 500}", number)
    placements, _ = place(world.view, Turns())
    assert len(placements) == 160
