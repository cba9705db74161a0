"""What the parts of the journal stand on: a store with transactions, sealing, and the few words in which databases differ.

The parts write their SQL once, in what SQLite and PostgreSQL have in common: `?` for a value, upserts with a target,
RETURNING. What they must say differently has a name here; `sqlite_store` and `postgres_store` each say it their way.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.clock import Clock

KEY_BYTES = 32


class Rows(Protocol):
    """The answer to a statement: a cursor of either database."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> object: ...


class Session(Protocol):
    """A connection of one thread, in a transaction or reading."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Rows: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Rows: ...


class Store(ABC):
    """One journal, opened by this process. Every thread has a session of its own."""

    FOR_UPDATE: ClassVar[str] = ""
    """Behind a SELECT: holds its rows until the transaction ends. Empty where a transaction holds the whole file."""
    ROW: ClassVar[str]
    """The column of a cross-reference table that rises in the order of writing."""
    DRIVES: ClassVar[str] = "JOIN"
    """A join whose left side is few rows and comes first."""
    NOT_UNIQUE: ClassVar[type[Exception]]
    """What a unique index raises that finds a value twice."""

    clock: Clock
    owner: str = ""
    """Whose outbox this process writes: the atom's id where several atoms share the journal."""
    _cipher: AESGCM
    _hash_key: bytes

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Session]:
        """A write transaction: all of it or nothing (Invariant 5)."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Session]:
        """Each statement sees what was committed before it."""

    @abstractmethod
    def close(self) -> None: ...

    # ---- where the dialects differ ----------------------------------------------------------------------------------

    @abstractmethod
    def given(self, *columns: Sequence[str]) -> tuple[str, list[Any]]:
        """SQL of a table of texts that is passed with the statement, and its parameters.

        columns: of one length; named c0, c1, …, and n, the row's place from 0. Goes behind FROM or JOIN, with "AS k".
        """

    @abstractmethod
    def held_name(self, db: Session, name: str, *, shared: bool = False) -> None:
        """Hold a name against whoever else holds it, until the transaction ends. shared: against holders alone."""

    @abstractmethod
    def identifier(self, name: str) -> str:
        """A name of any text as an identifier, quoted."""

    @abstractmethod
    def xref_names(self, db: Session) -> list[str]:
        """Every cross-reference table."""

    @abstractmethod
    def xref_columns(self, db: Session, table: str) -> list[str]:
        """Its columns in the order of their making; none where there is no such table."""

    @abstractmethod
    def xref_indexes(self, db: Session, table: str) -> Mapping[str, bool]:
        """Its columns that have an index, and whether that is unique."""

    @abstractmethod
    def xref_create(self, db: Session, table: str, columns: Sequence[str]) -> None: ...

    @abstractmethod
    def xref_add_column(self, db: Session, table: str, column: str) -> None: ...

    @abstractmethod
    def xref_index(self, db: Session, table: str, column: str, *, unique: bool) -> None:
        """Make the column's index, in the place of a former one. Errors: NOT_UNIQUE."""

    @abstractmethod
    def xref_by_index(self, db: Session, table: str, column: str, want: str, keys: Sequence[str]) -> dict[str, str]:
        """What the newest row with each key has in `want`, where that is not null. column: has an index."""

    # ---- what happens round every transaction -------------------------------------------------------------------------

    def opened(self, db: Session) -> None:  # noqa: B027 - a part that has nothing to do there has nothing to say
        """Called in the transaction that opens the journal, the schema being there."""

    def upgraded(self, db: Session, version: int) -> None:  # noqa: B027 - a part that has nothing to do there has nothing to say
        """Called in the transaction that brought a journal of that older version to this one."""

    def beginning(self) -> None:  # noqa: B027 - a part that has nothing to do there has nothing to say
        """Called before a transaction begins, in its thread."""

    def committing(self, db: Session) -> None:  # noqa: B027 - a part that has nothing to do there has nothing to say
        """Called last in every transaction, for what must be written last."""

    # ---- sealing ------------------------------------------------------------------------------------------------------

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

    def opens(self, key: bytes) -> None:
        """Take the key that bodies are sealed with."""
        self._cipher = AESGCM(key)
        self._hash_key = hashlib.blake2b(b"dative/journal/hashed/v1", key=key).digest()

    def hashed(self, body: bytes) -> bytes:
        """The same 16 bytes for the same body, which say nothing of it to whoever has not the key."""
        return hashlib.blake2b(body, key=self._hash_key, digest_size=16).digest()

    def unseal(self, body: bytes, about: str) -> bytes:
        return self._cipher.decrypt(body[:12], body[12:], about.encode())
