"""Transactions off the event loop: one engine, a small bounded executor, SQLite or PostgreSQL behind it.

`read` and `write` run a function of a connection in a thread, inside one transaction. On SQLite all writes share one
thread, because the file has one writer anyway and waiting in a queue is cheaper than waiting in a lock. Nothing here
knows a table.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from dative.errors import Code, DativeError
from dative.errors import store as codes
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.schema import Table

T = TypeVar("T")
THREADS = 4
WAITING_MAX = 2_000
"""Calls that may wait for a thread; more are refused with store.busy, so that memory stays bounded (Invariant 7)."""


@dataclass(eq=False)
class StoreError(DativeError):
    """The database could not do it."""

    default_code = codes.UNAVAILABLE


def insert(connection: Connection, table: Table) -> Any:
    """An INSERT of this connection's dialect, with `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


class Database:
    """An open database. Close it; closing waits for the transactions that run.

    url: "sqlite:///path" or "postgresql://…". Errors: store.busy, store.unavailable.
    """

    def __init__(self, url: str) -> None:
        self.url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.is_sqlite = self.url.startswith("sqlite")
        self.engine = (
            _sqlite(self.url) if self.is_sqlite else create_engine(self.url, pool_size=THREADS, max_overflow=2)
        )
        # An immediate transaction waits for the file's lock at its start, where waiting is safe, never in its middle.
        self._write_engine = self.engine.execution_options(begin="BEGIN IMMEDIATE") if self.is_sqlite else self.engine
        self._readers = ThreadPoolExecutor(THREADS, "store-read")
        self._writers = ThreadPoolExecutor(1 if self.is_sqlite else THREADS, "store-write")
        self._waiting = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that writes nothing."""
        return await self._run(self._readers, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: committed when it returns, rolled back when it raises."""
        return await self._run(self._writers, work)

    async def _run(self, executor: ThreadPoolExecutor, work: Callable[[Connection], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise StoreError(f"{self._waiting} transactions wait already", code=codes.BUSY)
        self._waiting += 1
        try:
            # Shielded: a caller that goes away must not leave a transaction that nobody waits for at close.
            return await asyncio.get_running_loop().run_in_executor(executor, self._transact, work, executor)
        finally:
            self._waiting -= 1

    def _transact(self, work: Callable[[Connection], T], executor: ThreadPoolExecutor) -> T:
        try:
            engine = self._write_engine if executor is self._writers else self.engine
            with engine.begin() as connection:
                return work(connection)
        except OperationalError as broken:
            raise StoreError(f"the database refused: {broken.orig}") from broken
        except DBAPIError as broken:
            if broken.connection_invalidated:
                raise StoreError("the connection to the database was lost") from broken
            raise

    def transact(self, work: Callable[[Connection], T]) -> T:
        """The same as `write`, in the calling thread: for start-up and tools."""
        return self._transact(work, self._writers)

    async def close(self) -> None:
        """Wait for running transactions, then let go of the database."""
        await asyncio.to_thread(self._shutdown)

    def _shutdown(self) -> None:
        self._writers.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()


def _sqlite(url: str) -> Engine:
    """WAL, so that readers never wait for the writer; synchronous FULL, because an acknowledged record must survive."""
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 10}, pool_size=THREADS + 2)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are ours, not the driver's
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-8192",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


class DirectoryLock:
    """One controller a data directory in SQLite mode. The kernel lets go of it however the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock. Errors: store.locked when another process holds it."""
        file = open(self._path, "ab")  # noqa: SIM115  held until release()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            file.close()
            raise StoreError(f"{self._path.parent} is in use by another controller", code=codes.LOCKED) from held
        os.chmod(self._path, 0o600)
        self._file = file

    def release(self) -> None:
        """Let go; doing it twice is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None


def refuse(code: Code, message: str, where: str = "") -> DativeError:
    """A refusal with a code: what every store function raises when the rows say no."""
    return DativeError(message, code=code, where=where)
