"""The small texts of the language: names, durations, expressions, masks; each with its check and its JSON Schema.

Pydantic types for the models. This file knows no step and no SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from dative.process.datatypes import parse_type

STEP_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
PROCESS_NAME = r"^[a-z0-9][a-z0-9._-]{0,127}$"
FIELD_LENGTH_MAX = 128

Name = Annotated[str, Field(pattern=STEP_NAME)]
"""A step, connection, table, queue or parameter: lower case, digits, - and _."""

StepPath = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._:~-]{0,511}$")]
"""A step as reports name it: its id, `<call>.<step>` for a step of a called process, `<step>~2` for a second lane."""

ProcessName = Annotated[str, Field(pattern=PROCESS_NAME)]
FieldName = Annotated[str, Field(min_length=1, max_length=FIELD_LENGTH_MAX)]
"""A field of a document, as the system names it; relationships with dots: Owner.Name."""

FunctionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A function of the process' own; as SQL knows no case, in lower case."""

ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
EnvironmentName = Annotated[str, Field(pattern=PROCESS_NAME)]


def _checked_type(value: Any) -> str:
    parse_type(value if isinstance(value, str) else "")
    return str(value).strip()


TypeText = Annotated[str, BeforeValidator(_checked_type), WithJsonSchema({"type": "string", "maxLength": 20_000})]
"""A data type as profiles write it: text, decimal(18,2), list({sku: text, qty: integer})."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
DURATION_MAX = timedelta(days=3660)


def parse_duration(value: Any) -> timedelta:
    """ "500ms", "2s", "5m", "12h" or "30d". Raises ValueError for anything else and beyond ten years."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a number and a unit: 500ms, 2s, 5m, 12h, 30d")
    duration = timedelta(milliseconds=int(found[1]) * int(_UNITS[found[2]] * 1000))
    if duration > DURATION_MAX:
        raise ValueError("a duration is at most ten years")
    return duration


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same."""
    milliseconds = value // timedelta(milliseconds=1)
    for unit in ("d", "h", "m", "s"):
        size = int(_UNITS[unit] * 1000)
        if milliseconds % size == 0 and milliseconds:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]{1,9}(ms|s|m|h|d)$", "description": "500ms, 2s, 5m, 12h, 30d"}
    ),
]


def _as_sql(value: Any) -> Any:
    # YAML reads `5`, `true` and an empty value as what they are; in an expression they are SQL literals.
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


Sql = Annotated[
    str,
    BeforeValidator(_as_sql),
    WithJsonSchema({"type": ["string", "integer", "boolean", "null"], "description": "one SQL expression"}),
]
"""One scalar SQL expression over the fields of the document. Its meaning is checked by `expression`, not here."""

MaskKind = Literal[
    "drop", "redact", "hash", "token", "keep_first", "keep_last", "date_shift", "zip3", "year", "age"
]  # fmt: skip
KEYED_MASKS = frozenset(("hash", "token", "date_shift"))
"""Those that need the environment's mask key."""

_SUBJECT = r"""key\s*=>\s*(?:"([^"]{1,128})"|([A-Za-z_][A-Za-z0-9_.]{0,127}))"""
_MASK = re.compile(
    r"(drop|redact|hash|token|zip3|year|age)|(keep_first|keep_last)\(\s*([0-9]{1,4})\s*\)"
    rf"|date_shift\(\s*([0-9]{{1,4}})\s*(?:,\s*{_SUBJECT}\s*)?\)"
)
MASK_NUMBERS: dict[str, tuple[int, int]] = {"keep_first": (0, 64), "keep_last": (0, 64), "date_shift": (1, 3650)}
MASK_PATTERN = (
    r"^(drop|redact|hash|token|zip3|year|age|(keep_first|keep_last)\(\s*[0-9]{1,4}\s*\)"
    r"|date_shift\(\s*[0-9]{1,4}\s*(,\s*key\s*=>\s*(\"[^\"]{1,128}\"|[A-Za-z_][A-Za-z0-9_.]{0,127})\s*)?\))$"
)


@dataclass(frozen=True, slots=True)
class Mask:
    """What happens to a classified value.

    number: characters kept, or the most days a date is shifted; else 0. subject: the field whose value chooses the
    shift, so that all dates of one person move together; empty: each date by itself.
    """

    kind: MaskKind
    number: int = 0
    subject: str = ""

    @property
    def keyed(self) -> bool:
        return self.kind in KEYED_MASKS


def parse_mask(text: str) -> Mask:
    """A mask from its text, as the table in the reference lists them. Raises ValueError."""
    found = _MASK.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(
            "a mask is drop, redact, hash, token, keep_first(n), keep_last(n), date_shift(days), "
            "date_shift(days, key => field), zip3, year or age"
        )
    if found[1]:
        return Mask(found[1])  # type: ignore[arg-type]
    kind, digits = (found[2], found[3]) if found[2] else ("date_shift", found[4])
    number, (low, high) = int(digits), MASK_NUMBERS[kind]
    if not low <= number <= high:
        raise ValueError(f"{kind} takes a number of {low}..{high}")
    return Mask(kind, number, found[5] or found[6] or "")  # type: ignore[arg-type]


def _checked_mask(value: Any) -> str:
    parse_mask(value)
    return str(value).strip()


MaskText = Annotated[str, BeforeValidator(_checked_mask), WithJsonSchema({"type": "string", "pattern": MASK_PATTERN})]

_HASHED_KEY = re.compile(r"hash\(\s*(.+?)\s*\)")


@dataclass(frozen=True, slots=True)
class TrackedKey:
    """A field by which documents are found again. hashed: its value never leaves the atom, only a hash of it does."""

    field: str
    hashed: bool = False


def parse_tracked(text: str) -> TrackedKey:
    """ "Id" or "hash(Phone)". Raises ValueError."""
    found = _HASHED_KEY.fullmatch(text.strip()) if isinstance(text, str) else None
    key = TrackedKey(found[1], hashed=True) if found else TrackedKey(text)
    if not isinstance(text, str) or not 0 < len(key.field) <= FIELD_LENGTH_MAX:
        raise ValueError(f"a tracked key is a field of 1 to {FIELD_LENGTH_MAX} characters, or hash(field)")
    return key


def _checked_tracked(value: Any) -> str:
    key = parse_tracked(value)
    return f"hash({key.field})" if key.hashed else key.field


TrackedText = Annotated[
    str,
    BeforeValidator(_checked_tracked),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": FIELD_LENGTH_MAX + 6}),
]


@lru_cache(maxsize=1024)
def is_time_zone(name: str) -> bool:
    """Whether the IANA database knows a zone of this name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # A directory ("Europe"), a path, a text with a zero byte: each fails in its own way.
        return False
    return True
