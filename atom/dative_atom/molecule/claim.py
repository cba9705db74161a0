"""What a worker's member writes of an execution: that it has it, how far it is, that it is over, that another may have it.

Each is one transaction that compares the revision of the member's assignment, so that whoever lost it changes nothing
(Invariant 4). An answer that was lost is read back before anything acts on it (Invariant 8): a request that is still on
its way compares revisions that the next one changes, so it can not undo it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from dative.errors import DativeError
from dative.errors.molecule import FENCED

from dative_atom.molecule.coordination import (
    Ambiguous,
    Answer,
    Compare,
    Coordination,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Unavailable,
)
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.values import (
    VERSION,
    CheckpointValue,
    ExecutionValue,
    decode,
    encode,
)
from dative_atom.molecule.view import Assignment, Execution

TRIES_MAX = 8
"""Of one transaction whose answers are lost or whose revisions moved; then Unavailable, and the caller waits."""
EPOCH_BITS = 44


class FencedOff(DativeError):
    """This member has the execution no more: stop it, touch nothing."""

    default_code = FENCED


class Live(Protocol):
    """Of `session.Session`: what claims need to know of it."""

    @property
    def valid(self) -> bool: ...


def fencing_token(epoch: int, revision: int) -> int:
    """Rises with every assignment, also over another etcd: `epoch` is the journal's count of clusters."""
    return (epoch << EPOCH_BITS) | revision


@dataclass(eq=False)
class Claim:
    """An execution that this member has. revision: of its assignment. The rest is as it was written or read last."""

    execution_id: str
    revision: int
    token: int
    value: ExecutionValue
    exec_revision: int
    checkpoint: CheckpointValue | None
    checkpoint_revision: int


class Claims:
    """The worker's transactions of one member, in one session.

    Errors of all: FencedOff; Unavailable, after TRIES_MAX tries too; DativeError with molecule.coordination_full or
    coordination_refused. After one that is not FencedOff the same call may be made again.
    """

    def __init__(self, coordination: Coordination, keys: Keys, atom: str, session: Live, epoch: int = 0) -> None:
        self._coordination, self._keys, self._atom = coordination, keys, atom
        self._session, self._epoch = session, epoch

    async def claim(self, assignment: Assignment, execution: Execution) -> Claim:
        """A → R, and where it stood. The execution is the one of the view, assigned by that assignment."""
        name, revision = execution.execution_id, assignment.item.create_revision
        value = msgspec.structs.replace(execution.value, state="R", owner=self._atom, revision=revision)
        claim = Claim(name, revision, self._token(revision), value, execution.item.mod_revision, None, 0)
        reads = [Get(self._keys.execution(name)), Get(self._keys.checkpoint(name))]

        def again(answer: Answer) -> bool:
            current = self._current(claim, answer)
            if current is None:
                raise self._fenced(claim, "claim")
            if (current.state, current.revision) == ("R", revision):
                return True  # the lost answer was ours
            if (current.state, current.owner) != ("A", self._atom):
                raise self._fenced(claim, "claim")
            claim.value = msgspec.structs.replace(current, state="R", owner=self._atom, revision=revision)
            return False

        def write() -> tuple[list[Compare], list[Operation]]:
            return (
                [self._mine(claim), Compare.unchanged(self._keys.execution(name), claim.exec_revision)],
                [Put(self._keys.execution(name), encode(claim.value)), *reads],
            )

        answer = await self._settle(claim, "claim", write, again, [self._key(claim), *(one.key for one in reads)])
        _take_execution(claim, answer, self._keys)
        _take_checkpoint(claim, answer, self._keys)
        return claim

    async def checkpoint(self, claim: Claim, batches: int, position: str, counts: Mapping[str, int]) -> None:
        """batches: settled since its beginning; fewer than at the last checkpoint is a ValueError."""
        if claim.checkpoint is not None and batches < claim.checkpoint.batches:
            raise ValueError(f"checkpoint of {claim.execution_id}: {batches} after {claim.checkpoint.batches} batches")
        key = self._keys.checkpoint(claim.execution_id)
        value = CheckpointValue(
            v=VERSION,
            token=claim.token,
            attempt=claim.value.attempt,
            batches=batches,
            position=position,
            counts=dict(counts),
        )
        body = encode(value, key)

        def write() -> tuple[list[Compare], list[Operation]]:
            return (
                [self._mine(claim), Compare.unchanged(key, claim.checkpoint_revision)],
                [Put(key, body)],
            )

        def again(answer: Answer) -> bool:
            if not self._holds(claim, answer):
                raise self._fenced(claim, "checkpoint")
            # Whoever has the assignment alone writes here: what stands is this member's own, or what it took up.
            there = item_of(answer, key)
            claim.checkpoint_revision = there.mod_revision if there else 0
            return there is not None and there.value == body

        answer = await self._settle(claim, "checkpoint", write, again, [self._key(claim), key])
        claim.checkpoint = value
        if answer.held:
            claim.checkpoint_revision = answer.revision

    async def finish(self, claim: Claim) -> None:
        """It is over, and the journal says so: nothing is left of it here. Over already is fine."""
        name = claim.execution_id

        def write() -> tuple[list[Compare], list[Operation]]:
            gone = (self._keys.execution(name), self._key(claim), self._keys.checkpoint(name))
            return [self._mine(claim)], [Delete(key) for key in gone]

        def again(answer: Answer) -> bool:
            if item_of(answer, self._keys.execution(name)) is None:
                return True
            if not self._holds(claim, answer):
                raise self._fenced(claim, "finish")
            return False

        await self._settle(claim, "finish", write, again, [self._key(claim), self._keys.execution(name)])

    async def hand_over(self, claim: Claim, *, refused: bool = False) -> None:
        """R → P: another member goes on from the checkpoint. refused: it can not run here, which counts as an attempt."""
        name = claim.execution_id

        def write() -> tuple[list[Compare], list[Operation]]:
            back = msgspec.structs.replace(
                claim.value,
                state="P",
                owner="",
                revision=0,
                avoid=self._atom,
                attempt=claim.value.attempt + refused,
            )
            return (
                [self._mine(claim), Compare.unchanged(self._keys.execution(name), claim.exec_revision)],
                [Put(self._keys.execution(name), encode(back)), Delete(self._key(claim))],
            )

        def again(answer: Answer) -> bool:
            if self._holds(claim, answer):
                if self._current(claim, answer) is None:
                    raise self._fenced(claim, "hand over")
                return False
            # The assignment is gone: given back by the request whose answer was lost, or taken away. Either way it is
            # not this member's any more, which is what was wanted.
            return True

        await self._settle(claim, "hand over", write, again, [self._key(claim), self._keys.execution(name)])

    # ---- one transaction to its known end --------------------------------------------------------------------------

    async def _settle(
        self,
        claim: Claim,
        what: str,
        write: Callable[[], tuple[list[Compare], list[Operation]]],
        again: Callable[[Answer], bool],
        keys: Sequence[str],
    ) -> Answer:
        """The answer that holds, or the reading from which `again` saw that it had been applied (True).

        again: looks at what stands in `keys`, takes revisions over from it (False: try once more), or raises FencedOff.
        """
        reads = [Get(key) for key in keys]
        for _ in range(TRIES_MAX):
            # Invariant 4: a member whose deadline has passed sends nothing more.
            if not self._session.valid:
                raise self._fenced(claim, what)
            compares, operations = write()
            try:
                answer = await self._coordination.transact(compares, operations, reads)
            except Ambiguous:
                answer = await self._coordination.transact([Compare.absent(self._keys.prefix)], reads)
                if again(answer):
                    return Answer(False, answer.revision, answer.reads)
                continue
            if answer.held or again(answer):
                return answer
        raise Unavailable(f"{what} {claim.execution_id}: no answer in {TRIES_MAX} tries", where=claim.execution_id)

    def _token(self, revision: int) -> int:
        return fencing_token(self._epoch, revision)

    def _key(self, claim: Claim) -> str:
        return self._keys.assigned(self._atom, claim.execution_id)

    def _mine(self, claim: Claim) -> Compare:
        return Compare.created(self._key(claim), claim.revision)

    def _holds(self, claim: Claim, answer: Answer) -> bool:
        item = item_of(answer, self._key(claim))
        return item is not None and item.create_revision == claim.revision

    def _current(self, claim: Claim, answer: Answer) -> ExecutionValue | None:
        """The execution as it stands, taken over into the claim; None where this member may not go on with it."""
        if not self._holds(claim, answer):
            return None
        item = item_of(answer, self._keys.execution(claim.execution_id))
        if item is None:
            return None
        claim.value, claim.exec_revision = decode(ExecutionValue, item.value, item.key), item.mod_revision
        return claim.value

    def _fenced(self, claim: Claim, what: str) -> FencedOff:
        return FencedOff(f"{what} {claim.execution_id}: not {self._atom}'s any more", where=claim.execution_id)


def item_of(answer: Answer, key: str) -> KeyValue | None:
    return next((item for read in answer.reads for item in read if item.key == key), None)


def _take_execution(claim: Claim, answer: Answer, keys: Keys) -> None:
    item = item_of(answer, keys.execution(claim.execution_id))
    if item is not None:
        claim.value, claim.exec_revision = decode(ExecutionValue, item.value, item.key), item.mod_revision


def _take_checkpoint(claim: Claim, answer: Answer, keys: Keys) -> None:
    """One that can not be read is begun anew: the position itself stands in the journal."""
    item = item_of(answer, keys.checkpoint(claim.execution_id))
    if item is None:
        return
    claim.checkpoint_revision = item.mod_revision
    try:
        claim.checkpoint = decode(CheckpointValue, item.value, item.key)
    except DativeError:
        claim.checkpoint = None
