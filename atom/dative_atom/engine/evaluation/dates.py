"""date() and timestamp(): texts read with declared formats, the format chosen by the value's shape.

Measured on 1,000,000 values (engine/README.md): try_strptime with one constant format is as cheap with bad rows as
without, so each value meets only the formats whose shape it has. A shape is checked first because strptime alone reads
"01/02/24" with %Y as the year 24.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from dative_atom.engine.evaluation.database import literal

# How many characters a directive may take: (regular expression, LIKE pattern of its padded form).
_DIRECTIVES: Final = {
    "Y": ("[0-9]{4}", "____"),
    "y": ("[0-9]{2}", "__"),
    **dict.fromkeys("mdHIMSj", ("[0-9]{1,2}", "__")),
    "j": ("[0-9]{1,3}", "___"),
    "f": ("[0-9]{1,6}", ""),
    "p": ("[AaPp][Mm]", "__"),
    "b": ("[A-Za-z]{3}", "___"),
    "B": ("[A-Za-z]{3,9}", ""),
    "a": ("[A-Za-z]{3}", "___"),
    "A": ("[A-Za-z]{6,9}", ""),
    "z": ("[+-][0-9]{2}:?[0-9]{2}|Z", ""),
    "Z": ("[A-Za-z_/+-]+", ""),
    "%": ("%", r"\%"),
}


def parsed(text: str, formats: Sequence[str], target: str) -> str:
    """SQL that reads `text` (SQL, a string) with the first format that fits, null when none does.

    target: DATE or TIMESTAMP. Formats of one shape are tried in the order in which they are declared.
    """
    # A padded text is recognised by LIKE, five times cheaper than by the expression. LIKE alone is too generous, so
    # what it finds and strptime refuses goes on to the exact shapes. strptime would skip a leading blank.
    padded = [
        f"WHEN {text} LIKE {literal(like)} ESCAPE '\\' AND {text} NOT LIKE ' %' THEN {_tried(text, group)}"
        for like, group in _grouped(formats, like_of).items()
        if like
    ]
    exact = [
        f"WHEN regexp_full_match({text}, {literal(shape)}) THEN {_tried(text, group)}"
        for shape, group in _grouped(formats, shape_of).items()
    ]
    cases = [f"CASE {' '.join(arms)} END" for arms in (padded, exact) if arms]
    return f"CAST(coalesce({', '.join(cases)}) AS {target})"


def shape_of(format_: str) -> str:
    """The regular expression of the texts that a format may read."""
    return "".join(
        f"(?:{_DIRECTIVES[part[-1]][0]})" if part[0] == "%" and part[-1] in _DIRECTIVES else re.escape(part)
        for part in _parts(format_)
    )


def like_of(format_: str) -> str:
    """The LIKE pattern of a format's padded texts, "" where it has none of fixed length."""
    pattern = ""
    for part in _parts(format_):
        if part[0] == "%":
            piece = _DIRECTIVES.get(part[1:], ("", ""))[1]
            if not piece:
                return ""
            pattern += piece
        else:
            pattern += part.replace("\\", r"\\").replace("_", r"\_")
    return pattern


def _parts(format_: str) -> list[str]:
    return re.findall(r"%-?.|[^%]", format_, re.DOTALL)


def _grouped(formats: Sequence[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for format_ in formats:
        groups.setdefault(key(format_), []).append(format_)
    return groups


def _tried(text: str, formats: Sequence[str]) -> str:
    tries = [f"try_strptime({text}, {literal(format_)})" for format_ in formats]
    return tries[0] if len(tries) == 1 else f"coalesce({', '.join(tries)})"


_FOLDS_MIN: Final = (60, 30, 120, 20, 40, 90)
"""How far clocks were ever set back, the usual first. Source: IANA tz database."""


def instant(local: str, zone: str, gap: str, fold: str) -> str:
    """SQL of the instant at which the clocks of a zone show `local` (SQL, a timestamp without zone).

    gap: "error" gives null for a time that a clock change skipped, "shift" moves it on by what was skipped. fold: of
    the two instants of a time that came twice the "later" or "earlier" one, or null for "error".
    """
    at = literal(zone)
    later = f"timezone({at}, {local})"
    chosen = later
    if fold != "later":
        before = [f"{later} - INTERVAL {minutes} MINUTE" for minutes in _FOLDS_MIN]
        same = [f"timezone({at}, {earlier}) = {local}" for earlier in before]
        if fold == "error":
            chosen = f"CASE WHEN NOT ({' OR '.join(same)}) THEN {later} END"
        else:
            arms = " ".join(f"WHEN {equal} THEN {earlier}" for equal, earlier in zip(same, before, strict=True))
            chosen = f"CASE {arms} ELSE {later} END"
    # A time that was skipped does not come back from the zone as it went in.
    return chosen if gap == "shift" else f"CASE WHEN timezone({at}, {later}) = {local} THEN {chosen} END"
