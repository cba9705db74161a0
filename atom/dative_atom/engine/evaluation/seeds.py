"""Rows of tables from the CSV files beside the process."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from dative.errors import StopRun
from dative.errors import engine as codes
from dative.process.tables import XrefTable

from dative_atom.journal.contract import LinkRows


def read_seed(path: Path, name: str, table: XrefTable) -> LinkRows:
    """Its rows, header first, every column of the table. StopRun names the first line that does not fit."""
    return LinkRows(name, read_rows(path, name, table.columns), unique_columns(table))


def read_rows(path: Path, name: str, columns: Sequence[str]) -> dict[str, list[str]]:
    """Columns of a CSV with a header, no value empty. StopRun names the first line that does not fit."""
    found: dict[str, list[str]] = {column: [] for column in columns}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                _append(found, row, f"{name}:{reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StopRun(f"the rows of table {name} can not be read", code=codes.TABLE_INVALID, where=name) from error
    return found


def _append(columns: dict[str, list[str]], row: dict[str, str | None], where: str) -> None:
    for column, values in columns.items():
        value = row.get(column)
        if not value:
            raise StopRun(f"{where}: column {column} has no value", code=codes.TABLE_INVALID, where=where)
        values.append(value)


def unique_columns(table: XrefTable) -> tuple[str, ...] | None:
    """The columns in which a value stands once, as `LinkRows.unique` says it; empty means all of them, None none."""
    return {"both": (), "first": table.columns[:1], "none": None}[table.unique]
