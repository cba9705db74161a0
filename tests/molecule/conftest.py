"""A molecule in one process: a cluster in memory, a clock that the test moves, a journal and a target that keep count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from dative.errors import DativeError
from dative.waiting import HandClock, WaitingClock
from dative_atom.molecule.claim import FencedOff
from dative_atom.molecule.coordination import Coordination
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.leader import LeaderSettings
from dative_atom.molecule.member import Member
from dative_atom.molecule.membership import Facts, Identity
from dative_atom.molecule.memory import MemoryCluster, MemoryCoordination
from dative_atom.molecule.session import Session, margin_of
from dative_atom.molecule.submit import Submission
from dative_atom.molecule.view import View
from dative_atom.molecule.work import Claimed, Ending

TTL_S = 5.0
KEYS = Keys("env-1", "hq")
PassTime = Callable[[float], Awaitable[None]]


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def cluster(clock: HandClock) -> MemoryCluster:
    return MemoryCluster(clock)


@pytest.fixture
def client(cluster: MemoryCluster) -> MemoryCoordination:
    return cluster.client()


@pytest.fixture
def keys() -> Keys:
    return KEYS


@pytest.fixture
def pass_time(clock: HandClock) -> PassTime:
    """Let so many seconds pass, in steps, with room for every task that wakes."""

    async def passing(seconds: float, step_s: float = 0.25) -> None:
        while True:
            for _ in range(60):
                await asyncio.sleep(0)
            if seconds <= 0:
                return
            clock.advance(min(step_s, seconds))
            seconds -= step_s

    return passing


@dataclass
class Books:
    """The journal of the whole molecule, and the target: what was done under which token, and how it ended."""

    planned: dict[str, Submission] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)  # batches each has in all
    settled: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    ends: dict[str, list[str]] = field(default_factory=dict)
    effects: dict[tuple[str, int], int] = field(default_factory=dict)
    refused: int = 0

    def plan(self, submission: Submission, batches: int = 1) -> Submission:
        self.planned[submission.execution_id] = submission
        self.batches[submission.execution_id] = batches
        return submission

    async def unfinished(self) -> list[Submission]:
        return [one for name, one in self.planned.items() if name not in self.ends]

    async def is_final(self, execution_id: str) -> bool:
        return execution_id in self.ends or execution_id not in self.planned

    async def end(self, execution_id: str, error: DativeError | None) -> None:
        if execution_id not in self.ends:
            self.ends[execution_id] = ["cancelled" if error is None else error.code.name]

    def guard(self, execution_id: str, token: int) -> None:
        """The second line: whoever has an older token is refused. Errors: FencedOff."""
        if token < self.tokens.get(execution_id, 0):
            self.refused += 1
            raise FencedOff(f"{execution_id}: token {token} is old")
        self.tokens[execution_id] = token

    def settle(self, execution_id: str, token: int, batch: int) -> None:
        """One batch, effect and journal together; one that is settled already is not done again."""
        self.guard(execution_id, token)
        if batch == self.settled.get(execution_id, 0):
            self.effects[execution_id, batch] = self.effects.get((execution_id, batch), 0) + 1
            self.settled[execution_id] = batch + 1

    def finish(self, execution_id: str, token: int, how: str = "succeeded") -> None:
        self.guard(execution_id, token)
        if execution_id in self.ends:
            raise FencedOff(f"{execution_id} is over already")
        self.ends.setdefault(execution_id, []).append(how)


@dataclass(eq=False)
class Host:
    """One member of the molecule, and what it runs. gate: where it is not set, runs wait before each batch."""

    atom: str
    client: Any
    member: Member
    books: Books
    facts: Facts
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    runs: list[Claimed] = field(default_factory=list)
    failures: list[DativeError] = field(default_factory=list)
    deaf: bool = False  # to `ended`: a worker that does not look at its deadline
    refuses: bool = False

    async def run(self, claimed: Claimed) -> Ending:
        self.runs.append(claimed)
        name = claimed.execution_id
        if self.refuses:
            return Ending.REFUSED
        if name in self.books.ends:
            return Ending.OVER
        while self.books.settled.get(name, 0) < self.books.batches[name]:
            if not await self._may_go_on(claimed):
                return Ending.HANDED_OVER
            if claimed.cancelled.is_set():
                self.books.finish(name, claimed.token, "cancelled")
                return Ending.OVER
            batch = self.books.settled.get(name, 0)
            self.books.settle(name, claimed.token, batch)
            await self._save(claimed, batch + 1)
        if claimed.ended.is_set() and not self.deaf:
            return Ending.HANDED_OVER
        self.books.finish(name, claimed.token)
        return Ending.OVER

    async def _save(self, claimed: Claimed, batches: int) -> None:
        try:
            await claimed.save(batches, f"journal:{batches}", {"read": batches})
        except FencedOff:
            raise
        except DativeError as error:
            self.failures.append(error)  # the next batch saves again

    async def _may_go_on(self, claimed: Claimed) -> bool:
        """Wait for the gate. False: it is not this host's any more, or is to be handed over."""
        events = [self.gate, claimed.hand_over, claimed.cancelled] + ([] if self.deaf else [claimed.ended])
        waiting = [asyncio.ensure_future(event.wait()) for event in events]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return self.deaf or not (claimed.ended.is_set() or claimed.hand_over.is_set())


class Molecule:
    """Hosts on one cluster."""

    def __init__(
        self,
        cluster: MemoryCluster,
        clock: WaitingClock,
        pass_time: PassTime,
        connect: Callable[[str], Coordination] | None = None,
    ) -> None:
        self.cluster, self.clock, self.pass_time = cluster, clock, pass_time
        self._connect = connect or cluster.client
        self.books = Books()
        self.hosts: dict[str, Host] = {}

    def host(
        self,
        atom: str,
        slots: int = 2,
        *,
        boot: str = "",
        settings: LeaderSettings | None = None,
        version: str = "1",
        opened: bool = True,
    ) -> Host:
        client = self._connect(atom)

        async def new_session() -> Session:
            session = Session(client, TTL_S, self.clock, margin_of(TTL_S), lambda _deadline_s: None)
            await session.open()
            return session

        member = Member(
            client,
            KEYS,
            self.clock,
            identity=Identity(
                atom=atom, boot=boot or atom, host=f"host of {boot or atom}", data_dir=atom, version=version
            ),
            facts=lambda: host.facts,
            new_session=new_session,
            run=lambda claimed: host.run(claimed),
            journal=self.books,
            ttl_s=TTL_S,
            epoch=1,
            settings=settings,
            failed=lambda error: host.failures.append(error),
        )
        host = Host(atom, client, member, self.books, Facts(slots=slots))
        if opened:
            host.gate.set()
        self.hosts[boot or atom] = host
        return host

    async def start(self, *hosts: Host) -> None:
        for host in hosts:
            host.member.start()
            await self.until(lambda host=host: host.member.joined.is_set())

    async def submit(self, name: str, *, batches: int = 1, stream: str = "", at_ms: int = 0, **more: str) -> None:
        """Through any host, as a schedule or a person does: the journal first."""
        submission = Submission(execution_id=name, stream=stream or f"env-1/{name}", at_ms=at_ms, **more)
        self.books.plan(submission, batches)
        host = next(host for host in self.hosts.values() if host.member.joined.is_set())
        await host.member.submit(submission)

    async def until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        """Let time pass until it is so."""
        deadline_s = self.clock.elapsed_s() + within_s
        while not condition():
            assert self.clock.elapsed_s() < deadline_s, f"not within {within_s:g} s"
            await self.pass_time(0.1)

    async def until_over(self, *names: str, within_s: float = 60.0) -> None:
        """These, or all, have their end in the journal and nothing of them is left in etcd."""
        wanted = names or tuple(self.books.planned)
        left = (KEYS.execution(name) for name in wanted)
        await self.until(lambda: all(name in self.books.ends for name in wanted), within_s)
        await self.until(lambda: not any(self.cluster.item(key) for key in left), within_s)

    @property
    def leaders(self) -> list[str]:
        return [name for name, host in self.hosts.items() if host.member.leading]

    def view(self) -> View:
        """As it stands in the cluster."""
        return View.of(KEYS, self.cluster.snapshot(KEYS.prefix))

    async def stop(self) -> None:
        for host in self.hosts.values():
            if isinstance(host.client, MemoryCoordination):
                host.client.resume()
            host.gate.set()
        for host in self.hosts.values():
            closing = asyncio.ensure_future(host.member.close())
            while not closing.done():
                await self.pass_time(0.25)
            await closing


@pytest.fixture
def new_molecule() -> type[Molecule]:
    return Molecule


@pytest.fixture
async def molecule(cluster: MemoryCluster, clock: HandClock, pass_time: PassTime) -> AsyncIterator[Molecule]:
    made = Molecule(cluster, clock, pass_time)
    yield made
    await made.stop()
