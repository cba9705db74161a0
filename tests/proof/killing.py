"""Which passages of which boundaries a proof kills at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dative_atom.engine.failpoints import BY_CHANCE


def kills(passed: Mapping[str, int], *, every_passage: bool) -> Iterator[str]:
    """As DATIVE_FAILPOINT takes them. every_passage: each one; else each boundary once, in the middle of the run."""
    for name, times in passed.items():
        if name in BY_CHANCE:
            yield name
        elif every_passage:
            yield from (f"{name}:{number}" for number in range(1, times + 1))
        else:
            yield f"{name}:{(times + 1) // 2}"
