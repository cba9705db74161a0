"""Data on stdout, in the form that was asked for. Talk never goes through here.

`-o table|json|jsonl|yaml|name`. JSON is a promise: `apiVersion`, `kind`, and `items` for lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from dative_controller.cli.plain import Plain

FORMATS = ("table", "json", "jsonl", "yaml", "name")
API_VERSION = "dative/v1"

Column = tuple[str, str | Callable[[Plain], object]]
"""Heading, and where the cell comes from: a dotted path into the item, or a function of it."""

_COLOURS = {
    "online": "green", "active": "green", "succeeded": "green", "written": "green", "ok": "green", "resolved": "green",
    "pending": "yellow", "partial": "yellow", "draining": "yellow", "waiting": "yellow", "running": "cyan",
    "failed": "red", "refused": "red", "rolled_back": "red", "dead_lettered": "red", "revoked": "red", "offline": "red",
    "quarantined": "red",
}  # fmt: skip


class Output:
    """format: one of FORMATS. columns: headings to keep, in that order; empty keeps all. headers: print them."""

    def __init__(self, format: str = "table", columns: Sequence[str] = (), headers: bool = True) -> None:  # noqa: A002
        self.format = format
        self._columns = tuple(columns)
        self._headers = headers

    def items(self, kind: str, items: Iterable[Plain], columns: Sequence[Column], *, name: str = "name") -> None:
        """A list. kind: of one item, "Environment"; name: the key that `-o name` prints."""
        found = list(items)
        if self.format == "json":
            click.echo(_json({"apiVersion": API_VERSION, "kind": f"{kind}List", "items": found}, indent=2))
        elif self.format == "jsonl":
            for item in found:
                click.echo(_json(item))
        elif self.format == "yaml":
            click.echo(_yaml({"apiVersion": API_VERSION, "kind": f"{kind}List", "items": found}), nl=False)
        elif self.format == "name":
            for item in found:
                click.echo(str(look_up(item, name)))
        else:
            self._table(found, columns)

    def item(self, kind: str, item: Plain, rows: Sequence[Column], *, name: str = "name") -> None:
        """One thing; as a table it is one line a fact."""
        whole = {"apiVersion": API_VERSION, "kind": kind, **item}
        if self.format == "json":
            click.echo(_json(whole, indent=2))
        elif self.format == "jsonl":
            click.echo(_json(whole))
        elif self.format == "yaml":
            click.echo(_yaml(whole), nl=False)
        elif self.format == "name":
            click.echo(str(look_up(item, name)))
        else:
            width = max(len(heading) for heading, _ in rows)
            for heading, cell in self._chosen(rows):
                text = _text(item, cell)
                if text:
                    click.echo(f"{click.style(heading.ljust(width), dim=True)}  {_coloured(text)}")

    @property
    def is_table(self) -> bool:
        return self.format == "table"

    def _chosen(self, columns: Sequence[Column]) -> list[Column]:
        if not self._columns:
            return list(columns)
        known = {heading.lower(): (heading, cell) for heading, cell in columns}
        missing = [wanted for wanted in self._columns if wanted.lower() not in known]
        if missing:
            raise click.UsageError(f"no column {missing[0]}; there are: {', '.join(known)}")
        return [known[wanted.lower()] for wanted in self._columns]

    def _table(self, items: Sequence[Plain], columns: Sequence[Column]) -> None:
        chosen = self._chosen(columns)
        rows = [[_text(item, cell) for _, cell in chosen] for item in items]
        heads = [heading for heading, _ in chosen]
        widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
        if self._headers and rows:
            click.echo(click.style(_line(heads, widths).rstrip(), bold=True))
        for row in rows:
            click.echo(_line(row, widths, colour=True).rstrip())


def look_up(item: Mapping[str, Any], path: str) -> object:
    """The value at a dotted path; None where the way ends."""
    value: object = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _line(cells: Sequence[str], widths: Sequence[int], *, colour: bool = False) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(_coloured(cell) if colour else cell for cell in padded)


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text.strip())
    return click.style(text, fg=colour) if colour else text


def _text(item: Plain, cell: str | Callable[[Plain], object]) -> str:
    value = look_up(item, cell) if isinstance(cell, str) else cell(item)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={shown}" for key, shown in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _yaml(value: object) -> str:
    import io

    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    text = io.StringIO()
    writer.dump(value, text)
    return text.getvalue()


def known(value: object) -> Callable[[Plain], object]:
    """A cell whose content is known already."""
    return lambda _: value


def moment(path: str) -> Callable[[Plain], str]:
    """A cell: an ISO moment shortened to seconds, "2026-03-01 12:00:00Z"."""

    def cell(item: Plain) -> str:
        value = look_up(item, path)
        return f"{str(value)[:10]} {str(value)[11:19]}Z" if value else ""

    return cell
