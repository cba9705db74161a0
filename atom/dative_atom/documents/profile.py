"""Between the data types of the language and the columns of documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from dative.process import datatypes as types
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
    if kind.kind == "list":
        return pa.list_(arrow_type(kind.item or types.ANY))
    if kind.kind == "struct":
        return pa.struct([pa.field(name, arrow_type(inner)) for name, inner in kind.fields])
    return pa.decimal128(kind.precision, kind.scale) if kind.kind == "decimal" else _ARROW.get(kind.kind, pa.string())


def profile_of(types: Mapping[str, DataType]) -> pa.Schema:
    """One column a field, in their order."""
    return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in types.items()])


def without_fields(rows: int) -> pa.RecordBatch:
    """So many documents that have no field at all."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], names=["nothing"]).select([])


def data_type(arrow: pa.DataType) -> DataType:
    """The language's word for a column's type; `any` for one that it has none for."""
    if pa.types.is_decimal(arrow):
        return (
            types.decimal(arrow.precision, max(arrow.scale, 0)) if arrow.precision <= types.PRECISION_MAX else types.ANY
        )
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return types.list_of(data_type(arrow.value_type))
    if pa.types.is_struct(arrow):
        return types.struct_of({field.name: data_type(field.type) for field in arrow})
    for known, kind in _PLAIN:
        if known(arrow):
            return kind
    return types.ANY


_PLAIN = (
    (pa.types.is_string, types.TEXT),
    (pa.types.is_large_string, types.TEXT),
    (pa.types.is_integer, types.INTEGER),
    (pa.types.is_floating, types.DOUBLE),
    (pa.types.is_boolean, types.BOOLEAN),
    (pa.types.is_date, types.DATE),
    (pa.types.is_timestamp, types.TIMESTAMP),
    (pa.types.is_time, types.TIME),
    (pa.types.is_binary, types.BINARY),
)


def field_types(schema: pa.Schema) -> dict[str, DataType]:
    """The types of a schema's fields, those inside structs under their dotted names too."""
    found: dict[str, DataType] = {}
    for field in schema:
        found[field.name] = data_type(field.type)
        found.update(_inside(field.name, found[field.name]))
    return found


def _inside(name: str, kind: DataType) -> dict[str, DataType]:
    found: dict[str, DataType] = {}
    for key, inner in kind.fields:
        found[f"{name}.{key}"] = inner
        found.update(_inside(f"{name}.{key}", inner))
    return found
