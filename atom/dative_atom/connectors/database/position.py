"""Where a database read stands, as it is saved. Values are the database's own text for them, exact in both directions.

Incremental: {"v", "source", "upper", "lower", "next", "at": [field, key…], "done"}; `lower` of a finished window is that of
the one to come, so it is what :watermark means either way. Full: {"v", "source", "execution", "at", "done"}; only the same
execution goes on from it, another one starts over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE

from dative_atom.connectors.base import Position

VERSION = 1


@dataclass(frozen=True)
class Standing:
    """at: the last row's field and key; lower, upper: its window's bounds; done: the window, or the table, was finished.

    following: where the next window begins. It is fixed when a window begins, and kept through its resumes: rows that a
    later snapshot shows behind `at` lie in the next window.
    """

    at: tuple[str, ...] = ()
    lower: str | None = None
    upper: str | None = None
    following: str | None = None
    done: bool = False


def saved(source: str, stands: Standing, execution_id: str | None = None) -> Position:
    """execution_id: of a full read, which no other execution goes on from."""
    position: dict[str, Any] = {"v": VERSION, "source": source, "at": list(stands.at), "done": stands.done}
    if execution_id is not None:
        return {**position, "execution": execution_id}
    return {**position, "lower": stands.lower, "upper": stands.upper, "next": stands.following}


def standing(position: Position | None, source: str, execution_id: str, *, incremental: bool) -> Standing:
    """Reads a saved position. StopRun connector.position_unreadable for one of another operation."""
    if position is None:
        return Standing()
    try:
        if (position["v"], position["source"]) == (VERSION, source):
            at, done = tuple(str(part) for part in position["at"]), bool(position["done"])
            if incremental:
                return Standing(at, position["lower"], position["upper"], position.get("next"), done)
            return Standing(at, done=done) if position["execution"] == execution_id else Standing()
    except (KeyError, TypeError) as error:
        raise StopRun(f"the saved position is not one of this read of {source}", code=POSITION_UNREADABLE) from error
    raise StopRun(f"the saved position is one of another read than that of {source}", code=POSITION_UNREADABLE)
