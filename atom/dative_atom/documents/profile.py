"""The columns of documents from the types that a process declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from dative.process.datatypes import DataType

_ARROW: Final = {
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "binary": pa.binary(),
}


def arrow_type(kind: DataType) -> pa.DataType:
    """The column type of a declared type; text where it is not known before the first document."""
    return pa.decimal128(kind.precision, kind.scale) if kind.kind == "decimal" else _ARROW.get(kind.kind, pa.string())


def profile_of(types: Mapping[str, DataType]) -> pa.Schema:
    """One column a field, in their order."""
    return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in types.items()])


def without_fields(rows: int) -> pa.RecordBatch:
    """So many documents that have no field at all."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], names=["nothing"]).select([])
