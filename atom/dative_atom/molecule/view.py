"""What a member knows of its molecule: a fold of what was loaded and of every change since.

No I/O, no clock. The same changes give the same view, whether they come in one piece or one by one. Each change costs the
same however many executions there are, so that 10,000 of them are no burden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from dative.errors import DativeError
from dative.errors.molecule import VALUE_UNREADABLE

from dative_atom.molecule.coordination import Changes, KeyValue, Snapshot
from dative_atom.molecule.keys import Keys, Named, checked
from dative_atom.molecule.values import (
    ATTEMPTS_MAX,
    CandidateValue,
    CheckpointValue,
    ExecutionValue,
    MemberValue,
    QuarantineValue,
    Term,
    TermsValue,
    decode,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Member:
    atom: str
    value: MemberValue
    item: KeyValue


@dataclass(frozen=True, slots=True)
class Candidate:
    """atom: "" where its value can not be read; it stands in line all the same."""

    atom: str
    item: KeyValue


@dataclass(frozen=True, slots=True)
class Execution:
    execution_id: str
    value: ExecutionValue
    item: KeyValue

    @property
    def group(self) -> str:
        """The execution whose partitions may run side by side; its own id where it is whole."""
        return self.value.of or self.execution_id

    @property
    def order(self) -> tuple[int, str]:
        return (self.value.at_ms, self.execution_id)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Its key says all that counts; item.create_revision is what it is fenced with."""

    execution_id: str
    atom: str
    item: KeyValue


@dataclass(frozen=True, slots=True)
class Checkpoint:
    execution_id: str
    value: CheckpointValue
    item: KeyValue


@dataclass
class View:
    """members, executions, assigned (execution -> atom -> assignment), checkpoints, quarantined, and what is counted of them.

    waiting, active: stream -> executions in P, and in A or R. ending: in P too, but to be ended, not placed.
    load: atom -> how many are assigned to it, by whatever life
    of it. unreadable: key -> why; it is never acted upon, except that an assignment exists whatever its value is.
    """

    keys: Keys
    revision: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    waiting: dict[str, dict[str, Execution]] = field(default_factory=dict)
    active: dict[str, dict[str, Execution]] = field(default_factory=dict)
    ending: dict[str, dict[str, Execution]] = field(default_factory=dict)
    assigned: dict[str, dict[str, Assignment]] = field(default_factory=dict)
    load: dict[str, int] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    quarantined: dict[str, QuarantineValue | None] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    terms_revision: int = 0
    unreadable: dict[str, DativeError] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Keys, snapshot: Snapshot) -> View:
        view = cls(keys)
        view.reset(snapshot)
        return view

    def reset(self, snapshot: Snapshot) -> None:
        """Begin again from what was loaded."""
        # Every field anew, so that none that is added later is forgotten here.
        self.__init__(self.keys)  # type: ignore[misc]
        for item in snapshot.items:
            self._apply(item.key, item)
        self.revision = snapshot.revision

    def apply(self, changes: Changes) -> None:
        """Changes at or before `revision` are known already: nothing goes back."""
        for change in changes.changes:
            if change.revision > self.revision:
                self._apply(change.key, change.now)
        self.revision = max(self.revision, changes.revision)

    # ---- what is asked of it -------------------------------------------------------------------------------------

    @property
    def leader(self) -> Candidate | None:
        """The candidate whose key is the oldest."""
        return min(self.candidates.values(), key=lambda one: one.item.create_revision, default=None)

    def assignment(self, execution: Execution) -> Assignment | None:
        """The one that its owner holds it by."""
        return self.assigned.get(execution.execution_id, {}).get(execution.value.owner)

    def active_executions(self) -> Iterator[Execution]:
        for executions in self.active.values():
            yield from executions.values()

    def orphans(self) -> Iterator[Execution]:
        """In A or R, and their assignment is gone: its member was lost."""
        return (one for one in self.active_executions() if self.assignment(one) is None)

    def assigned_to(self, atom: str, lease_id: int) -> Iterator[Assignment]:
        """To this life of that atom. What is bound to an earlier life of it is not its own."""
        if not self.load.get(atom):
            return
        for assignments in self.assigned.values():
            found = assignments.get(atom)
            if found is not None and found.item.lease == lease_id:
                yield found

    # ---- the fold ------------------------------------------------------------------------------------------------

    def _apply(self, key: str, item: KeyValue | None) -> None:
        named = self.keys.named(key)
        self.unreadable.pop(key, None)
        if named is None:
            if item is not None:
                self.unreadable[key] = DativeError(
                    f"{key[:200]!r} is no key of a molecule", code=VALUE_UNREADABLE, where=key[:200]
                )
            return
        try:
            self._take(named, key, item)
        except DativeError as wrong:
            self.unreadable[key] = wrong
            self._take_unread(named, key, item)

    def _take(self, named: Named, key: str, item: KeyValue | None) -> None:
        match named.kind:
            case "exec":
                self._execution(named.execution_id, item)
            case "assigned":
                self._assignment(named, item)
            case "ckpt":
                _keep(self.checkpoints, named.execution_id, _checkpoint(named.execution_id, item) if item else None)
            case "members":
                _keep(self.members, named.atom, _member(named.atom, item) if item else None)
            case "leader":
                _keep(self.candidates, key, _candidate(item) if item else None)
            case "quarantine":
                if item is None:
                    self.quarantined.pop(named.atom, None)
                else:
                    self.quarantined[named.atom] = decode(QuarantineValue, item.value, key)
            case "terms":
                self.terms_revision = item.mod_revision if item else 0
                self.terms = decode(TermsValue, item.value, key).terms if item else ()

    def _take_unread(self, named: Named, key: str, item: KeyValue | None) -> None:
        """What a key says by being there, it says whatever its value is; the rest is as if it were not."""
        if named.kind == "quarantine":
            self.quarantined[named.atom] = None
        elif named.kind == "leader" and item is not None:
            self.candidates[key] = Candidate("", item)
        else:
            self._take(named, key, None)

    def _execution(self, execution_id: str, item: KeyValue | None) -> None:
        before = self.executions.pop(execution_id, None)
        if before is not None:
            _drop(self._kept(before), before.value.stream, execution_id)
        if item is not None:
            now = Execution(execution_id, _execution(item), item)
            self.executions[execution_id] = now
            self._kept(now).setdefault(now.value.stream, {})[execution_id] = now

    def _kept(self, execution: Execution) -> dict[str, dict[str, Execution]]:
        value = execution.value
        if value.state != "P":
            return self.active
        return self.ending if value.cancel or value.attempt > ATTEMPTS_MAX else self.waiting

    def _assignment(self, named: Named, item: KeyValue | None) -> None:
        if _drop(self.assigned, named.execution_id, named.atom):
            self.load[named.atom] -= 1
            if not self.load[named.atom]:
                del self.load[named.atom]
        if item is not None:
            now = Assignment(named.execution_id, named.atom, item)
            self.assigned.setdefault(named.execution_id, {})[named.atom] = now
            self.load[named.atom] = self.load.get(named.atom, 0) + 1


def _keep(kept: dict[str, T], name: str, now: T | None) -> None:
    if now is None:
        kept.pop(name, None)
    else:
        kept[name] = now


def _drop(kept: dict[str, dict[str, T]], outer: str, inner: str) -> bool:
    """Whether it was there; an inner dict that has nothing left goes too."""
    found = kept.get(outer)
    if found is None or found.pop(inner, None) is None:
        return False
    if not found:
        del kept[outer]
    return True


def _execution(item: KeyValue) -> ExecutionValue:
    value = decode(ExecutionValue, item.value, item.key)
    if value.owner:
        checked(value.owner, item.key)
    return value


def _member(atom: str, item: KeyValue) -> Member:
    return Member(atom, decode(MemberValue, item.value, item.key), item)


def _candidate(item: KeyValue) -> Candidate:
    return Candidate(decode(CandidateValue, item.value, item.key).atom, item)


def _checkpoint(execution_id: str, item: KeyValue) -> Checkpoint:
    return Checkpoint(execution_id, decode(CheckpointValue, item.value, item.key), item)


def unreadable_once(view: View, told: set[str]) -> Iterable[DativeError]:
    """What can not be read and was not told yet; `told` is kept by the caller, and bounded by what is there."""
    told.intersection_update(view.unreadable)
    for key, wrong in view.unreadable.items():
        if key not in told:
            told.add(key)
            yield wrong
