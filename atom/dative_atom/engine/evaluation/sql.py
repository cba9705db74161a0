"""How names and texts are written in SQL."""

from __future__ import annotations


def quoted(identifier: str) -> str:
    """The identifier as DuckDB takes it literally."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
