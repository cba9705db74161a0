"""The key that a shared journal's bodies are sealed with: made by the first member, given on by members, never by the database.

The database holds it sealed to each member, who can tell that an admitted member sealed it: whoever can write to the
database can neither read the key nor put another in its place. Which member is the first, the database decides. Every
member keeps the key in a file of its own; what is sealed to it brings that file back.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from dative.clock import Clock
from dative.errors import DativeError, RetryLater, StopRun
from dative.errors.journal import KEY_WANTED, KEY_WRONG, UNAVAILABLE
from dative.secrets.seal import SealKey, open_from, seal_as, seal_info

from dative_atom.journal.address import Address
from dative_atom.journal.postgres_errors import lost, translated
from dative_atom.journal.postgres_session import PostgresSession
from dative_atom.journal.postgres_store import connected, make_tables
from dative_atom.journal.store import KEY_BYTES

SHARED_AT_ONCE_MAX: Final = 100
"""Requests that one call answers; the others wait for the next one (Invariant 7)."""


class SharedKey:
    """One member's way to the key of one journal."""

    def __init__(
        self, address: Address, path: Path, seal_key: SealKey, atom_id: str, clock: Clock, *, password: str = ""
    ) -> None:
        """path: the member's own file for the key. seal_key: the atom's own."""
        self._address, self._path, self._seal_key = address, path, seal_key
        self._atom_id, self._clock, self._password = atom_id, clock, password

    def obtain(self, admitted: Collection[bytes]) -> bytes:
        """The key; it is in the file afterwards. admitted: public seal keys of the molecule's members, as signed.

        Errors: journal.key_wanted until a member that holds it has shared it; journal.key_wrong for another journal's
        key in the file, or one that no admitted member sealed; journal.unavailable, journal.refused.
        """
        cached = self._cached()
        with self._transaction() as db:
            make_tables(db, self._address)
            key = cached or os.urandom(KEY_BYTES)
            first = "INSERT INTO sealing_key VALUES (1, ?) ON CONFLICT DO NOTHING"
            if db.execute(first, (_proof(key),)).rowcount:
                # The first member: sealed to itself in the transaction that says so, so no crash loses it.
                self._write(db, self._seal_key.public_raw, self._atom_id, key)
            elif cached is None:
                key = self._given(db, admitted)
            elif not hmac.compare_digest(_stands(db), _proof(cached)):
                raise StopRun(f"{self._path} has the key of another journal", code=KEY_WRONG)
        if not key:
            raise RetryLater(f"journal {self._address}: its key is with other members", code=KEY_WANTED)
        if key != cached:
            _write_whole(self._path, key)
        return key

    def _given(self, db: PostgresSession, admitted: Collection[bytes]) -> bytes:
        """What was sealed to this member; nothing, and a request, where nothing was."""
        public = self._seal_key.public_raw
        row = db.execute("SELECT sealer, sealed FROM sealing_key_holder WHERE public = ?", (public,)).fetchone()
        if row is None or row[1] is None or (row[0] != public and row[0] not in admitted):
            # A sealer that is admitted no more may have been turned out for a reason: another one is asked.
            db.execute(
                "INSERT INTO sealing_key_holder VALUES (?, ?, ?, NULL, NULL) ON CONFLICT (public) DO UPDATE"
                " SET atom_id = excluded.atom_id, asked_at = excluded.asked_at, sealer = NULL, sealed = NULL",
                (public, self._atom_id, self._clock.now().timestamp()),
            )
            return b""
        proof = _stands(db)
        try:
            key = open_from(row[1], self._seal_key, row[0], _info(proof))
        except DativeError as error:
            raise StopRun(f"journal {self._address}: {error.message}", code=KEY_WRONG) from error
        if not hmac.compare_digest(_proof(key), proof):
            raise StopRun(f"journal {self._address}: what was sealed to this atom is not its key", code=KEY_WRONG)
        return key

    def share(self, admitted: Collection[bytes]) -> int:
        """Seal the key to admitted members that asked for it; returns to how many. None while this one has not got it.

        Errors: journal.key_wrong, journal.unavailable.
        """
        key = self._cached()
        if key is None:
            return 0
        with self._transaction() as db:
            if not hmac.compare_digest(_stands(db), _proof(key)):
                raise StopRun(f"{self._path} has the key of another journal", code=KEY_WRONG)
            asked = db.execute(
                "SELECT public, atom_id FROM sealing_key_holder WHERE sealed IS NULL AND public = ANY (?)"
                " ORDER BY asked_at LIMIT ? FOR UPDATE SKIP LOCKED",
                (list(admitted), SHARED_AT_ONCE_MAX),
            ).fetchall()
            for public, atom_id in asked:
                self._write(db, public, atom_id, key)
        return len(asked)

    def _write(self, db: PostgresSession, public: bytes, atom_id: str, key: bytes) -> None:
        sealed = seal_as(key, self._seal_key, public, _info(_proof(key)))
        db.execute(
            "INSERT INTO sealing_key_holder VALUES (?, ?, ?, ?, ?) ON CONFLICT (public) DO UPDATE"
            " SET sealer = excluded.sealer, sealed = excluded.sealed",
            (public, atom_id, self._clock.now().timestamp(), self._seal_key.public_raw, sealed),
        )

    def _cached(self) -> bytes | None:
        if not self._path.is_file():
            return None
        body = self._path.read_bytes()
        if len(body) != KEY_BYTES:
            raise StopRun(f"{self._path} holds no key", code=KEY_WRONG)
        return body

    @contextmanager
    def _transaction(self) -> Iterator[PostgresSession]:
        """Once: whoever asks asks again, and every answer is the same then."""
        try:
            connection = connected(self._address, self._password, "dative-journal-key")
            try:
                with connection.transaction():
                    yield PostgresSession(connection)
            finally:
                connection.close()
        except psycopg.Error as error:
            if lost(error):
                raise RetryLater(f"journal {self._address}: no answer", code=UNAVAILABLE) from error
            raise translated(str(self._address), error) from error


def _proof(key: bytes) -> bytes:
    """What tells the journal's key from another one; says nothing of it."""
    return hmac.digest(key, b"dative/journal-key/v1", hashlib.sha256)


def _stands(db: PostgresSession) -> bytes:
    rows = db.execute("SELECT proof FROM sealing_key").fetchall()
    return bytes(rows[0][0]) if rows else b""


def _info(proof: bytes) -> bytes:
    return seal_info("dative/journal-key/v1", proof.hex())


def _write_whole(path: Path, body: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
