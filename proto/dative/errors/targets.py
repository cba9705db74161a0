"""Codes of what a target would refuse or lose, told before anything runs."""

from __future__ import annotations

from dative.errors.base import Code


def _code(name: str, means: str, next_step: str) -> Code:
    return Code(f"target.{name}", "INVALID_ARGUMENT", means, next_step)


REQUIRED_MISSING = _code(
    "required_missing", "The target needs a field that no step makes.", "Map the field, or give it a constant."
)
REQUIRED_NULL = _code(
    "required_null", "A field that the target needs would be NULL in every document.", "Map it: coalesce(…, a value)."
)
UNKNOWN_FIELD = _code(
    "unknown_field", "The target has no field of this name.", "Rename it in a map, or leave it out there."
)
WRONG_TYPE = _code(
    "wrong_type",
    "The target's field is of another type; every document would fail.",
    "Convert it in a map: CAST(… AS …).",
)
NESTED = _code(
    "nested", "The target's fields can not hold lists or structs.", "Unnest them before, or write them as JSON text."
)
LOSES_SCALE = _code(
    "loses_scale",
    "The target keeps fewer digits after the point; the rest would be rounded away.",
    "Say how: precision(field, digits, rounding => …).",
)
MAY_OVERFLOW = _code(
    "may_overflow",
    "The target keeps fewer digits before the point; a large number would be refused.",
    "Narrow it: CAST(… AS DECIMAL(…)) fails such a document with its reason before the target does.",
)
TOO_LONG = _code(
    "too_long",
    "The target's text is shorter than the source's; a long text would be refused.",
    "Cut it: left(field, n).",
)
LOSES_TIME = _code(
    "loses_time",
    "The target keeps the day of a timestamp only.",
    "Say of which zone: local_date(field, 'Europe/Paris').",
)
INEXACT = _code(
    "inexact",
    "A double is no exact number: what the target's decimal gets is rounded from it.",
    "Read the source as text or decimal, or say how it is rounded: precision(field, digits).",
)
UNREADABLE_TEXT = _code(
    "unreadable_text",
    "The target reads its value from a text; one that does not read so would be refused.",
    "Convert it in a map, where a bad one takes the catch path with its reason: CAST(… AS …), date(field, format).",
)
READ_ONLY = _code(
    "read_only", "The target lets nobody write this field; it fills it itself.", "Leave it out in a map before."
)
