"""Opens the journal that an agent's message names, for as long as a worker works on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dative.clock import Clock

from dative_atom.journal.contract import Journal
from dative_atom.journal.open import open_journal
from dative_atom.worker.protocol import RunExecution


@contextmanager
def journal_of(message: RunExecution, clock: Clock, reached: Callable[[str], None] | None = None) -> Iterator[Journal]:
    """Errors: those of `open_journal`."""
    journal = open_journal(
        message.journal,
        clock,
        reached,
        owner=message.journal_owner,
        secret=message.journal_secret,
        key=message.journal_key,
    )
    try:
        yield journal
    finally:
        journal.close()
