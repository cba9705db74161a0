"""What a leader does: keep etcd and the journal of one mind, place what waits, take back what was lost.

It decides by `assignment` alone and writes each decision in a transaction that compares its own key, the execution and the
member, so that whatever it did not know yet makes the transaction fail, not the molecule. It writes only while its
session is valid (Invariant 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec
from dative.errors import DativeError
from dative.errors.molecule import ATTEMPTS_EXHAUSTED
from dative.waiting import WaitingClock

from dative_atom.molecule.assignment import Placement, Requeue, Stray, Turns, place, repair, requeued
from dative_atom.molecule.claim import Live, fencing_token
from dative_atom.molecule.coordination import Ambiguous, Compare, Coordination, Delete, LeaseGone, Operation, Put
from dative_atom.molecule.election import Candidacy
from dative_atom.molecule.follow import Follow
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.signal import soon
from dative_atom.molecule.submit import Submission, submit
from dative_atom.molecule.values import TERMS_MAX, VERSION, AssignmentValue, Term, TermsValue, encode
from dative_atom.molecule.view import Execution

T = TypeVar("T")

MOVES_MAX = 40
"""Executions in one transaction: two puts each, below etcd's 128 operations."""
IN_FLIGHT_MAX = 4
SEEN_WITHIN_S = 1.0
"""So long a round waits for its own writes in the view before it decides again; the compares guard it all the same."""
PAUSE_S = 0.2
"""After a round of which nothing could be written."""


class Journal(Protocol):
    """What a leader asks the journal, which is the truth (`journal.contract`)."""

    async def unfinished(self) -> Sequence[Submission]:
        """Every execution that is not over."""
        ...

    async def is_final(self, execution_id: str) -> bool:
        """Whether it is over; one that the journal does not know is."""
        ...

    async def end(self, execution_id: str, error: DativeError | None) -> None:
        """It is over without a member: cancelled (None) or failed with this. One that is over already stays as it is."""
        ...


@dataclass(frozen=True)
class LeaderSettings:
    """claim_within_s: an assignment not claimed so long after it was seen goes to another member. reconcile_every_s: how
    often the journal is compared, beside once at the beginning."""

    claim_within_s: float = 10.0
    reconcile_every_s: float = 60.0


@dataclass
class Move:
    """One decision: all of it or nothing."""

    compares: list[Compare]
    operations: list[Operation]


@dataclass
class Told:
    """What a leader did, for the record and for tests: counts since it leads."""

    placed: int = 0
    taken_back: int = 0
    submitted: int = 0
    removed: int = 0
    ended: int = 0
    refused_transactions: int = 0


class Leader:
    """One term. `lead` runs until it is cancelled or the term is over; `round` is one step of it."""

    def __init__(
        self,
        coordination: Coordination,
        keys: Keys,
        follow: Follow,
        session: Live,
        candidacy: Candidacy,
        journal: Journal,
        clock: WaitingClock,
        *,
        atom: str,
        epoch: int = 0,
        settings: LeaderSettings | None = None,
        failed: Callable[[DativeError], None] = lambda _error: None,
    ) -> None:
        self._coordination, self._keys, self._follow = coordination, keys, follow
        self._session, self._candidacy, self._journal, self._clock = session, candidacy, journal, clock
        self._atom, self._failed = atom, failed
        self._settings = settings or LeaderSettings()
        self._turns = Turns()
        self._unclaimed: dict[int, float] = {}
        self._reconcile_s = clock.elapsed_s()
        self.term = fencing_token(epoch, candidacy.revision)
        self.told = Told()

    @property
    def leading(self) -> bool:
        """Whether this term lasts, as far as this member knows; each transaction asks etcd itself."""
        return self._session.valid and self._candidacy.leads(self._follow.view)

    async def lead(self) -> None:
        """Returns when the term is over. What fails is told and tried again."""
        await self._note_term()
        while self.leading:
            changed = self._follow.changed.next
            try:
                if await self.round():
                    continue
                pause_s = self._next_s()
            except DativeError as error:
                self._failed(error)
                pause_s = PAUSE_S
            await soon(self._clock, changed, pause_s)

    async def round(self) -> bool:
        """One look at the view, and everything it calls for. False: nothing, or nothing could be written."""
        if self._clock.elapsed_s() >= self._reconcile_s:
            await self.reconcile()
            self._reconcile_s = self._clock.elapsed_s() + self._settings.reconcile_every_s
        ended = await self._end_those_that_end()
        repairs = repair(self._follow.view, self._slow())
        placements, turns = place(self._follow.view, self._turns, MOVES_MAX * IN_FLIGHT_MAX)
        placed = await self._write(self._moves(self._placing, placements))
        if placed == len(placements):
            # Those of a transaction that failed are in turn again.
            self._turns = turns
        self.told.placed += placed
        taken = await self._write(self._moves(self._repairing, repairs))
        self.told.taken_back += taken
        return bool(ended or placed or taken)

    # ---- the journal -----------------------------------------------------------------------------------------------

    async def reconcile(self) -> None:
        """Submit what the journal has unfinished and etcd does not hold; remove what waits here and is over there.

        What is assigned or runs is its member's to finish. Errors: those of the journal and of `Coordination.transact`.
        """
        unfinished = {one.execution_id: one for one in await self._journal.unfinished()}
        view = self._follow.view
        for name, submission in unfinished.items():
            # Asked again just before: one that ended since the journal was read is gone from etcd because of that.
            if name not in view.executions and self.leading and not await self._journal.is_final(name):
                self.told.submitted += await submit(self._coordination, self._keys, submission)
        waiting = [one for stream in view.waiting.values() for one in stream.values()]
        over = [one for one in waiting if one.execution_id not in unfinished]
        gone = [self._removing(one) for one in over if await self._journal.is_final(one.execution_id)]
        self.told.removed += await self._write(gone)
        left = view.checkpoints.keys() - view.executions.keys()
        await self._write([self._sweeping(name) for name in sorted(left)])

    async def _end_those_that_end(self) -> int:
        """Cancelled before they ran, or too many attempts: the journal first, which is the truth."""
        ending = [one for stream in self._follow.view.ending.values() for one in stream.values()][:MOVES_MAX]
        for execution in ending:
            if not self.leading:
                return 0
            await self._journal.end(execution.execution_id, None if execution.value.cancel else _exhausted(execution))
        done = await self._write([self._removing(one) for one in ending])
        self.told.ended += done
        return done

    # ---- decisions as transactions ---------------------------------------------------------------------------------

    def _moves(self, as_move: Callable[[T], Move], decided: Sequence[T]) -> list[Move]:
        """What can not be written (a foreign hand wrote names that are none) is told, and is no reason to stop the rest."""
        moves = []
        for one in decided:
            try:
                moves.append(as_move(one))
            except DativeError as wrong:
                self._failed(wrong)
        return moves

    def _placing(self, placement: Placement) -> Move:
        execution, member = placement.execution, placement.member
        value = msgspec.structs.replace(execution.value, state="A", owner=member.atom, revision=0)
        assigned = self._keys.assigned(member.atom, execution.execution_id)
        body = encode(AssignmentValue(v=VERSION, attempt=value.attempt))
        return Move(
            [
                Compare.unchanged(execution.item.key, execution.item.mod_revision),
                Compare.created(member.item.key, member.item.create_revision),
                Compare.absent(assigned),
            ],
            [Put(execution.item.key, encode(value)), Put(assigned, body, member.item.lease)],
        )

    def _repairing(self, repaired: Requeue | Stray) -> Move:
        if isinstance(repaired, Stray):
            item = repaired.assignment.item
            execution = self._follow.view.executions.get(repaired.assignment.execution_id)
            name = self._keys.execution(repaired.assignment.execution_id)
            unchanged = Compare.unchanged(name, execution.item.mod_revision if execution else 0)
            return Move([Compare.created(item.key, item.create_revision), unchanged], [Delete(item.key)])
        execution = repaired.execution
        again = requeued(repaired)
        assigned = self._keys.assigned(execution.value.owner, execution.execution_id)
        taken: list[Operation] = [Delete(assigned)] if repaired.assignment else []
        revision = repaired.assignment.item.create_revision if repaired.assignment else 0
        return Move(
            [
                Compare.unchanged(execution.item.key, execution.item.mod_revision),
                Compare.created(assigned, revision),
            ],
            [Put(execution.item.key, encode(again.value)), *taken],
        )

    def _removing(self, execution: Execution) -> Move:
        gone = [Delete(execution.item.key), Delete(self._keys.checkpoint(execution.execution_id))]
        return Move([Compare.unchanged(execution.item.key, execution.item.mod_revision)], [*gone])

    def _sweeping(self, execution_id: str) -> Move:
        return Move([Compare.absent(self._keys.execution(execution_id))], [Delete(self._keys.checkpoint(execution_id))])

    # ---- writing ---------------------------------------------------------------------------------------------------

    async def _write(self, moves: Sequence[Move]) -> int:
        """How many were certainly written. Waits until the view holds them, so that the next look sees them."""
        done, newest = 0, 0
        batches = list(_batches(moves))
        for start in range(0, len(batches), IN_FLIGHT_MAX):
            together = batches[start : start + IN_FLIGHT_MAX]
            for batch, revision in zip(together, await self._send(together), strict=True):
                done += len(batch) if revision else 0
                newest = max(newest, revision)
        if newest:
            await self._follow.until_revision(newest, SEEN_WITHIN_S)
        return done

    async def _send(self, batches: Sequence[Sequence[Move]]) -> list[int]:
        """The revision of each; 0: not written, or not known to be. Errors: the first that is neither."""
        answers = await asyncio.gather(*(self._transact(batch) for batch in batches), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, int)]

    async def _transact(self, moves: Sequence[Move]) -> int:
        if not self.leading:
            return 0
        compares = {compare: None for move in moves for compare in move.compares}
        operations = [operation for move in moves for operation in move.operations]
        try:
            answer = await self._coordination.transact([self._candidacy.compare, *compares], operations)
        except (Ambiguous, LeaseGone):
            # Applied or not, and a member that died meanwhile: either shows in the view, which decides what comes next.
            return 0
        self.told.refused_transactions += not answer.held
        return answer.revision if answer.held else 0

    async def _note_term(self) -> None:
        """The last leaders, for people: one try, and no harm where it fails."""
        view = self._follow.view
        at_ms = int(self._clock.now().timestamp() * 1000)
        terms = (*view.terms, Term(atom=self._atom, term=self.term, at_ms=at_ms))[-TERMS_MAX:]
        body = encode(TermsValue(v=VERSION, terms=terms))
        unchanged = Compare.unchanged(self._keys.terms, view.terms_revision)
        try:
            await self._transact([Move([unchanged], [Put(self._keys.terms, body)])])
        except DativeError as error:
            self._failed(error)

    # ---- time ------------------------------------------------------------------------------------------------------

    def _slow(self) -> set[str]:
        """Executions that their member has not claimed for claim_within_s since this leader saw them assigned."""
        now_s, seen, slow = self._clock.elapsed_s(), {}, set()
        for execution in self._follow.view.active_executions():
            assignment = self._follow.view.assignment(execution)
            if execution.value.state == "A" and assignment is not None:
                revision = assignment.item.create_revision
                seen[revision] = self._unclaimed.get(revision, now_s)
                if now_s - seen[revision] >= self._settings.claim_within_s:
                    slow.add(execution.execution_id)
        self._unclaimed = seen
        return slow

    def _next_s(self) -> float:
        """Until there is something to look at even if nothing changes."""
        soonest_s = self._reconcile_s
        if self._unclaimed:
            soonest_s = min(soonest_s, min(self._unclaimed.values()) + self._settings.claim_within_s)
        return max(soonest_s - self._clock.elapsed_s(), PAUSE_S)


def _batches(moves: Sequence[Move]) -> Iterable[Sequence[Move]]:
    for start in range(0, len(moves), MOVES_MAX):
        yield moves[start : start + MOVES_MAX]


def _exhausted(execution: Execution) -> DativeError:
    value = execution.value
    who = f"; the last was {value.lost or value.avoid}" if value.lost or value.avoid else ""
    return DativeError(
        f"{value.attempt - 1} attempts were lost or given back{who}",
        code=ATTEMPTS_EXHAUSTED,
        where=f"execution {execution.execution_id}",
    )
