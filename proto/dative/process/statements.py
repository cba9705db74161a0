"""Reads one SQL statement of a process as a lexer does: what it is, where its named values stand, what it must not hold.

Both sides read a statement here: the validator to find what is wrong before anything runs, the connector to put the
database's own parameters in the places of the names. No value ever comes near this text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from dative.errors import statements as codes
from dative.errors.base import Code

Per = Literal["document", "batch"]
DOCUMENTS: Final = "documents"
"""`:documents` is the batch as a relation, in a statement that runs once for all of them."""
STATEMENTS: Final = ("INSERT", "UPDATE", "DELETE", "MERGE", "SELECT", "WITH", "CALL", "REPLACE")
_DDL: Final = ("CREATE", "ALTER", "DROP", "TRUNCATE", "COMMENT", "GRANT", "REVOKE", "REINDEX", "CLUSTER", "REFRESH")
_CONTROL: Final = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "SET")
_INTO_AFTER: Final = ("INSERT", "MERGE", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK")
"""Words before an INTO that writes rows; every other INTO makes a table."""

# In PostgreSQL a backslash escapes inside of E'…' alone. Everything that is quoted or a comment is one token.
_TOKEN = re.compile(
    r"""(?P<quoted>[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
      | (?P<comment>--[^\n]*|/\*.*?\*/) | (?P<cast>::)
      | :(?P<name>[^\W\d]\w*) | (?P<word>[^\W\d][\w$]*) | (?P<end>;)
      | (?P<open>'|"|/\*|\$(?:[^\W\d]\w*)?\$) | (?P<space>\s+) | (?P<other>.)""",
    re.S | re.X,
)


class StatementError(Exception):
    """What is wrong with a statement. at: characters into its text."""

    def __init__(self, code: Code, message: str, at: int = 0) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


@dataclass(frozen=True)
class Statement:
    """parts: the text between the names; names: between them, so one fewer. kind: its first word, in capitals."""

    kind: str
    parts: Sequence[str]
    names: Sequence[str]
    places: Sequence[int]

    def written(self, write: Callable[[str], str]) -> str:
        """The text with every name as `write` says."""
        texts = [self.parts[0]]
        for name, part in zip(self.names, self.parts[1:], strict=True):
            texts += [write(name), part]
        return "".join(texts)


def read_statement(sql: str, per: Per) -> Statement:
    """One statement that changes or asks, and nothing else. Raises StatementError."""
    found = [match for match in _TOKEN.finditer(sql) if match.lastgroup not in ("space", "comment")]
    _closed(sql, found)
    words = [match for match in found if match["word"]]
    if not found or not words or found[0] is not words[0]:
        raise StatementError(codes.NOT_ALLOWED, f"a statement begins with one of {', '.join(STATEMENTS)}")
    kind = words[0]["word"].upper()
    _allowed(kind, words)
    names = [match for match in found if match["name"]]
    if per == "batch":
        _of_a_batch(sql, names)
    ends = [found[-1].start()] if found[-1]["end"] else [len(sql)]
    starts = [0, *(match.end() for match in names)]
    stops = [*(match.start() for match in names), *ends]
    parts = [sql[start:stop] for start, stop in zip(starts, stops, strict=True)]
    return Statement(kind, parts, [match["name"] for match in names], [match.start() for match in names])


def _closed(sql: str, found: Sequence[re.Match[str]]) -> None:
    """Nothing that PostgreSQL and SQLite would end at different places, and one statement alone."""
    if "\0" in sql:
        raise StatementError(codes.UNREADABLE, "a statement holds no NUL character", sql.index("\0"))
    for match in _TOKEN.finditer(sql):
        if match["comment"] and "/*" in match["comment"][2:] and match["comment"].startswith("/*"):
            raise StatementError(
                codes.UNREADABLE, "a comment inside of a comment ends where nobody can say", match.start()
            )
        if match["open"]:
            raise StatementError(codes.UNREADABLE, f"{match['open']} is never closed", match.start())
    for match in found[:-1]:
        if match["end"]:
            raise StatementError(codes.SEVERAL, "one statement and no more", match.start())


def _allowed(kind: str, words: Sequence[re.Match[str]]) -> None:
    at = words[0].start()
    if kind in _CONTROL:
        raise StatementError(codes.TRANSACTION, f"{kind} belongs to the batch's own transaction", at)
    if kind in _DDL:
        raise StatementError(codes.DDL, f"{kind} changes what the database is, not what is in it", at)
    if kind not in STATEMENTS:
        raise StatementError(codes.NOT_ALLOWED, f"{kind} is none of {', '.join(STATEMENTS)}", at)
    if kind not in ("SELECT", "WITH"):
        return
    for before, word in pairwise(words):
        if word["word"].upper() == "INTO" and before["word"].upper() not in _INTO_AFTER:
            raise StatementError(codes.DDL, "SELECT … INTO makes a table", word.start())


def _of_a_batch(sql: str, names: Sequence[re.Match[str]]) -> None:
    """Only `:documents AS name` is bound: what belongs to one document is a column of it."""
    for match in names:
        if match["name"] != DOCUMENTS:
            message = f":{match['name']} is of one document; here it is a column of :{DOCUMENTS}"
            raise StatementError(codes.BIND, message, match.start())
        if not re.match(r"\s+AS\s+[^\W\d]", sql[match.end() :], re.I):
            raise StatementError(codes.BIND, f"write :{DOCUMENTS} AS a name", match.start())
    if not names:
        raise StatementError(codes.BIND, f"the statement does not name :{DOCUMENTS}")
