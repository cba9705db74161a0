"""A finding: what is wrong where, and what helps; and the source map that knows where.

Everything that reads a process file reports through a `Report`, so that all findings come out at once, in file order.
This file knows nothing of YAML or of the model.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from dative.errors.base import Code

Path = tuple[str | int, ...]
"""Where a value stands: keys and list indexes from the root, ("spec", "steps", 0, "map", "fields", "phone")."""

FINDINGS_MAX = 200
"""At the bound further findings are dropped: nobody corrects two hundred at once."""


@dataclass(frozen=True, slots=True)
class Position:
    """line, column: both from 1. inside: column distance to the first character of the text itself, None in blocks."""

    line: int
    column: int
    inside: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to correct. `next` is the next step; `path` the place in the document, for editors."""

    severity: Literal["error", "warning"]
    code: Code
    message: str
    file: str
    line: int
    column: int
    next: str
    path: Path = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} ({self.code.name})"


@dataclass
class SourceMap:
    """Positions of every value and of every key of one file."""

    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)

    def value(self, path: Path) -> Position:
        """Where the value at `path` begins; the nearest enclosing value when there is none (a missing key)."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position(1, 1))

    def key(self, path: Path) -> Position:
        """Where the key at the end of `path` stands; for a list item, where the item begins."""
        return self.keys.get(path) or self.value(path)


@dataclass
class Report:
    """Collects findings of one file."""

    file: str
    source_map: SourceMap = field(default_factory=SourceMap)
    findings: list[Finding] = field(default_factory=list)

    def at(self, code: Code, message: str, position: Position, *, path: Path = (), next_step: str = "") -> None:
        """An error at a position of the text."""
        self._add(
            Finding("error", code, message, self.file, position.line, position.column, next_step or code.next, path)
        )

    def key(self, code: Code, message: str, path: Path, *, next_step: str = "") -> None:
        """An error about the key at `path`."""
        self.at(code, message, self.source_map.key(path), path=path, next_step=next_step)

    def value(self, code: Code, message: str, path: Path, *, offset: int | None = None, next_step: str = "") -> None:
        """An error about the value at `path`. offset: characters into a one-line text, 0 for its first."""
        position = self.source_map.value(path)
        if offset is not None and position.inside is not None:
            position = Position(position.line, position.column + position.inside + offset)
        self.at(code, message, position, path=path, next_step=next_step)

    def warn(self, code: Code, message: str, path: Path, *, next_step: str = "") -> None:
        """Something that is allowed and probably not meant."""
        position = self.source_map.key(path)
        self._add(
            Finding("warning", code, message, self.file, position.line, position.column, next_step or code.next, path)
        )

    def _add(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_MAX and finding not in self.findings:
            self.findings.append(finding)

    @property
    def failed(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def in_file_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by place, errors before warnings at one place."""
    return sorted(findings, key=lambda found: (found.line, found.column, found.severity, found.code.name))


def nearest(name: str, known: Iterable[str]) -> str:
    """', did you mean "x"?' or the names there are, or nothing when there are too many to say."""
    names = sorted(known)
    # Long names are refused for their length alone: difflib is quadratic.
    close = difflib.get_close_matches(name[:64], names, n=1, cutoff=0.6) or [
        other for other in names if other.lower() == name.lower()
    ]
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""
