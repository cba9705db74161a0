"""Rounding of exact decimals, in the ways that `dative.process.currencies.ROUNDINGS` names."""

from __future__ import annotations

from typing import Final

HALF_EVEN: Final = "half_even"
EXACT: Final = "DECIMAL(28, 10)"
"""What a value is made before it is rounded: 18 digits before the point, so that no rounding can overflow."""


def to_digits(value: str, digits: int, mode: str) -> str:
    """SQL of a decimal rounded to so many digits after the point. value: SQL of a decimal."""
    if mode == HALF_EVEN:
        return f"round_even({value}, {digits})"
    if mode == "half_up":
        return f"round({value}, {digits})"
    cut = f"trunc({value}, {digits})"
    if mode == "down":
        return cut
    unit = f"CAST({'0.' + '0' * (digits - 1) + '1' if digits else '1'} AS DECIMAL({digits + 1}, {digits}))"
    above, below = f"WHEN {value} > {cut} THEN {cut} + {unit}", f"WHEN {value} < {cut} THEN {cut} - {unit}"
    arms = {"ceiling": above, "floor": below, "up": f"{above} {below}"}[mode]
    return f"CASE {arms} ELSE {cut} END"
