"""currency(): exact decimals, dated rates, half-even to the minor units of the target currency.

Amounts are DECIMAL(22, 6), rates DECIMAL(16, 10): their product is DECIMAL(38, 16), so nothing is rounded before the
end. An amount or result that does not fit is an error of its document, never another number.
Source: ISO 4217, list one, "Minor unit"; a currency that is not listed here has two.
"""

from __future__ import annotations

import csv
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes

AMOUNT: Final = "DECIMAL(22, 6)"
RATE: Final = pa.decimal128(16, 10)
SCALE_ANY: Final = 4
"""Scale of the result where the target currency differs from document to document."""

_NONE: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_FOUR: Final = frozenset(["CLF", "UYW"])


def minor_units(currency: str) -> int:
    """Digits after the point that amounts in this currency have."""
    return 0 if currency in _NONE else 3 if currency in _THREE else 4 if currency in _FOUR else 2


def rounded(product: str, target: str, constant: str | None) -> str:
    """SQL of the product rounded half-even for the currency `target` (SQL); constant: its code where it is fixed."""
    if constant is not None:
        scale = minor_units(constant)
        return f"TRY_CAST(round_even({product}, {scale}) AS DECIMAL(24, {scale}))"
    arms = " ".join(
        f"WHEN {target} IN ({', '.join(repr(code) for code in sorted(codes_))}) THEN {_scaled(product, scale)}"
        for codes_, scale in ((_NONE, 0), (_THREE, 3), (_FOUR, 4))
    )
    return f"CASE {arms} ELSE {_scaled(product, 2)} END"


def _scaled(product: str, scale: int) -> str:
    return f"TRY_CAST(round_even({product}, {scale}) AS DECIMAL(24, {SCALE_ANY}))"


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
    schema = pa.schema([("f", pa.string()), ("t", pa.string()), ("day", pa.date32()), ("rate", RATE)])
    return pa.table(columns, schema=schema)


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
