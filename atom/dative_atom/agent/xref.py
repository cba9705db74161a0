"""What people do to cross-reference tables: look, export and import CSV, set and remove rows; every change is an event.

A table's rows are the same for every process of the atom's environment. CSV: UTF-8, a header that names the columns, an
empty cell where a row has no value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TextIO

from dative.errors import StopRun
from dative.errors import journal as codes
from dative.v1 import telemetry_pb2, types_pb2

from dative_atom.journal.contract import Journal, LinkRows, XrefSummary

PAGE: Final = 5_000
FIELD_CHARACTERS_MAX: Final = 4_000
COLUMNS_MAX: Final = 20
UNIQUE: Final[Mapping[str, str]] = {"both": "in every column", "first": "in the first column", "none": "anywhere"}

Row = Mapping[str, str | None]


def known(journal: Journal, table: str) -> XrefSummary:
    """The table. StopRun journal.unknown_xref."""
    for found in journal.xref_tables():
        if found.name == table:
            return found
    names = ", ".join(found.name for found in journal.xref_tables()) or "none"
    raise StopRun(f"no cross-reference {table} on this atom; there are {names}", code=codes.UNKNOWN_XREF, where=table)


def rows_of(journal: Journal, table: str) -> Iterator[Row]:
    """Every row in the order of writing, read in pages so that a large table is never held whole."""
    after = 0
    while page := journal.xref_page(table, after, PAGE):
        yield from (row for _, row in page)
        after = page[-1][0]


def found_rows(journal: Journal, table: str, column: str, value: str) -> list[Row]:
    """The rows with this value. StopRun journal.unknown_xref."""
    _column(known(journal, table), column)
    return [row for row in rows_of(journal, table) if row[column] == value]


def export_rows(journal: Journal, table: str, out: TextIO) -> int:
    """The table as CSV; returns how many rows. StopRun journal.unknown_xref."""
    columns = list(known(journal, table).columns)
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in rows_of(journal, table):
        writer.writerow(row)
        count += 1
    return count


def import_rows(
    journal: Journal, table: str, source: TextIO, *, unique: str | None, conflict: str, actor: str
) -> tuple[int, int]:
    """Rows of a CSV into the table, all of them or none; returns (rows read, rows new or changed).

    unique: of a table that is not there yet, by default both; one that is there keeps its own. conflict: as in
    `LinkRows`. StopRun journal.xref_invalid names the first line that does not fit.
    """
    reader = csv.DictReader(source)
    columns = list(reader.fieldnames or ())
    if not 2 <= len(columns) <= COLUMNS_MAX or len(set(columns)) != len(columns) or not all(columns):
        raise _invalid(f"the CSV needs a header of 2 to {COLUMNS_MAX} different columns")
    shapes: dict[tuple[str, ...], list[list[str]]] = {}
    read = 0
    for row in reader:
        read += 1
        filled = _filled(row, columns, reader.line_num)
        values = shapes.setdefault(tuple(filled), [[] for _ in filled])
        for place, value in enumerate(filled.values()):
            values[place].append(value)
    links = [
        LinkRows(table, dict(zip(names, values, strict=True)), unique_of(journal, table, columns, unique), conflict)
        for names, values in shapes.items()
    ]
    changed = journal.xref_load_all(links)
    _told(journal, table, f"{changed} rows of cross-reference {table} were imported by {actor}")
    return read, changed


def set_row(journal: Journal, table: str, values: Mapping[str, str], *, actor: str) -> int:
    """One row; it takes the place of those that it meets. Returns 0 when it is there already."""
    columns = list(values)
    link = LinkRows(table, {name: [value] for name, value in values.items()}, unique_of(journal, table, columns, None))
    if len(columns) < 2:
        raise _invalid("a row has at least two columns")
    changed = journal.xref_load(link)
    if changed:
        _told(journal, table, f"1 row of cross-reference {table} was set by {actor}")
    return changed


def remove_rows(journal: Journal, table: str, column: str, values: Iterable[str], *, actor: str) -> int:
    """The rows with these values in a column; returns how many. StopRun journal.unknown_xref."""
    _column(known(journal, table), column)
    removed = journal.xref_remove(table, column, list(values))
    if removed:
        _told(journal, table, f"{removed} rows of cross-reference {table} were removed by {actor}")
    return removed


def unique_of(journal: Journal, table: str, columns: Sequence[str], asked: str | None) -> Sequence[str] | None:
    """As `LinkRows.unique` says it: what the table is already, or for a new one what was asked for."""
    for found in journal.xref_tables():
        if found.name == table:
            missing = [name for name in columns if name not in found.columns]
            unique = [*found.unique, *(missing if len(found.unique) == len(found.columns) else ())]
            return [name for name in unique if name in columns] or None
    return {None: (), "both": (), "first": columns[:1], "none": None}[asked]


def _filled(row: Mapping[str | None, str | list[str] | None], columns: Sequence[str], line: int) -> dict[str, str]:
    filled = {name: value for name in columns if isinstance(value := row.get(name), str) and value}
    if None in row or len(filled) < 2:
        raise _invalid(f"line {line} has no two values, or more values than the header has columns")
    if any(len(value) > FIELD_CHARACTERS_MAX or "\x1f" in value for value in filled.values()):
        raise _invalid(f"line {line}: a value is over {FIELD_CHARACTERS_MAX:,} characters, or has a control character")
    return filled


def _column(table: XrefSummary, column: str) -> None:
    if column not in table.columns:
        there = ", ".join(table.columns)
        raise StopRun(
            f"cross-reference {table.name} has no column {column}; there are {there}",
            code=codes.UNKNOWN_XREF,
            where=table.name,
        )


def _invalid(message: str) -> StopRun:
    return StopRun(message, code=codes.XREF_INVALID)


def _told(journal: Journal, table: str, message: str) -> None:
    status = types_pb2.Status(code="xref.changed", message=message, where=table)
    event = telemetry_pb2.Event(kind="xref.changed", status=status, occurred_at_ms=journal.now_ms())
    journal.report("event", telemetry_pb2.Record(event=event).SerializeToString())
