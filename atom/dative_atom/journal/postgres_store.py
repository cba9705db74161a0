"""The journal's PostgreSQL database: sessions, transactions, what happens when one is lost, and its version.

READ COMMITTED, and every method holds what it reads to change (rows FOR UPDATE, names by advisory locks), so that several
hosts at once wait for each other instead of failing. A session carries a number that it commits with each transaction: when the
answer to a COMMIT is lost, a new session ends the old one and reads whether that number is there (Invariant 8), so each
method is repeated only when it is known not to hold.
"""

from __future__ import annotations

import functools
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import psycopg
from dative.clock import Clock
from dative.errors import RetryLater, StopRun
from dative.errors import journal as codes

from dative_atom.journal.address import Address
from dative_atom.journal.postgres_errors import AGAIN, lost, translated
from dative_atom.journal.postgres_schema import FIRST_VERSION, SCHEMA, SCHEMA_VERSION, UPGRADES
from dative_atom.journal.postgres_session import PostgresSession, adapted
from dative_atom.journal.postgres_tables import PostgresTables

BUSY_TIMEOUT_S: Final = 20.0
"""How long a method waits for another's transaction, for a statement, and for a server that is away; then
`journal.busy` or `journal.unavailable`."""
CONNECT_TIMEOUT_S: Final = 5
_PAUSE_S: Final = (0.02, 1.0)
"""Before the next try: doubled each time, between these."""
_MARKS_KEPT_S: Final = 7 * 86_400.0
"""The committed numbers of sessions that are no more."""

_END: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
)

P = ParamSpec("P")
R = TypeVar("R")


class PostgresStore(PostgresTables):
    """One journal in a schema of a database. Every thread has a session of its own, made again when it was lost."""

    def __init__(
        self,
        address: Address,
        clock: Clock,
        reached: Callable[[str], None] | None = None,
        *,
        key: bytes,
        owner: str = "",
        password: str = "",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open it, and make its tables where there are none. key: what bodies are sealed with, 32 bytes.

        Errors: journal.unavailable, journal.refused, journal.unreadable (a newer version).
        """
        self.address, self.clock, self.owner = address, clock, owner
        self._reached = reached or (lambda _: None)
        self._password, self._pause = password, pause
        self.opens(key)
        self._local = threading.local()
        self._sessions: list[PostgresSession] = []
        self._lock = threading.Lock()
        try:
            self.repeated(self._open)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with self.transaction() as db:
            make_tables(db, self.address)
            self._brought_up(db)
            self.opened(db)
            old = self.clock.now().timestamp() - _MARKS_KEPT_S
            db.execute("DELETE FROM committed WHERE at < ?", (old,))

    def _brought_up(self, db: PostgresSession) -> None:
        """From an older version to this one; whoever made the tables, or brings them up too, is held by `make_tables`."""
        ((version,),) = db.execute("SELECT version FROM journal_version").fetchall()
        if version > SCHEMA_VERSION:
            raise StopRun(
                f"journal {self.address} has version {version}, this program reads {SCHEMA_VERSION}",
                code=codes.UNREADABLE,
            )
        if version < SCHEMA_VERSION:
            for script in UPGRADES[version - FIRST_VERSION :]:
                db.simple(script)
            db.execute("UPDATE journal_version SET version = ?", (SCHEMA_VERSION,))
            self.upgraded(db, version)

    # ---- sessions ---------------------------------------------------------------------------------------------------

    def session(self) -> PostgresSession:
        """This thread's; a new one where the last was lost."""
        existing: PostgresSession | None = getattr(self._local, "session", None)
        if existing is not None and not existing.connection.closed:
            return existing
        made = PostgresSession(connected(self.address, self._password, self._mark()))
        if existing is not None:
            # What the lost one may still hold is free then.
            ended(made.connection, self._mark())
            made.number = existing.number
        self._local.session = made
        with self._lock:
            self._sessions = [one for one in self._sessions if not one.connection.closed]
            self._sessions.append(made)
        return made

    def _mark(self) -> str:
        """What this thread's sessions are known by, however often they are made again."""
        if not hasattr(self._local, "mark"):
            self._local.mark = f"dative-{secrets.token_hex(12)}"
        return str(self._local.mark)

    # ---- transactions -------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[PostgresSession]:
        with self._border():
            db = self.session()
            self.beginning()
            try:
                db.simple("BEGIN")
                self._reached("journal.begun")
                yield db
                self.committing(db)
                self._reached("journal.committing")
            except BaseException:
                self._roll_back(db)
                raise
            self._commit(db)
            self._reached("journal.committed")

    def _roll_back(self, db: PostgresSession) -> None:
        try:
            db.simple("ROLLBACK")
        except psycopg.Error:
            db.connection.close()

    def _commit(self, db: PostgresSession) -> None:
        db.number += 1
        row = f"('{self._mark()}', {db.number}, {self.clock.now().timestamp()!r})"
        mark = f"INSERT INTO committed VALUES {row} ON CONFLICT (session) DO UPDATE SET number = excluded.number, at = excluded.at"
        try:
            db.simple(f"{mark}; COMMIT")
        except psycopg.Error as error:
            if not lost(error):
                self._roll_back(db)
                raise
            db.connection.close()
            if not self._holds(db.number):
                raise

    def _holds(self, number: int) -> bool:
        """Whether a COMMIT whose answer was lost holds, once nothing of the old session can change that any more.

        Errors: journal.unavailable while nobody can say.
        """
        cause: Exception | None = None
        for pause in self._pauses():
            try:
                with connected(self.address, self._password, f"{self._mark()}?") as asking:
                    ended(asking, self._mark())
                    row = asking.execute("SELECT number FROM committed WHERE session = %s", (self._mark(),)).fetchone()
                    return row is not None and row[0] == number
            except psycopg.Error as error:
                cause = error
            self._pause(pause)
        raise _Unknown(
            f"journal {self.address}: the answer to a commit was lost, and nobody can say whether it holds",
            code=codes.UNAVAILABLE,
        ) from cause

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        with self._border():
            yield self.session()

    @contextmanager
    def _border(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise translated(str(self.address), error) from error

    # ---- trying again -------------------------------------------------------------------------------------------------

    def repeated(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Call a method of the journal, again while it is known not to hold and may succeed: after a deadlock, and
        while the server is away, for BUSY_TIMEOUT_S. What a method does is one transaction, so it never holds in part."""
        for pause in self._pauses():
            try:
                return method(*arguments, **named)
            except RetryLater as error:
                if not _may_repeat(error):
                    raise
            self._pause(pause)
        return method(*arguments, **named)

    def _pauses(self) -> Iterator[float]:
        """Before each next try, longer each time, until BUSY_TIMEOUT_S are over; two that met part again."""
        until, left, pause = self.clock.elapsed_s() + BUSY_TIMEOUT_S, BUSY_TIMEOUT_S, _PAUSE_S[0]
        while left > 0 and self.clock.elapsed_s() < until:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            left, pause = left - pause, min(pause * 2, _PAUSE_S[1])

    def close(self) -> None:
        with self._lock:
            for session in self._sessions:
                session.connection.close()
            self._sessions.clear()
        self._local = threading.local()


def repeating(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method of a journal that tries again as `PostgresStore.repeated` says."""

    @functools.wraps(method)
    def tried(self: Any, /, *arguments: P.args, **named: P.kwargs) -> R:
        return self.repeated(functools.partial(method, self), *arguments, **named)  # type: ignore[no-any-return]

    return tried


def _may_repeat(error: RetryLater) -> bool:
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or isinstance(error, _Unknown):
        return False
    return lost(cause) or cause.sqlstate in AGAIN


class _Unknown(RetryLater):
    """Nobody can say whether it holds: not repeated."""


def connected(address: Address, password: str, name: str) -> psycopg.Connection[Any]:
    """A new session. name: by which another one finds and ends it."""
    wait_ms = int(BUSY_TIMEOUT_S * 1000)
    bounds = f"-c lock_timeout={wait_ms} -c statement_timeout={3 * wait_ms} -c idle_in_transaction_session_timeout={3 * wait_ms}"
    connection = psycopg.connect(
        address.url,
        autocommit=True,
        password=password or None,
        application_name=name,
        connect_timeout=CONNECT_TIMEOUT_S,
        keepalives_idle=10,
        keepalives_interval=3,
        keepalives_count=3,
        tcp_user_timeout=wait_ms,
        options=f"{bounds} -c search_path={address.schema} -c synchronous_commit=on",
    )
    return adapted(connection)


def ended(asking: psycopg.Connection[Any], name: str) -> None:
    """End another session of ours that may still run, and wait until it is gone: from then on what it did is decided.

    Errors: psycopg.OperationalError when it is still there after 500 looks, some 10 s.
    """
    for _ in range(500):
        if not asking.execute(_END, (name,)).fetchall():
            return
        asking.execute("SELECT pg_sleep(0.02)")
    raise psycopg.OperationalError("a lost session does not end")


def make_tables(db: PostgresSession, address: Address) -> None:
    """Make the tables where there are none, one member after the other, until the caller's transaction ends."""
    db.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"dative journal {address.schema}",)).fetchone()
    # Asked first: where an administrator made it, the journal's user need not be allowed to.
    (there,) = db.execute("SELECT to_regnamespace(?) IS NOT NULL", (address.schema,)).fetchall()
    if there == (False,):
        db.execute(f"CREATE SCHEMA {address.schema}")
    (known,) = db.execute("SELECT to_regclass(?) IS NOT NULL", (f"{address.schema}.journal_version",)).fetchall()
    if known == (False,):
        db.simple(SCHEMA)
