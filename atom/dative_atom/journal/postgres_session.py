"""One thread's session with PostgreSQL: the parts' SQL in its form, texts and numbers as its columns hold them.

`?` becomes `$1`, `$2`, …, outside of quotes. A text may hold NUL, which PostgreSQL's can not: it is written as two
characters, beginning with one that Unicode keeps free for such uses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg.adapt import Buffer
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrDumperUnknown, TextBinaryLoader, TextLoader

_QUOTED_OR_MARK: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\?""")
_FREE: Final = "\ufdd0"
_TEXT_OIDS: Final = (25, 1043)


@functools.lru_cache(maxsize=1024)
def numbered(sql: str) -> bytes:
    """The statement with its marks numbered."""
    number = 0

    def each(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] != "?":
            return found[0]
        number += 1
        return f"${number}"

    return _QUOTED_OR_MARK.sub(each, sql).encode()


def stored(text: str) -> str:
    """A text as PostgreSQL can hold it."""
    if "\0" not in text and _FREE not in text:
        return text
    return text.replace(_FREE, _FREE + "1").replace("\0", _FREE + "0")


def read(text: str) -> str:
    """What `stored` was given."""
    return text if _FREE not in text else text.replace(_FREE + "0", "\0").replace(_FREE + "1", _FREE)


class _Dumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(stored(obj))


class _Loader(TextLoader):
    def load(self, data: Buffer) -> Any:
        return read(str(super().load(data)))


class _BinaryLoader(TextBinaryLoader):
    def load(self, data: Buffer) -> Any:
        return read(str(super().load(data)))


def adapted(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The connection with texts of any character, and every number as the 64 bits that all columns have."""
    adapters = connection.adapters
    adapters.register_dumper(str, _Dumper)
    adapters.register_dumper(int, Int8BinaryDumper)
    for oid in _TEXT_OIDS:
        adapters.register_loader(oid, _Loader)
        adapters.register_loader(oid, _BinaryLoader)
    return connection


class PostgresSession:
    """`store.Session` on a connection of psycopg."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.number = 0
        """Of the transaction that this session commits next."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        cursor = psycopg.RawCursor(self.connection)
        return cursor.execute(numbered(sql), values or None, binary=True)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> psycopg.Cursor[Any]:
        cursor = psycopg.RawCursor(self.connection)
        cursor.executemany(numbered(sql), rows)
        return cursor

    def simple(self, sql: str) -> None:
        """Several statements in one message, without values."""
        self.connection.execute(sql.encode(), prepare=False)
