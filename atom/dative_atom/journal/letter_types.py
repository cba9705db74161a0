"""Whether a JSON value fits the type that a source's profile gives a field: asked before an edit is stored.

Pure: values and types come in, words for a person go out. The types are those of `letters.Profile`; this file knows no
Arrow, because the agent, who asks, does not load it. What fits here is what `documents.json.from_json` can read.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from dative.errors import RejectDocument
from dative.errors.dead_letters import UNKNOWN_FIELD, WRONG_TYPE

_INTEGER = re.compile(r"\A(u?)int(8|16|32|64)\Z")
_DECIMAL = re.compile(r"\Adecimal\d*\((\d+), (-?\d+)\)\Z")
_DIGITS = re.compile(r"\A[+-]?[0-9]{1,40}\Z")


def check_fields(fields: Mapping[str, Any], payload: Mapping[str, Any], types: Mapping[str, Any] | None) -> None:
    """Refuse the first field that is unknown or whose value does not fit.

    types: of the source's profile; None where it is not known: then the payload's own values say what fits.
    Errors: dead_letters.unknown_field, dead_letters.wrong_type, with the field as `where`.
    """
    known = types if types is not None else {name: _shown(value) for name, value in payload.items()}
    for name, value in fields.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}" if near else f"it has {', '.join(sorted(known)[:20])}"
            raise RejectDocument(f"the source has no field {name!r}; {hint}", code=UNKNOWN_FIELD, where=name)
        wanted = mismatch(value, known[name])
        if wanted:
            raise RejectDocument(f"{name} takes {wanted}", code=WRONG_TYPE, where=name)


def mismatch(value: Any, type_: Any) -> str:
    """What would fit, in words; empty when the value does. null fits every type."""
    if value is None:
        return ""
    if isinstance(type_, Mapping):
        return _nested(value, type_)
    kind = str(type_)
    if found := _INTEGER.match(kind):
        return _integer(value, signed=not found[1], bits=int(found[2]))
    if found := _DECIMAL.match(kind):
        return _decimal(value, int(found[1]), int(found[2]))
    for start, reads, words in _SCALARS:
        if kind.startswith(start):
            return "" if reads(value) else words
    return ""


def _nested(value: Any, type_: Mapping[str, Any]) -> str:
    if "list" in type_:
        if not isinstance(value, list):
            return "a list"
        found = next((words for item in value if (words := mismatch(item, type_["list"]))), "")
        return f"a list; each of its values {found}" if found else ""
    fields: Mapping[str, Any] = type_.get("struct", {})
    if not isinstance(value, Mapping):
        return f"an object with {', '.join(fields)}"
    for name, item in value.items():
        if name not in fields:
            return f"an object with {', '.join(fields)}; {name!r} is none of them"
        if words := mismatch(item, fields[name]):
            return f"an object whose {name} is {words}"
    return ""


def _integer(value: Any, *, signed: bool, bits: int) -> str:
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    number = value
    if isinstance(value, str) and _DIGITS.match(value):
        number = int(value)
    fits = isinstance(number, int) and not isinstance(number, bool) and least <= number <= most
    return "" if fits else f"a whole number from {least} to {most}"


def _decimal(value: Any, precision: int, scale: int) -> str:
    words = f"a decimal number of at most {precision} digits, {scale} of them after the point"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return words
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return words
    if not number.is_finite():
        return words
    exponent = number.normalize().as_tuple().exponent
    fits = number.adjusted() < precision - scale or number == 0
    return "" if fits and isinstance(exponent, int) and -exponent <= scale else words


def _number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _boolean(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))


def _iso(read: Callable[[str], object]) -> Callable[[Any], bool]:
    def reads(value: Any) -> bool:
        try:
            return isinstance(value, str) and read(value) is not None
        except ValueError:
            return False

    return reads


def _base64(value: Any) -> bool:
    try:
        return isinstance(value, str) and base64.b64decode(value, validate=True) is not None
    except (binascii.Error, ValueError):
        return False


_SCALARS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("string", lambda value: isinstance(value, str), "a text"),
    ("large_string", lambda value: isinstance(value, str), "a text"),
    ("bool", _boolean, "true or false"),
    ("double", _number, "a number"),
    ("float", _number, "a number"),
    ("halffloat", _number, "a number"),
    ("timestamp", _iso(datetime.fromisoformat), "a moment like 2026-03-01T12:00:00Z"),
    ("date", _iso(date.fromisoformat), "a date like 2026-03-01"),
    ("time", _iso(time.fromisoformat), "a time like 12:00:00"),
    ("binary", _base64, "bytes in base64"),
    ("large_binary", _base64, "bytes in base64"),
    ("fixed_size_binary", _base64, "bytes in base64"),
    ("list", lambda value: isinstance(value, list), "a list"),
    ("struct", lambda value: isinstance(value, Mapping), "an object"),
)
"""By the start of the type's text; "timestamp" stands before "time"."""


def _shown(value: Any) -> str:
    """The type that a value shows; "" fits everything."""
    kinds = ((bool, "bool"), (int, "int64"), (float, "double"), (str, "string"), (list, "list"), (dict, "struct"))
    return next((kind for python, kind in kinds if isinstance(value, python)), "")
