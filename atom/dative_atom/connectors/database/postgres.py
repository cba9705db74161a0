"""PostgreSQL through ADBC: rows come and go as Arrow over COPY, without a Python object per row.

The driver runs in its autocommit mode and transactions are begun and ended here, because outside of it the driver can not
go on after an error, and savepoints could not be used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import adbc_driver_manager as adbc
import adbc_driver_postgresql.dbapi as driver
import pyarrow as pa
from dative.errors.base import ConfigError, StopRun
from dative.errors.connector import Conflict, UnknownOutcome
from dative.errors.database import DENIED, MARK_TABLE, TABLE_UNKNOWN, URL_INVALID

from dative_atom.connectors.base import CallLog
from dative_atom.connectors.calls import Unlogged, call
from dative_atom.connectors.database.errors import postgres_error
from dative_atom.connectors.database.session import (
    CONTROL,
    ROW,
    STAGE,
    ColumnFacts,
    Described,
    Horizon,
    Reactions,
    TargetColumn,
    literal,
    quoted,
    quoted_table,
    too_many,
)
from dative_atom.connectors.database.spec import DatabaseSettings
from dative_atom.connectors.database.types import as_documents, as_text, postgres_column, stage_sql, staged_type
from dative_atom.connectors.sizing import even

BATCH_BYTES = 16 * 1024 * 1024
"""What the driver hands over at once: several batches of narrow rows, and a bound for wide ones."""
HORIZON = """
SELECT statement_timestamp()::text,
  CASE WHEN pg_is_in_recovery() OR hidden > 0 OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
  THEN NULL ELSE least(statement_timestamp(), oldest)::text END
FROM (
  SELECT min(xact_start) FILTER (WHERE backend_type IS DISTINCT FROM 'autovacuum worker') AS oldest,
    count(*) FILTER (WHERE state IS NULL AND backend_type IS NULL) AS hidden
  FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
) AS others"""
"""A standby does not show its primary's transactions, and a prepared one does not tell when it began."""
HORIZON_NAIVE = "SELECT (statement_timestamp() AT TIME ZONE 'UTC' + interval '15 hours')::text, NULL"
"""Local time is at most 14 hours ahead of UTC: a stamp beyond that was no clock's, and must not carry the cursor away."""
LOCK_WAIT_MS = 30_000
"""Longest wait for another transaction's lock; at the bound the batch is undone and tried again later."""
OWNER = "dative token "
STALE_OWNERS = (
    "SELECT pg_terminate_backend(a.pid)::text FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database() "
    "AND l.classid::int8 << 32 | l.objid::int8 = hashtextextended({stream}, 0) "
    f"AND CASE WHEN a.application_name ~ '^{OWNER}[0-9]+$' "
    f"THEN substr(a.application_name, {len(OWNER) + 1})::numeric < {{token}} ELSE false END"
)
# A silent peer is noticed within half a minute, and unacknowledged data within a minute.
_LIBPQ = {
    "application_name": "dative",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


def libpq_uri(settings: DatabaseSettings, password: str) -> str:
    """The connection's url with its password and the parameters that bound every wait."""
    parts = urlsplit(settings.url)
    if parts.password:
        raise ConfigError("the url holds a password; take it out and set it as the secret `password`", code=URL_INVALID)
    user, at, host = parts.netloc.rpartition("@")
    secret = f":{quote(password, safe='')}" if password else ""
    options = {
        **_LIBPQ,
        "connect_timeout": str(max(2, round(settings.connect_timeout))),
        **dict(parse_qsl(parts.query)),
    }
    return urlunsplit(("postgresql", f"{user.rstrip(':')}{secret}{at}{host}", parts.path, urlencode(options), ""))


class PostgresSession:
    """A `Session`."""

    returns_in_order = True

    def __init__(self, settings: DatabaseSettings, password: str, calls: CallLog) -> None:
        self._settings, self._calls = settings, calls
        self._address = urlsplit(settings.url).hostname or "local"
        with self._call("CONNECT"):
            self._connection = driver.connect(libpq_uri(settings, password), autocommit=True)
        self._cursor = self._streaming = self._connection.cursor()
        self._bound = self._connection.cursor()
        milliseconds = round(settings.statement_timeout * 1000)
        for setting in (
            "standard_conforming_strings = on",
            "timezone = 'UTC'",
            "datestyle = 'ISO, YMD'",
            f"statement_timeout = {milliseconds}",
            f"lock_timeout = {min(milliseconds, LOCK_WAIT_MS)}",
        ):
            self.run(f"SET {setting}", "SET")

    @contextmanager
    def _call(self, what: str, *, rows: bool = False) -> Iterator[None]:
        """A span and coded errors around one statement. what: operation and table, never a literal."""
        operation, _, table = what.partition(" ")
        attributes = {"db.system.name": "postgresql", "db.operation.name": operation, "server.address": self._address}
        if table:
            attributes["db.collection.name"] = table
        with call(self._calls if operation not in CONTROL else Unlogged(), what, attributes) as made:
            try:
                yield
            except adbc.Error as error:
                made.attributes["db.response.status_code"] = error.sqlstate or ""
                raise postgres_error(error, what, rows=rows) from error

    # --- reading ------------------------------------------------------------------------------------------------------

    def describe(self, query: str) -> Described:
        with self._call("DESCRIBE"):
            self._cursor.execute(f"SELECT * FROM ({query}) AS q WHERE false")
            with self._cursor.fetch_record_batch() as reader:
                found = list(reader.schema)
        columns = [postgres_column(column) for column in found]
        selected = [f"{quoted(c.name)}::text AS {quoted(c.name)}" if cast else quoted(c.name) for c, cast in columns]
        return Described(pa.schema([column for column, _ in columns]), ", ".join(selected))

    def stream(self, query: str, schema: pa.Schema, rows_max: int) -> Iterator[pa.RecordBatch]:
        """One snapshot for all of it; nothing can be written in it."""
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN")
        self._streaming = cursor = self._connection.cursor()
        try:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            with self._call("SELECT"):
                cursor.execute(query)
                reader = cursor.fetch_record_batch()
            while (piece := self._next(reader)) is not None:
                for batch in even(piece, rows_max):
                    yield as_documents(batch, schema)
        finally:
            with suppress(adbc.Error):
                cursor.close()
            self.rollback()

    def _next(self, reader: Any) -> pa.RecordBatch | None:
        try:
            return reader.read_next_batch()
        except StopIteration:
            return None
        except adbc.Error as error:
            raise postgres_error(error, "SELECT") from error
        except (OSError, pa.ArrowException) as error:
            # Through Arrow's stream the driver's error arrives without its class.
            raise postgres_error(
                adbc.OperationalError(str(error), status_code=adbc.AdbcStatusCode.IO), "SELECT"
            ) from error

    def rows(self, query: str, what: str) -> list[tuple[Any, ...]]:
        with self._call(what):
            self._cursor.execute(query)
            return list(self._cursor.fetchall())

    def horizon(self, *, zoned: bool) -> Horizon:
        """Source: "The Cumulative Statistics System", pg_stat_activity: xact_start, hidden (with state) from roles without
        pg_read_all_stats."""
        # Invariant 1: the statement's own time is taken before the transactions are looked at, so one that begins later
        # has a later stamp.
        clock, settled = self.rows(HORIZON if zoned else HORIZON_NAIVE, "SELECT pg_stat_activity")[0]
        return Horizon(clock, settled)

    # --- writing ------------------------------------------------------------------------------------------------------

    def run(self, statement: str, what: str, *, blames_rows: bool = False) -> int:
        with self._call(what, rows=blames_rows):
            self._cursor.execute(statement)
            return int(self._cursor.rowcount)

    def fetch(self, statement: str, what: str, schema: pa.Schema) -> pa.RecordBatch:
        with self._call(what, rows=True):
            self._cursor.execute(statement)
            table = self._cursor.fetch_arrow_table().combine_chunks()
        batches = table.to_batches() or pa.Table.from_batches([], table.schema).to_batches()
        batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
        return as_documents(batch, schema)

    def parameter(self, number: int, kind: pa.DataType) -> str:
        # With its type said, the server reads the statement the same before the first value and with every one.
        return f"CAST(${number} AS {stage_sql(kind)})"

    def statement_columns(self, statement: str, values: pa.Schema, what: str) -> Sequence[str] | None:  # noqa: ARG002
        with self._call(f"DESCRIBE {what}"):
            return [column.name for column in self._bound.adbc_execute_schema(statement)]

    def execute(self, statement: str, values: pa.RecordBatch | None, what: str, rows_max: int) -> pa.RecordBatch:
        """The driver reads the statement once for all rows of values that follow on one another."""
        with self._call(what, rows=True):
            self._bound.execute(statement, values)
            with self._bound.fetch_record_batch() as reader:
                pieces, rows = [], 0
                for piece in reader:
                    rows += piece.num_rows
                    if rows > rows_max:
                        raise too_many(rows_max)
                    pieces.append(piece)
                table = pa.Table.from_batches(pieces, reader.schema).combine_chunks()
        columns = [as_text(column, table.schema.field(i), what) for i, column in enumerate(table.columns)]
        return pa.RecordBatch.from_arrays(columns, names=table.schema.names)

    def limit_statements(self, timeout_s: float) -> None:
        self.run(f"SET LOCAL statement_timeout = {max(1, round(timeout_s * 1000))}", "SET")

    def begin(self, stream: str, fencing_token: int = 0) -> None:
        self.run("BEGIN", "BEGIN")
        self.claim(stream, fencing_token)

    def claim(self, stream: str, fencing_token: int = 0) -> None:
        # Invariant 4: an owner that was paused and its successor do not write at the same time.
        if fencing_token:
            self._end_stale(stream, fencing_token)
        self._lock(stream)
        self.run("SET CONSTRAINTS ALL IMMEDIATE", "SET")

    def _lock(self, name: str) -> None:
        """Wait for the transaction's lock of that name. Fetched, because the driver runs a query only as it is read."""
        self.rows(f"SELECT pg_advisory_xact_lock(hashtextextended({literal(name)}, 0))::text", "LOCK")

    def _end_stale(self, stream: str, fencing_token: int) -> None:
        """End the session of a former owner that still holds the stream's lock, as one does that sleeps in its transaction.

        Sessions are told apart by the token in their application_name, which lasts for the transaction. A role may end
        its own sessions. Source: "pg_locks": a bigint key's halves are classid and objid, objsubid is 1.
        """
        self.rows(f"SELECT set_config('application_name', '{OWNER}{fencing_token}', true)", "SET")
        self.rows(STALE_OWNERS.format(stream=literal(stream), token=fencing_token), "LOCK")

    def commit(self) -> None:
        try:
            with self._call("COMMIT"):
                self._cursor.execute("COMMIT")
        except Conflict:
            raise
        except Exception as error:
            self.rollback()
            raise UnknownOutcome("the answer to COMMIT was lost; the target's mark says what became of it") from error

    def rollback(self) -> None:
        with suppress(Exception):
            self._cursor.execute("ROLLBACK")

    def make_stage(self, schema: pa.Schema) -> None:
        columns = [f"{quoted(ROW)} int8", *(f"{quoted(f.name)} {stage_sql(staged_type(f.type))}" for f in schema)]
        self.run(f"DROP TABLE IF EXISTS pg_temp.{STAGE}", "DROP STAGE")
        self.run(f"CREATE TEMPORARY TABLE {STAGE} ({', '.join(columns)}) ON COMMIT DELETE ROWS", "CREATE STAGE")

    def index_stage(self) -> None:
        self.run(f"CREATE INDEX IF NOT EXISTS {STAGE}_rows ON {STAGE} ({quoted(ROW)})", "CREATE STAGE")

    def load_stage(self, rows: pa.RecordBatch) -> None:
        with self._call("COPY STAGE", rows=True):
            self._cursor.adbc_ingest(STAGE, rows, mode="append", temporary=True)

    # --- what there is ------------------------------------------------------------------------------------------------

    def target(self, table: str) -> list[TargetColumn]:
        name = literal(quoted_table(table))
        if self.rows(f"SELECT to_regclass({name})::text", "DESCRIBE")[0][0] is None:
            raise StopRun(f"there is no table {table}{self._nearest(table)}", code=TABLE_UNKNOWN)
        found = self.rows(
            "SELECT a.attname::text, format_type(a.atttypid, NULL), format_type(a.atttypid, a.atttypmod), "
            "t.typcategory::text, t.typname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            f"WHERE a.attrelid = {name}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            f"DESCRIBE {table}",
        )
        return [_target_column(*row) for row in found]

    def columns(self, table: str) -> list[ColumnFacts]:
        """A domain is what it stands for. attgenerated 's', attidentity 'a': a value may not be given."""
        self.target(table)
        found = self.rows(
            "SELECT a.attname::text, CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) "
            "ELSE format_type(a.atttypid, a.atttypmod) END, "
            "((a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL)::text, "
            "(a.attgenerated <> '' OR a.attidentity = 'a')::text "
            "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            f"WHERE a.attrelid = {literal(quoted_table(table))}::regclass AND a.attnum > 0 AND NOT a.attisdropped "
            "ORDER BY a.attnum",
            f"DESCRIBE {table}",
        )
        return [ColumnFacts(name, kind, need == "true", made == "true") for name, kind, need, made in found]

    def _nearest(self, table: str) -> str:
        names = [
            row[0]
            for row in self.rows(
                "SELECT CASE WHEN pg_table_is_visible(oid) THEN relname::text "
                "ELSE relnamespace::regnamespace::text || '.' || relname END FROM pg_class "
                "WHERE relkind IN ('r', 'v', 'p', 'f', 'm') AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'",
                "DESCRIBE",
            )
        ]
        near = difflib.get_close_matches(table, names, n=1)
        return f"; nearest is {near[0]}" if near else ""

    def unique_keys(self, table: str) -> list[tuple[str, ...]]:
        found = self.rows(
            "SELECT i.indexrelid::text, a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) "
            "JOIN pg_attribute a ON a.attnum = k.attnum "
            f"WHERE i.indrelid = {literal(quoted_table(table))}::regclass AND a.attrelid = i.indrelid AND i.indisunique "
            "AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts ORDER BY i.indisprimary DESC, 1, k.place",
            f"DESCRIBE {table}",
        )
        keys: dict[str, list[str]] = {}
        for index, column in found:
            keys.setdefault(index, []).append(column)
        return [tuple(columns) for columns in keys.values()]

    def make_marks(self, table: str) -> None:
        try:
            if self.rows(f"SELECT to_regclass({literal(table)})::text", "DESCRIBE")[0][0] is None:
                self.run("BEGIN", "BEGIN")
                self._lock(table)
                self.run(marks_sql(table), "CREATE dative_position")
                self.run("COMMIT", "COMMIT")
        except StopRun as error:
            self.rollback()
            if error.code is DENIED:
                raise StopRun(f"{table} is not there and the role may not create it", code=MARK_TABLE) from error
            raise

    def committed_mark(self, table: str, stream: str) -> tuple[Any, ...] | None:
        if self.rows(f"SELECT to_regclass({literal(table)})::text", "DESCRIBE")[0][0] is None:
            return None
        # A commit that nobody waits for any more may still be under way: its end is waited for.
        self.run("BEGIN", "BEGIN")
        self._lock(stream)
        found = self.rows(
            f"SELECT execution_id, batch, fencing_token FROM {table} WHERE stream = {literal(stream)}",
            "SELECT dative_position",
        )
        self.rollback()
        return found[0] if found else None

    # --- looking ------------------------------------------------------------------------------------------------------

    def begin_looking(self) -> None:
        # READ ONLY lets temporary tables be filled and refuses everything else.
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN")

    def reactions(self, table: str) -> Reactions:
        """Bit 2 of tgtype: before the row's change; bit 64: instead of it. Source: PostgreSQL, trigger.h."""
        oid = f"{literal(quoted_table(table))}::regclass"
        triggers = self.rows(
            "SELECT tgname::text, ((tgtype::int & 66) <> 0)::text FROM pg_trigger "
            f"WHERE tgrelid = {oid} AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype::int & 20) <> 0 ORDER BY 1",
            f"DESCRIBE {table}",
        )
        rules = self.rows(
            f"SELECT rulename::text FROM pg_rewrite WHERE ev_class = {oid} AND ev_type <> '1' ORDER BY 1",
            f"DESCRIBE {table}",
        )
        columns = self.rows(
            "SELECT attname::text, (atthasdef OR attidentity <> '' OR attgenerated <> '')::text, attnotnull::text "
            f"FROM pg_attribute WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            f"DESCRIBE {table}",
        )
        checks = self.rows(
            f"SELECT conname::text FROM pg_constraint WHERE conrelid = {oid} AND contype IN ('c', 'f', 'x') ORDER BY 1",
            f"DESCRIBE {table}",
        )
        before = [name for name, early in triggers if early == "true"] + [row[0] for row in rules]
        after = [name for name, early in triggers if early != "true"]
        return Reactions(
            tuple(before),
            tuple(after),
            tuple(name for name, filled, _ in columns if filled == "true"),
            tuple(name for name, filled, required in columns if required == "true" and filled != "true"),
            tuple(row[0] for row in checks),
        )

    def json_text(self, sql: str) -> str:
        return f"coalesce(to_json(CAST({sql} AS text))::text, 'null')"

    def version(self) -> str:
        return f"PostgreSQL {self.rows('SELECT current_setting($$server_version$$)', 'SELECT')[0][0]}"

    def close(self) -> None:
        """Also in the middle of a stream, whose cursor would keep the connection open."""
        for part in (self._streaming, self._bound, self._cursor, self._connection):
            with suppress(Exception):
                part.close()


def marks_sql(table: str) -> str:
    """The mark table: one row per stream, written in the transaction of each batch."""
    return (
        f"CREATE TABLE IF NOT EXISTS {table} (stream text PRIMARY KEY, execution_id text NOT NULL, batch bigint NOT NULL, "
        "fencing_token bigint NOT NULL, position text NOT NULL, written_at text NOT NULL)"
    )


def _target_column(name: str, base: str, whole: str, category: str, type_name: str) -> TargetColumn:
    """Text is cast to what is no text; the type's own length or digits stay the column's business, so nothing is cut."""
    if type_name in ("int2", "int4", "int8"):
        return TargetColumn(name, base, scale=0)
    if type_name == "numeric" and "(" in whole:
        digits, _, scale = whole.partition("(")[2].rstrip(")").partition(",")
        return TargetColumn(name, base, scale=int(scale or 0), digits=int(digits))
    return TargetColumn(name, "" if category == "S" else base)
