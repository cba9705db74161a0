"""Types both ways: what a column is among documents, and what a document's column is in the stage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors.base import StopRun
from dative.errors.database import VALUE_INVALID

DIGITS_MAX = 38
JSON_TYPE = {"dative.type": "json"}
_TYPMOD_OFFSET = 4
# PostgreSQL types that the driver reads as they are; everything else is asked for as text.
_TEXTS = ("text", "varchar", "bpchar", "name")
_NUMBERS = ("int2", "int4", "int8", "float4", "float8")
_PLAIN = frozenset((*_TEXTS, *_NUMBERS, "bool", "bytea", "date", "time", "timestamp", "timestamptz"))


def postgres_column(column: pa.Field) -> tuple[pa.Field, bool]:
    """(the document's column, whether it must be cast to text) for a column as the driver describes it.

    numeric(p,s) becomes decimal; numeric without digits, or with more than 38, stays text, because only text is exact.
    """
    metadata = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
    kind = metadata.get("POSTGRESQL:type", "")
    if kind == "numeric":
        return pa.field(column.name, _numeric(int(metadata.get("POSTGRESQL:typmod", "-1")))), False
    if kind in ("json", "jsonb"):
        return pa.field(column.name, pa.string(), metadata=JSON_TYPE), True
    if kind in _PLAIN:
        return pa.field(column.name, column.type), False
    return pa.field(column.name, pa.string()), True


def _numeric(typmod: int) -> pa.DataType:
    """Source: PostgreSQL, numeric.c: ((precision << 16) | scale) + VARHDRSZ; the scale has 11 bits and a sign."""
    if typmod < _TYPMOD_OFFSET:
        return pa.string()
    digits, scale = ((typmod - _TYPMOD_OFFSET) >> 16) & 0xFFFF, (typmod - _TYPMOD_OFFSET) & 0x7FF
    scale = scale - 2048 if scale > 1023 else scale
    return pa.decimal128(digits, scale) if digits <= DIGITS_MAX and 0 <= scale <= digits else pa.string()


def as_documents(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The driver's batch with the profile's types. StopRun for a NaN in a decimal column, which no document can hold."""
    columns = []
    for name, values, wanted in zip(schema.names, batch.columns, schema.types, strict=True):
        plain = values.storage if isinstance(values.type, pa.BaseExtensionType) else values
        try:
            columns.append(plain if plain.type.equals(wanted) else pc.cast(plain, wanted))
        except pa.ArrowInvalid as error:
            raise StopRun(
                f"column {name} holds a number that is none (NaN, infinity); read it as NULLIF(column, 'NaN')",
                code=VALUE_INVALID,
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def as_text(values: pa.ChunkedArray, column: pa.Field, what: str) -> pa.Array:
    """What a statement gave, as text. StopRun for a type that the driver gives in the server's own bytes."""
    kind = (column.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    plain = values.combine_chunks()
    plain = plain.storage if isinstance(plain.type, pa.BaseExtensionType) else plain
    if kind == "uuid":
        return pa.array([None if value is None else str(UUID(bytes=value)) for value in plain.to_pylist()], pa.string())
    if pa.types.is_nested(plain.type) or pa.types.is_binary(plain.type):
        raise StopRun(f"{what} gives {column.name} as {kind}; cast it to text in the statement", code=VALUE_INVALID)
    return plain.cast(pa.string())


def staged_type(kind: pa.DataType) -> pa.DataType:
    """The type in which a document's column is staged: fewer types, nothing lost."""
    if pa.types.is_dictionary(kind):
        return staged_type(kind.value_type)
    if pa.types.is_null(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if pa.types.is_unsigned_integer(kind) or pa.types.is_int8(kind):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_date(kind):
        return pa.date32()
    return kind


_STAGE_SQL: Mapping[str, str] = {
    "string": "text",
    "int16": "int2",
    "int32": "int4",
    "int64": "int8",
    "bool": "bool",
    "float": "float4",
    "double": "float8",
    "date32[day]": "date",
    "time64[us]": "time",
    "binary": "bytea",
    "timestamp[us]": "timestamp",
}


def stage_sql(kind: pa.DataType) -> str:
    """PostgreSQL's type for a staged column. StopRun for one that has none (lists, structs)."""
    if pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return "timestamptz"
    name = _STAGE_SQL.get(str(kind))
    if name is None:
        raise StopRun(
            f"documents with a column of type {kind} can not be written; make text of it in a map", code=VALUE_INVALID
        )
    return name


_SQLITE = (
    (re.compile(r"^(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)"), "decimal"),
    (re.compile(r"BOOL"), "bool"),
    (re.compile(r"INT"), "int"),
    (re.compile(r"DATETIME|TIMESTAMP"), "timestamp"),
    (re.compile(r"^DATE"), "date"),
    (re.compile(r"BLOB"), "binary"),
    (re.compile(r"REAL|FLOA|DOUB"), "double"),
)
_SQLITE_ARROW = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "binary": pa.binary(),
    "double": pa.float64(),
}


def sqlite_type(declared: str) -> pa.DataType:
    """A declared column type of SQLite, which itself keeps any value in any column; unknown ones are text."""
    for pattern, kind in _SQLITE:
        found = pattern.search(declared.upper())
        if found and kind == "decimal":
            return pa.decimal128(min(int(found[1]), DIGITS_MAX), int(found[2] or 0))
        if found:
            return _SQLITE_ARROW[kind]
    return pa.string()
