"""`dative-atom xref`: the atom's cross-reference tables at the command line, also while the agent runs."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from dative_atom.agent.cli_words import coded, data_dir, directory_of, output, say
from dative_atom.journal.contract import Journal


@click.group()
def xref() -> None:
    """Cross-reference tables: which record of one system is which of another."""


@contextmanager
def _journal(given: str | None) -> Iterator[Journal]:
    from dative.clock import SystemClock

    from dative_atom.agent.identity import read_identity
    from dative_atom.agent.paths import DataDir
    from dative_atom.journal.open import open_journal

    directory = DataDir(directory_of(given))
    read_identity(directory)
    journal = open_journal(directory.journal, SystemClock())
    try:
        yield journal
    finally:
        journal.close()


@xref.command("list")
@output
@data_dir
@coded
def list_(output: str, data_dir: str | None) -> None:
    """Every table: its columns, where values stand once, how many rows it has."""
    with _journal(data_dir) as journal:
        for table in journal.xref_tables():
            if output == "json":
                click.echo(json.dumps({"name": table.name, "columns": list(table.columns), "unique": list(table.unique),
                                       "rows": table.rows}))  # fmt: skip
            else:
                unique = ", ".join(table.unique) or "none"
                click.echo(f"{table.name}\t{table.rows} rows\t{', '.join(table.columns)}\tunique: {unique}")


@xref.command()
@click.argument("table")
@click.argument("column")
@click.argument("value")
@data_dir
@coded
def show(table: str, column: str, value: str, data_dir: str | None) -> None:
    """The rows with a value in a column, as JSON lines."""
    from dative_atom.agent.xref import found_rows

    with _journal(data_dir) as journal:
        rows = found_rows(journal, table, column, value)
        for row in rows:
            click.echo(json.dumps(dict(row), ensure_ascii=False))
    say(f"{len(rows)} rows")


@xref.command()
@click.argument("table")
@data_dir
@coded
def export(table: str, data_dir: str | None) -> None:
    """The whole table as CSV on stdout."""
    from dative_atom.agent.xref import export_rows

    with _journal(data_dir) as journal:
        count = export_rows(journal, table, sys.stdout)
    say(f"{count} rows of {table}")


@xref.command("import")
@click.argument("table")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--unique", type=click.Choice(["both", "first", "none"]), help="Of a new table; default: both.")
@click.option("--keep-older", is_flag=True, help="A row that meets another one is left out instead of replacing it.")
@data_dir
@coded
def import_(table: str, file: Path, unique: str | None, keep_older: bool, data_dir: str | None) -> None:
    """Add the rows of a CSV to a table: all of them or, when a line does not fit, none."""
    from dative_atom.agent.xref import import_rows

    conflict = "error" if keep_older else "replace"
    with _journal(data_dir) as journal, file.open(encoding="utf-8-sig", newline="") as source:
        read, changed = import_rows(journal, table, source, unique=unique, conflict=conflict, actor=getpass.getuser())
    say(f"{read} rows read, {changed} new or changed in {table}; undo: import what `xref export` gave before")


@xref.command("set")
@click.argument("table")
@click.argument("values", nargs=-1, required=True, metavar="COLUMN=VALUE…")
@data_dir
@coded
def set_(table: str, values: tuple[str, ...], data_dir: str | None) -> None:
    """Write one row."""
    from dative_atom.agent.xref import set_row

    pairs = dict(pair.partition("=")[::2] for pair in values)
    if not all(pairs) or not all(pairs.values()):
        raise click.UsageError("a value is written COLUMN=VALUE")
    with _journal(data_dir) as journal:
        changed = set_row(journal, table, pairs, actor=getpass.getuser())
    say("written" if changed else "it was there already")


@xref.command()
@click.argument("table")
@click.argument("column")
@click.argument("values", nargs=-1, required=True)
@data_dir
@coded
def remove(table: str, column: str, values: tuple[str, ...], data_dir: str | None) -> None:
    """Remove the rows with these values in a column."""
    from dative_atom.agent.xref import remove_rows

    with _journal(data_dir) as journal:
        removed = remove_rows(journal, table, column, values, actor=getpass.getuser())
    say(f"{removed} rows removed from {table}")
