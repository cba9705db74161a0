"""Carries retries of many dead letters through: chunk after chunk, at their rate, across restarts, to their end.

The journal holds how far each is; this part only decides when the next chunk is due. One chunk of a retry runs at a time,
so a slow target slows its retry. A chunk whose execution failed or was cancelled ends the retry: what is left waits.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dative.errors import DativeError
from dative.errors.agent import DRAINING, QUEUE_FULL
from dative.errors.dead_letters import RETRY_STOPPED
from dative.ids import ExecutionId
from dative.waiting import WaitingClock, either

from dative_atom.agent.books import Books
from dative_atom.agent.executions import Executions
from dative_atom.agent.reporter import Reporter, failure_of
from dative_atom.journal.contract import Execution, ExecutionState
from dative_atom.journal.letters import Retry

BUSY_AGAIN_S = 5.0
"""How soon a chunk is planned again that a draining or full atom did not take."""
RATE_MAX_PER_S = 10_000.0
CHUNK_MAX = 1000
CHUNK_S = 2.0
"""Without a chunk size of its own a retry takes so many seconds' worth of documents at once."""
_PATIENT = (DRAINING, QUEUE_FULL)


def chunk_of(rate_per_s: float, wanted: int) -> int:
    """Documents in one execution: what was asked for, else CHUNK_S of the rate; 1..CHUNK_MAX."""
    if wanted:
        return wanted
    return min(max(round(rate_per_s * CHUNK_S), 1), CHUNK_MAX) if rate_per_s else CHUNK_MAX


class Retries:
    """wake: set whenever an execution has ended."""

    def __init__(self, books: Books, executions: Executions, reporter: Reporter, clock: WaitingClock) -> None:
        self._books, self._journal = books, books.journal
        self._executions = executions
        self._reporter = reporter
        self._clock = clock
        self._turn = asyncio.Lock()
        self.wake = asyncio.Event()

    async def start(self, retry: Retry) -> ExecutionId | None:
        """Write it down and plan its first chunk; None: nothing of it waits any more.

        Errors: agent.draining, agent.queue_full, agent.nothing_deployed, agent.process_unknown.
        """
        self._executions.check_retry(retry)
        async with self._turn:
            if not await self._books.run(self._journal.start_retry, retry):
                return None
            first = await self._executions.retry_chunk(retry)
        self.wake.set()
        return first

    async def run(self) -> None:
        """Look at every retry whenever an execution ended or a chunk is due. Never ends by itself."""
        while True:
            self.wake.clear()
            due_in_s = await self._look()
            if due_in_s is None:
                await self.wake.wait()
            else:
                await either(self._clock, self.wake, due_in_s)

    async def _look(self) -> float | None:
        """Plan what is due; in how many seconds the next chunk is, None when only an execution's end brings one."""
        async with self._turn:
            retries = await self._books.run(self._journal.retries)
            waits = [wait for retry in retries if (wait := await self._advance(retry)) is not None]
        return min(waits, default=None)

    async def _advance(self, retry: Retry) -> float | None:
        last = await self._books.run(self._journal.execution, ExecutionId(retry.execution_id))
        if last is not None and not last.state.final:
            return None
        if last is not None and last.state in (ExecutionState.FAILED, ExecutionState.CANCELLED):
            await self._stop(retry, last)
            return None
        due_in_s = self._due_in_s(retry, last)
        if due_in_s > 0:
            return due_in_s
        try:
            await self._executions.retry_chunk(retry)
        except DativeError as refused:
            if refused.code in _PATIENT:
                return BUSY_AGAIN_S
            await self._end(retry, "stopped", failure_of(refused))
        return None

    def _due_in_s(self, retry: Retry, last: Execution | None) -> float:
        """A chunk is due when its predecessor's documents have had their time; never earlier to make up for a pause."""
        if last is None or not retry.rate_per_s:
            return 0.0
        due = last.planned_at + timedelta(seconds=len(last.retry_of) / retry.rate_per_s)
        return (due - self._clock.now()).total_seconds()

    async def _stop(self, retry: Retry, last: Execution) -> None:
        cancelled = last.state is ExecutionState.CANCELLED
        failure = dict(last.failure or {"code": "", "message": f"execution {last.execution_id} was cancelled"})
        await self._end(retry, "cancelled" if cancelled else "stopped", failure)

    async def _end(self, retry: Retry, state: str, failure: dict[str, str]) -> None:
        ended = await self._books.run(self._journal.end_retry, retry.retry_id, state, failure)
        if ended is None:
            return
        error = DativeError(
            f"the retry of {retry.process} was {state} after {ended.taken} dead letters: {failure.get('message', '')}",
            code=RETRY_STOPPED,
            where=retry.process,
        )
        fields = {
            "retry_id": retry.retry_id,
            "process": retry.process,
            "execution_id": ended.execution_id,
            "dead_letters": str(ended.taken),
        }
        await self._reporter.event("dead_letters.retry_stopped", error, fields)
