"""Opens the tables of an execution: what the bundle brings for its environment, what systems give, what the journal has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.process.model import Spec
from dative.process.tables import LookupTable, RatesTable, SequenceTable, SourcedTable, XrefTable

from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.evaluation.money import Rates, rates_of, read_rates
from dative_atom.engine.evaluation.rows import (
    HELD_ROWS_MAX,
    CrossReferences,
    HeldRows,
    KeyedRows,
    PatternRows,
    ReadRows,
    Router,
    Rows,
    texts,
)
from dative_atom.engine.evaluation.seeds import read_rows, read_seed


@dataclass(frozen=True)
class Origin:
    """Where the tables of an execution and of the processes it calls come from.

    artifacts: "<process>/<table>.csv" -> path, and "<process>/<table>.<environment>.csv" for one environment. today: the
    day whose rates count where currency() names none; that of the execution's plan, so that a resumed execution converts
    as the first attempt did. read: rows of a connection; without it such a table needs a file.
    """

    artifacts: Mapping[str, Path]
    xrefs: CrossReferences
    today: date
    environment: str = ""
    read: ReadRows | None = None

    def file(self, process: str, table: str) -> Path | None:
        own = self.artifacts.get(f"{process}/{table}.{self.environment}.csv")
        return own or self.artifacts.get(f"{process}/{table}.csv")


def open_tables(spec: Spec, process: str, origin: Origin) -> Tables:
    """Load what the bundle brings: rates are held, an empty cross-reference gets the rows it begins with. Raises StopRun."""
    xrefs, read = origin.xrefs, origin.read
    own: dict[str, Rows] = {}
    rates: dict[str, Rates] = {}
    for name, table in spec.tables.items():
        path = origin.file(process, name)
        if isinstance(table, RatesTable):
            rows = read_rates(path, name) if path is not None else rates_of(_read(table, name, read), name)
            rates[name] = Rates.of(rows, origin.today)
        elif isinstance(table, LookupTable):
            own[name] = _lookup(table, name, path, read)
        elif isinstance(table, XrefTable):
            if path is not None and xrefs.xref_rows(name) == 0:
                xrefs.xref_load(read_seed(path, name, table))
            if table.match != "exact":
                own[name] = _patterns(table, name, xrefs)
    sequences = {name: table for name, table in spec.tables.items() if isinstance(table, SequenceTable)}
    return Tables(Router(xrefs, own), frozenset(spec.tables), rates, sequences)


def _patterns(table: XrefTable, name: str, xrefs: CrossReferences) -> PatternRows:
    return PatternRows(name, table.match, lambda column, want: xrefs.xref_all(name, column, want))


def _lookup(table: LookupTable, name: str, path: Path | None, read: ReadRows | None) -> Rows:
    if path is None and table.keyed and read is not None:
        return KeyedRows(name, table.connection or "", table.sql or "", read)
    columns = (
        read_rows(path, name, table.columns)
        if path is not None
        else texts(_read(table, name, read), table.columns, name)
    )
    return HeldRows(columns)


def _read(table: SourcedTable, name: str, read: ReadRows | None) -> pa.Table:
    """All rows that the table's connection gives."""
    if table.connection is None or table.sql is None or read is None:
        raise StopRun(f"the bundle brings no rows of table {name}", code=codes.TABLE_INVALID, where=name)
    rows = read(table.connection, table.sql, None)
    if rows.num_rows > HELD_ROWS_MAX:
        raise StopRun(
            f"table {name} has more than {HELD_ROWS_MAX:,} rows; ask for those of a batch: WHERE … IN (:keys)",
            code=codes.TABLE_INVALID,
            where=name,
        )
    return rows
