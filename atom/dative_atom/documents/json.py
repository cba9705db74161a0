"""Documents as JSON values and back: what a dead letter keeps of a document.

Only for the few documents that a person will look at; batches never become dicts on the way. Decimals, dates and times
travel as text, bytes as base64, so that nothing is rounded.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from dative_atom.documents.profile import without_fields


@dataclass(frozen=True)
class Unreadable:
    """A value that does not fit its field's type. row: index in the rows given."""

    row: int
    field: str
    type: str


def to_json(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as dicts of JSON values, one per row."""
    rows: list[dict[str, Any]] = batch.to_pylist()
    for name in [item.name for item in batch.schema if not _is_plain(item.type)]:
        for row in rows:
            row[name] = _plain(row[name])
    return rows


def _is_plain(type_: pa.DataType) -> bool:
    """Its values are JSON's as Python has them."""
    text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
    return bool(text or pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def described(type_: pa.DataType) -> Any:
    """The type as `journal.letters.Profile` keeps it: its text, {"list": type} or {"struct": {field: type}}."""
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return {"list": described(type_.value_type)}
    if pa.types.is_struct(type_):
        return {"struct": {item.name: described(item.type) for item in type_}}
    return str(type_)


def from_json(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> tuple[pa.RecordBatch, list[Unreadable]]:
    """A batch of the schema from JSON values. Values that do not fit are null and named; unknown fields are left out."""
    if not len(schema):
        return without_fields(len(rows)), []
    columns, unreadable = [], []
    for item in schema:
        values = []
        for index, row in enumerate(rows):
            try:
                values.append(_typed(row.get(item.name), item.type))
            except (ValueError, TypeError, InvalidOperation, binascii.Error, pa.ArrowException, OverflowError):
                values.append(None)
                unreadable.append(Unreadable(index, item.name, str(item.type)))
        columns.append(pa.array(values, item.type))
    nullable = pa.schema([item.with_nullable(True) for item in schema], metadata=schema.metadata)
    return pa.RecordBatch.from_arrays(columns, schema=nullable), unreadable


def _typed(value: Any, type_: pa.DataType) -> Any:
    if value is None:
        return None
    converted = _converted(value, type_)
    # Asked one by one, so that a value that does not fit is named and fails nobody else.
    return pa.scalar(converted, type_).as_py()


def _converted(value: Any, type_: pa.DataType) -> Any:
    if pa.types.is_decimal(type_):
        return Decimal(str(value))
    if pa.types.is_timestamp(type_):
        moment = datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=UTC) if type_.tz and moment.tzinfo is None else moment
    if pa.types.is_date(type_):
        return date.fromisoformat(str(value))
    if pa.types.is_time(type_):
        return time.fromisoformat(str(value))
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return base64.b64decode(str(value), validate=True)
    if pa.types.is_integer(type_):
        return int(str(value))
    if pa.types.is_floating(type_):
        return float(value)
    if pa.types.is_boolean(type_):
        return _boolean(value)
    return str(value) if pa.types.is_string(type_) and not isinstance(value, str) else value


def _boolean(value: Any) -> bool:
    known = {"true": True, "false": False}.get(str(value).lower())
    if known is None:
        raise ValueError("no boolean")
    return known
