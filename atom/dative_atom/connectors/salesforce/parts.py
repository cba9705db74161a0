"""Parts of a read: ranges of Ids, found by halving the widest with COUNT() queries.

A record belongs to a part by its Id alone, so one that changes while parts are read stays with one part. Ids of an object
rise as records are made, in base 62, but not evenly: bulk loads and other pods leave gaps; so ranges are halved where the
records are, until no range holds much more than its share or as many queries are spent as may be.
Source: Bulk API Developer Guide, "Use PK Chunking to Extract Large Data Sets from Salesforce", for the order of Ids.
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
ID_LENGTH = 15
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Part:
    """Records with Ids behind `after` up to `upto`; empty: no bound there.

    window, at: of an incremental read, and the record behind which the whole read stands in it. again: records of it may
    have been delivered by an execution before.
    """

    object: str
    after: str
    upto: str
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
                "after": self.after,
                "upto": self.upto,
                "lower": datetime_literal(window.lower) if window and window.lower else None,
                "upper": datetime_literal(window.upper) if window else None,
                "at": [datetime_literal(at.at), at.record_id] if at and at.at else None,
                "again": self.again,
            }
        )


def read_back(body: bytes, object_name: str) -> Part:
    """StopRun connector.position_unreadable for a part of another read."""
    try:
        part: dict[str, Any] = json.loads(body)
        if (part["v"], part["object"]) == (VERSION, object_name):
            lower, upper, at = part["lower"], part["upper"], part["at"]
            window = (
                Window(datetime.fromisoformat(lower) if lower else None, datetime.fromisoformat(upper or ""))
                if upper
                else None
            )
            stands = Keyset(datetime.fromisoformat(at[0]), str(at[1])) if at else None
            return Part(object_name, str(part["after"]), str(part["upto"]), window, stands, bool(part["again"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StopRun(f"a part is not one of this read of {object_name}", code=POSITION_UNREADABLE) from error
    raise StopRun(f"a part is one of another read than that of {object_name}", code=POSITION_UNREADABLE)


def number_of(record_id: str) -> int:
    """The first 15 characters of an Id as a number that sorts as Ids do. ValueError for what is no Id."""
    number = 0
    for character in record_id[:ID_LENGTH]:
        number = number * 62 + _DIGITS.index(character)
    return number


def id_of(number: int) -> str:
    """The 15-character Id of a number."""
    text = ""
    for _ in range(ID_LENGTH):
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return text


def bounds(first: str, last: str, rows: int, parts_max: int, count: Callable[[str, str], int]) -> list[str]:
    """Ids at which records divide into at most parts_max ranges of about equal count, rising; empty where they do not.

    first, last: the least and the greatest Id there is; rows: how many there are. count: how many lie behind one Id, up to
    another; asked at most COUNTS_MAX times.
    """
    share = rows / parts_max
    # Widest first; what lies in (low, high] is counted once, and its other half by difference.
    heap = [(-rows, number_of(first) - 1, number_of(last))]
    for _ in range(min(COUNTS_MAX, 4 * parts_max)):
        held, low, high = heap[0]
        if -held <= share / 2 or high - low < 2:
            break
        middle = (low + high) // 2
        below = min(count(id_of(low), id_of(middle)), -held)
        heapq.heapreplace(heap, (-below, low, middle))
        heapq.heappush(heap, (held + below, middle, high))
    passed, found = 0, list[str]()
    for held, _, high in sorted(heap, key=lambda piece: piece[1])[:-1]:
        passed -= held
        if passed >= share * (len(found) + 1) * 0.999 and passed < rows:
            found.append(id_of(high))
    return found[: parts_max - 1]
