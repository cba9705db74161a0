"""The data types of a field, and how they combine. Knows no SQL dialect and no engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "any", "text", "integer", "decimal", "double", "boolean", "date", "timestamp", "time", "binary", "json", "interval"
]
PRECISION_MAX = 38

_DECIMAL = re.compile(r"decimal\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)")


@dataclass(frozen=True, slots=True)
class DataType:
    """One type. precision, scale: of decimals only. `any`: not known before the first document. Timestamps are UTC."""

    kind: Kind
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.kind == "decimal" else self.kind

    @property
    def known(self) -> bool:
        return self.kind != "any"

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "decimal", "double")

    @property
    def is_temporal(self) -> bool:
        return self.kind in ("date", "timestamp")


ANY = DataType("any")
TEXT = DataType("text")
INTEGER = DataType("integer")
DOUBLE = DataType("double")
BOOLEAN = DataType("boolean")
DATE = DataType("date")
TIMESTAMP = DataType("timestamp")
TIME = DataType("time")
BINARY = DataType("binary")
JSON = DataType("json")
INTERVAL = DataType("interval")
_PLAIN = {t.kind: t for t in (ANY, TEXT, INTEGER, DOUBLE, BOOLEAN, DATE, TIMESTAMP, TIME, BINARY, JSON, INTERVAL)}


def decimal(precision: int, scale: int) -> DataType:
    """decimal(precision, scale), cut to what the engine holds. Raises ValueError when scale > precision."""
    if not 0 <= scale <= precision:
        raise ValueError("decimal(p,s) needs 0 <= s <= p")
    return DataType("decimal", min(precision, PRECISION_MAX), min(scale, PRECISION_MAX))


def parse_type(text: str) -> DataType:
    """A type from its text, as profiles write it: "text", "decimal(18,2)". Raises ValueError."""
    found = _DECIMAL.fullmatch(text.strip())
    if found:
        return decimal(int(found[1]), int(found[2]))
    for kind, plain in _PLAIN.items():
        if text.strip() == kind:
            return plain
    raise ValueError(f'"{text}" is no type: text, integer, decimal(p,s), double, boolean, date, timestamp, …')


def joined(first: DataType, second: DataType) -> DataType | None:
    """The type of a value that is either; None when the two do not fit together."""
    if first == second:
        return first
    if not (first.known and second.known):
        return ANY
    if first.is_number and second.is_number:
        return _joined_numbers(first, second)
    if first.is_temporal and second.is_temporal:
        return TIMESTAMP
    return JSON if {first.kind, second.kind} == {"json", "text"} else None


def _joined_numbers(first: DataType, second: DataType) -> DataType:
    if "double" in (first.kind, second.kind):
        return DOUBLE
    scale = max(first.scale, second.scale)
    whole = max(_whole_digits(first), _whole_digits(second))
    return decimal(min(whole + scale, PRECISION_MAX), scale)


def _whole_digits(number: DataType) -> int:
    return 19 if number.kind == "integer" else number.precision - number.scale


def fits(wanted: str, given: DataType) -> bool:
    """Whether a value of type `given` can stand where a function's signature says `wanted`."""
    if not given.known or wanted == "any" or wanted == given.kind:
        return True
    accepted = {
        "number": given.is_number,
        "decimal": given.is_number,
        "double": given.is_number,
        "temporal": given.is_temporal,
        "date": given.is_temporal,
        "timestamp": given.is_temporal,
        "text": given.kind == "json",
        "json": given.kind == "text",
        "binary": given.kind == "text",
    }
    return accepted.get(wanted, False)
