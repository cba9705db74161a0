"""Small batches: a statement that is prepared once, the documents bound to it as one list of structs.

DuckDB's own ADBC driver runs such a statement in 0.15 to 0.4 ms, whatever it computes, where registering a batch and
planning its query costs 5 to 12 (measured, engine/README.md). Each document of the list costs some 4 µs more, so large
batches go another way. A statement joins nothing: what a batch looks up is picked before and bound beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import adbc_driver_duckdb
import adbc_driver_manager as adbc
import duckdb
import pyarrow as pa

ROWS_MAX: Final = 128
"""Where binding costs as much as the other way; see engine/README.md."""
STATEMENTS_MAX: Final = 512
"""Prepared statements of one connection. At the bound further queries take the way of large batches."""
BOUND_ERRORS: Final = (adbc.Error, OSError, pa.ArrowException)
"""What a bound statement raises: the driver's errors, and Arrow's for what fails while the result is read."""


class BoundDatabase:
    """A locked-down database that holds nothing, for bound statements."""

    def __init__(self, settings: Sequence[str]) -> None:
        """settings: SQL, executed in this order, the last of which locks the others."""
        self._database = adbc_driver_duckdb.connect()
        connection = self.connect()
        for setting in settings:
            connection.run(setting)
        connection.close()

    def connect(self) -> BoundConnection:
        return BoundConnection(adbc.AdbcConnection(self._database))

    def close(self) -> None:
        self._database.close()


class BoundConnection:
    """A connection of one thread, and the statements that were prepared on it."""

    def __init__(self, connection: adbc.AdbcConnection) -> None:
        self._connection = connection
        self._statements: dict[str, list[tuple[pa.Schema, Bound | None]]] = {}
        self._count = 0

    def statement(self, sql: str, schema: pa.Schema, types: Callable[[pa.Schema], Sequence[str]]) -> Bound | None:
        """The statement over the relation `batch` of these columns; None where it can not be had.

        types: of columns, as DuckDB writes them. What can not be prepared is not tried again.
        """
        known = self._statements.setdefault(sql, [])
        for columns, statement in known:
            if columns.equals(schema):
                return statement
        if self._count >= STATEMENTS_MAX:
            return None
        self._count += 1
        try:
            made = self._prepare(sql, schema, types(schema))
        except (*BOUND_ERRORS, duckdb.Error):
            made = None
        known.append((schema, made))
        return made

    def _prepare(self, sql: str, schema: pa.Schema, types: Sequence[str]) -> Bound:
        statement = adbc.AdbcStatement(self._connection)
        try:
            statement.set_sql_query(f"WITH {_listed(schema, types)} {sql}")
            statement.prepare()
        except BOUND_ERRORS:
            statement.close()
            raise
        return Bound(statement, schema)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement without documents; for a few rows only. Raises BOUND_ERRORS."""
        with adbc.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(sql)
            handle, _ = statement.execute_query()
            found = pa.RecordBatchReader._import_from_c(handle.address).read_all()
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def interrupt(self) -> None:
        self._connection.cancel()

    def close(self) -> None:
        for statement in (made for known in self._statements.values() for _, made in known if made is not None):
            statement.close()
        self._connection.close()


class Bound:
    """One prepared statement."""

    def __init__(self, statement: adbc.AdbcStatement, schema: pa.Schema) -> None:
        self.schema = schema
        self._statement = statement
        self._fields = [pa.field(f"c{index}", field.type) for index, field in enumerate(schema)]

    def run(self, batch: pa.RecordBatch) -> pa.Table:
        """Its result over these documents, in their order. Raises BOUND_ERRORS."""
        documents = pa.StructArray.from_arrays(batch.columns, fields=self._fields)
        whole = pa.ListArray.from_arrays(pa.array([0, len(documents)], pa.int32()), documents)
        bound = pa.record_batch([whole], names=["documents"])
        self._statement.bind_stream(bound.__arrow_c_stream__())
        handle, _ = self._statement.execute_query()
        return pa.RecordBatchReader._import_from_c(handle.address).read_all()

    def close(self) -> None:
        self._statement.close()


def _listed(schema: pa.Schema, types: Sequence[str]) -> str:
    """SQL of the relation `batch`, unpacked from the one parameter. Inside it columns have numbers, not names: a
    struct's names are told apart without regard to case, a document's fields are not."""
    inner = ", ".join(f"c{index} {type_}" for index, type_ in enumerate(types))
    outer = ", ".join(
        f'd.c{index} AS "{name.replace(chr(34), chr(34) * 2)}"' for index, name in enumerate(schema.names)
    )
    return f"batch AS NOT MATERIALIZED (SELECT {outer} FROM (SELECT unnest($1::STRUCT({inner})[]) AS d))"
