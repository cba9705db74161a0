"""Where a Salesforce read stands, as it is saved.

Incremental: {"v", "object", "upper", "lower"} when a window is finished, with "at": [time, Id] in the middle of one;
`lower` is where this window, or the next one, begins: what :watermark means.
Full: {"v", "object", "execution", "at": [Id]}, or "done"; only the same execution goes on from it, another starts over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE

from dative_atom.connectors.base import Position
from dative_atom.connectors.salesforce.soql import Keyset, Window, datetime_literal

VERSION = 1


@dataclass(frozen=True)
class Standing:
    """window: the one that was being read, or None when it is finished; upper: where the next one's overlap ends."""

    window: Window | None = None
    after: Keyset | None = None
    upper: datetime | None = None
    done: bool = False


def finished(object_name: str, upper: datetime, lower: datetime) -> Position:
    """lower: where the next window begins."""
    return {
        "v": VERSION,
        "object": object_name,
        "upper": datetime_literal(upper),
        "lower": datetime_literal(lower),
    }


def within(object_name: str, window: Window, after: Keyset) -> Position:
    if after.at is None:
        raise ValueError("a row of a window has a time")
    return {
        "v": VERSION,
        "object": object_name,
        "upper": datetime_literal(window.upper),
        "lower": datetime_literal(window.lower) if window.lower else None,
        "at": [datetime_literal(after.at), after.record_id],
    }


def full(object_name: str, execution_id: str, after: str | None, *, done: bool) -> Position:
    """after: the Id of the last row, None where the order allows no resume."""
    return {
        "v": VERSION,
        "object": object_name,
        "execution": execution_id,
        "at": [after] if after else [],
        "done": done,
    }


def standing(position: Position | None, object_name: str, execution_id: str, *, incremental: bool) -> Standing:
    """Reads a saved position. StopRun connector.position_unreadable for one of another operation."""
    if position is None:
        return Standing()
    try:
        _check_owner(position, object_name)
        return _incremental(position) if incremental else _full(position, execution_id)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise StopRun(
            f"the saved position is not one of this read of {object_name}", code=POSITION_UNREADABLE
        ) from error


def _check_owner(position: Position, object_name: str) -> None:
    if position["v"] != VERSION or position["object"] != object_name:
        raise ValueError("written by another version, or for another object")


def _incremental(position: Mapping[str, Any]) -> Standing:
    upper = datetime.fromisoformat(position["upper"])
    if "at" not in position:
        return Standing(upper=upper)
    lower = datetime.fromisoformat(position["lower"]) if position["lower"] else None
    at, record_id = position["at"]
    return Standing(Window(lower, upper), Keyset(datetime.fromisoformat(at), str(record_id)), upper)


def _full(position: Mapping[str, Any], execution_id: str) -> Standing:
    if position["execution"] != execution_id:
        return Standing()
    after = Keyset(None, str(position["at"][0])) if position["at"] else None
    return Standing(after=after, done=bool(position["done"]))
