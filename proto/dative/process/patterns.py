"""Patterns of number_format(): '#,##0.00 EUR' and what its parts mean. Knows no SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass

DIGITS_MAX = 10
_PATTERN = re.compile(r"(?P<before>[^#0.,]*)(?P<whole>[#0,]*)(?:\.(?P<fraction>0*#*))?(?P<after>[^#0]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NumberPattern:
    """whole: digits that always stand before the point. fraction: (always, at most) digits after it."""

    before: str
    after: str
    whole: int
    fraction: tuple[int, int]
    grouped: bool


def number_pattern(text: str) -> NumberPattern:
    """The pattern of that text. Raises ValueError, whose message says what is wrong."""
    found = _PATTERN.fullmatch(text)
    whole = found["whole"] if found is not None else ""
    digits = whole.replace(",", "")
    if found is None or not digits or digits != "#" * digits.count("#") + "0" * digits.count("0"):
        raise ValueError(f"'{text[:40]}' is no number pattern such as '#,##0.00': # before 0, then . and 0 before #")
    grouped = "," in whole
    if grouped and (len(whole.rpartition(",")[2]) != 3 or whole.startswith(",")):
        raise ValueError(f"'{text[:40]}' groups by other than three digits")
    fraction = found["fraction"] or ""
    if len(fraction) > DIGITS_MAX or len(digits) > 18:
        raise ValueError(f"a number pattern has at most 18 digits before the point and {DIGITS_MAX} after it")
    return NumberPattern(
        found["before"], found["after"], digits.count("0"), (fraction.count("0"), len(fraction)), grouped
    )


def pattern_problem(text: str) -> str | None:
    """What is wrong with a pattern; None when it is one."""
    try:
        number_pattern(text)
    except ValueError as problem:
        return str(problem)
    return None
