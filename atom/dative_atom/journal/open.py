"""Opens a journal wherever it lies: every program that needs one asks here. PostgreSQL's driver is loaded only for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dative.clock import Clock
from dative.errors import RetryLater
from dative.errors.journal import KEY_WANTED

from dative_atom.journal.address import parsed
from dative_atom.journal.store import KEY_BYTES

if TYPE_CHECKING:
    from dative_atom.journal.postgres import PostgresJournal
    from dative_atom.journal.sqlite import SqliteJournal


def open_journal(
    address: str | Path,
    clock: Clock,
    reached: Callable[[str], None] | None = None,
    *,
    owner: str = "",
    secret: str = "",
    key: str | Path = "",
) -> SqliteJournal | PostgresJournal:
    """Open a journal, and make it where there is none.

    address: see `address.parsed`. owner: whose outbox this program writes, the atom's id where several atoms share the
    journal. secret: PostgreSQL's password. key: the file with the key that bodies are sealed with, which `shared_key`
    gets for a shared journal; a SQLite file has its own beside it.
    Errors: journal.address_invalid, journal.key_wanted, journal.unreadable, journal.unavailable, journal.refused.
    """
    place = parsed(address)
    if isinstance(place, Path):
        from dative_atom.journal.sqlite import SqliteJournal

        return SqliteJournal(place, clock, reached, owner=owner)
    from dative_atom.journal.postgres import PostgresJournal

    return PostgresJournal(place, clock, reached, key=read_key(Path(key)), owner=owner, password=secret)


def read_key(path: Path) -> bytes:
    """Errors: journal.key_wanted while there is no such file, or not one of a key."""
    body = path.read_bytes() if path.is_file() else b""
    if len(body) != KEY_BYTES:
        raise RetryLater(f"{path} holds no key of a journal yet", code=KEY_WANTED)
    return body
