"""Executions from plan to end: written to the journal first, run one at a time per process, resumed until they are over.

A worker that dies is not the end of an execution: another attempt goes on from the last settled batch, at most
`crashes_max` times. What was pending or running when the agent died is taken up at its next start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from dative.errors import DativeError
from dative.errors.agent import (
    DRAINING,
    EXECUTION_STUCK,
    EXECUTION_UNKNOWN,
    NOTHING_DEPLOYED,
    PROCESS_UNKNOWN,
    QUEUE_FULL,
    WORKER_CRASHED,
    WORKER_KILLED,
)
from dative.errors.base import code_named
from dative.ids import ExecutionId, ProcessName, new_id
from dative.waiting import Backoff, WaitingClock, either, ended

from dative_atom.agent.books import Books
from dative_atom.agent.bundles import BLOB_CODES, Bundles, Prepared
from dative_atom.agent.log import log
from dative_atom.agent.reporter import Reporter, failure_of
from dative_atom.agent.runner import Handle, Runner
from dative_atom.agent.worker import WorkerLost
from dative_atom.journal.contract import Counts, Execution, ExecutionState
from dative_atom.journal.letters import Retry
from dative_atom.telemetry.recorder import new_trace_id
from dative_atom.worker.protocol import Finished, Keys, Limits, Progress, RunExecution

PROGRESS_EVERY_S = 2.0
ATTEMPTS_MAX = 50
"""Over all agents' lives: an execution that takes the whole agent down with it must end too."""
_PASSING = ("RESOURCE_EXHAUSTED", "UNAVAILABLE")
_BATCH_ROWS = "batch_rows"


@dataclass(frozen=True)
class ExecutionSettings:
    """See `config.Config`. damaged: told of a process whose blobs did not verify; ended: that one is over."""

    journal_path: Path
    slots: int
    queue_max: int
    crashes_max: int
    memory_bytes: int
    allows: Sequence[str] = ()
    damaged: Callable[[str, DativeError], None] = lambda _process, _error: None
    ended: Callable[[], None] = lambda: None


@dataclass(eq=False)
class _Running:
    execution: Execution
    handle: Handle = field(default_factory=Handle)
    reported_s: float = 0.0


class Executions:
    """The queue and what runs. Bounds: `queue_max` waiting (agent.queue_full), `slots` running, one per process."""

    def __init__(
        self,
        books: Books,
        bundles: Bundles,
        runner: Runner,
        reporter: Reporter,
        clock: WaitingClock,
        settings: ExecutionSettings,
    ) -> None:
        self._books, self._journal = books, books.journal
        self._bundles = bundles
        self._runner = runner
        self._reporter = reporter
        self._clock = clock
        self._settings = settings
        self._waiting: list[Execution] = []
        self._running: dict[ExecutionId, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed: BaseException | None = None
        self.draining = False
        self.force = asyncio.Event()

    # ---- what others ask ----------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def waiting_or_running(self, process: str) -> int:
        everything = [*self._waiting, *(one.execution for one in self._running.values())]
        return sum(execution.process == process for execution in everything)

    def manifests_in_use(self) -> Collection[str]:
        everything = [*self._waiting, *(one.execution for one in self._running.values())]
        return {execution.manifest_digest for execution in everything}

    def _new(self, process: str, trigger: str, execution_id: ExecutionId, planned_at: datetime) -> Execution:
        """Errors: agent.draining, agent.queue_full, agent.nothing_deployed, agent.process_unknown, and why it is broken."""
        if self.draining:
            raise DativeError("the atom is draining", code=DRAINING)
        if len(self._waiting) >= self._settings.queue_max:
            raise DativeError(f"{len(self._waiting)} executions wait already", code=QUEUE_FULL)
        active = self._bundles.active
        if active is None:
            raise DativeError("nothing is deployed to this atom", code=NOTHING_DEPLOYED)
        if process in active.broken:
            raise active.broken[process]
        content = active.processes.get(process)
        if content is None:
            raise DativeError(
                f"no process {process} in generation {active.manifest.generation}; "
                f"it holds {', '.join(sorted(active.processes)) or 'none'}",
                code=PROCESS_UNKNOWN,
                where=process,
            )
        return Execution(
            execution_id=execution_id,
            process=ProcessName(process),
            process_version=content.version,
            stream=f"{self._bundles.identity.environment_id}/{process}",
            trigger=trigger,
            planned_at=planned_at,
            manifest_digest=active.manifest.digest,
        )

    async def plan_scheduled(self, process: str, execution_id: ExecutionId, planned_at: datetime) -> bool:
        """False: it was planned before. A process that can not run gets a failed execution, so that it shows."""
        try:
            execution = self._new(process, "schedule", execution_id, planned_at)
        except DativeError as refused:
            await self._reporter.event("schedule.refused", refused, {"process": process})
            return False
        return await self._plan(execution)

    async def run_now(
        self,
        process: str,
        *,
        execution_id: ExecutionId | None = None,
        command_id: str = "",
        traceparent: str = "",
        keep_trace: bool = False,
        parameters: Mapping[str, str] | None = None,
    ) -> ExecutionId:
        """Plan a manual execution. Errors: those of `_new`."""
        now = self._clock.now()
        execution = replace(
            self._new(process, "manual", execution_id or ExecutionId(new_id(now)), now),
            command_id=command_id,
            traceparent=traceparent,
            keep_trace=keep_trace,
            parameters=dict(parameters or {}),
        )
        await self._plan(execution)
        return execution.execution_id

    async def retry_chunk(self, retry: Retry) -> ExecutionId | None:
        """Plan the retry's next chunk; None when there is none. Errors: those of `_new`."""
        planned = await self._books.run(self._journal.next_chunk, retry.retry_id, self._retrying(retry))
        if planned is None:
            return None
        await self._enqueue(planned)
        return planned.execution_id

    def check_retry(self, retry: Retry) -> None:
        """Whether a chunk could be planned now. Errors: those of `_new`."""
        self._retrying(retry)

    def _retrying(self, retry: Retry) -> Execution:
        now = self._clock.now()
        return replace(
            self._new(retry.process, "retry", ExecutionId(new_id(now)), now),
            command_id=retry.command_id,
            traceparent=retry.traceparent,
            keep_trace=True,
        )

    async def rehearsal(self, process: str, parameters: Mapping[str, str] | None = None) -> tuple[str, RunExecution]:
        """(stream, what a worker needs) to lead documents through that process without planning anything.

        Errors: those of `_new`, and why the process can not be prepared.
        """
        now = self._clock.now()
        execution = replace(
            self._new(process, "retry", ExecutionId(new_id(now)), now), parameters=dict(parameters or {})
        )
        prepared = await asyncio.to_thread(self._bundles.prepare, execution.manifest_digest, process)
        return execution.stream, self._request(execution, prepared)

    async def _plan(self, execution: Execution) -> bool:
        # On disk before anybody acts on it: a kill from here on loses nothing.
        fresh = await self._books.run(self._journal.plan, execution)
        if fresh:
            await self._enqueue(execution)
        return fresh

    async def _enqueue(self, execution: Execution) -> None:
        # Reported before it can start, so that its records are in order.
        await self._reporter.execution(execution)
        self._waiting.append(execution)
        self._wake.set()

    async def cancel(self, execution_id: ExecutionId) -> None:
        """Stop one at its next batch; one that waits never starts. Errors: agent.execution_unknown."""
        running = self._running.get(execution_id)
        if running is not None:
            running.handle.cancelled.set()
            return
        waiting = next((one for one in self._waiting if one.execution_id == execution_id), None)
        if waiting is None:
            raise DativeError(f"execution {execution_id} neither runs nor waits here", code=EXECUTION_UNKNOWN)
        self._waiting.remove(waiting)
        await self._finish(waiting, ExecutionState.CANCELLED, None)
        self._settings.ended()

    # ---- running ------------------------------------------------------------------------------------------------

    async def take_up(self) -> int:
        """At a start: queue what the last agent left unfinished, oldest first. Returns how many."""
        self._waiting = await self._books.run(self._journal.unfinished)
        self._wake.set()
        return len(self._waiting)

    async def run(self) -> None:
        """Start what may start whenever something changed. Raises what a defect in an execution's own task raised."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._failed is not None:
                raise self._failed
            while (execution := self._next()) is not None:
                self._start(execution)

    def _next(self) -> Execution | None:
        """The oldest whose process does not run: two executions of one process would race for its position."""
        if self.draining or len(self._running) >= self._settings.slots:
            return None
        busy = {one.execution.stream for one in self._running.values()}
        found = next((one for one in self._waiting if one.stream not in busy), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def _start(self, execution: Execution) -> None:
        running = _Running(execution)
        self._running[execution.execution_id] = running
        self._idle.clear()
        task = asyncio.create_task(self._to_its_end(running), name=f"execution {execution.execution_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, execution.execution_id))

    def _ended(self, task: asyncio.Task[None], execution_id: ExecutionId) -> None:
        self._tasks.discard(task)
        self._running.pop(execution_id, None)
        if not task.cancelled() and task.exception() is not None:
            self._failed = task.exception()
        if not self._running:
            self._idle.set()
        self._wake.set()
        self._settings.ended()

    async def _to_its_end(self, running: _Running) -> None:
        execution = running.execution
        try:
            prepared = await asyncio.to_thread(self._bundles.prepare, execution.manifest_digest, execution.process)
        except DativeError as refused:
            await self._refused(execution, refused)
            return
        backoff, crashes = Backoff(0.5, 10.0), 0
        while crashes < self._settings.crashes_max:
            try:
                finished = await self._runner.execute(
                    self._request(execution, prepared), running.handle, lambda message: self._progress(running, message)
                )
            except WorkerLost as lost:
                crashes += 1
                error = _lost(execution, lost, crashes)
            except DativeError as failed:
                crashes += 1
                error = failed
            else:
                # A worker that can not write the end (a full disk, a target that does not say what it committed)
                # leaves it to an attempt that can: what passes by itself is no crash, and is waited for.
                error = _undecided(finished)
                crashes += error.code.grpc not in _PASSING
                self._reporter.written.set()
            known = await self._books.run(self._journal.execution, execution.execution_id)
            if known is not None and known.state.final:
                return
            if running.handle.cancelled.is_set():
                await self._finish(execution, ExecutionState.CANCELLED, None)
                return
            log.warning(
                "execution.interrupted", execution_id=execution.execution_id, crashes=crashes, code=error.code.name
            )
            if crashes and known is not None and known.attempt >= ATTEMPTS_MAX:
                break
            if crashes < self._settings.crashes_max:
                await either(self._clock, running.handle.cancelled, backoff.next_s())
        await self._fail(execution, error)

    def _request(self, execution: Execution, prepared: Prepared) -> RunExecution:
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
            journal=str(self._settings.journal_path),
            traceparent=execution.traceparent,
            keep_trace=execution.keep_trace,
            parameters={**overrides, **execution.parameters},
            limits=limits,
            resource=self._reporter.resource(),
            molecule_id=identity.molecule_id,
            atom_id=identity.atom_id,
            keys=Keys(prepared.mask_keys.to_hex()),
            allows=list(self._settings.allows),
        )

    def _progress(self, running: _Running, message: Progress) -> None:
        """Tell the controller how far it is, at most every PROGRESS_EVERY_S."""
        now_s = self._clock.elapsed_s()
        if now_s - running.reported_s < PROGRESS_EVERY_S:
            return
        running.reported_s = now_s
        task = asyncio.create_task(self._report_progress(running.execution.execution_id, dict(message.counts)))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report_progress(self, execution_id: ExecutionId, counts: dict[str, int]) -> None:
        known = await self._books.run(self._journal.execution, execution_id)
        if known is not None and known.state is ExecutionState.RUNNING:
            fields = {name: counts.get(name, 0) for name in Counts.__dataclass_fields__}
            await self._reporter.execution(replace(known, counts=Counts(**fields)))

    # ---- endings ------------------------------------------------------------------------------------------------

    async def _refused(self, execution: Execution, error: DativeError) -> None:
        """It could not even start; other processes run on."""
        if error.code in BLOB_CODES:
            self._settings.damaged(execution.process, error)
            fields = {"process": execution.process, "execution_id": execution.execution_id}
            await self._reporter.event("bundle.refused", error, fields)
        await self._fail(execution, error)

    async def _fail(self, execution: Execution, error: DativeError) -> None:
        await self._finish(execution, ExecutionState.FAILED, error)

    async def _finish(self, execution: Execution, state: ExecutionState, error: DativeError | None) -> None:
        """The end of an execution that no worker could write. A failed one always leaves a trace."""
        failure = failure_of(error) if error else None
        done = await self._books.run(self._journal.finish, execution.execution_id, state, self._clock.now(), failure)
        trace_id = done.trace_id or new_trace_id()
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

    # ---- draining -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no new work; what runs goes on, what waits stays in the journal."""
        self.draining = True

    def resume(self) -> None:
        self.draining = False
        self._wake.set()

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
