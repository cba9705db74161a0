"""ORDER BY: several keys, each with its direction and place for nulls; text without regard to case, but for Ids."""

from collections.abc import Sequence
from typing import Any

from dative_sandbox.salesforce.schema import Row
from dative_sandbox.salesforce.soql.resolve import Getter
from dative_sandbox.salesforce.soql.tree import Order


def sort_rows(rows: list[Row], orders: Sequence[tuple[Order, Getter]]) -> list[Row]:
    """A new list in order. Sorted key by key from the last to the first: Python's sort keeps equal ones in place."""
    for order, get in reversed(orders):
        keyed = [(_key(get(row)), row) for row in rows]
        nulls = [row for key, row in keyed if key is None]
        known = sorted(
            (pair for pair in keyed if pair[0] is not None), key=lambda pair: pair[0], reverse=order.descending
        )
        values = [row for _, row in known]
        rows = values + nulls if order.nulls_last else nulls + values
    return rows


def _key(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def exactly(get: Getter) -> Getter:
    """Ids sort as the filter compares them, or a read that goes on behind one of them would repeat or miss others."""
    return lambda row: None if (value := get(row)) is None else (value,)
