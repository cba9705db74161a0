"""Parts of a read: ranges of the key, over one window or over everything.

A row belongs to a part by its key alone, so a row whose stamp moves while parts are read stays with one part, which reads
it in one snapshot as it would be read undivided: no part can deliver a row that another one delivers older or newer.
Bounds are every so-manieth key of what there is now, so parts have equal counts of rows; a key is never cut.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dative.bundle.canonical import canonical_json
from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE

from dative_atom.connectors.base import PART_ROWS_MIN
from dative_atom.connectors.database.position import Standing
from dative_atom.connectors.database.session import Session, literal, quoted, quoted_list

VERSION = 1
_NUMBER = "_dative_number_"


@dataclass(frozen=True)
class Part:
    """Rows behind `after` (all from the first, where empty) up to `upto` (to the last), by the columns `key`.

    order: what they are read in. window: of an incremental read, with the place at which the whole read stands; again:
    rows of it may have been delivered by an execution before.
    """

    source: str
    key: tuple[str, ...]
    order: tuple[str, ...]
    after: tuple[str, ...]
    upto: tuple[str, ...]
    window: Standing
    again: bool

    def written(self) -> bytes:
        """Canonical JSON."""
        window = self.window
        return canonical_json(
            {
                "v": VERSION,
                "source": self.source,
                "key": list(self.key),
                "order": list(self.order),
                "after": list(self.after),
                "upto": list(self.upto),
                "at": list(window.at),
                "lower": window.lower,
                "upper": window.upper,
                "next": window.following,
                "again": self.again,
            }
        )

    def conditions(self) -> list[str]:
        """SQL of its range."""
        return [
            f"({quoted_list(self.key)}) {compare} ({', '.join(literal(value) for value in bound)})"
            for compare, bound in ((">", self.after), ("<=", self.upto))
            if bound
        ]


def read_back(body: bytes, source: str) -> Part:
    """StopRun connector.position_unreadable for a part of another read."""
    try:
        part = json.loads(body)
        if (part["v"], part["source"]) == (VERSION, source):
            key, order, after, upto, at = (
                tuple(str(value) for value in part[name]) for name in ("key", "order", "after", "upto", "at")
            )
            window = Standing(at, part["lower"], part["upper"], part["next"])
            return Part(source, key, order, after, upto, window, bool(part["again"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StopRun(f"a part is not one of this read of {source}", code=POSITION_UNREADABLE) from error
    raise StopRun(f"a part is one of another read than that of {source}", code=POSITION_UNREADABLE)


@dataclass(frozen=True)
class Cut:
    """What there is. bounds: the keys at which it divides, rising; nulls: rows whose key has a NULL."""

    rows: int
    nulls: int = 0
    bounds: Sequence[tuple[str, ...]] = ()


def cut(session: Session, base: str, key: Sequence[str], conditions: Sequence[str], parts_max: int) -> Cut:
    """Divide the rows of `base` that meet the conditions into at most parts_max ranges of equal count, or into none."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows_from = f"FROM ({base}) AS q{where}"
    counts = ", ".join(f"count({quoted(name)})" for name in key)
    rows, *known = (int(count) for count in session.rows(f"SELECT count(*), {counts} {rows_from}", "SELECT count")[0])
    parts = min(parts_max, rows // PART_ROWS_MIN)
    if min(known) < rows or parts < 2:
        return Cut(rows, rows - min(known))
    step = -(-rows // parts)
    columns = quoted_list(key)
    texts = ", ".join(f"CAST({quoted(name)} AS text)" for name in key)
    found = session.rows(
        f"SELECT {texts} FROM (SELECT {columns}, row_number() OVER (ORDER BY {columns}) AS {_NUMBER} {rows_from}) AS n "
        f"WHERE {_NUMBER} % {step} = 0 OR {_NUMBER} = {rows} ORDER BY {_NUMBER}",
        "SELECT bounds",
    )
    keys = dict.fromkeys(tuple(str(value) for value in row) for row in found)
    # Behind the last key is nothing: a part there would be empty. Rows that were added since lie in the last part.
    return Cut(rows, 0, tuple(keys)[:-1])
