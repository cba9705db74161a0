"""currency() and round_currency(): exact decimals, dated rates, rounded to the minor units of the currency.

Amounts are DECIMAL(22, 6), rates DECIMAL(16, 10): their product is DECIMAL(38, 16), so nothing is rounded before the
end. An amount or result that does not fit is an error of its document, never another number.
Which currency has how many minor units stands in `dative.process.functions`.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.process.currencies import MINOR_UNITS, MINOR_UNITS_DEFAULT, minor_units

from dative_atom.engine.evaluation.database import literal
from dative_atom.engine.evaluation.rounding import to_digits

AMOUNT: Final = "DECIMAL(22, 6)"
RATE: Final = pa.decimal128(16, 10)
_SCHEMA: Final = pa.schema([("f", pa.string()), ("t", pa.string()), ("day", pa.date32()), ("rate", RATE)])
SCALE_ANY: Final = 6
"""Scale of the result where the target currency differs from document to document."""


@dataclass(frozen=True)
class Rates:
    """A rates table: columns f, t, day, rate. dated: all of it, days rising. current: the newest of each pair today."""

    dated: pa.Table
    current: pa.Table

    @classmethod
    def of(cls, rates: pa.Table, today: date) -> Rates:
        dated = rates.sort_by("day")
        newest = {(row["f"], row["t"]): row for row in dated.to_pylist() if row["day"] <= today}
        return cls(dated, pa.Table.from_pylist(list(newest.values()), rates.schema))

    def today(self, source: str | None, target: str | None) -> Decimal | None:
        """The rate of two currencies today."""
        days, rates = self._current.get((source, target), ([], []))
        return rates[-1] if days else None

    def on(self, source: str | None, target: str | None, day: date | None) -> Decimal | None:
        """Their newest rate up to that day."""
        days, rates = self._dated.get((source, target), ([], []))
        place = bisect_right(days, day) if day is not None else 0
        return rates[place - 1] if place else None

    @cached_property
    def _current(self) -> _ByPair:
        return _by_pair(self.current)

    @cached_property
    def _dated(self) -> _ByPair:
        return _by_pair(self.dated)


_ByPair = Mapping[tuple[str | None, str | None], tuple[list[date], list[Decimal]]]


def _by_pair(table: pa.Table) -> _ByPair:
    found: dict[tuple[str | None, str | None], tuple[list[date], list[Decimal]]] = {}
    for row in table.to_pylist():
        days, rates = found.setdefault((row["f"], row["t"]), ([], []))
        days.append(row["day"])
        rates.append(row["rate"])
    return found


def rounded(amount: str, currency: str, constant: str | None, mode: str) -> str:
    """SQL of the amount (a decimal) rounded for the currency (SQL); constant: its code where it is fixed.

    The type is decimal(38, minor units), as the language says; decimal(38, 6) where the currency is not fixed.
    """
    if constant is not None:
        return f"CAST({to_digits(amount, minor_units(constant), mode)} AS DECIMAL(38, {minor_units(constant)}))"
    groups: dict[int, list[str]] = {}
    for code, digits in MINOR_UNITS.items():
        groups.setdefault(digits, []).append(literal(code))
    arms = [
        f"WHEN {currency} IN ({', '.join(names)}) THEN {_scaled(amount, digits, mode)}"
        for digits, names in groups.items()
    ]
    return f"CASE {' '.join(arms)} ELSE {_scaled(amount, MINOR_UNITS_DEFAULT, mode)} END"


def _scaled(amount: str, digits: int, mode: str) -> str:
    return f"TRY_CAST({to_digits(amount, digits, mode)} AS DECIMAL(38, {SCALE_ANY}))"


def read_rates(path: Path, name: str) -> pa.Table:
    """A rates CSV (from, to, date, rate) as columns f, t, day, rate. StopRun names the first line that does not fit."""
    columns: dict[str, list[object]] = {"f": [], "t": [], "day": [], "rate": []}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                _append(columns, row, f"{name}:{reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StopRun(f"the rates table {name} can not be read", code=codes.TABLE_INVALID, where=name) from error
    return pa.table(columns, schema=_SCHEMA)


def rates_of(rows: pa.Table, name: str) -> pa.Table:
    """The same from rows that a system gave. StopRun names the first that does not fit."""
    columns: dict[str, list[object]] = {"f": [], "t": [], "day": [], "rate": []}
    lower = rows.rename_columns([column.lower() for column in rows.schema.names])
    for number, row in enumerate(lower.to_pylist(), 1):
        day = row.get("date")
        plain = {key: str(value) for key, value in row.items() if value is not None}
        _append(
            columns,
            {**plain, "date": day.isoformat()[:10] if isinstance(day, date) else str(day)},
            f"{name}, row {number}",
        )
    return pa.table(columns, schema=_SCHEMA)


def _append(columns: dict[str, list[object]], row: dict[str, str], where: str) -> None:
    try:
        rate = Decimal(row["rate"].strip()).quantize(Decimal(1).scaleb(-RATE.scale), ROUND_HALF_EVEN)
        day = date.fromisoformat(row["date"].strip())
        source, target = row["from"].strip(), row["to"].strip()
    except (KeyError, AttributeError, ValueError, InvalidOperation) as error:
        raise StopRun(
            f"{where} is no rate: columns are from, to, date (2026-01-31) and rate",
            code=codes.TABLE_INVALID,
            where=where,
        ) from error
    if rate <= 0 or rate >= 10 ** (RATE.precision - RATE.scale):
        raise StopRun(f"{where}: a rate is more than 0 and less than 1,000,000", code=codes.TABLE_INVALID, where=where)
    for column, value in zip(("f", "t", "day", "rate"), (source, target, day, rate), strict=True):
        columns[column].append(value)
