"""Something changed: look again. Waiters wake at once here, and by their own poll when another controller did it."""

from __future__ import annotations

import asyncio


class Signal:
    """Level-triggered by count, so that a change between looking and waiting is never missed."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def notify(self) -> None:
        self.count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seen: int, timeout_s: float) -> int:
        """Return the count once it is past `seen`, or after `timeout_s` whatever it is."""
        if self.count == seen:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return self.count
