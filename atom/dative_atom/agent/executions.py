"""Executions as others ask for them: planned in the journal first, then given to whatever runs them.

What may run is what the verified bundle holds. Where it runs is decided by `placement.py`, its way to the end lies in
`running.py`; what was pending or running when the agent died is taken up at its next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from dative.errors import DativeError
from dative.errors.agent import DRAINING, NOTHING_DEPLOYED, PROCESS_UNKNOWN, QUEUE_FULL
from dative.ids import ExecutionId, ProcessName, new_id
from dative.waiting import WaitingClock

from dative_atom.agent.books import Books
from dative_atom.agent.bundles import Bundles
from dative_atom.agent.placement import Placement
from dative_atom.agent.reporter import Reporter
from dative_atom.agent.running import Running
from dative_atom.journal.contract import Execution
from dative_atom.journal.letters import Retry
from dative_atom.worker.protocol import RunExecution


class Executions:
    """Bound: `queue_max` waiting, further ones are refused with agent.queue_full."""

    def __init__(
        self,
        books: Books,
        bundles: Bundles,
        running: Running,
        placement: Placement,
        reporter: Reporter,
        clock: WaitingClock,
        queue_max: int,
    ) -> None:
        self._books, self._journal = books, books.journal
        self._bundles = bundles
        self._running = running
        self._placement = placement
        self._reporter = reporter
        self._clock = clock
        self._queue_max = queue_max
        self.draining = False
        self.cancel = placement.cancel
        self.take_up = placement.take_up
        self.run = placement.run

    # ---- what others ask ----------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return self._placement.waiting

    def waiting_or_running(self, process: str) -> int:
        return self._placement.waiting_or_running(process)

    def manifests_in_use(self) -> Collection[str]:
        return self._placement.manifests_in_use()

    def drain(self) -> None:
        """Take no new work; what runs goes on, what waits stays in the journal."""
        self.draining = True
        self._placement.drain(True)

    def resume(self) -> None:
        self.draining = False
        self._placement.drain(False)

    # ---- planning -----------------------------------------------------------------------------------------------

    def _new(self, process: str, trigger: str, execution_id: ExecutionId, planned_at: datetime) -> Execution:
        """Errors: agent.draining, agent.queue_full, agent.nothing_deployed, agent.process_unknown, and why it is broken."""
        if self.draining:
            raise DativeError("the atom is draining", code=DRAINING)
        if self._placement.waiting >= self._queue_max:
            raise DativeError(f"{self._placement.waiting} executions wait already", code=QUEUE_FULL)
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
        return execution.stream, self._running.request(execution, prepared)

    async def _plan(self, execution: Execution) -> bool:
        # On disk before anybody acts on it: a kill from here on loses nothing.
        fresh = await self._books.run(self._journal.plan, execution)
        if fresh:
            await self._enqueue(execution)
        return fresh

    async def _enqueue(self, execution: Execution) -> None:
        # Reported before it can start, so that its records are in order.
        await self._reporter.execution(execution)
        await self._placement.submit(execution)
