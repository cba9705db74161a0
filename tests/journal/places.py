"""Where a test's journal lies: the same tests hold a SQLite file and a schema of a real PostgreSQL to the contract."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.clock import Clock
from dative_atom.journal.open import open_journal
from dative_atom.journal.postgres import PostgresJournal
from dative_atom.journal.sqlite import SqliteJournal

AnyJournal = SqliteJournal | PostgresJournal
_numbers = itertools.count()


@dataclass
class Place:
    """A place for one journal, opened as often as a test likes. server: the address of PostgreSQL, or None: SQLite."""

    folder: Path
    clock: Clock
    server: str | None = None
    opened: list[AnyJournal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schema = f"t{os.getpid()}_{next(_numbers)}"
        self.key = self.folder / "journal.key"
        self.key.write_bytes(AESGCM.generate_key(256))

    @property
    def address(self) -> str:
        if self.server is None:
            return str(self.folder / "journal.db")
        return f"{self.server}&schema={self.schema}"

    @property
    def arguments(self) -> list[str]:
        """For a program that ends its command line with them: the address and the key file."""
        return [self.address, str(self.key)]

    def open(self, *, owner: str = "", reached: Callable[[str], None] | None = None) -> AnyJournal:
        made = open_journal(self.address, self.clock, reached, owner=owner, key=self.key)
        self.opened.append(made)
        return made

    def close(self) -> None:
        for journal in self.opened:
            journal.close()
        if self.server is not None:
            with self.raw() as db:
                db.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")

    @contextmanager
    def raw(self) -> Iterator[psycopg.Connection]:
        """A session of its own with PostgreSQL."""
        assert self.server is not None
        with psycopg.connect(self.server, autocommit=True, options=f"-c search_path={self.schema}") as db:
            yield db

    def quiet(self) -> None:
        """Wait until PostgreSQL has ended what a killed process left in the middle."""
        if self.server is not None:
            with self.raw() as db, db.transaction():
                db.execute("LOCK TABLE execution IN ACCESS EXCLUSIVE MODE")

    def holds(self, piece: bytes) -> bool:
        """Whether these bytes lie anywhere in what the journal keeps."""
        if self.server is None:
            return any(piece in file.read_bytes() for file in self.folder.iterdir() if file != self.key)
        with self.raw() as db:
            tables = db.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = %s", (self.schema,))
            for (table,) in tables.fetchall():
                for (row,) in db.execute(f"SELECT t::text FROM {table} AS t"):
                    if piece.hex() in row or piece.decode(errors="replace") in row:
                        return True
        return False
