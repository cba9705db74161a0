"""Reads rows of tables from a connection: through the same readers as a source, outside of any batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.head import TABLE_OPERATION
from dative.process.tables import KEYS_BIND

from dative_atom.connectors.base import Connector, Operation, RunContext
from dative_atom.engine.evaluation.rows import HELD_ROWS_MAX, ReadRows

READ_ROWS: int = 10_000


def table_reader(connection: Callable[[str], Connector], context: RunContext) -> ReadRows:
    """A reader over the execution's connections. What is read is bounded: see `rows.HELD_ROWS_MAX`."""

    def read(name: str, sql: str, keys: Sequence[str] | None) -> pa.Table:
        binds = {**context.binds, KEYS_BIND: list(keys)} if keys is not None else context.binds
        operation = Operation(StepId(f"table-{name}"), "", TABLE_OPERATION, {"sql": sql})
        reader = connection(name).reader(operation, replace(context, binds=binds))
        batches: list[pa.RecordBatch] = []
        try:
            for found in reader.read(None, READ_ROWS):
                batches.append(found.batch)
                if sum(batch.num_rows for batch in batches) > HELD_ROWS_MAX * (10 if keys is not None else 1):
                    message = (
                        f"connection {name} gives too many rows for a table; bound the sql, or ask WHERE … IN (:keys)"
                    )
                    raise StopRun(message, code=codes.TABLE_INVALID, where=f"connection {name}")
            return pa.Table.from_batches(batches, reader.profile)
        finally:
            reader.close()

    return read
