"""One execution on this atom, from a worker that takes it to its end: begun again while it may be, reported on the way.

A worker that dies is not the end of an execution: another attempt goes on from the last settled batch, at most
`crashes_max` times. Which execution runs here, and when, is not decided here (`placement.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dative.errors import DativeError
from dative.errors.agent import EXECUTION_STUCK, WORKER_CRASHED, WORKER_KILLED
from dative.errors.base import code_named
from dative.ids import ExecutionId
from dative.waiting import Backoff, WaitingClock, either, ended

from dative_atom.agent.books import Books
from dative_atom.agent.bundles import BLOB_CODES, Bundles, Prepared
from dative_atom.agent.log import log
from dative_atom.agent.reporter import Reporter, failure_of
from dative_atom.agent.runner import Handle, Runner
from dative_atom.agent.worker import WorkerLost
from dative_atom.journal.contract import Counts, Execution, ExecutionState
from dative_atom.telemetry.recorder import trace_of
from dative_atom.worker.protocol import FENCED, Finished, Keys, Limits, Progress, RunExecution

PROGRESS_EVERY_S = 2.0
ATTEMPTS_MAX = 50
"""Over all agents' lives: an execution that takes the whole agent down with it must end too."""
_PASSING = ("RESOURCE_EXHAUSTED", "UNAVAILABLE")
_BATCH_ROWS = "batch_rows"


@dataclass(frozen=True)
class RunningSettings:
    """See `config.Config`. journal: its address, and what opens it, as RunExecution has them.

    damaged: told of a process whose blobs did not verify; ended: that one is over.
    """

    journal: str
    crashes_max: int
    memory_bytes: int
    journal_secret: str = field(default="", repr=False)
    journal_key: str = ""
    journal_owner: str = ""
    allows: Sequence[str] = ()
    damaged: Callable[[str, DativeError], None] = lambda _process, _error: None
    ended: Callable[[], None] = lambda: None


@dataclass(eq=False)
class _Running:
    """fencing_token: of the molecule's assignment; settled: told of each batch that came to rest."""

    execution: Execution
    fencing_token: int
    settled: Callable[[Counts], None]
    handle: Handle = field(default_factory=Handle)
    reported_s: float = 0.0


class Running:
    """What runs on this atom now. Bound: as many as whoever starts them lets run."""

    def __init__(
        self,
        books: Books,
        bundles: Bundles,
        runner: Runner,
        reporter: Reporter,
        clock: WaitingClock,
        settings: RunningSettings,
    ) -> None:
        self._books, self._journal = books, books.journal
        self._bundles = bundles
        self._runner = runner
        self._reporter = reporter
        self._clock = clock
        self._settings = settings
        self._running: dict[ExecutionId, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.failed: BaseException | None = None
        self.force = asyncio.Event()

    def __len__(self) -> int:
        return len(self._running)

    def executions(self) -> Collection[Execution]:
        return [one.execution for one in self._running.values()]

    def start(
        self,
        execution: Execution,
        over: Callable[[], None],
        *,
        fencing_token: int = 0,
        settled: Callable[[Counts], None] = lambda _counts: None,
    ) -> asyncio.Task[None]:
        """Run it. over: called when its task has ended, however; a defect in it is kept in `failed`.

        Cancelling the task ends its worker at once and writes no end: somebody else goes on from its last settled batch.
        """
        running = _Running(execution, fencing_token, settled)
        self._running[execution.execution_id] = running
        self._idle.clear()
        task = asyncio.create_task(self._to_its_end(running), name=f"execution {execution.execution_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, execution.execution_id, over))
        return task

    def cancel(self, execution_id: ExecutionId) -> bool:
        """Stop one at its next batch. False: it does not run here."""
        running = self._running.get(execution_id)
        if running is not None:
            running.handle.cancelled.set()
        return running is not None

    def _ended(self, task: asyncio.Task[None], execution_id: ExecutionId, over: Callable[[], None]) -> None:
        self._tasks.discard(task)
        self._running.pop(execution_id, None)
        if not task.cancelled() and task.exception() is not None:
            self.failed = task.exception()
        if not self._running:
            self._idle.set()
        over()
        self._settings.ended()

    async def _to_its_end(self, running: _Running) -> None:
        execution = running.execution
        try:
            prepared = await asyncio.to_thread(self._bundles.prepare, execution.manifest_digest, execution.process)
        except DativeError as refused:
            await self._refused(execution, refused, running.fencing_token)
            return
        backoff, crashes = Backoff(0.5, 10.0), 0
        while crashes < self._settings.crashes_max:
            try:
                request = self.request(execution, prepared, running.fencing_token)
                finished = await self._runner.execute(
                    request, running.handle, lambda message: self._progress(running, message)
                )
            except WorkerLost as lost:
                crashes += 1
                error = _lost(execution, lost, crashes)
            except DativeError as failed:
                crashes += 1
                error = failed
            else:
                if finished.state == FENCED:
                    # Invariant 4: it is another member's by now, and so is its end.
                    log.warning("execution.fenced", execution_id=execution.execution_id)
                    return
                # A worker that can not write the end (a full disk, a target that does not say what it committed)
                # leaves it to an attempt that can: what passes by itself is no crash, and is waited for.
                error = _undecided(finished)
                crashes += error.code.grpc not in _PASSING
                self._reporter.written.set()
            known = await self._books.run(self._journal.execution, execution.execution_id)
            if known is not None and known.state.final:
                return
            if running.handle.cancelled.is_set():
                await self.finish(execution, ExecutionState.CANCELLED, None, running.fencing_token)
                return
            log.warning(
                "execution.interrupted", execution_id=execution.execution_id, crashes=crashes, code=error.code.name
            )
            if crashes and known is not None and known.attempt >= ATTEMPTS_MAX:
                break
            if crashes < self._settings.crashes_max:
                await either(self._clock, running.handle.cancelled, backoff.next_s())
        await self._fail(execution, error, running.fencing_token)

    def request(self, execution: Execution, prepared: Prepared, fencing_token: int = 0) -> RunExecution:
        """What a worker is given to run it."""
        identity, environment = self._bundles.identity, prepared.environment
        prefix = f"{execution.process}."
        overrides = {
            name.removeprefix(prefix): value for name, value in environment.overrides.items() if name.startswith(prefix)
        }
        # A called process' parameters keep its name in front, because two processes may use one name.
        prefixes = tuple(f"{called}." for called in prepared.content.called)
        overrides |= {name: value for name, value in environment.overrides.items() if name.startswith(prefixes)}
        rows = overrides.get(_BATCH_ROWS, "")
        limits = Limits(memory_bytes=self._settings.memory_bytes)
        if rows.isdigit() and int(rows) > 0:
            limits = Limits(memory_bytes=self._settings.memory_bytes, batch_rows=min(int(rows), 100_000))
        return RunExecution(
            execution_id=execution.execution_id,
            process=prepared.content.artifact,
            artifacts=dict(prepared.paths),
            bindings=prepared.bindings,
            environment_id=identity.environment_id,
            environment=environment.environment,
            journal=self._settings.journal,
            journal_secret=self._settings.journal_secret,
            journal_key=self._settings.journal_key,
            journal_owner=self._settings.journal_owner,
            traceparent=execution.traceparent,
            keep_trace=execution.keep_trace,
            parameters={**overrides, **execution.parameters},
            limits=limits,
            resource=self._reporter.resource(),
            fencing_token=fencing_token,
            molecule_id=identity.molecule_id,
            atom_id=identity.atom_id,
            keys=Keys(prepared.mask_keys.to_hex()),
            # Both must: whoever installs the atom, and whoever signs for the environment.
            allows=[one for one in self._settings.allows if one in environment.allows],
        )

    def _progress(self, running: _Running, message: Progress) -> None:
        """Tell the controller how far it is, at most every PROGRESS_EVERY_S."""
        running.settled(_counts(message.counts))
        now_s = self._clock.elapsed_s()
        if now_s - running.reported_s < PROGRESS_EVERY_S:
            return
        running.reported_s = now_s
        task = asyncio.create_task(self._report_progress(running.execution.execution_id, _counts(message.counts)))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report_progress(self, execution_id: ExecutionId, counts: Counts) -> None:
        known = await self._books.run(self._journal.execution, execution_id)
        if known is not None and known.state is ExecutionState.RUNNING:
            await self._reporter.execution(replace(known, counts=counts))

    async def _refused(self, execution: Execution, error: DativeError, fencing_token: int) -> None:
        """It could not even start; other processes run on."""
        if error.code in BLOB_CODES:
            self._settings.damaged(execution.process, error)
            fields = {"process": execution.process, "execution_id": execution.execution_id}
            await self._reporter.event("bundle.refused", error, fields)
        await self._fail(execution, error, fencing_token)

    async def _fail(self, execution: Execution, error: DativeError, fencing_token: int) -> None:
        await self.finish(execution, ExecutionState.FAILED, error, fencing_token)

    async def finish(
        self, execution: Execution, state: ExecutionState, error: DativeError | None, fencing_token: int = 0
    ) -> None:
        """Write the end of an execution that no worker could write. A failed one always leaves a trace.

        Errors: molecule.fenced, somebody with a higher token has it (Invariant 4).
        """
        failure = failure_of(error) if error else None
        done = await self._books.run(
            self._journal.finish, execution.execution_id, state, self._clock.now(), failure, fencing_token
        )
        trace_id = done.trace_id or trace_of(execution.execution_id)
        if error is not None:
            trace_id = await self._reporter.span(
                f"execute {execution.process}",
                traceparent=execution.traceparent,
                start_ns=time.time_ns(),
                attributes={
                    "dative.execution.id": execution.execution_id,
                    "dative.process.name": execution.process,
                    "dative.process.version": execution.process_version,
                    "dative.trigger": execution.trigger,
                    "dative.attempt": done.attempt,
                },
                error=error.code.name,
                execution_id=execution.execution_id,
                trace_id=trace_id,
            )
        await self._reporter.execution(replace(done, trace_id=trace_id))
        log.info("execution.ended", execution_id=execution.execution_id, process=execution.process, state=state.value)
        self._settings.ended()

    async def wait_idle(self, within_s: float) -> bool:
        """Until nothing runs any more. False: not within the time, or `force` was set first."""
        done = asyncio.ensure_future(either(self._clock, self._idle, within_s))
        forced = asyncio.ensure_future(self.force.wait())
        try:
            await asyncio.wait({done, forced}, return_when=asyncio.FIRST_COMPLETED)
            return self._idle.is_set()
        finally:
            await ended(done, forced)

    async def stop(self) -> None:
        """Give up what still runs; it is resumed at the next start from its last settled batch."""
        tasks: list[Awaitable[None]] = [*self._tasks, *self._reports]
        for task in (*self._tasks, *self._reports):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _counts(counts: Mapping[str, int]) -> Counts:
    return Counts(**{name: counts.get(name, 0) for name in Counts.__dataclass_fields__})


def _undecided(finished: Finished) -> DativeError:
    """What kept a worker from ending its execution; of no meaning where the journal has the end."""
    failure = finished.failure or {}
    code = code_named(failure.get("code", "")) or WORKER_CRASHED
    return DativeError(failure.get("message", "a worker left its execution unfinished"), code=code)


def _lost(execution: Execution, lost: WorkerLost, crashes: int) -> DativeError:
    """Why a worker was lost, as the failure that a person reads when it was the last try."""
    tries = f"{crashes} time{'s' if crashes > 1 else ''}"
    if isinstance(lost.__cause__, TimeoutError):
        return DativeError(f"{execution.process} settled no batch in time, {tries}", code=EXECUTION_STUCK)
    if lost.killed:
        return DativeError(f"the worker of {execution.process} was killed (signal 9), {tries}", code=WORKER_KILLED)
    return DativeError(f"the worker of {execution.process} ended with {lost.returncode}, {tries}", code=WORKER_CRASHED)
