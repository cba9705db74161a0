"""Where an execution that the journal holds runs: the contract, and the queue of an atom that works alone.

Planning (`executions.py`) writes an execution down and submits it; a placement sees to it that it runs somewhere, once,
and `running.py` brings it to its end. In a molecule the placement is `molecule_placement.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from dative.errors import DativeError
from dative.errors.agent import EXECUTION_UNKNOWN
from dative.ids import ExecutionId

from dative_atom.agent.books import Books
from dative_atom.agent.running import Running
from dative_atom.journal.contract import Execution, ExecutionState


class Placement(Protocol):
    """What executions are given to, once they are in the journal."""

    @property
    def waiting(self) -> int:
        """How many of those submitted do not run yet, as far as this atom knows."""
        ...

    def waiting_or_running(self, process: str) -> int: ...

    def manifests_in_use(self) -> Collection[str]:
        """Digests of the manifests that executions here still finish on."""
        ...

    async def submit(self, execution: Execution) -> None:
        """See to it that it runs. It is in the journal: what is lost from here on is taken up again from there."""
        ...

    async def cancel(self, execution_id: ExecutionId) -> None:
        """Stop one at its next batch; one that waits never starts. Errors: agent.execution_unknown."""
        ...

    async def take_up(self) -> int:
        """At a start: see to what was left unfinished. Returns how many."""
        ...

    async def run(self) -> None:
        """Never ends by itself. Raises what a defect in an execution's own task raised."""
        ...

    def drain(self, wanted: bool) -> None:
        """Take no new work, and what waits stays in the journal; or take work again."""
        ...


class LocalPlacement:
    """One atom alone: a queue in memory, `slots` running, one execution per process, because its position is one."""

    def __init__(self, books: Books, running: Running, slots: int) -> None:
        self._books, self._journal = books, books.journal
        self._running = running
        self._slots = slots
        self._waiting: list[Execution] = []
        self._wake = asyncio.Event()
        self._draining = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def waiting_or_running(self, process: str) -> int:
        return sum(execution.process == process for execution in (*self._waiting, *self._running.executions()))

    def manifests_in_use(self) -> Collection[str]:
        return {execution.manifest_digest for execution in (*self._waiting, *self._running.executions())}

    async def submit(self, execution: Execution) -> None:
        self._waiting.append(execution)
        self._wake.set()

    async def cancel(self, execution_id: ExecutionId) -> None:
        if self._running.cancel(execution_id):
            return
        waiting = next((one for one in self._waiting if one.execution_id == execution_id), None)
        if waiting is None:
            raise DativeError(f"execution {execution_id} neither runs nor waits here", code=EXECUTION_UNKNOWN)
        self._waiting.remove(waiting)
        await self._running.finish(waiting, ExecutionState.CANCELLED, None)

    async def take_up(self) -> int:
        """Queue what the last agent left unfinished, oldest first."""
        self._waiting = await self._books.run(self._journal.unfinished)
        self._wake.set()
        return len(self._waiting)

    async def run(self) -> None:
        """Start what may start whenever something changed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._running.failed is not None:
                raise self._running.failed
            while (execution := self._next()) is not None:
                self._running.start(execution, self._wake.set)

    def _next(self) -> Execution | None:
        """The oldest whose process does not run: two executions of one process would race for its position."""
        if self._draining or len(self._running) >= self._slots:
            return None
        busy = {execution.stream for execution in self._running.executions()}
        found = next((one for one in self._waiting if one.stream not in busy), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def drain(self, wanted: bool) -> None:
        self._draining = wanted
        self._wake.set()
