"""A page's JSON records as Arrow columns, without an object per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from dative.errors.base import StopRun
from dative.errors.connector import BAD_ANSWER

from dative_atom.connectors.salesforce.describe import Column

Records = Sequence[dict[str, Any]]
_DIGITS = Context(prec=60)


def values_of(records: Records, path: Sequence[str]) -> list[Any]:
    """The value at a path in every record; null where a parent is null."""
    if len(path) == 1:
        name = path[0]
        return [record[name] for record in records]
    first, rest = path[0], path[1:]
    parents = [record[first] for record in records]
    return [_at(parent, rest) for parent in parents]


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if value is None:
            return None
        value = value[name]
    return value


def columns_of(records: Records, columns: Sequence[Column], schema: pa.Schema) -> pa.RecordBatch:
    """The records as one batch of `schema`. StopRun connector.bad_answer when a value is not of its described type."""
    arrays = []
    for column in columns:
        try:
            arrays.append(_array(values_of(records, column.path), column))
        except (KeyError, TypeError, ValueError, InvalidOperation, pa.ArrowException) as error:
            raise StopRun(
                f"the answer's {column.name} is not of the type that describe gives ({column.kind})", code=BAD_ANSWER
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], column: Column) -> pa.Array:
    kind = column.arrow
    if pa.types.is_decimal(kind):
        return _decimals(values, kind)
    if pa.types.is_timestamp(kind):
        return timestamps(pa.array(values, pa.string()))
    if pa.types.is_time(kind):
        return pc.cast(pc.replace_substring(pa.array(values, pa.string()), "Z", ""), kind)
    if pa.types.is_date(kind):
        return pc.cast(pa.array(values, pa.string()), kind)
    if pa.types.is_string(kind):
        return pa.array([_text(value) for value in values] if _needs_text(values) else values, kind)
    return pa.array(values, kind)


def _decimals(values: list[Any], kind: pa.Decimal128Type) -> pa.Array:
    """Exact to the declared digits. A number with more of them (formulas have them) is rounded as Salesforce shows it."""
    step = Decimal(1).scaleb(-kind.scale)
    exact: Callable[[Any], Decimal | None] = lambda value: (  # noqa: E731
        None if value is None else Decimal(repr(value)).quantize(step, ROUND_HALF_UP, _DIGITS)
    )
    return pa.array([exact(value) for value in values], kind)


def timestamps(texts: pa.Array) -> pa.Array:
    """`2026-01-31T10:20:30.000+0000` as timestamps in UTC, with the milliseconds."""
    return pc.cast(pc.replace_substring(texts, "+0000", "Z"), pa.timestamp("us", "UTC"))


def _needs_text(values: list[Any]) -> bool:
    return any(not isinstance(value, str | None) for value in values)


def _text(value: Any) -> str | None:
    """Compound and untyped values as canonical JSON text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key != "attributes"}
    return msgspec.json.encode(value, order="deterministic").decode()
