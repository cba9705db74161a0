"""The journal from the event loop: each call in a thread of the agent's own, all of them ended before it is closed.

A task that is cancelled leaves its call running in its thread; closing the database under it would crash the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from dative_atom.journal.contract import Journal

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 4
"""Each holds a connection; more calls wait their turn."""


class Books:
    """The journal and its threads."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._pool = ThreadPoolExecutor(THREADS, "journal")

    async def run(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One method of the journal. Errors: the method's own."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(method, *args, **kwargs))

    def close(self) -> None:
        """Wait for what still runs, then close. Blocks for as long as a transaction may take."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.journal.close()
