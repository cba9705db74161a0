"""Long-lived tasks that are never forgotten: an unexpected end of one ends the agent, with a code, never a limp."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from dative.errors import DativeError
from dative.errors.agent import TASK_FAILED

from dative_atom.agent.log import log


class Supervisor:
    """Owns tasks. `failed` is set, and the failure kept, when one ends by itself."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._stopping = False
        self.failed = asyncio.Event()
        self.failure: DativeError | None = None

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = name
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._tasks.pop(task)
        if self._stopping:
            return
        # Nobody but `stop` cancels a task of ours: one that was cancelled has ended unexpectedly too.
        cause = None if task.cancelled() else task.exception()
        log.error("task.failed", task=name, exc_info=cause)
        if self.failure is None:
            if isinstance(cause, DativeError):
                self.failure = cause
            else:
                what = f"{type(cause).__name__}: {cause}" if cause else "it ended"
                self.failure = DativeError(f"task {name} failed: {what}", code=TASK_FAILED)
        self.failed.set()

    async def stop(self) -> None:
        """Cancel all and wait for their end; stopping twice is fine."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
