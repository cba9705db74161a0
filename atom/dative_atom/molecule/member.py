"""A member of a molecule, whole: what the agent starts, and asks.

It lives in sessions. In each it loads the view, registers, stands for election, works on what it is assigned and leads
when it is its turn. When the session is lost, all of that stops first, what runs included; then it begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, Self

from dative.errors import DativeError
from dative.errors.molecule import CLONED
from dative.waiting import Backoff, WaitingClock, ended

from dative_atom.molecule.claim import Claims
from dative_atom.molecule.coordination import Coordination
from dative_atom.molecule.election import Candidacy, resign, stand
from dative_atom.molecule.follow import Follow
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.leader import Journal, Leader, LeaderSettings
from dative_atom.molecule.membership import Facts, Identity, Membership, check_versions, member_value
from dative_atom.molecule.signal import soon
from dative_atom.molecule.status import MoleculeStatus, describe
from dative_atom.molecule.submit import Submission, cancel, submit
from dative_atom.molecule.values import MemberValue
from dative_atom.molecule.work import MemberSession, Run, Work

FACTS_EVERY_S = 5.0
AGAIN_S = 0.5
LOAD_WITHIN_S = 1.0


class OpenSession(MemberSession, Protocol):
    """`session.Session`, opened."""

    async def close(self) -> None: ...


class _While:
    """A session as long as its member wants to lead."""

    def __init__(self, session: MemberSession, member: Member) -> None:
        self._session, self._member = session, member

    @property
    def valid(self) -> bool:
        return self._session.valid and not self._member.withdrawn


class Member:
    """Start it, submit to it, close it. `run` is called for each execution that this member has (see `work.Claimed`).

    new_session: an opened session. facts: asked whenever `facts_changed` was called, and every FACTS_EVERY_S.
    epoch: of the journal (`Journal.cluster`). failed: told of each failure that passes by itself.
    """

    def __init__(
        self,
        coordination: Coordination,
        keys: Keys,
        clock: WaitingClock,
        *,
        identity: Identity,
        facts: Callable[[], Facts],
        new_session: Callable[[], Awaitable[OpenSession]],
        run: Run,
        journal: Journal,
        ttl_s: float,
        epoch: int = 0,
        settings: LeaderSettings | None = None,
        failed: Callable[[DativeError], None] = lambda _error: None,
    ) -> None:
        self._coordination, self._keys, self._clock = coordination, keys, clock
        self._identity, self._facts, self._new_session, self._run = identity, facts, new_session, run
        self._journal, self._ttl_s, self._epoch = journal, ttl_s, epoch
        self._settings, self._failed = settings, failed
        self.follow = Follow(coordination, keys, clock, failed)
        self.joined = asyncio.Event()
        self.draining = False
        self._force = False
        self._facts_changed = asyncio.Event()
        self._leader: Leader | None = None
        self._work: Work | None = None
        self._why: DativeError | None = None
        self._task: asyncio.Task[None] | None = None

    # ---- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """It joins by itself, however long that takes: `joined` says when, `why` what it waits for."""
        self._task = asyncio.create_task(self._live(), name=f"member {self._identity.atom}")

    async def close(self) -> None:
        """Stop what runs and leave. Drain before, where it is to be handed over. Twice or unstarted is fine.

        Errors: a defect in what ran here.
        """
        task, self._task = self._task, None
        if task is None:
            return
        await ended(task)
        if not task.cancelled():
            task.result()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _live(self) -> None:
        backoff = Backoff(0.2, 5.0)
        while True:
            try:
                await self._one_session(backoff)
            except DativeError as error:
                self._why = error
                self._failed(error)
            await self._clock.sleep(backoff.next_s())

    async def _one_session(self, backoff: Backoff) -> None:
        session = await self._new_session()
        try:
            await self.follow.load()
            check_versions(self.follow.view, self._identity.atom)
            following = asyncio.create_task(self.follow.run())
            try:
                await self._take_part(session, backoff)
            finally:
                self.follow.fresh = False
                await ended(following)
        finally:
            # Only now: nothing is done under this lease any more, so that others may have it at once.
            await session.close()

    async def _take_part(self, session: OpenSession, backoff: Backoff) -> None:
        membership = Membership(self._coordination, self._keys, self._clock, self._identity, session.lease_id)
        await self._until_lost(session, membership.register(self._value(), self._ttl_s, self.follow.changed))
        if not session.valid:
            return
        claims = Claims(self._coordination, self._keys, self._identity.atom, session, self._epoch)
        work = Work(claims, self.follow, session, self._clock, self._identity.atom, self._run, self._failed)
        work.draining, work.force = self.draining, self._force
        self._work, self._why = work, None
        self.joined.set()
        backoff.reset()
        try:
            await self._until_lost(session, work.follow(), self._publish(membership), self._stand(session))
        finally:
            self.joined.clear()
            self._leader = None
            await work.stop()
            self._work = None

    async def _until_lost(self, session: MemberSession, *doing: Awaitable[None]) -> None:
        """Until one of them is done, or the session lost. Raises what one of them raised."""
        tasks = [asyncio.ensure_future(one) for one in doing]
        lost = asyncio.ensure_future(session.lost.wait())
        try:
            await asyncio.wait([*tasks, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._work is not None:
                self._work.halt()
            await ended(*tasks, lost)
        for task in tasks:
            if not task.cancelled():
                task.result()

    # ---- what goes on in a session -----------------------------------------------------------------------------------

    async def _publish(self, membership: Membership) -> None:
        """The facts as they are. Errors: molecule.cloned."""
        while True:
            self._facts_changed.clear()
            pause_s = FACTS_EVERY_S
            try:
                await membership.update(self._value())
            except DativeError as error:
                if error.code is CLONED:
                    raise
                self._failed(error)
                pause_s = AGAIN_S
            await soon(self._clock, self._facts_changed, pause_s)

    async def _stand(self, session: MemberSession) -> None:
        """Be in line while this member may lead, and lead when it is its turn."""
        candidacy: Candidacy | None = None
        while True:
            changed = self.follow.changed.next
            if not session.valid:
                await session.lost.wait()
            try:
                candidacy = await self._step(session, candidacy)
            except DativeError as error:
                self._failed(error)
                await self._clock.sleep(AGAIN_S)
                continue
            if candidacy is None or not candidacy.leads(self.follow.view):
                await changed.wait()

    async def _step(self, session: MemberSession, candidacy: Candidacy | None) -> Candidacy | None:
        """Enter the line, leave it, or lead a whole term; the candidacy as it stands then."""
        view = self.follow.view
        seen = view.candidates.get(self._keys.leader(session.lease_id))
        if self.withdrawn:
            # What the view shows too: a request whose answer was lost may have been applied after the line was left.
            mine = {candidacy.revision if candidacy else 0, seen.item.create_revision if seen else 0} - {0}
            for revision in mine:
                await resign(self._coordination, Candidacy(self._keys.leader(session.lease_id), revision))
            return None
        stands = seen is not None and candidacy is not None and seen.item.create_revision == candidacy.revision
        if candidacy is None or (not stands and view.revision >= candidacy.revision):
            candidacy = await stand(self._coordination, self._keys, self._identity.atom, session.lease_id)
            await self.follow.until_revision(candidacy.revision, LOAD_WITHIN_S)
        if candidacy.leads(self.follow.view):
            await self._lead(session, candidacy)
        return candidacy

    async def _lead(self, session: MemberSession, candidacy: Candidacy) -> None:
        self._leader = Leader(
            self._coordination,
            self._keys,
            self.follow,
            _While(session, self),
            candidacy,
            self._journal,
            self._clock,
            atom=self._identity.atom,
            epoch=self._epoch,
            settings=self._settings,
            failed=self._failed,
        )
        try:
            await self._leader.lead()
        finally:
            self._leader = None

    def _value(self) -> MemberValue:
        return member_value(self._identity, self._facts(), draining=self.draining)

    # ---- what others ask ---------------------------------------------------------------------------------------------

    @property
    def withdrawn(self) -> bool:
        """Whether it may not lead: it drains, or its identity is under quarantine."""
        return self.draining or self._identity.atom in self.follow.view.quarantined

    @property
    def leading(self) -> bool:
        return self._leader is not None and self._leader.leading

    @property
    def term(self) -> int:
        """The term in which this member leads; 0 when it does not. What a leader writes carries it."""
        leader = self._leader
        return leader.term if leader is not None and leader.leading else 0

    @property
    def leader(self) -> Leader | None:
        return self._leader

    @property
    def running(self) -> int:
        return len(self._work.running) if self._work is not None else 0

    @property
    def why(self) -> DativeError | None:
        """What keeps it from taking part; None while it does."""
        return self._why

    def facts_changed(self) -> None:
        self._facts_changed.set()

    async def submit(self, submission: Submission) -> bool:
        """An execution that the journal holds. False: it was there. Errors: those of `submit.submit`."""
        return await submit(self._coordination, self._keys, submission)

    async def cancel(self, execution_id: str) -> bool:
        """False: there is no such execution. Errors: those of `submit.cancel`."""
        return await cancel(self._coordination, self._keys, execution_id)

    async def status(self) -> MoleculeStatus:
        try:
            etcd = await self._coordination.status()
        except DativeError:
            etcd = None
        why = str(self._why) if self._why else ""
        return describe(self.follow.view, self._epoch, etcd, fresh=self.follow.fresh, why=why)

    # ---- draining ----------------------------------------------------------------------------------------------------

    async def drain(self, *, force: bool = False) -> None:
        """Take no new work and lead no more; return when nothing runs here.

        force: what runs is handed over at its next batch border.
        """
        self.draining, self._force = True, self._force or force
        self._told()
        while self.running:
            changed = self.follow.changed.next
            if self.running:
                await changed.wait()

    def resume(self) -> None:
        self.draining = self._force = False
        self._told()

    def _told(self) -> None:
        if self._work is not None:
            self._work.draining, self._work.force = self.draining, self._force
        self._facts_changed.set()
        self.follow.changed.fire()
