"""Where the rows of lookups come from: the journal, a CSV, a system that the environment binds, or patterns.

All answer the same question, once for a batch: these keys, that column. `Router` sends it to whoever has the table, so
that a lookup does not know where its rows are.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes

from dative_atom.journal.contract import LinkRows

KEY_SEPARATOR: Final = "\x1f"
"""Between the values of a key of several columns."""
HELD_ROWS_MAX: Final = 100_000
PATTERNS_MAX: Final = 5_000
"""Rows of a table that is compared by pattern. At the bound the execution does not start."""
REMEMBERED_MAX: Final = 100_000
"""Keys whose answer a table of patterns remembers; at the bound it forgets all and goes on."""
KEYS_MAX: Final = 10_000
"""Keys of one question to a system."""

ReadRows = Callable[[str, str, Sequence[str] | None], pa.Table]
"""(connection, sql, keys) -> rows; keys: what `:keys` stands for, None where the sql asks for everything."""


class CrossReferences(Protocol):
    """The part of the journal that lookups need. column: one or several, whose values KEY_SEPARATOR joins to a key."""

    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]: ...
    def xref_rows(self, table: str) -> int: ...
    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]: ...
    def xref_load(self, rows: LinkRows) -> int: ...
    def xref_conflicts(self, rows: LinkRows) -> list[int]: ...
    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int: ...
    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]: ...


class Rows(Protocol):
    """The rows of one table."""

    def lookup(self, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]: ...
    def count(self) -> int: ...
    def all(self, column: Sequence[str], want: str) -> list[tuple[str, str]]: ...


@dataclass(frozen=True)
class HeldRows:
    """Rows in memory. columns: name -> values, all of one length. Of several rows of one key the last counts."""

    columns: Mapping[str, Sequence[str | None]]

    def lookup(self, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        wanted = set(keys)
        return {key: value for key, value in self.all(column, want) if key in wanted}

    def count(self) -> int:
        return max((len(values) for values in self.columns.values()), default=0)

    def all(self, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        rows = zip(*(self.columns[name] for name in (*column, want)), strict=True)
        return [(KEY_SEPARATOR.join(row[:-1]), row[-1]) for row in rows if None not in row]


@dataclass
class KeyedRows:
    """Rows that are asked for at a system, once for the keys of a batch."""

    name: str
    connection: str
    sql: str
    read: ReadRows

    def lookup(self, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for first in range(0, len(keys), KEYS_MAX):
            rows = self.read(self.connection, self.sql, keys[first : first + KEYS_MAX])
            columns = texts(rows, (*column, want), self.name)
            found.update(HeldRows(columns).all(column, want))
        wanted = set(keys)
        return {key: value for key, value in found.items() if key in wanted}

    def count(self) -> int:
        return HELD_ROWS_MAX + 1  # never held

    def all(self, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        asked = f"{', '.join(column)} and {want}"
        raise StopRun(f"table {self.name} is asked by key, never for all of {asked}", code=codes.TABLE_INVALID)


@dataclass
class PatternRows:
    """Rows whose keys are patterns: the answer is the most specific row that fits, and is remembered.

    Equal texts come first, then rows with more literal characters, then those that stand first. Patterns are compiled
    once; RE2 takes linear time whatever the pattern.
    """

    name: str
    kind: str
    read: Callable[[Sequence[str], str], list[tuple[str, str]]]
    _compiled: dict[tuple[str, str], tuple[dict[str, str], list[tuple[str, str]]]] = field(default_factory=dict)
    _known: dict[tuple[str, str], dict[str, str | None]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def lookup(self, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        asked = (column[0], want)
        with self._guard:
            if asked not in self._compiled:
                self._compiled[asked] = self._compile(column, want)
            known = self._known.setdefault(asked, {})
            new = [key for key in keys if key not in known]
            if len(known) + len(new) > REMEMBERED_MAX:
                known.clear()
                new = list(keys)
            known.update(self._matched(new, *self._compiled[asked]))
            return {key: value for key in keys if (value := known[key]) is not None}

    def count(self) -> int:
        return HELD_ROWS_MAX + 1  # joined by no equality: always asked

    def all(self, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        return self.read(column, want)

    def _compile(self, column: Sequence[str], want: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
        rows = self.read(column, want)
        if len(rows) > PATTERNS_MAX:
            raise StopRun(
                f"table {self.name} has {len(rows)} patterns, at most {PATTERNS_MAX} are compared",
                code=codes.TABLE_INVALID,
                where=self.name,
            )
        order = sorted(range(len(rows)), key=lambda index: (-literals(rows[index][0], self.kind), index))
        patterns = [(self._pattern(rows[index][0]), rows[index][1]) for index in order]
        return dict(reversed(rows)), patterns

    def _pattern(self, text: str) -> str:
        pattern = wildcard(text) if self.kind == "wildcard" else f"^(?:{text})$"
        try:
            pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            raise StopRun(
                f"table {self.name}: a row is no regular expression: {str(error).splitlines()[0][:120]}",
                code=codes.TABLE_INVALID,
                where=self.name,
            ) from error
        return pattern

    def _matched(
        self, keys: list[str], exact: Mapping[str, str], patterns: Sequence[tuple[str, str]]
    ) -> dict[str, str | None]:
        found: dict[str, str | None] = {key: exact.get(key) for key in keys}
        left = pa.array([key for key in keys if key not in exact], pa.string())
        for pattern, value in patterns:
            if not len(left):
                break
            fits = pc.match_substring_regex(left, pattern)
            found.update(dict.fromkeys(left.filter(fits).to_pylist(), value))
            left = left.filter(pc.invert(fits))
        return found


def wildcard(text: str) -> str:
    """The regular expression of a text in which * is any characters and ? is one."""
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return f"^{''.join(parts.get(part, re.escape(part)) for part in text)}$"


def literals(text: str, kind: str) -> int:
    """How many characters of a pattern stand for themselves: the more, the more specific it is."""
    if kind == "wildcard":
        return sum(character not in "*?" for character in text)
    plain = re.sub(r"\\[dDsSwWbBAzpPQE]|\[[^\]]*\]|\{[^}]*\}|\(\?[^)]*\)", "", text)
    return sum(character.isalnum() or character in " _-/@:," for character in plain)


@dataclass(frozen=True)
class Router:
    """`CrossReferences` in which some tables have rows of their own; the others are the journal's."""

    journal: CrossReferences
    own: Mapping[str, Rows]

    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        if table in self.own:
            return self.own[table].lookup(column, want, keys)
        return self.journal.xref_lookup(table, column, want, keys)

    def xref_rows(self, table: str) -> int:
        return self.own[table].count() if table in self.own else self.journal.xref_rows(table)

    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        return self.own[table].all(column, want) if table in self.own else self.journal.xref_all(table, column, want)

    def xref_load(self, rows: LinkRows) -> int:
        return self.journal.xref_load(rows)

    def xref_conflicts(self, rows: LinkRows) -> list[int]:
        return self.journal.xref_conflicts(rows)

    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int:
        return self.journal.sequence_take(sequence, count, start, step)

    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]:
        return self.journal.sequence_given(sequence, keys, start, step)


def texts(rows: pa.Table, columns: Sequence[str], name: str) -> dict[str, list[str | None]]:
    """Columns of a table as texts. StopRun engine.table_invalid names one that is not there."""
    found: dict[str, list[str | None]] = {}
    for column in columns:
        if column not in rows.schema.names:
            there = ", ".join(rows.schema.names[:20])
            raise StopRun(
                f"the rows of table {name} have no column {column}; there are {there}",
                code=codes.TABLE_INVALID,
                where=name,
            )
        found[column] = rows.column(column).cast(pa.string()).to_pylist()
    return found
