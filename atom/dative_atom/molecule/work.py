"""What a member does with what it was assigned: claim it, have it run, write its end; one session long.

How an execution runs is the caller's: it gets a `Claimed` and says how it went. Here it is made sure that nothing runs
that is not this member's: `ended` is set as soon as the session is lost or the assignment is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Protocol

from dative.errors import DativeError
from dative.waiting import Backoff, WaitingClock, ended

from dative_atom.molecule.claim import Claim, Claims, FencedOff, Live
from dative_atom.molecule.follow import Follow
from dative_atom.molecule.values import CheckpointValue, ExecutionValue
from dative_atom.molecule.view import Assignment, Execution


class Ending(Enum):
    """How an execution went, as the one who ran it says."""

    OVER = "over"  # the journal has its end
    HANDED_OVER = "handed over"  # stopped at a batch border; another member goes on
    REFUSED = "refused"  # it can not run here; another member tries, which counts as an attempt


class MemberSession(Live, Protocol):
    """Of `session.Session`: what a member needs to know of it."""

    lease_id: int
    lost: asyncio.Event


class Claimed:
    """An execution that this member has, and may work on until `ended`.

    token: shown with every effect, rises with each assignment. lost_from: the atom that the attempt before was lost with.
    ended: stop at once, touch nothing. hand_over: stop at the next batch border, and return HANDED_OVER. cancelled:
    somebody wants its end. checkpoint: how far it was when it was claimed, None at its beginning.
    """

    def __init__(self, claim: Claim, claims: Claims) -> None:
        self._claim, self._claims = claim, claims
        self.execution_id, self.token = claim.execution_id, claim.token
        self.checkpoint: CheckpointValue | None = claim.checkpoint
        self.ended, self.hand_over, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @property
    def value(self) -> ExecutionValue:
        return self._claim.value

    @property
    def attempt(self) -> int:
        return self._claim.value.attempt

    @property
    def lost_from(self) -> str:
        return self._claim.value.lost

    async def save(self, batches: int, position: str, counts: Mapping[str, int]) -> None:
        """How far it is, after effects and journal. Errors: FencedOff (`ended` is set too); those of `Claims`."""
        if self.ended.is_set():
            raise FencedOff(f"checkpoint {self.execution_id}: it has ended here", where=self.execution_id)
        try:
            await self._claims.checkpoint(self._claim, batches, position, counts)
        except FencedOff:
            self.ended.set()
            raise


Run = Callable[[Claimed], Awaitable[Ending]]
_Held = tuple[str, int]


def _held(assignment: Assignment) -> _Held:
    return assignment.execution_id, assignment.item.create_revision


class Work:
    """Bound: as many at once as the leader assigns, which is the member's slots."""

    def __init__(
        self,
        claims: Claims,
        follow: Follow,
        session: MemberSession,
        clock: WaitingClock,
        atom: str,
        run: Run,
        failed: Callable[[DativeError], None] = lambda _error: None,
    ) -> None:
        self._claims, self._follow, self._session, self._clock = claims, follow, session, clock
        self._atom, self._run, self._failed = atom, run, failed
        # By execution and revision: assignments that were made in one transaction have one revision.
        self._tasks: dict[_Held, asyncio.Task[None]] = {}
        self._done: set[_Held] = set()
        self._defect: BaseException | None = None
        self.running: dict[str, Claimed] = {}
        self.draining = False
        self.force = False

    async def follow(self) -> None:
        """Look whenever the view changed, until cancelled. Raises what a defect in what runs raised."""
        while True:
            changed = self._follow.changed.next
            self.look()
            if self._defect is not None:
                raise self._defect
            await changed.wait()

    def look(self) -> None:
        """Take up what was assigned, stop what is gone, pass on what was asked for."""
        view = self._follow.view
        mine = {_held(one): one for one in view.assigned_to(self._atom, self._session.lease_id)}
        self._done &= mine.keys()
        for claimed in self.running.values():
            self._pass_on(claimed, view.executions.get(claimed.execution_id), mine)
        if not self._session.valid or self.draining or self._atom in view.quarantined:
            return
        for held, assignment in mine.items():
            execution = view.executions.get(assignment.execution_id)
            if held not in self._tasks and held not in self._done and execution is not None:
                self._take_up(held, assignment, execution)

    def _pass_on(self, claimed: Claimed, execution: Execution | None, mine: Mapping[_Held, Assignment]) -> None:
        revision = claimed.value.revision
        # A view that is older than the assignment says nothing of it.
        if (claimed.execution_id, revision) not in mine and self._follow.view.revision >= revision:
            claimed.ended.set()
        if execution is not None and execution.value.cancel:
            claimed.cancelled.set()
        if self.force or self._atom in self._follow.view.quarantined:
            claimed.hand_over.set()

    def _take_up(self, held: _Held, assignment: Assignment, execution: Execution) -> None:
        if execution.value.state != "A" or execution.value.owner != self._atom:
            return
        task = asyncio.create_task(self._hold(assignment, execution), name=f"execution {execution.execution_id}")
        self._tasks[held] = task
        task.add_done_callback(lambda done: self._put_down(held, done))

    def _put_down(self, held: _Held, task: asyncio.Task[None]) -> None:
        self._tasks.pop(held, None)
        self._done.add(held)
        if not task.cancelled() and task.exception() is not None:
            self._defect = task.exception()
        self._follow.changed.fire()

    async def _hold(self, assignment: Assignment, execution: Execution) -> None:
        try:
            claim = await self._until_said(lambda: self._claims.claim(assignment, execution))
        except FencedOff:
            return
        claimed = Claimed(claim, self._claims)
        self.running[claim.execution_id] = claimed
        try:
            self.look()
            if not self._session.valid:
                claimed.ended.set()
            ending = await self._ran(claimed)
            if not claimed.ended.is_set():
                await self._until_said(lambda: self._end(claim, ending))
        except FencedOff:
            claimed.ended.set()
        finally:
            del self.running[claim.execution_id]

    async def _ran(self, claimed: Claimed) -> Ending:
        try:
            return await self._run(claimed)
        except DativeError as error:
            self._failed(error)
            return Ending.REFUSED

    async def _end(self, claim: Claim, ending: Ending) -> None:
        if ending is Ending.OVER:
            await self._claims.finish(claim)
        else:
            await self._claims.hand_over(claim, refused=ending is Ending.REFUSED)

    async def _until_said(self, write: Callable[[], Awaitable[Claim | None]]) -> Claim:
        """Again and again while the session is valid. Errors: FencedOff, of its end too."""
        backoff = Backoff(0.1, 1.0)
        while True:
            try:
                return await write()  # type: ignore[return-value]
            except FencedOff:
                raise
            except DativeError as error:
                self._failed(error)
                await self._clock.sleep(backoff.next_s())

    def halt(self) -> None:
        """Nothing here may go on: say so at once."""
        self.draining = True
        for claimed in self.running.values():
            claimed.ended.set()

    async def stop(self) -> None:
        """Halt, and wait for the end of all of it."""
        self.halt()
        tasks = list(self._tasks.values())
        begun = {task for task in tasks if task.get_name().removeprefix("execution ") in self.running}
        # What has not been claimed yet is given up at once; what runs ends by itself, because it was told to.
        await ended(*(task for task in tasks if task not in begun))
        await asyncio.gather(*begun, return_exceptions=True)
