"""Keeps a member's view up to date: loads it, follows what changes, loads again when something was missed.

The one watch of a member: the election, the leader and the claims all read this view, so a change of leader costs each
member nothing but the change itself (no herd that asks at once).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from dative.errors import DativeError
from dative.waiting import Backoff, WaitingClock

from dative_atom.molecule.coordination import Coordination
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.signal import Signal, soon
from dative_atom.molecule.view import View, unreadable_once


class Follow:
    """view: as of `view.revision`. changed: fired after it changed. fresh: whether the watch is in order at the moment."""

    def __init__(
        self,
        coordination: Coordination,
        keys: Keys,
        clock: WaitingClock,
        told: Callable[[DativeError], None] = lambda _error: None,
    ) -> None:
        self._coordination, self._clock, self._told = coordination, clock, told
        self._prefix = keys.prefix
        self.view = View(keys)
        self.changed = Signal()
        self.fresh = False
        self.reloads = 0
        self._said: set[str] = set()

    async def load(self) -> None:
        """Errors: those of `Coordination.load`; the view stays as it was."""
        self.view.reset(await self._coordination.load(self._prefix))
        self.reloads += 1
        self._tell()

    async def run(self) -> None:
        """Until cancelled. What is lost meanwhile is found by loading again: the view never skips a change."""
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                async with aclosing(self._coordination.watch(self._prefix, self.view.revision)) as watching:
                    async for changes in watching:
                        backoff.reset()
                        self.fresh = True
                        self.view.apply(changes)
                        self._tell()
            except DativeError:
                self.fresh = False
                await self._clock.sleep(backoff.next_s())
                await self._reload(backoff)

    async def _reload(self, backoff: Backoff) -> None:
        while True:
            try:
                return await self.load()
            except DativeError:
                await self._clock.sleep(backoff.next_s())

    async def until_revision(self, revision: int, within_s: float) -> bool:
        """Whether the view came so far within the time."""
        deadline_s = self._clock.elapsed_s() + within_s
        while self.view.revision < revision:
            changed = self.changed.next
            left_s = deadline_s - self._clock.elapsed_s()
            if left_s <= 0:
                return False
            await soon(self._clock, changed, left_s)
        return True

    def _tell(self) -> None:
        for wrong in unreadable_once(self.view, self._said):
            self._told(wrong)
        self.changed.fire()
