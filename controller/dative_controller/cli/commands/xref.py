"""`dative xref`: the cross-reference tables of an atom, through the controller; every call is audited."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App, command, env_option, yes_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column

if TYPE_CHECKING:
    from dative.v1.types_pb2 import XrefAnswer, XrefChange, XrefChanged

PIECE_ROWS = 2_000
PIECE_CHARACTERS = 90_000
"""Of one piece of an import: four bytes a character at most keep it below what an atom takes at once."""

atom_option = click.option("--atom", default="", help="Which atom; may be left out where the environment has one.")


@click.group(cls=NounGroup, name="xref")
def group() -> None:
    """Cross-reference tables: which record of one system is which of another."""


@command("list", of=group)
@env_option
@atom_option
def list_(app: App, environment: str | None, atom: str) -> None:
    """Every table: its columns, where values stand once, how many rows it has."""
    answer = _ask(app, environment, atom)
    items = [
        {"name": one.name, "rows": one.rows, "columns": ", ".join(one.columns), "unique": ", ".join(one.unique)}
        for one in answer.tables
    ]
    columns: list[Column] = [("table", "name"), ("rows", "rows"), ("columns", "columns"), ("unique", "unique")]
    app.out.items("XrefTable", items, columns, name="name")


@command("show", of=group)
@click.argument("table")
@click.argument("column")
@click.argument("value")
@env_option
@atom_option
def show(app: App, table: str, column: str, value: str, environment: str | None, atom: str) -> None:
    """The rows with a value in a column."""
    answer = _ask(app, environment, atom, table=table, column=column, value=value)
    reader = csv.DictReader(io.StringIO(answer.csv.decode()))
    columns: list[Column] = [(name, name) for name in reader.fieldnames or ()]
    app.out.items("XrefRow", list(reader), columns, name=column)


@command("export", of=group)
@click.argument("table")
@env_option
@atom_option
def export(app: App, table: str, environment: str | None, atom: str) -> None:
    """The whole table as CSV on stdout."""
    after, first = 0, True
    while first or after:
        answer = _ask(app, environment, atom, table=table, after=after)
        body = answer.csv.decode()
        click.echo(body if first else body.partition("\n")[2], nl=False)
        after, first = answer.next_after, False


@command("import", of=group, mutates=True, prints=False)
@click.argument("table")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--unique", type=click.Choice(["both", "first", "none"]), default=None, help="Of a new table.")
@click.option("--keep-older", is_flag=True, help="A row that meets another one is left out instead of replacing it.")
@env_option
@atom_option
def import_(
    app: App, table: str, file: Path, unique: str | None, keep_older: bool, environment: str | None, atom: str
) -> None:
    """Add the rows of a CSV to a table, in pieces of 2,000 rows; each piece goes in whole or not at all."""
    read = changed = 0
    with file.open(encoding="utf-8-sig", newline="") as source:
        for piece in _pieces(source):
            done = _change(
                app, environment, atom, table=table, csv=piece.encode(), unique=unique or "", keep_older=keep_older
            )
            read, changed = read + done.read, changed + done.changed
    app.done(f"{read} rows read, {changed} new or changed in {table}")
    app.undo("dative xref import of what `dative xref export` gave before")


@command("set", of=group, mutates=True, prints=False)
@click.argument("table")
@click.argument("values", nargs=-1, required=True, metavar="COLUMN=VALUE…")
@env_option
@atom_option
def set_(app: App, table: str, values: tuple[str, ...], environment: str | None, atom: str) -> None:
    """Write one row; it takes the place of rows that it meets."""
    pairs = dict(pair.partition("=")[::2] for pair in values)
    if not all(pairs) or not all(pairs.values()):
        raise click.UsageError("a value is written COLUMN=VALUE")
    out = io.StringIO()
    csv.writer(out).writerows([list(pairs), list(pairs.values())])
    done = _change(app, environment, atom, table=table, csv=out.getvalue().encode())
    app.done("written" if done.changed else "it was there already")
    app.undo(f"dative xref remove {table} {next(iter(pairs))} {json.dumps(next(iter(pairs.values())))}")


@command("remove", of=group, mutates=True, prints=False)
@click.argument("table")
@click.argument("column")
@click.argument("values", nargs=-1, required=True)
@env_option
@atom_option
@yes_option
def remove(
    app: App, table: str, column: str, values: tuple[str, ...], environment: str | None, atom: str, yes: bool
) -> None:
    """Remove the rows with these values in a column."""
    from dative_controller.cli import estate

    app.confirm(
        f"remove rows of {table} by {len(values)} values of {column}", estate.environment(app, environment), yes=yes
    )
    done = _change(app, environment, atom, table=table, column=column, values=values)
    app.done(f"{done.changed} rows removed from {table}")
    app.undo("dative xref import of what `dative xref export` gave before")


def _ask(app: App, environment: str | None, atom: str, **question: Any) -> XrefAnswer:
    from dative.v1.control_pb2 import ControlReadXrefRequest, ControlReadXrefResponse
    from dative.v1.types_pb2 import XrefQuestion

    request = ControlReadXrefRequest(
        environment=app.environment_name(environment), atom=atom, question=XrefQuestion(**question)
    )
    return app.client.read("XrefService/ReadXref", request, ControlReadXrefResponse).answer


def _change(app: App, environment: str | None, atom: str, **change: Any) -> XrefChanged:
    from dative.v1.control_pb2 import ControlChangeXrefRequest, ControlChangeXrefResponse
    from dative.v1.types_pb2 import XrefChange as Change

    wanted: XrefChange = Change(**change)
    request = ControlChangeXrefRequest(
        request_id=app.request_id(), environment=app.environment_name(environment), atom=atom, change=wanted
    )
    return app.client.write("XrefService/ChangeXref", request, ControlChangeXrefResponse).changed


def _pieces(source: Iterator[str]) -> Iterator[str]:
    """The CSV in pieces, the header at the top of each; a value may hold a line break."""
    rows = csv.reader(source)
    header = next(rows, [])
    piece = _begun(header)
    count = 0
    for row in rows:
        csv.writer(piece).writerow(row)
        count += 1
        if count == PIECE_ROWS or piece.tell() > PIECE_CHARACTERS:
            yield piece.getvalue()
            piece, count = _begun(header), 0
    if count:
        yield piece.getvalue()


def _begun(header: list[str]) -> io.StringIO:
    piece = io.StringIO()
    csv.writer(piece).writerow(header)
    return piece
