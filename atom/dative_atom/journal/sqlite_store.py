"""The journal's SQLite file: one connection a thread, one transaction a method, the key that lies beside it.

What the tables mean lives in the parts beside it. WAL with synchronous=FULL:
a settled batch survives a power cut. Documents' payloads are sealed with a key that lies beside the file, so that a
copied database alone shows none of them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.clock import Clock
from dative.errors import DativeError, RetryLater, StopRun
from dative.errors import journal as codes

from dative_atom.journal.sqlite_schema import SCHEMA, SCHEMA_VERSION, UPGRADES
from dative_atom.journal.sqlite_tables import SqliteTables
from dative_atom.journal.store import KEY_BYTES

BUSY_TIMEOUT_S: Final = 20.0
"""How long a method waits for another process' transaction; then `journal.busy`."""


class SqliteStore(SqliteTables):
    """One journal file. May be opened by several processes at once; every thread gets a connection of its own."""

    def __init__(
        self, path: Path, clock: Clock, reached: Callable[[str], None] | None = None, *, owner: str = ""
    ) -> None:
        """Open or make it. path: its directory must exist. The sealing key is `<path>.key`, made with the file.

        reached: told each boundary of each write transaction: journal.begun, journal.committing, journal.committed.
        """
        self._reached = reached or (lambda _: None)
        self.path = path
        self.clock = clock
        self.owner = owner
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self.opens(_sealing_key(path.with_name(path.name + ".key")))
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StopRun(
                    f"journal {path} has version {version}, this program reads {SCHEMA_VERSION}", code=codes.UNREADABLE
                )
            if version < SCHEMA_VERSION:
                self._upgrade(db, version)
            self.opened(db)

    def _upgrade(self, db: sqlite3.Connection, version: int) -> None:
        """From nothing or an older version to this one, inside the caller's transaction."""
        for script in (SCHEMA, *UPGRADES)[version:]:
            for statement in script.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        if version:
            self.upgraded(db, version)

    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        existing: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if existing is not None:
            return existing
        with _border(self.path):
            # Closed by `close` from whichever thread ends the journal; used only by the thread that made it.
            made = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = FULL")
            # What is deleted is overwritten, also where SQLite was not built so: a destroyed document is gone.
            made.execute("PRAGMA secure_delete = ON")
        self._local.connection = made
        with self._lock:
            self._connections.append(made)
        return made

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all of it or nothing (Invariant 5)."""
        db = self.connection()
        self.beginning()
        with _border(self.path):
            db.execute("BEGIN IMMEDIATE")
            try:
                self._reached("journal.begun")
                yield db
                self.committing(db)
                self._reached("journal.committing")
                db.execute("COMMIT")
            except BaseException:
                # After a full disk SQLite may have rolled back by itself.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            self._reached("journal.committed")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with _border(self.path):
            yield self.connection()

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()


@contextmanager
def _border(path: Path) -> Iterator[None]:
    """SQLite's errors become the house's, once."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(path, error) from error


def _translated(path: Path, error: sqlite3.Error) -> DativeError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return StopRun(f"journal {path}: {error}", code=codes.DISK_FULL)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return RetryLater(f"journal {path}: locked for more than {BUSY_TIMEOUT_S:.0f} s", code=codes.BUSY)
    return StopRun(f"journal {path}: {error}", code=codes.UNREADABLE)


def _sealing_key(path: Path) -> bytes:
    """The key beside the journal, made once; two processes that start together agree on the one that was linked."""
    if not path.exists():
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(AESGCM.generate_key(KEY_BYTES * 8))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return path.read_bytes()
