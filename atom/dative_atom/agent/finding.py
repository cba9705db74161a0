"""One finding of those who look at things for a person: `dative-atom doctor` and what it asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """fix: what helps, where something does."""

    name: str
    passed: bool
    detail: str
    fix: str = ""
