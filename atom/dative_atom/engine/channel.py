"""A bounded queue between two stages, that ends, fails and is closed in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")
DEPTH: Final = 2
"""Batches that wait between two stages: enough to keep both busy, few enough to keep memory flat."""


class Closed(Exception):
    """The other side has gone: stop, there is nothing to say."""


class Channel(Generic[T]):
    """One producer, one consumer. At its depth the producer waits; nothing is dropped."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Waits while the channel is full. Raises Closed once the consumer has gone."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._closed)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """There will be nothing more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """The producer could not go on; the consumer raises this after what is already here."""
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """The consumer goes, or both must stop. Waiting sides wake up."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Items until the end. Raises the producer's error, or Closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._ended or self._closed)
                if self._closed:
                    raise Closed
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
