"""Arrow values as JSON and back, exactly: how a recording keeps what a database answered.

Decimals, dates and times travel as text, bytes as base64, a schema as names and types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.testing import RECORDING_DAMAGED

from dative_atom.documents.json import from_json, to_json
from dative_atom.testing.scrub import ROWS

_DECIMAL: Final = re.compile(r"decimal128\((\d+), (-?\d+)\)")
_TIMESTAMP: Final = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=([^\]]+))?\]")
_TYPES: Final = {
    str(kind): kind
    for kind in (
        pa.string(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
        pa.float32(), pa.float64(), pa.bool_(), pa.date32(), pa.time64("us"), pa.binary(), pa.null(),
    )
}  # fmt: skip


def encoded(value: Any) -> Any:
    """JSON of plain values, schemas and record batches."""
    if isinstance(value, pa.Schema):
        return {"$fields": _fields(value)}
    if isinstance(value, pa.RecordBatch):
        return {"$fields": _fields(value.schema), ROWS: to_json(value)}
    if isinstance(value, Mapping):
        return {name: encoded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    return value


def decoded(value: Any) -> Any:
    """What `encoded` was given. StopRun testing.recording_damaged."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$fields" not in value:
        return {name: decoded(item) for name, item in value.items()}
    schema = pa.schema([_field(item) for item in value["$fields"]])
    if ROWS not in value:
        return schema
    batch, unreadable = from_json(value[ROWS], schema)
    if unreadable:
        raise StopRun(f"a recorded value of {unreadable[0].field} is no {unreadable[0].type}", code=RECORDING_DAMAGED)
    return batch.cast(schema) if batch.schema != schema else batch


def _fields(schema: pa.Schema) -> list[dict[str, Any]]:
    found = []
    for item in schema:
        metadata = {key.decode(): text.decode() for key, text in (item.metadata or {}).items()}
        found.append({"name": item.name, "type": str(item.type), **({"metadata": metadata} if metadata else {})})
    return found


def _field(item: Mapping[str, Any]) -> pa.Field:
    text = item["type"]
    kind = _TYPES.get(text)
    if found := _DECIMAL.fullmatch(text):
        kind = pa.decimal128(int(found[1]), int(found[2]))
    elif found := _TIMESTAMP.fullmatch(text):
        kind = pa.timestamp(found[1], found[2])
    if kind is None:
        raise StopRun(f"a recorded column has the type {text}, which is none", code=RECORDING_DAMAGED)
    return pa.field(item["name"], kind, metadata=item.get("metadata"))
