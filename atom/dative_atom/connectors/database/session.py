"""What reader and writer need of a database, and how names and values are written into SQL.

One session is one connection. `postgres.py` and `sqlite.py` are the two there are; everything above them is the same SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.connector import BIND_MISSING
from dative.errors.statements import TOO_MANY_ROWS

from dative_atom.connectors.database.errors import RowRefused

CONTROL = frozenset({"BEGIN", "SAVEPOINT", "ROLLBACK", "SET", "LOCK", "FETCH"})
"""Statements that get no span of their own: they would bury the ones that move rows."""
STAGE = "dative_stage"
ROW = "_row"
"""The stage's column that says which document a row came from."""


@dataclass(frozen=True)
class TargetColumn:
    """A column of a target table. cast: the type to cast staged text to, empty where the database converts by itself.

    scale: decimal places that it keeps, None when it keeps all or is no number; whole: integers only.
    """

    name: str
    cast: str = ""
    scale: int | None = None
    digits: int | None = None


@dataclass(frozen=True)
class ColumnFacts:
    """A column as its table declares it. declared: "character varying(80)". required: a row without it is refused.

    generated: the database computes it, and refuses a row that brings it.
    """

    name: str
    declared: str
    required: bool = False
    generated: bool = False


@dataclass(frozen=True)
class Described:
    """A query's columns, and the text that selects them in forms that travel exactly."""

    schema: pa.Schema
    selection: str


@dataclass(frozen=True)
class Horizon:
    """How far a server's own stamps can be trusted, as its text for times; None where it can not say.

    clock: its time; a stamp beyond it was not made by it. settled: every transaction that may still show rows began at
    this time or later, so what it stamps by itself lies there too.
    """

    clock: str | None = None
    settled: str | None = None


@dataclass(frozen=True)
class Reactions:
    """What a table does by itself when a row is written.

    before: triggers and rules that may change or drop the row, so that nobody can tell what it becomes. after: triggers
    that run afterwards and may change other rows. filled: columns that the database gives a value to. required: columns
    that must have one and get none by themselves. checks: conditions and references that a row must meet.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class Session(Protocol):
    """One connection to a database. Not for several threads at once. Errors are coded (see `errors.py`).

    returns_in_order: RETURNING gives rows in the order in which they were inserted.
    """

    returns_in_order: bool

    def describe(self, query: str) -> Described:
        """The columns that a SELECT has."""
        ...

    def stream(self, query: str, schema: pa.Schema, rows_max: int) -> Iterator[pa.RecordBatch]:
        """Its rows as batches of `schema`, 1..rows_max rows each, in flat memory. Ends its transaction when closed."""
        ...

    def rows(self, query: str, what: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        ...

    def horizon(self, *, zoned: bool) -> Horizon:
        """Asked before the snapshot that is read. zoned: the stamps have a time zone; without one they have no clock."""
        ...

    def run(self, statement: str, what: str, *, blames_rows: bool = False) -> int:
        """Run one statement; how many rows it touched. blames_rows: RowRefused when a row is to blame."""
        ...

    def fetch(self, statement: str, what: str, schema: pa.Schema) -> pa.RecordBatch:
        """Run a statement that returns rows (RETURNING too), whole, as one batch of `schema`; RowRefused as `run`."""
        ...

    def parameter(self, number: int, kind: pa.DataType) -> str:
        """How a bound value stands in a statement. number: from 1. kind: a staged type."""
        ...

    def statement_columns(self, statement: str, values: pa.Schema, what: str) -> Sequence[str] | None:
        """Have the database read a statement without executing it; the columns it gives, None where that shows later.

        values: of the parameters. StopRun when the database can not read it.
        """
        ...

    def execute(self, statement: str, values: pa.RecordBatch | None, what: str, rows_max: int) -> pa.RecordBatch:
        """Execute a statement, whole, with one row of bound values; what it gives, every column as text.

        RowRefused as `run`, and for more than `rows_max` rows.
        """
        ...

    def limit_statements(self, timeout_s: float) -> None:
        """Statements of this transaction run no longer. Timeout at the bound."""
        ...

    def begin(self, stream: str, fencing_token: int = 0) -> None:
        """Begin a transaction that writes. Nobody else writes to this stream until it ends; a former owner that still
        does, with a lower token, loses its connection where the database can tell and end it."""
        ...

    def claim(self, stream: str, fencing_token: int = 0) -> None:
        """What `begin` does beyond beginning, for a transaction that has begun."""
        ...

    def commit(self) -> None:
        """UnknownOutcome when the answer was lost; RetryLater when the database says that nothing was applied."""
        ...

    def rollback(self) -> None:
        """Never raises. A connection that does not answer is given up."""
        ...

    def target(self, table: str) -> list[TargetColumn]:
        """The table's columns. StopRun naming the nearest table when there is none."""
        ...

    def unique_keys(self, table: str) -> list[tuple[str, ...]]:
        """Column sets of unique constraints and indexes, the primary key first."""
        ...

    def make_stage(self, schema: pa.Schema) -> None:
        """A temporary table STAGE with ROW and these columns, emptied at the end of each transaction."""
        ...

    def index_stage(self) -> None:
        """Called when the stage is about to be halved many times: finding rows by ROW must not read it whole."""
        ...

    def load_stage(self, rows: pa.RecordBatch) -> None:
        """Fill the stage; columns as `make_stage` was told. RowRefused when a value can not be stored at all."""
        ...

    def make_marks(self, table: str) -> None:
        """The mark table, if it is not there. StopRun database.mark_table when the role may not make it."""
        ...

    def committed_mark(self, table: str, stream: str) -> tuple[Any, ...] | None:
        """(execution, batch, fencing token), once no other transaction of the stream is open."""
        ...

    def version(self) -> str: ...

    def close(self) -> None: ...


def too_many(rows_max: int) -> RowRefused:
    """What a statement is answered with that gives more rows than it may; halving finds the document to blame."""
    said = "more than one row" if rows_max == 1 else f"more than {rows_max} rows"
    return RowRefused(f"the statement gave {said}", code=TOO_MANY_ROWS)


class LookingSession(Session, Protocol):
    """A session that compares and writes nothing: its server refuses every write to a table that stays."""

    def begin_looking(self) -> None:
        """One snapshot for everything that follows; only temporary tables that exist by now can be written to."""
        ...

    def columns(self, table: str) -> list[ColumnFacts]:
        """The table's columns as it declares them. StopRun as `target`."""
        ...

    def reactions(self, table: str) -> Reactions: ...

    def json_text(self, sql: str) -> str:
        """SQL of a value as a JSON string, or as null."""
        ...


def quoted(name: str) -> str:
    """One identifier. Both databases quote it the same way."""
    if not name or "\0" in name:
        raise StopRun("a name of a table or column is empty or holds a NUL", code=BIND_MISSING)
    return '"' + name.replace('"', '""') + '"'


def quoted_table(name: str) -> str:
    """A table, with its schema where it has one: sales.customer. A dot always parts schema and table."""
    return ".".join(quoted(part) for part in name.split("."))


def quoted_list(names: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{quoted(name)}" for name in names)


def literal(value: datetime | str) -> str:
    """A value as an untyped literal, which takes the type of what it is compared with. Strings are standard conforming."""
    text = value.isoformat() if isinstance(value, datetime) else value
    if "\0" in text:
        raise StopRun("a bind's value holds a NUL character, which no database stores", code=BIND_MISSING)
    return "'" + text.replace("'", "''") + "'"
