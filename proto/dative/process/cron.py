"""Whether a text is a cron expression: five fields, as the atom's scheduler reads them. Computes no times."""

from __future__ import annotations

import re

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: index + 1 for index, name in enumerate(_MONTHS)}),
    ("day of week", 0, 7, {name: index for index, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d{1,2}))?")


def cron_problem(text: str) -> str | None:
    """What is wrong with a cron expression, None when nothing is. Source: crontab(5)."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"{len(fields)} fields; cron has five: minute, hour, day of month, month, day of week"
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            problem = _part_problem(part, low, high, words)
            # The last day of a month is the one word beyond numbers and names.
            if problem and not (name == "day of month" and part.upper() == "L"):
                return f'{name} "{field[:30]}": {problem}'
    if fields[2].isdigit() and fields[3].isdigit() and int(fields[2]) > _longest(int(fields[3])) and fields[4] == "*":
        return f"month {fields[3]} has no day {fields[2]}: this never comes"
    return None


def _part_problem(part: str, low: int, high: int, words: dict[str, int]) -> str | None:
    found = _PART.fullmatch(part)
    if found is None:
        return "not a number, range, list or step"
    if found[4] is not None and (int(found[4]) == 0 or (found[3] is None and found[1] is None)):
        return "a step is a positive number after * or a range"
    if found[1]:
        return None
    bounds = [_number(word, words) for word in (found[2], found[3]) if word is not None]
    if any(value is None or not low <= value <= high for value in bounds):
        return f"allowed are {low}..{high}" + (f" and {', '.join(words)}" if words else "")
    first, last = bounds[0], bounds[-1]
    return "the range runs backwards" if first is not None and last is not None and first > last else None


def _number(word: str, words: dict[str, int]) -> int | None:
    if word.isascii() and word.isdigit() and len(word) <= 2:
        return int(word)
    return words.get(word.upper())


def _longest(month: int) -> int:
    return {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}.get(month, 31)
