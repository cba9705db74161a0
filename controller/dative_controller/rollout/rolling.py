"""Decides what a rollout does next: whom it gives the new generation, who has passed, when it has failed. No I/O, no clock.

Members and a moment come in, a decision goes out; asked again after any interruption it reaches the same end. A member
passes its gate when it has run the new generation for the gate's time, was well all along, was heard of at its end,
and no more of its executions failed under the new generation than had failed in as long a time before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dative.v1 import types_pb2

Step = Literal["", "activating", "gating", "passed", "failed"]
IN_FLIGHT: tuple[Step, ...] = ("activating", "gating")


@dataclass(frozen=True, slots=True)
class Policy:
    """max_unavailable: members on their way at once. activate_ms: how long one may take, and be unheard of in its gate."""

    max_unavailable: int
    gate_ms: int
    activate_ms: int


@dataclass(frozen=True, slots=True)
class Member:
    """One atom as it is now. step: where the rollout had it, "": not admitted yet.

    phase, why: its answer to the new generation. well: its newest heartbeat, heard_ms: when that came; None: none yet.
    failed, failed_before: executions, under the new generation since it was admitted, and in a gate's time before.
    """

    atom_id: str
    name: str
    connected: bool
    step: Step = ""
    admitted_ms: int = 0
    active_ms: int = 0
    phase: int = types_pb2.PHASE_UNSPECIFIED
    why: str = ""
    well: bool | None = None
    heard_ms: int = 0
    failed: int = 0
    failed_before: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """admit, gate, passed: atoms that take that step now. failed: (atom, why), the rollout ends there.

    done: everybody who can be reached has passed; who is away gets the new generation when it is back.
    """

    admit: tuple[str, ...] = ()
    gate: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    failed: tuple[str, str] | None = None
    done: bool = False

    @property
    def idle(self) -> bool:
        return not (self.admit or self.gate or self.passed or self.failed or self.done)


@dataclass
class _Steps:
    gate: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)


def decide(members: Sequence[Member], policy: Policy, now_ms: int) -> Decision:
    """What to do now; nothing (`idle`) when everybody is to be waited for."""
    steps = _Steps()
    for member in members:
        why = _verdict(member, policy, now_ms, steps)
        if why:
            return Decision(failed=(member.atom_id, why))
    in_flight = sum(one.step in IN_FLIGHT for one in members) - len(steps.passed)
    ready = [one for one in members if one.step == "" and one.connected and one.well]
    admit = tuple(one.atom_id for one in ready[: max(0, policy.max_unavailable - in_flight)])
    passed = sum(one.step == "passed" for one in members) + len(steps.passed)
    waiting = any(one.step == "" and one.connected for one in members)
    done = passed > 0 and not in_flight and not waiting
    return Decision(admit, tuple(steps.gate), tuple(steps.passed), done=done)


def _verdict(member: Member, policy: Policy, now_ms: int, steps: _Steps) -> str:
    """Why the member has failed, "" when it has not; notes the step that it takes."""
    if member.step not in IN_FLIGHT:
        return ""
    if member.phase in (types_pb2.PHASE_REFUSED, types_pb2.PHASE_ROLLED_BACK):
        word = "refused it" if member.phase == types_pb2.PHASE_REFUSED else "went back to what ran before"
        return f"{member.name} {word}: {member.why or 'it does not say why'}"
    if member.step == "activating":
        if member.phase == types_pb2.PHASE_ACTIVE:
            steps.gate.append(member.atom_id)
        elif now_ms - member.admitted_ms > policy.activate_ms:
            return f"{member.name} did not activate it within {policy.activate_ms / 1000:g} s"
        return ""
    return _gate(member, policy, now_ms, steps)


def _gate(member: Member, policy: Policy, now_ms: int, steps: _Steps) -> str:
    if member.well is False and member.heard_ms >= member.active_ms:
        return f"{member.name} is not well under it: dative atom show {member.name}"
    if member.failed > member.failed_before:
        return f"{member.failed} executions of {member.name} failed under it, {member.failed_before} in as long before"
    ends_ms = member.active_ms + policy.gate_ms
    if now_ms >= ends_ms and member.well and member.connected and member.heard_ms >= ends_ms:
        steps.passed.append(member.atom_id)
    elif now_ms > ends_ms + policy.activate_ms:
        return f"{member.name} was not heard of again within {policy.activate_ms / 1000:g} s after its gate"
    return ""


def in_order(members: Iterable[Member]) -> list[Member]:
    """The order of admission: by name, so that two controllers and a person expect the same one next."""
    return sorted(members, key=lambda one: (one.name, one.atom_id))
