"""Columns of text become columns of the declared types, exactly; and back into the text of a file."""

from __future__ import annotations

import base64
import re

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors.base import StopRun
from dative.errors.disk import LINE_UNREADABLE

from dative_atom.connectors.disk.spec import COLUMN_TYPE

_TYPES = {
    "text": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "binary": pa.binary(),
}


def declared_field(name: str, kind: str) -> pa.Field:
    """The column of a declaration as "decimal(12,2)"; binary is base64 in a file."""
    found = re.match(COLUMN_TYPE, kind)
    if found is not None and found[2]:
        return pa.field(name, pa.decimal128(int(found[2]), int(found[3])))
    return pa.field(name, _TYPES[kind], metadata={"dative.type": "json"} if kind == "json" else None)


def typed(texts: pa.RecordBatch, schema: pa.Schema, file: str, first_row: int) -> pa.RecordBatch:
    """The texts as their types. StopRun naming file, row and column of the first that does not read so; never its value."""
    columns = []
    for field in schema:
        values = texts.column(field.name)
        try:
            columns.append(_cast(values, field.type))
        except (pa.ArrowException, ValueError) as error:
            row = first_row + _first_bad(values, field.type) + 1
            raise StopRun(
                f"{file} row {row}: column {field.name} does not read as {field.type}", code=LINE_UNREADABLE
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return values
    if pa.types.is_binary(kind):
        return pa.array([None if v is None else base64.b64decode(v, validate=True) for v in values.to_pylist()], kind)
    if pa.types.is_timestamp(kind):
        # A time without an offset is UTC.
        zoned = pc.fill_null(pc.match_substring_regex(values, r"(Z|[+-]\d\d:?\d\d)$"), True)
        return pc.cast(pc.if_else(zoned, values, pc.binary_join_element_wise(values, "Z", "")), kind)
    return pc.cast(values, kind)


def _first_bad(values: pa.Array, kind: pa.DataType) -> int:
    for row in range(len(values)):
        try:
            _cast(values.slice(row, 1), kind)
        except (pa.ArrowException, ValueError):
            return row
    return 0


def as_text(values: pa.Array) -> pa.Array:
    """A document's column as a file shows it: times in ISO 8601 with a Z, bytes in base64, decimals with all digits."""
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([None if v is None else base64.b64encode(v).decode() for v in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind):
        return (
            pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
            if kind.unit == "s"
            else pc.strftime(pc.cast(values, pa.timestamp("us", kind.tz)), format="%Y-%m-%dT%H:%M:%SZ")
        )
    return pc.cast(values, pa.string())
