"""Slots of worker processes, kept warm: takes an execution, gives it to a worker, tells how it went.

How often an execution is tried again is decided in running.py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dative.errors import DativeError
from dative.waiting import Backoff, WaitingClock, either, ended

from dative_atom.agent.health import Health
from dative_atom.agent.log import log
from dative_atom.agent.worker import COMMAND, Worker, WorkerLost
from dative_atom.worker.protocol import (
    CheckConnection,
    Checks,
    DryRan,
    DryRun,
    Finished,
    LookSteps,
    Progress,
    Rehearse,
    Rehearsed,
    RunExecution,
    StepsLooked,
)

CANCEL_WITHIN_S = 10.0


@dataclass(frozen=True)
class WorkerSettings:
    """command: how a worker is started; inherited: descriptors it keeps open; deadline_fd: of the agent's `Deadline`, None
    where it is in no molecule. See `config.Config` for the rest."""

    slots: int
    warm: int
    warm_for_s: float
    executions_max: int
    stall_s: float
    command: Sequence[str] = COMMAND
    inherited: Sequence[int] = ()
    deadline_fd: int | None = None


class Handle:
    """One execution on a worker, for whoever wants to cancel it."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.moved = asyncio.Event()


class Runner:
    """At most `slots` workers; up to `warm` idle ones are kept for `warm_for_s` after somebody last needed one.

    started: told the pids whenever they change.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        health: Health,
        clock: WaitingClock,
        started: Callable[[list[int]], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._health = health
        self._clock = clock
        self._started = started
        self._slots = asyncio.Semaphore(settings.slots)
        self._idle: deque[Worker] = deque()
        self._all: set[Worker] = set()
        self._starting: set[asyncio.Task[Worker]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._wake.set()

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._all]

    def expect(self) -> None:
        """Work is on its way: have a worker warm by then."""
        self._wake.set()

    async def run(self) -> None:
        """Keep `warm` workers ready. One that does not come up is tried again for as long as the agent runs."""
        backoff = Backoff(1.0, 60.0)
        while True:
            if not await either(self._clock, self._wake, self._settings.warm_for_s):
                await self._retire()
                await self._wake.wait()
            self._wake.clear()
            try:
                while len(self._idle) < self._settings.warm and len(self._all) < self._settings.slots:
                    self._idle.append(await self._new())
                backoff.reset()
            except DativeError as failed:
                self._health.set("workers", failed)
                log.error("worker.start_failed", code=failed.code.name, reason=failed.message)
                await self._clock.sleep(max(backoff.next_s(), 0.5))
                self._wake.set()

    async def _retire(self) -> None:
        """Nobody has needed a worker for a while: the idle ones leave, and an idle atom is only its agent."""
        while self._idle:
            worker = self._idle.popleft()
            await worker.shutdown()
            self._all.discard(worker)
            self._started(self.pids)

    async def _new(self) -> Worker:
        # Shielded: a process that was begun is never lost sight of, whoever is cancelled meanwhile.
        starting = asyncio.ensure_future(self._begin())
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return await asyncio.shield(starting)

    async def _begin(self) -> Worker:
        settings = self._settings
        deadline = () if settings.deadline_fd is None else (settings.deadline_fd,)
        told = [text for fd in deadline for text in ("--deadline-fd", str(fd))]
        worker = await Worker.start((*settings.command, *told), (*settings.inherited, *deadline))
        self._all.add(worker)
        self._started(self.pids)
        self._health.set("workers", None)
        return worker

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Worker]:
        """A worker of one's own. Errors: agent.worker_start_failed."""
        async with self._slots:
            worker = await self._take() or await self._new()
            try:
                yield worker
            except BaseException:
                # Whatever went wrong, nobody knows what it still does.
                await self._discard(worker)
                raise
            worn = not worker.alive or worker.executions >= self._settings.executions_max
            if worn or len(self._idle) >= max(self._settings.warm, 1):
                await self._discard(worker)
            else:
                self._idle.append(worker)
            self._wake.set()

    async def _take(self) -> Worker | None:
        while self._idle:
            worker = self._idle.popleft()
            if worker.alive:
                return worker
            await self._discard(worker)
        return None

    async def _discard(self, worker: Worker) -> None:
        self._all.discard(worker)
        self._started(self.pids)
        self._wake.set()
        # Shielded for the same reason: its end is seen to even when this task is cancelled.
        ending = asyncio.ensure_future(worker.kill())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

    async def execute(self, request: RunExecution, handle: Handle, progress: Callable[[Progress], None]) -> Finished:
        """Run one attempt. Errors: WorkerLost, also when it was ended for not getting on or not stopping (TimeoutError
        as its cause); agent.worker_start_failed."""
        async with self._worker() as worker:

            def moved(message: Progress) -> None:
                handle.moved.set()
                progress(message)

            running = asyncio.create_task(worker.run(request, moved), name=f"run {request.execution_id}")
            watching = asyncio.create_task(self._watch(worker, request.execution_id, handle), name="watch")
            try:
                await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    return running.result()
                await worker.kill()
                raise WorkerLost(0) from TimeoutError("no batch settled, or it did not stop")
            finally:
                await ended(running, watching)

    async def _watch(self, worker: Worker, execution_id: str, handle: Handle) -> None:
        """Ends when the worker must be ended: a cancel that is not followed, or no progress for `stall_s`."""
        while not handle.cancelled.is_set():
            handle.moved.clear()
            moved = asyncio.ensure_future(either(self._clock, handle.moved, self._settings.stall_s))
            cancelled = asyncio.ensure_future(handle.cancelled.wait())
            try:
                await asyncio.wait({moved, cancelled}, return_when=asyncio.FIRST_COMPLETED)
                if moved.done() and not moved.result() and not handle.cancelled.is_set():
                    return
            finally:
                await ended(moved, cancelled)
        await worker.cancel(execution_id)
        await self._clock.sleep(CANCEL_WITHIN_S)

    async def check(self, request: CheckConnection, within_s: float) -> Checks:
        """Test a connection on a worker. Errors: WorkerLost, TimeoutError, agent.worker_start_failed."""
        async with self._worker() as worker, asyncio.timeout(within_s):
            return await worker.check(request)

    async def rehearse(self, request: Rehearse, within_s: float) -> Rehearsed:
        """Lead a document through its process on a worker. Errors: WorkerLost, TimeoutError, agent.worker_start_failed."""
        async with asyncio.timeout(within_s), self._worker() as worker:
            return await worker.rehearse(request)

    async def dry_run(self, request: DryRun, within_s: float) -> DryRan:
        """Run an execution that writes nothing on a worker. Errors: as `rehearse`."""
        async with asyncio.timeout(within_s), self._worker() as worker:
            return await worker.dry_run(request)

    async def look(self, request: LookSteps, within_s: float) -> StepsLooked:
        """Ask the systems of some steps for their fields. Errors: as `rehearse`."""
        async with asyncio.timeout(within_s), self._worker() as worker:
            return await worker.look(request)

    async def stop(self) -> None:
        """End every worker; idle ones leave by themselves."""
        await asyncio.gather(*self._starting, *self._ending, return_exceptions=True)
        await asyncio.gather(*(worker.shutdown() if worker in self._idle else worker.kill() for worker in self._all))
        self._all.clear()
        self._idle.clear()
        self._started([])
