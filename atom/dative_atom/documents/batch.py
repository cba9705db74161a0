"""A batch: documents as columns, and the lineage columns that travel with them.

A batch is a `pyarrow.RecordBatch`: the profile's columns plus the lineage columns named here. Lineage lives in columns,
never in lists kept in step by index, so that any filter, sort or join carries it along. This file knows no connector,
no shape and no engine.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

DOCUMENT: Final = "_document"
"""uint64: the document's number in the execution's reading order, from 0. (execution id, number) is its identity."""

ERROR_CODE: Final = "_error_code"
ERROR_REASON: Final = "_error_reason"
ERROR_FIELD: Final = "_error_field"
ERROR_STEP: Final = "_error_step"
ERROR_COLUMNS: Final = (ERROR_CODE, ERROR_REASON, ERROR_FIELD, ERROR_STEP)
"""Strings, only on the catch route: "expression.cast_failed", a sentence without values, target field, step id."""


def is_lineage(name: str) -> bool:
    """Whether a column goes along with its document and is no field of it: number, reasons, document properties.

    Every name that begins with _ is: no source and no map may make such a field.
    """
    return name.startswith("_")


def number_documents(rows: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The batch with its DOCUMENT column in front: `first`, `first + 1`, … in row order."""
    numbers = pa.arange(first, first + rows.num_rows).cast(pa.uint64())
    return pa.RecordBatch.from_arrays(
        [numbers, *rows.columns], schema=pa.schema([pa.field(DOCUMENT, pa.uint64(), nullable=False), *rows.schema])
    )


def payload_fields(schema: pa.Schema) -> list[str]:
    """The profile's field names: all columns that are not lineage."""
    return [name for name in schema.names if not is_lineage(name)]


def payload(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The documents without lineage: what a target is given to write."""
    return batch.select(payload_fields(batch.schema))
