"""SQLite: the same operations on one file, for small installations and tests.

SQLite keeps any value in any column, so types come from the declared ones, and a value that does not fit its column's
declaration is rejected here as a server would.
"""

from __future__ import annotations

import difflib
import itertools
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from time import monotonic as time_now
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from dative.errors.base import ConfigError, StopRun
from dative.errors.connector import Conflict, UnknownOutcome
from dative.errors.database import TABLE_UNKNOWN, URL_INVALID, VALUE_INVALID
from dative.errors.statements import TRANSACTION

from dative_atom.connectors.base import CallLog
from dative_atom.connectors.calls import Unlogged, call
from dative_atom.connectors.database.errors import sqlite_error
from dative_atom.connectors.database.postgres import marks_sql
from dative_atom.connectors.database.session import (
    CONTROL,
    ROW,
    STAGE,
    ColumnFacts,
    Described,
    Horizon,
    Reactions,
    TargetColumn,
    quoted,
    quoted_list,
    quoted_table,
    too_many,
)
from dative_atom.connectors.database.spec import DatabaseSettings
from dative_atom.connectors.database.types import sqlite_type

PROBE = "dative_probe"
PROGRESS_STEPS = 10_000


class SqliteSession:
    """A `Session`. The file must exist: a wrong path must not make an empty database."""

    returns_in_order = False

    def __init__(self, settings: DatabaseSettings, calls: CallLog, *, read_only: bool = False) -> None:
        """read_only: the file is opened so that nothing can be written to it; temporary tables can."""
        self._calls, self._timeout_s = calls, settings.statement_timeout
        path = unquote(urlsplit(settings.url).path)[1:]
        if not Path(path).is_absolute():
            raise ConfigError("the path of a SQLite file must be absolute: sqlite:////var/lib/erp.db", code=URL_INVALID)
        with self._call("CONNECT"):
            # Batches run in the reader's and the writer's own threads, one session each.
            self._connection = sqlite3.connect(
                f"{Path(path).as_uri()}?mode={'ro' if read_only else 'rw'}",
                uri=True,
                timeout=settings.connect_timeout,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def _call(self, what: str, *, rows: bool = False) -> Iterator[None]:
        operation, _, table = what.partition(" ")
        attributes = {"db.system.name": "sqlite", "db.operation.name": operation}
        if table:
            attributes["db.collection.name"] = table
        with call(self._calls if operation not in CONTROL else Unlogged(), what, attributes):
            try:
                yield
            except sqlite3.Error as error:
                raise sqlite_error(error, what, rows=rows) from error
            except (UnicodeEncodeError, OverflowError) as error:
                raise StopRun(f"{what}: a value has no form in SQLite", code=VALUE_INVALID) from error

    # --- reading ------------------------------------------------------------------------------------------------------

    def describe(self, query: str) -> Described:
        """A temporary view tells the declared type of each of a query's columns; a CAST declares one too."""
        with self._call("DESCRIBE"):
            self._connection.execute(f"DROP VIEW IF EXISTS temp.{PROBE}")
            self._connection.execute(f"CREATE TEMP VIEW {PROBE} AS SELECT * FROM ({query}) AS q")
            found = self._connection.execute(f"PRAGMA temp.table_info({PROBE})").fetchall()
            self._connection.execute(f"DROP VIEW temp.{PROBE}")
        schema = pa.schema([pa.field(name, sqlite_type(declared)) for _, name, declared, *_ in found])
        return Described(schema, quoted_list(schema.names))

    def stream(self, query: str, schema: pa.Schema, rows_max: int) -> Iterator[pa.RecordBatch]:
        with self._call("SELECT"):
            cursor = self._connection.execute(query)
        try:
            while True:
                with self._call("FETCH"):
                    rows = cursor.fetchmany(rows_max)
                if not rows:
                    return
                yield _batch(rows, schema)
        finally:
            cursor.close()

    def rows(self, query: str, what: str) -> list[tuple[Any, ...]]:
        with self._call(what):
            return self._connection.execute(query).fetchall()

    def horizon(self, *, zoned: bool) -> Horizon:  # noqa: ARG002 - as the contract says
        """None: a file keeps times as texts of any form, and does not tell who else is writing to it."""
        return Horizon()

    # --- writing ------------------------------------------------------------------------------------------------------

    def run(self, statement: str, what: str, *, blames_rows: bool = False) -> int:
        with self._call(what, rows=blames_rows):
            return self._connection.execute(statement).rowcount

    def fetch(self, statement: str, what: str, schema: pa.Schema) -> pa.RecordBatch:
        with self._call(what, rows=True):
            return _batch(self._connection.execute(statement).fetchall(), schema)

    def parameter(self, number: int, kind: pa.DataType) -> str:  # noqa: ARG002 - a value has no type but its own
        return f"?{number}"

    def statement_columns(self, statement: str, values: pa.Schema, what: str) -> Sequence[str] | None:
        """EXPLAIN compiles it; which columns it gives shows only when it is executed."""
        with self._call(f"DESCRIBE {what}"):
            self._connection.execute(f"EXPLAIN {statement}", [None] * len(values)).close()
        return None

    def execute(self, statement: str, values: pa.RecordBatch | None, what: str, rows_max: int) -> pa.RecordBatch:
        bound = [_stored(column)[0] for column in values.columns] if values is not None else []
        deadline = time_now() + self._timeout_s
        # Called every so many steps of SQLite's machine; true interrupts the statement.
        self._connection.set_progress_handler(lambda: time_now() > deadline, PROGRESS_STEPS)
        try:
            with self._call(what, rows=True), closing(self._connection.execute(statement, bound)) as cursor:
                rows = cursor.fetchmany(rows_max + 1)
                names = [column[0] for column in cursor.description or ()]
        finally:
            self._connection.set_progress_handler(None, 0)
            if not self._connection.in_transaction:
                # OR ROLLBACK, or a trigger's RAISE(ROLLBACK): what the batch did before is gone with it.
                raise StopRun(f"{what} ended the batch's transaction", code=TRANSACTION)
        if len(rows) > rows_max:
            raise too_many(rows_max)
        columns = zip(*rows, strict=True) if rows else itertools.repeat((), len(names))
        arrays = [pa.array([_shown(value, what) for value in column], pa.string()) for column in columns]
        return pa.RecordBatch.from_arrays(arrays[: len(names)], names=names)

    def limit_statements(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def begin(self, stream: str, fencing_token: int = 0) -> None:  # noqa: ARG002 - the file has one writer anyway
        # IMMEDIATE takes the write lock now, so that no batch fails half way because another writer was faster.
        self.run("BEGIN IMMEDIATE", "BEGIN")

    def claim(self, stream: str, fencing_token: int = 0) -> None:
        """The file's write lock, which BEGIN IMMEDIATE took, is all there is to claim."""

    def commit(self) -> None:
        try:
            self.run("COMMIT", "COMMIT")
        except Conflict:
            raise
        except Exception as error:
            self.rollback()
            raise UnknownOutcome("COMMIT failed; the target's mark says what became of it") from error

    def rollback(self) -> None:
        with suppress(Exception):
            self._connection.execute("ROLLBACK")

    def make_stage(self, schema: pa.Schema) -> None:
        self.run(f"DROP TABLE IF EXISTS temp.{STAGE}", "DROP STAGE")
        columns = ", ".join([f"{quoted(ROW)} INTEGER PRIMARY KEY", *(quoted(name) for name in schema.names)])
        self.run(f"CREATE TEMP TABLE {STAGE} ({columns})", "CREATE STAGE")

    def index_stage(self) -> None:
        """The stage's row number is its primary key."""

    def load_stage(self, rows: pa.RecordBatch) -> None:
        marks = ", ".join("?" * rows.num_columns)
        with self._call("INSERT STAGE", rows=True):
            self._connection.execute(f"DELETE FROM {STAGE}")
            values = zip(*(_stored(column) for column in rows.columns), strict=True)
            self._connection.executemany(f"INSERT INTO {STAGE} VALUES ({marks})", values)

    # --- what there is ------------------------------------------------------------------------------------------------

    def target(self, table: str) -> list[TargetColumn]:
        found = self.rows(f"PRAGMA {_pragma('table_info', table)}", f"DESCRIBE {table}")
        if not found:
            names = [
                row[0]
                for row in self.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')", "DESCRIBE")
            ]
            near = difflib.get_close_matches(table, names, n=1)
            raise StopRun(f"there is no table {table}{f'; nearest is {near[0]}' if near else ''}", code=TABLE_UNKNOWN)
        return [_target_column(name, declared) for _, name, declared, *_ in found]

    def columns(self, table: str) -> list[ColumnFacts]:
        self.target(table)
        required = self.reactions(table).required
        found = self.rows(f"PRAGMA {_pragma('table_xinfo', table)}", f"DESCRIBE {table}")
        # hidden: 1 of a virtual table, 2 and 3 generated columns. Source: SQLite, "PRAGMA table_xinfo".
        return [ColumnFacts(row[1], row[2], row[1] in required, row[6] in (2, 3)) for row in found if row[6] != 1]

    def unique_keys(self, table: str) -> list[tuple[str, ...]]:
        columns = self.rows(f"PRAGMA {_pragma('table_info', table)}", f"DESCRIBE {table}")
        primary = tuple(row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5])
        keys = [primary] if primary else []
        for _, index, unique, _, partial in self.rows(f"PRAGMA {_pragma('index_list', table)}", f"DESCRIBE {table}"):
            if unique and not partial:
                keys.append(
                    tuple(row[2] for row in self.rows(f"PRAGMA index_info({quoted(index)})", f"DESCRIBE {table}"))
                )
        return keys

    def make_marks(self, table: str) -> None:
        self.run(marks_sql(table), "CREATE dative_position")

    def committed_mark(self, table: str, stream: str) -> tuple[Any, ...] | None:
        if not self.rows(f"PRAGMA table_info({table})", "DESCRIBE"):
            return None
        with self._call("SELECT dative_position"):
            return self._connection.execute(  # type: ignore[no-any-return]
                f"SELECT execution_id, batch, fencing_token FROM {table} WHERE stream = ?", (stream,)
            ).fetchone()

    # --- looking ------------------------------------------------------------------------------------------------------

    def begin_looking(self) -> None:
        self.run("BEGIN", "BEGIN")

    def reactions(self, table: str) -> Reactions:
        """A trigger of SQLite can not change the row that is being written, but one before it can leave the row out."""
        schema, _, bare = table.rpartition(".")
        master = f"{quoted(schema)}.sqlite_master" if schema else "sqlite_master"
        with self._call(f"DESCRIBE {table}"):
            found = self._connection.execute(
                f"SELECT name, sql FROM {master} WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name",
                (bare,),
            ).fetchall()
        early = re.compile(r"\b(BEFORE|INSTEAD\s+OF)\s+(INSERT|UPDATE)\b", re.IGNORECASE)
        late = re.compile(r"\b(INSERT|UPDATE)\b.*?\bON\b", re.IGNORECASE | re.DOTALL)
        before = [name for name, sql in found if early.search(sql)]
        after = [name for name, sql in found if name not in before and late.search(sql)]
        columns = self.rows(f"PRAGMA {_pragma('table_xinfo', table)}", f"DESCRIBE {table}")
        rowid = [row[1] for row in columns if row[5]]
        alias = rowid if len(rowid) == 1 and any(row[5] and row[2].upper() == "INTEGER" for row in columns) else []
        filled = [row[1] for row in columns if row[4] is not None or row[6] or row[1] in alias]
        required = [row[1] for row in columns if row[3] and row[1] not in filled]
        references = self.rows(f"PRAGMA {_pragma('foreign_key_list', table)}", f"DESCRIBE {table}")
        with self._call(f"DESCRIBE {table}"):
            whole = self._connection.execute(
                f"SELECT sql FROM {master} WHERE name = ? COLLATE NOCASE", (bare,)
            ).fetchone()
        checks = ["CHECK"] if whole and re.search(r"\bCHECK\s*\(", whole[0] or "", re.IGNORECASE) else []
        checks += [f"reference to {row[2]}" for row in references]
        return Reactions(tuple(before), tuple(after), tuple(filled), tuple(required), tuple(dict.fromkeys(checks)))

    def json_text(self, sql: str) -> str:
        # A cast of bytes would be read as UTF-8, which they are not.
        text = f"CASE typeof({sql}) WHEN 'blob' THEN hex({sql}) ELSE CAST({sql} AS text) END"
        return f"coalesce(json_quote({text}), 'null')"

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()


def _shown(value: Any, what: str) -> str | None:
    if isinstance(value, bytes):
        raise StopRun(f"{what} gives bytes; give their hex() in the statement", code=VALUE_INVALID)
    return None if value is None else str(value)


def _pragma(name: str, table: str) -> str:
    schema, _, bare = quoted_table(table).rpartition(".")
    return f"{schema}{'.' if schema else ''}{name}({bare})"


def _target_column(name: str, declared: str) -> TargetColumn:
    kind = sqlite_type(declared)
    if pa.types.is_decimal(kind):
        # A NUMERIC column turns text into a double: 15 digits survive it.
        return TargetColumn(name, scale=kind.scale, digits=min(kind.precision, 15))
    return TargetColumn(name, scale=0 if pa.types.is_integer(kind) else None)


def _stored(column: pa.Array) -> list[Any]:
    """A column's values as SQLite keeps them: decimals and times as text, so that nothing is rounded."""
    values: list[Any] = column.to_pylist()
    kind = column.type
    if pa.types.is_decimal(kind):
        return [None if value is None else format(value, "f") for value in values]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return [None if value is None else str(value) for value in values]
    return values


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else itertools.repeat((), len(schema))
    arrays = []
    for field, values in zip(schema, columns, strict=bool(rows)):
        read = _reading(field.type)
        try:
            arrays.append(pa.array([None if value is None else read(value) for value in values], field.type))
        except (ValueError, ArithmeticError, TypeError, AttributeError, pa.ArrowException) as error:
            raise StopRun(
                f"column {field.name} holds a value that is no {field.type}; cast it in the query", code=VALUE_INVALID
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _reading(kind: pa.DataType) -> Callable[[Any], Any]:
    """How a stored value is read as a declared type."""
    if pa.types.is_string(kind):
        return str
    if pa.types.is_boolean(kind):
        return bool
    if pa.types.is_decimal(kind):
        step = Decimal(1).scaleb(-kind.scale)
        return lambda value: Decimal(str(value)).quantize(step)
    if pa.types.is_timestamp(kind):
        return _moment
    if pa.types.is_date(kind):
        return lambda value: date.fromisoformat(value[:10])
    if pa.types.is_time(kind):
        return time.fromisoformat
    return lambda value: value


def _moment(value: str) -> datetime:
    """SQLite's own functions write UTC without saying so."""
    at = datetime.fromisoformat(value)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
