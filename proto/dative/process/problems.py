"""What is wrong with an expression, and where in its text."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dative.errors.base import Code


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an expression. offset: characters from its beginning, None for the whole."""

    code: Code
    message: str
    offset: int | None = None


def offset_of(node: exp.Expr) -> int | None:
    """Where a node begins in the text, as near as the parser kept it."""
    for inner in node.walk(bfs=False):
        start = inner.meta.get("start") if inner._meta else None
        if isinstance(start, int):
            return start
    return None


def field_name(column: exp.Column) -> str:
    """The field that a column node means: relationships are dotted, Owner.Name."""
    return ".".join(part.name for part in column.parts)


def literal_text(node: exp.Expr | None) -> str | None:
    """The text of a text literal, None for anything else."""
    return node.name if isinstance(node, exp.Literal) and node.is_string else None
