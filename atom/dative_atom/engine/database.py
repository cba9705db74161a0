"""The DuckDB database of one execution: in memory, locked down, one connection a thread, interruptible.

Nothing an expression could say reaches a file, the network or a setting (ENGINE: measured on DuckDB 2.0). The allow-list
of the process language stands before this, the worker's hard memory limit behind it. Queries over a batch see it as the
view `batch`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes

MEMORY_BYTES_MIN: Final = 128 * 1024**2
BATCH_VIEW: Final = "batch"
_TRY: Final = "TRY("

# Sorted by what they shut: files and network, extensions, Python's own variables, then the door itself.
_LOCKS: Final = (
    "SET autoload_known_extensions=false",
    "SET autoinstall_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET temp_directory=''",
    "SET python_enable_replacements=false",
    "SET enable_external_access=false",
    "SET preserve_insertion_order=true",
    "SET TimeZone='UTC'",
)
# It lifts what stands twice in a query out of its TRY, so that one overflow fails every row (DuckDB 2.0). A setting of a
# whole database, and worth 12 % of a map's time where a query holds no TRY: so an execution has one database of each kind.
_GUARDED: Final = "SET disabled_optimizers='common_subexpressions'"
_DOOR: Final = "SET lock_configuration=true"


class Database:
    """The one database of an execution. Threads take a `Session` each; all are interrupted together."""

    def __init__(self, memory_bytes: int) -> None:
        """memory_bytes: bounds DuckDB's own pool. It does not bound every allocation: the worker's limit does."""
        pool = max(memory_bytes // 2, MEMORY_BYTES_MIN)
        self._plain, self._guarded = _locked_down(pool), _locked_down(pool, _GUARDED)
        self._sessions: list[Session] = []
        self._guard = threading.Lock()

    def session(self) -> Session:
        """A connection of its own for the calling thread."""
        with self._guard:
            session = Session(self._plain.cursor(), self._guarded.cursor())
            self._sessions.append(session)
            return session

    def hold(self, name: str, rows: pa.Table | pa.RecordBatch) -> None:
        """Keep rows as a table that every session sees. Replaces one of the same name."""
        source = f"source_{name}"
        for root in (self._plain, self._guarded):
            root.register(source, rows)
            try:
                root.execute(f"CREATE OR REPLACE TABLE {quoted(name)} AS SELECT * FROM {quoted(source)}")
            finally:
                root.unregister(source)

    def interrupt(self) -> None:
        """Stop whatever runs now, in any thread. Called once the execution is cancelled; harmless otherwise."""
        with self._guard:
            for session in self._sessions:
                session.interrupt()

    def close(self) -> None:
        with self._guard:
            for session in self._sessions:
                session.close()
            self._sessions.clear()
        self._plain.close()
        self._guarded.close()


def _locked_down(pool_bytes: int, *settings: str) -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(":memory:", config={"threads": "1", "memory_limit": f"{pool_bytes // 1024**2}MiB"})
    for setting in (*_LOCKS, *settings, _DOOR):
        made.execute(setting)
    return made


class Session:
    """One thread's connection."""

    def __init__(self, plain: duckdb.DuckDBPyConnection, guarded: duckdb.DuckDBPyConnection) -> None:
        self._plain = plain
        self._guarded = guarded

    def query(self, sql: str, batch: pa.RecordBatch, views: Sequence[tuple[str, pa.Table]] = ()) -> pa.RecordBatch:
        """Run a compiled query over the batch and return all rows as one batch.

        views: further relations of this call alone, name and rows. Raises duckdb.Error: what it means is the caller's.
        """
        connection = self._guarded if _TRY in sql else self._plain
        for name, rows in views:
            connection.register(name, rows)
        connection.register(BATCH_VIEW, batch)
        try:
            table = connection.sql(sql).to_arrow_table()
        finally:
            connection.unregister(BATCH_VIEW)
            for name, _ in views:
                connection.unregister(name)
        return one_batch(table)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query over held tables; for a few rows only."""
        return self._plain.execute(sql).fetchall()

    def interrupt(self) -> None:
        self._plain.interrupt()
        self._guarded.interrupt()

    def close(self) -> None:
        self._plain.close()
        self._guarded.close()


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The table's rows in one record batch of the same schema."""
    whole = table.combine_chunks()
    batches = whole.to_batches()
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in whole.schema], schema=whole.schema)
    raise StopRun("a query's result did not fit one batch", code=codes.OUT_OF_MEMORY)


def quoted(identifier: str) -> str:
    """The identifier as DuckDB takes it literally."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
