"""Builds SOQL. Every value becomes a literal of its field's type here, and nowhere else.

Pure. Source: SOQL and SOSL Reference, "Quoted String Escape Sequences", "Date Formats and Date Literals in WHERE".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from urllib.parse import quote

from dative.errors.base import StopRun
from dative.errors.salesforce import BIND_INVALID, QUERY_TOO_LONG

from dative_atom.connectors.binds import Binds, bind_soql

URI_BYTES_MAX = 15_500
"""Salesforce's limit is 16,384 for address and headers together."""
_ESCAPES = {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_ESCAPED = re.compile("[\\\\'\"\n\r\t\b\f]")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$")
_COMPARED = re.compile(
    r"([A-Za-z][\w.]*)\s*(?:=|!=|<>|<=|>=|<|>|\bLIKE|\bNOT\s+IN\s*\([^)]*|\bIN\s*\([^)]*)\s*$", re.IGNORECASE
)
_NUMERIC_KINDS = frozenset({"int", "long", "double", "currency", "percent"})


def quoted(text: str) -> str:
    """A string literal that reads back as `text`."""
    return "'" + _ESCAPED.sub(lambda found: _ESCAPES[found[0]], text) + "'"


def datetime_literal(at: datetime) -> str:
    """UTC with milliseconds, rounded down: 2026-01-31T10:20:30.000Z. `at` is aware."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def literal(value: datetime | str, kind: str) -> str:
    """`value` as a literal for a field of Salesforce's type `kind`. StopRun salesforce.bind_invalid when it is none."""
    try:
        if kind == "datetime":
            return datetime_literal(_aware(value))
        if kind == "date":
            return (value.date() if isinstance(value, datetime) else date.fromisoformat(value)).isoformat()
        if kind == "time" and isinstance(value, str):
            return f"{time.fromisoformat(value):%H:%M:%S}.000Z"
        if kind in _NUMERIC_KINDS and isinstance(value, str) and _NUMBER.match(value):
            return value
        if kind == "boolean" and str(value).lower() in ("true", "false"):
            return str(value).lower()
    except ValueError as error:
        raise StopRun(f"a bind's value is no {kind}", code=BIND_INVALID) from error
    if kind in _NUMERIC_KINDS or kind in ("boolean", "time"):
        raise StopRun(f"a bind's value is no {kind}", code=BIND_INVALID)
    return datetime_literal(value) if isinstance(value, datetime) else quoted(value)


def _aware(value: datetime | str) -> datetime:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at


def bound_where(where: str, binds: Binds, kind_of: Callable[[str], str]) -> str:
    """The condition with its binds as literals. kind_of: Salesforce's type of the field that a bind is compared with."""

    def write(value: datetime | str, at: int) -> str:
        compared = _COMPARED.search(where[:at])
        kind = kind_of(compared[1]) if compared else ("datetime" if isinstance(value, datetime) else "string")
        return literal(value, kind)

    return bind_soql(where, binds, write)


@dataclass(frozen=True)
class Keyset:
    """Just behind a row: (time, Id) for an incremental read, Id alone for a full one."""

    at: datetime | None
    record_id: str


@dataclass(frozen=True)
class Window:
    """[lower, upper) of the cursor field; lower None has no beginning."""

    lower: datetime | None
    upper: datetime


@dataclass(frozen=True)
class Query:
    """A query whose fixed parts are known; `text` writes it for a window, from behind a row."""

    object: str
    paths: tuple[str, ...]
    where: str
    cursor: str | None
    order: tuple[str, ...] = ()

    def text(self, window: Window | None, after: Keyset | None) -> str:
        """The SOQL. Ordered by (cursor, Id), or Id: a resume needs a row, never a locator. StopRun when it is too long."""
        order = self.order or ((self.cursor, "Id") if self.cursor else ("Id",))
        return self._bounded(f"SELECT {', '.join(self.paths)}", window, after, f" ORDER BY {', '.join(order)}")

    def count(self, window: Window | None, after: Keyset | None) -> str:
        """How many `text` would give."""
        return self._bounded("SELECT COUNT()", window, after, "")

    def outermost(self, window: Window | None, after: Keyset | None, field: str, *, last: bool) -> str:
        """The least value of a field in what `text` would give, or the greatest."""
        return self._bounded(f"SELECT {field}", window, after, f" ORDER BY {field}{' DESC' if last else ''} LIMIT 1")

    def narrowed(self, field: str, after: datetime | None, upto: datetime | None) -> Query:
        """The same of records whose time lies behind `after`, up to `upto`; None: no bound there."""
        conditions = [f"({self.where})"] if self.where.strip() else []
        conditions += [f"{field} > {datetime_literal(after)}"] if after is not None else []
        conditions += [f"{field} <= {datetime_literal(upto)}"] if upto is not None else []
        return replace(self, where=" AND ".join(conditions))

    def _bounded(self, selected: str, window: Window | None, after: Keyset | None, behind: str) -> str:
        conditions = [f"({self.where})"] if self.where.strip() else []
        if window is not None and self.cursor is not None:
            if window.lower is not None:
                conditions.append(f"{self.cursor} >= {datetime_literal(window.lower)}")
            conditions.append(f"{self.cursor} < {datetime_literal(window.upper)}")
        if after is not None:
            conditions.append(self._behind(after))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        text = f"{selected} FROM {self.object}{where}{behind}"
        if len(quote(text)) > URI_BYTES_MAX:
            raise StopRun(
                f"the query on {self.object} takes {len(quote(text))} bytes of an address", code=QUERY_TOO_LONG
            )
        return text

    def _behind(self, after: Keyset) -> str:
        record_id = quoted(after.record_id)
        if self.cursor is None or after.at is None:
            return f"Id > {record_id}"
        at = datetime_literal(after.at)
        return f"({self.cursor} > {at} OR ({self.cursor} = {at} AND Id > {record_id}))"
