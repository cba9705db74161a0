"""The DuckDB database of one execution: in memory, locked down, one connection a thread, interruptible.

Nothing an expression could say reaches a file, the network or a setting (ENGINE: measured on DuckDB 2.0). The allow-list
of the process language stands before this, the worker's hard memory limit behind it. Queries over a batch see it as the
relation `batch`: prepared over its columns, or, for a small batch, with its documents bound as a parameter.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes

from dative_atom.engine.evaluation.bound import Bound, BoundConnection, BoundDatabase
from dative_atom.engine.evaluation.prepared import Statements
from dative_atom.engine.evaluation.sql import literal as literal
from dative_atom.engine.evaluation.sql import quoted as quoted
from dative_atom.engine.making.running import Running

MEMORY_BYTES_MIN: Final = 128 * 1024**2
BATCH_VIEW: Final = "batch"
_DESCRIBED: Final = "described"
_TRY: Final = "TRY("

# Sorted by what they shut: extensions, files and network, and last the door itself.
_LOCKS: Final = (
    "SET autoload_known_extensions=false",
    "SET autoinstall_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET temp_directory=''",
    "SET enable_external_access=false",
    "SET preserve_insertion_order=true",
    "SET GLOBAL TimeZone='UTC'",
)
# It lifts what stands twice in a query out of its TRY, so that one overflow fails every row (DuckDB 2.0). A setting of a
# whole database, and worth 12 % of a map's time where a query holds no TRY: so an execution has one database of each kind.
_GUARDED: Final = "SET disabled_optimizers='common_subexpressions'"
# Python's own variables are no tables. The driver for bound statements knows none, so it has no such setting.
_PYTHON: Final = "SET python_enable_replacements=false"
_DOOR: Final = "SET lock_configuration=true"


class Database:
    """The one database of an execution. Threads take a `Session` each; all are interrupted together."""

    def __init__(self, memory_bytes: int) -> None:
        """memory_bytes: bounds DuckDB's own pool. It does not bound every allocation: the worker's limit does."""
        self._pool = max(memory_bytes // 2, MEMORY_BYTES_MIN)
        self._plain, self._guarded = _locked_down(self._pool), _locked_down(self._pool, _GUARDED)
        self._bound: dict[bool, BoundDatabase] = {}
        self._sessions: list[Session] = []
        self._guard = threading.Lock()

    def session(self) -> Session:
        """A connection of its own for the calling thread."""
        with self._guard:
            session = Session(self, self._plain.cursor(), self._guarded.cursor())
            self._sessions.append(session)
            return session

    def bound(self, guarded: bool) -> BoundConnection:
        """A connection for bound statements. guarded: as of a query that holds a TRY. Made when it is first needed."""
        with self._guard:
            if guarded not in self._bound:
                own = ("SET threads=1", f"SET memory_limit='{_mib(self._pool)}'", *((_GUARDED,) if guarded else ()))
                self._bound[guarded] = BoundDatabase([*own, *_LOCKS, _DOOR])
            return self._bound[guarded].connect()

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
        for bound in self._bound.values():
            bound.close()


def _locked_down(pool_bytes: int, *settings: str) -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(":memory:", config={"threads": "1", "memory_limit": _mib(pool_bytes)})
    for setting in (*_LOCKS, _PYTHON, *settings, _DOOR):
        made.execute(setting)
    return made


def _mib(count: int) -> str:
    return f"{count // 1024**2}MiB"


class Session:
    """One thread's connections: to the plain database and to the guarded one, each in its two ways.

    running: what the execution remembers, as the queries of this thread's documents see it.
    """

    def __init__(
        self, database: Database, plain: duckdb.DuckDBPyConnection, guarded: duckdb.DuckDBPyConnection
    ) -> None:
        self._database = database
        self._plain = plain
        self._guarded = guarded
        self._statements = {False: Statements(plain), True: Statements(guarded)}
        self._bound: dict[bool, BoundConnection] = {}
        self.answers: dict[object, pa.RecordBatch] = {}
        """What one statement has answered for queries that are still to be asked: see `small.py`."""
        self.running = Running()

    def query(self, sql: str, batch: pa.RecordBatch, views: Sequence[tuple[str, pa.Table]] = ()) -> pa.RecordBatch:
        """Run a compiled query over the batch and return all rows as one batch.

        sql: one SELECT. views: further relations of it, name and rows. It is planned for the first batch and for one
        with other columns, and only executed for the others. Raises duckdb.Error: what it means is the caller's.
        """
        relations = [(BATCH_VIEW, batch), *((quoted(name), rows) for name, rows in views)]
        return one_batch(self._statements[_TRY in sql].run(sql, relations))

    def bound(self, sql: str, schema: pa.Schema) -> Bound | None:
        """A query over small batches of these columns, which reads no other relation, prepared when it is met first.
        None where it can not be prepared, or the driver can not bind such columns."""
        guarded = _TRY in sql
        if guarded not in self._bound:
            self._bound[guarded] = self._database.bound(guarded)
        return self._bound[guarded].statement(sql, schema, self._types)

    def _types(self, schema: pa.Schema) -> list[str]:
        """What DuckDB calls the types of these columns, by asking it. Raises duckdb.Error for one that it has not."""
        self._plain.register(_DESCRIBED, schema.empty_table())
        try:
            return [row[1] for row in self._plain.execute(f"DESCRIBE {_DESCRIBED}").fetchall()]
        finally:
            self._plain.unregister(_DESCRIBED)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query over no batch; for a few rows only."""
        return self._plain.execute(sql).fetchall()

    def interrupt(self) -> None:
        self._plain.interrupt()
        self._guarded.interrupt()
        for bound in list(self._bound.values()):  # its own thread may be adding one
            bound.interrupt()

    def close(self) -> None:
        self._plain.close()
        self._guarded.close()
        for bound in self._bound.values():
            bound.close()


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The table's rows in one record batch of the same schema."""
    batches = table.to_batches()
    if len(batches) > 1:
        batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    raise StopRun("a query's result did not fit one batch", code=codes.OUT_OF_MEMORY)
