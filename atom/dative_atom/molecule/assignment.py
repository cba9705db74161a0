"""Decides which member runs which execution, and which executions must be given to somebody else.

Everything that affects an assignment is here, and it is pure: a view comes in, decisions go out. It knows no clock, no
etcd and no leader. Deciding again after the decisions were carried out decides nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from dative_atom.molecule.values import PROTOCOL, PROTOCOL_MIN, MemberValue
from dative_atom.molecule.view import Assignment, Execution, Member, View

RESERVED_SHARE = 8
"""One slot in so many is kept from an execution's partitions, so that another process need not wait for one to end."""


@dataclass(frozen=True, slots=True)
class Placement:
    execution: Execution
    member: Member


@dataclass(frozen=True, slots=True)
class Turns:
    """Whose turn it is: stream -> when it was served last, or first seen waiting; `now` goes on by two with
    each that was served.

    A new leader begins without: then the oldest come first, and from there on everybody in turn.
    """

    last: Mapping[str, int] = field(default_factory=dict)
    now: int = 0


def works_with(value: MemberValue) -> bool:
    """Whether that member and this program speak a version of the protocol that both know."""
    return value.protocol >= PROTOCOL_MIN and value.protocol_min <= PROTOCOL


def takes_work(view: View, member: Member) -> bool:
    value = member.value
    return value.ready and not value.draining and member.atom not in view.quarantined and works_with(value)


# ---- placing --------------------------------------------------------------------------------------------------------


def place(view: View, turns: Turns, limit: int = 160) -> tuple[list[Placement], Turns]:
    """At most `limit` executions that wait, each with the member it is to run on.

    One execution of a stream at a time; the partitions of one execution side by side, up to all slots but the reserved
    ones. Streams with the fewest running first, then in turn, then the oldest. A member never gets more than its slots.
    """
    room = _Room(view)
    if not room.free or not view.waiting:
        return [], _seen(view, turns)
    turns = _seen(view, turns)
    last, now = dict(turns.last), turns.now
    queues = [_Queue(view, stream, last[stream], limit) for stream in view.waiting]
    heapq.heapify(queues)
    placed: list[Placement] = []
    while queues and room.free and len(placed) < limit:
        queue = heapq.heappop(queues)
        execution = queue.next(room.group_max)
        member = room.best(execution) if execution is not None else None
        if execution is None or member is None:
            continue  # nobody can take it now: its stream waits, the others need not
        placed.append(Placement(execution, member))
        room.take(execution, member)
        now += 2
        last[queue.stream] = queue.turn = now
        heapq.heappush(queues, queue)
    return placed, Turns(last, now)


def _seen(view: View, turns: Turns) -> Turns:
    """Streams that wait or run keep their turn. New ones stand before the one that was served last, behind all others."""
    known = view.waiting.keys() | view.active.keys()
    return Turns({stream: turns.last.get(stream, turns.now - 1) for stream in known}, turns.now)


class _Queue:
    """What of one stream may start, in order; ordered among the others by who is to be served first."""

    def __init__(self, view: View, stream: str, turn: int, limit: int) -> None:
        self.stream, self.turn, self._limit = stream, turn, limit
        self._all, self._active = view.waiting[stream].values(), view.active.get(stream, {}).values()
        self.running = len(self._active)
        self._head = min(self._all, key=_order)
        self._waiting: list[Execution] | None = None

    def next(self, group_max: int) -> Execution | None:
        if self._waiting is None:
            self._waiting = self._may_start()
        if not self._waiting or self.running >= group_max:
            return None
        execution = self._waiting.pop()
        self.running += 1
        if not execution.value.of:
            self._waiting = []
        return execution

    def _may_start(self) -> list[Execution]:
        """The next one last. Looked up only when it is this stream's turn: there may be thousands."""
        if any(not one.value.of for one in self._active):
            return []  # it runs whole: it has no partitions, whatever calls itself one
        # One execution of a stream at a time: the group that runs, or else that of the oldest one that waits.
        groups = {one.group for one in self._active} or {self._head.group}
        if len(groups) > 1:
            return []  # this can only come of a hand that is not ours; nothing is added to it
        return heapq.nsmallest(self._limit, (one for one in self._all if one.group in groups), key=_order)[::-1]

    def __lt__(self, other: _Queue) -> bool:
        return (self.running, self.turn, self._head.order) < (other.running, other.turn, other._head.order)


def _order(execution: Execution) -> tuple[int, str]:
    return execution.order


class _Room:
    """The free slots of the members that take work."""

    def __init__(self, view: View) -> None:
        self._free: dict[str, int] = {}
        self._members = [member for member in view.members.values() if takes_work(view, member)]
        for member in self._members:
            self._free[member.atom] = max(0, member.value.slots - view.load.get(member.atom, 0))
        self.free = sum(self._free.values())
        slots = sum(max(member.value.slots, 0) for member in self._members)
        self.group_max = slots - slots // RESERVED_SHARE
        self._groups: dict[tuple[str, str], int] = {}
        for execution in view.active_executions():
            self._count(execution.group, execution.value.owner)

    def best(self, execution: Execution) -> Member | None:
        """The least loaded member that can run it; where several are, the one with the fewest of its partitions."""
        able = [member for member in self._members if self._free[member.atom] > 0 and _can_run(member.value, execution)]
        return max(able, key=lambda member: self._rank(execution, member), default=None)

    def _rank(self, execution: Execution, member: Member) -> tuple[bool, float, int, float, str]:
        return (
            member.atom != execution.value.avoid,
            self._free[member.atom] / member.value.slots,
            -self._groups.get((execution.group, member.atom), 0),
            -member.value.load,
            member.atom,
        )

    def take(self, execution: Execution, member: Member) -> None:
        self._free[member.atom] -= 1
        self.free -= 1
        self._count(execution.group, member.atom)

    def _count(self, group: str, atom: str) -> None:
        self._groups[group, atom] = self._groups.get((group, atom), 0) + 1


def _can_run(member: MemberValue, execution: Execution) -> bool:
    value = execution.value
    return (not value.digest or value.digest in member.digests) and value.process not in member.broken


# ---- what must be given to somebody else ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requeue:
    """Back to P. assignment: to be taken away; None where it is gone. lost: the attempt was begun and is over."""

    execution: Execution
    assignment: Assignment | None
    lost: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """An assignment of what is not assigned: no execution, or another owner."""

    assignment: Assignment


def repair(view: View, slow: Collection[str] = ()) -> list[Requeue | Stray]:
    """slow: executions that their members did not claim in time.

    Unclaimed assignments are taken off members that are slow, draining, quarantined or gone. What runs is never taken
    away: its member hands it over, or loses it with its session.
    """
    found: list[Requeue | Stray] = []
    for execution in view.active_executions():
        assignment = view.assignment(execution)
        if assignment is None:
            # Nobody began what nobody claimed: that is no attempt.
            found.append(Requeue(execution, None, lost=execution.value.state == "R"))
        elif execution.value.state == "A" and _stolen(view, execution, slow):
            found.append(Requeue(execution, assignment, lost=False))
    for assignments in view.assigned.values():
        found.extend(Stray(one) for one in assignments.values() if _stray(view, one))
    return found


def _stolen(view: View, execution: Execution, slow: Collection[str]) -> bool:
    member = view.members.get(execution.value.owner)
    return execution.execution_id in slow or member is None or not takes_work(view, member)


def _stray(view: View, assignment: Assignment) -> bool:
    execution = view.executions.get(assignment.execution_id)
    if execution is None:
        return view.keys.execution(assignment.execution_id) not in view.unreadable
    return execution.value.state == "P" or execution.value.owner != assignment.atom


def requeued(requeue: Requeue) -> Execution:
    """The execution as it waits again."""
    value = requeue.execution.value
    again = msgspec.structs.replace(
        value,
        state="P",
        owner="",
        revision=0,
        attempt=value.attempt + requeue.lost,
        lost=value.owner if requeue.lost else value.lost,
        avoid=value.owner,
    )
    return Execution(requeue.execution.execution_id, again, requeue.execution.item)
