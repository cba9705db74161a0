"""Parts of a read: ranges of CreatedDate, found by halving the fullest with COUNT() queries.

A record's CreatedDate never changes, so one that changes while parts are read stays with one part. Times have one order
everywhere; of Ids nobody says in which order of upper and lower case an org compares them, and parts could overlap.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dative.bundle.canonical import canonical_json
from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE

from dative_atom.connectors.salesforce.soql import Keyset, Window, datetime_literal

VERSION = 1
COUNTS_MAX = 64
"""COUNT() queries of one division, each an API call. At the bound parts are fewer, or less equal."""
CREATED = "CreatedDate"


@dataclass(frozen=True)
class Part:
    """Records made after `after`, up to `upto`; None: no bound there.

    window, at: of an incremental read, and the record behind which the whole read stands in it. again: records of it may
    have been delivered by an execution before.
    """

    object: str
    after: datetime | None
    upto: datetime | None
    window: Window | None
    at: Keyset | None
    again: bool

    def written(self) -> bytes:
        """Canonical JSON."""
        window, at = self.window, self.at
        return canonical_json(
            {
                "v": VERSION,
                "object": self.object,
                "after": _text(self.after),
                "upto": _text(self.upto),
                "lower": _text(window.lower if window else None),
                "upper": _text(window.upper if window else None),
                "at": [datetime_literal(at.at), at.record_id] if at and at.at else None,
                "again": self.again,
            }
        )


def read_back(body: bytes, object_name: str) -> Part:
    """StopRun connector.position_unreadable for a part of another read."""
    try:
        part: dict[str, Any] = json.loads(body)
        if (part["v"], part["object"]) == (VERSION, object_name):
            after, upto, lower, upper = (_time(part[name]) for name in ("after", "upto", "lower", "upper"))
            window = Window(lower, upper) if upper is not None else None
            at = Keyset(datetime.fromisoformat(part["at"][0]), str(part["at"][1])) if part["at"] else None
            return Part(object_name, after, upto, window, at, bool(part["again"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StopRun(f"a part is not one of this read of {object_name}", code=POSITION_UNREADABLE) from error
    raise StopRun(f"a part is one of another read than that of {object_name}", code=POSITION_UNREADABLE)


def _text(at: datetime | None) -> str | None:
    return datetime_literal(at) if at is not None else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def bounds(first: int, last: int, rows: int, parts_max: int, count: Callable[[int, int], int]) -> list[int]:
    """Places at which records divide into at most parts_max ranges of about equal count, rising; empty where they do not.

    first, last: the least and the greatest place there is; rows: how many records there are. count: how many lie behind
    one place, up to another; asked at most COUNTS_MAX times. What has one place is never cut.
    """
    share = rows / parts_max
    # Fullest first; what lies in (low, middle] is counted, and what is behind it known by difference.
    heap = [(-rows, first - 1, last)]
    halves: list[tuple[int, int, int]] = []
    asked = 0
    while heap and asked < min(COUNTS_MAX, 4 * parts_max) and -heap[0][0] > share / 2:
        held, low, high = heapq.heappop(heap)
        if high - low < 2:
            halves.append((held, low, high))
            continue
        middle = (low + high) // 2
        below, asked = min(count(low, middle), -held), asked + 1
        heapq.heappush(heap, (-below, low, middle))
        heapq.heappush(heap, (held + below, middle, high))
    passed = before = 0
    found: list[int] = []
    for held, _, high in sorted([*heap, *halves], key=lambda piece: piece[1])[:-1]:
        passed -= held
        # A bound that leaves nothing before or behind it makes no part.
        if share * (len(found) + 1) <= passed < rows and passed > before:
            found.append(high)
            before = passed
    return found[: parts_max - 1]
