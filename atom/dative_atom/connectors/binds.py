"""Finds :binds in a condition that a person wrote, outside of its strings and comments, and puts values in their place.

How a value is written is the dialect's business: SOQL quotes by the field's type, SQL by its own rules. A bind's value
never becomes part of the language around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from dative.errors.base import StopRun
from dative.errors.connector import BIND_MISSING

_SOQL = re.compile(r"(?P<skip>'(?:\\.|[^'\\])*')|:(?P<bind>[A-Za-z_]\w*)", re.S)
# Strings, quoted names, dollar quotes, both kinds of comments and casts are passed over.
_SQL = re.compile(
    r"(?P<skip>'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|--[^\n]*|/\*.*?\*/|::)"
    r"|(?<![\w:]):(?P<bind>[A-Za-z_]\w*)",
    re.S,
)
Binds = Mapping[str, datetime | str | Sequence[str]]
"""Values by name; a list is written as its values with commas between, NULL where there is none."""
Write = Callable[[datetime | str, int], str]
"""Writes a bind's value as a literal; the number is where the bind stands in the text, for a writer that looks around."""


def bind_soql(text: str, binds: Binds, write: Write) -> str:
    """`text` with every bind written by `write`. StopRun connector.bind_missing for one that there is not."""
    return _bound(_SOQL, text, binds, write)


def bind_sql(text: str, binds: Binds, write: Write) -> str:
    """As `bind_soql`, for SQL."""
    return _bound(_SQL, text, binds, write)


def _bound(pattern: re.Pattern[str], text: str, binds: Binds, write: Write) -> str:
    def replace(found: re.Match[str]) -> str:
        name = found["bind"]
        if name is None:
            return found[0]
        if name not in binds:
            there = ", ".join(f":{known}" for known in sorted(binds)) or "none"
            raise StopRun(f":{name} has no value in this execution; there are {there}", code=BIND_MISSING)
        value = binds[name]
        if isinstance(value, datetime | str):
            return write(value, found.start())
        return ", ".join(write(item, found.start()) for item in value) or "NULL"

    return pattern.sub(replace, text)
