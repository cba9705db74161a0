"""The journal's SQLite file: its schema, one connection a thread, one transaction a method, sealed bodies.

Everything about SQLite itself lives here; what the tables mean lives in the parts beside it. WAL with synchronous=FULL:
a settled batch survives a power cut. Documents' payloads are sealed with a key that lies beside the file, so that a
copied database alone shows none of them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.clock import Clock
from dative.errors import DativeError, RetryLater, StopRun
from dative.errors import journal as codes

BUSY_TIMEOUT_S: Final = 20.0
"""How long a method waits for another process' transaction; then `journal.busy`."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE execution (
  execution_id TEXT PRIMARY KEY, stream TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
  is_retry INTEGER NOT NULL, started_at TEXT, finished_at TEXT, trace_id TEXT NOT NULL DEFAULT '',
  counts BLOB NOT NULL, failure BLOB, planned BLOB NOT NULL,
  next_batch INTEGER NOT NULL DEFAULT 0, next_document INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX execution_unfinished ON execution (execution_id) WHERE state IN ('pending', 'running');
CREATE TABLE stream (stream TEXT PRIMARY KEY, position BLOB, read_to_end_at TEXT, clean_at TEXT) WITHOUT ROWID;
CREATE TABLE prepared (execution_id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE ledger (stream TEXT, key TEXT, version TEXT NOT NULL, PRIMARY KEY (stream, key)) WITHOUT ROWID;
CREATE INDEX ledger_version ON ledger (stream, version);
CREATE TABLE dead_letter (
  dead_letter_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, process TEXT NOT NULL,
  stream TEXT NOT NULL, trace_id TEXT NOT NULL, retrying TEXT, parked BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX dead_letter_state ON dead_letter (state, queue, dead_letter_id);
CREATE INDEX dead_letter_retrying ON dead_letter (retrying) WHERE retrying IS NOT NULL;
CREATE TABLE outbox (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, created_at REAL NOT NULL, size INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE spool (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, acknowledged INTEGER NOT NULL,
  records INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""
_LETTERS: Final = """
ALTER TABLE dead_letter ADD COLUMN payload BLOB;
ALTER TABLE dead_letter ADD COLUMN profile TEXT;
ALTER TABLE dead_letter ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letter ADD COLUMN assignee TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letter ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letter ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dead_letter_process ON dead_letter (state, process, dead_letter_id);
CREATE INDEX dead_letter_expiry ON dead_letter (state, expires_at);
CREATE TABLE dead_letter_profile (digest TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letter_retry (retry_id TEXT PRIMARY KEY, state TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
"""
"""What people do with dead letters. `parked` holds everything but the document from here on, `payload` the document."""
_UPGRADES: Final = (
    # 1 -> 2: receipts.
    """
CREATE TABLE receipt (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL, batch INTEGER NOT NULL, step TEXT NOT NULL,
  part INTEGER NOT NULL, attempt INTEGER NOT NULL, fencing_token INTEGER NOT NULL, at REAL NOT NULL,
  expires_at REAL NOT NULL, rows INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (execution_id, batch, step, part)
);
CREATE INDEX receipt_expires ON receipt (expires_at);
""",
    """
CREATE TABLE vault_block (block INTEGER PRIMARY KEY, key_version INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE vault (token TEXT PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID;
""",
    _LETTERS,
    # What documents set for those after them. owner: an execution, until it has ended, or a stream, for good.
    """
CREATE TABLE remembered (owner TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID;
""",
    # What find_changes compares with.
    """
CREATE TABLE snapshot (
  owner TEXT, key BLOB, hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (owner, key)
) WITHOUT ROWID;
""",
    # What happened to the document caches of executions that have not ended.
    """
CREATE TABLE cached (sequence INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX cached_execution ON cached (execution_id, sequence);
""",
    # With rowids: a letter is larger than what a table without them keeps in its leaves, so each took a page of its own
    # beside the tree and was written where its id fell. Letters that come together lie together now, a third of the size.
    """
CREATE TABLE dead_letter_rows (
  dead_letter_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, process TEXT NOT NULL,
  stream TEXT NOT NULL, trace_id TEXT NOT NULL, retrying TEXT, parked BLOB NOT NULL, payload BLOB, profile TEXT,
  code TEXT NOT NULL DEFAULT '', assignee TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 0,
  announced INTEGER NOT NULL DEFAULT 0
);
INSERT INTO dead_letter_rows SELECT dead_letter_id, execution_id, queue, state, attempts, created_at, expires_at, process,
  stream, trace_id, retrying, parked, payload, profile, code, assignee, revision, announced FROM dead_letter;
DROP TABLE dead_letter;
ALTER TABLE dead_letter_rows RENAME TO dead_letter;
CREATE INDEX dead_letter_state ON dead_letter (state, queue, dead_letter_id);
CREATE INDEX dead_letter_retrying ON dead_letter (retrying) WHERE retrying IS NOT NULL;
CREATE INDEX dead_letter_process ON dead_letter (state, process, dead_letter_id);
CREATE INDEX dead_letter_expiry ON dead_letter (state, expires_at);
""",
    # What transactional targets committed of a batch that did not settle, since others had not.
    """
CREATE TABLE halfway (stream TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
""",
    # Several atoms: who may change an execution, who began it, and what their leader wrote down.
    """
ALTER TABLE execution ADD COLUMN fencing_token INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN attempts BLOB;
CREATE TABLE schedule (key TEXT PRIMARY KEY, last TEXT NOT NULL, term INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE schedule_term (one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL);
CREATE TABLE coordination (one INTEGER PRIMARY KEY CHECK (one = 1), cluster_id TEXT NOT NULL, epoch INTEGER NOT NULL);
""",
)
"""What brings a journal from each version to the next; a new one takes all of them, so there is one way to a schema."""
SCHEMA_VERSION: Final = 1 + len(_UPGRADES)
LETTERS_VERSION: Final = 2 + _UPGRADES.index(_LETTERS)


class Database:
    """One journal file. May be opened by several processes at once; every thread gets a connection of its own."""

    def __init__(self, path: Path, clock: Clock, reached: Callable[[str], None] | None = None) -> None:
        """Open or make it. path: its directory must exist. The sealing key is `<path>.key`, made with the file.

        reached: told each boundary of each write transaction: journal.begun, journal.committing, journal.committed.
        """
        self._reached = reached or (lambda _: None)
        self.path = path
        self.clock = clock
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._cipher = AESGCM(_sealing_key(path.with_name(path.name + ".key")))
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StopRun(
                    f"journal {path} has version {version}, this program reads {SCHEMA_VERSION}", code=codes.UNREADABLE
                )
            if version < SCHEMA_VERSION:
                self._upgrade(db, version)

    def _upgrade(self, db: sqlite3.Connection, version: int) -> None:
        """From nothing or an older version to this one, inside the caller's transaction."""
        for script in (_SCHEMA, *_UPGRADES)[version:]:
            for statement in script.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        if version == 0:
            self.created(db)
        else:
            self.upgraded(db, version)

    def created(self, db: sqlite3.Connection) -> None:
        """Called once, inside the transaction that made the schema."""

    def upgraded(self, db: sqlite3.Connection, version: int) -> None:
        """Called inside the transaction that brought a file of that older version to this one."""

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
        with _border(self.path):
            db.execute("BEGIN IMMEDIATE")
            try:
                self._reached("journal.begun")
                yield db
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

    def seal(self, body: bytes, about: str) -> bytes:
        """Encrypt a body; `about` binds it to its row, so that rows can not be swapped."""
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, body, about.encode())

    def seal_all(self, bodies: Iterable[tuple[bytes, str]]) -> list[bytes]:
        """`seal` of each (body, about), every one under a nonce of its own; the nonces are drawn together."""
        pairs = list(bodies)
        nonces, encrypt = os.urandom(12 * len(pairs)), self._cipher.encrypt
        drawn = (nonces[start : start + 12] for start in range(0, len(nonces), 12))
        return [nonce + encrypt(nonce, body, about.encode()) for nonce, (body, about) in zip(drawn, pairs, strict=True)]

    def unseal(self, body: bytes, about: str) -> bytes:
        return self._cipher.decrypt(body[:12], body[12:], about.encode())

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
            file.write(AESGCM.generate_key(256))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return path.read_bytes()
