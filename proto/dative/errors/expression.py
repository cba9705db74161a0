"""Codes of the SQL expressions of a process: those of the validator first, then those of a run."""

from __future__ import annotations

from dative.errors.base import Code

_FUNCTIONS = "The functions are listed in the process language's reference, proto/dative/process/REFERENCE.md."


def _code(name: str, means: str, next_step: str) -> Code:
    return Code(f"expression.{name}", "INVALID_ARGUMENT", means, next_step)


SYNTAX = _code("syntax", "The expression is not SQL.", "Write one SQL expression, as it would stand in a SELECT list.")
TOO_LONG = _code("too_long", "The expression is longer than one may be.", "Compute parts of it in a map before.")
TOO_DEEP = _code("too_deep", "The expression is nested deeper than one may be.", "Compute parts of it in a map before.")
NOT_SCALAR = _code(
    "not_scalar",
    "An expression is one value of one document: no statement, no subquery, no aggregate, no window.",
    "Compute it from the document's own fields; look things up with xref().",
)
NOT_ALLOWED = _code("not_allowed", "The expression uses a part of SQL that is not in the language.", _FUNCTIONS)
UNKNOWN_FUNCTION = _code("unknown_function", "No function has this name.", _FUNCTIONS)
FORBIDDEN_FUNCTION = _code(
    "forbidden_function", "The function exists in the database, but not in this language.", _FUNCTIONS
)
WRONG_ARGUMENTS = _code("wrong_arguments", "The function is called with other arguments than it takes.", _FUNCTIONS)
WRONG_TYPE = _code(
    "wrong_type", "The types do not fit: this would fail for every document.", "Convert one side: CAST(… AS …)."
)
AMBIGUOUS_DATE = _code(
    "ambiguous_date",
    "A date is read without a format: 01/02/03 has six readings.",
    "Name the format: date(field, '%m/%d/%Y').",
)
UNBOUNDED = _code(
    "unbounded",
    "The result of this call could grow beyond all bounds.",
    "Write the length as a number within the bound that the message names.",
)
RECURSIVE = _code(
    "recursive",
    "A function of the process calls itself, on whatever way; it would never end.",
    "Write the expression without the call.",
)

# What a run finds in single documents; they take the catch path with the field and the reason.
CAST_FAILED = _code(
    "cast_failed", "A value can not be converted to the type that is asked for.", "Correct it at the source."
)
DATE_UNREADABLE = _code("date_unreadable", "A text fits none of the date formats.", "Correct it, or add its format.")
NUMBER_UNREADABLE = _code("number_unreadable", "A text is no decimal number.", "Correct it at the source.")
RATE_MISSING = _code(
    "rate_missing", "The rates table has no rate for this pair and date.", "Add it to the rates table."
)
LOOKUP_MISSING = _code(
    "lookup_missing", "The cross-reference table has no row for this key.", "Add it, or link it first."
)
EVALUATION_FAILED = _code(
    "evaluation_failed", "The expression fails for this document.", "Look at the reason it names."
)
