"""Long-lived tasks that are never forgotten: an unexpected end of one is the end of the program, never a limp."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from dative_controller.telemetry.log import log


class Supervisor:
    """Owns background tasks. `failed` is set, and the failure kept, when one ends by itself."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._stopping or task.cancelled():
            return
        self.failure = task.exception() or RuntimeError(f"task {task.get_name()} ended")
        log.error("task.failed", task=task.get_name(), exc_info=self.failure)
        self.failed.set()

    async def stop(self) -> None:
        """Cancel all and wait for their end; stopping twice is fine."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
