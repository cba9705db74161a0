"""What a small batch looks up, picked by key and handed to its statement as columns: joining tables costs more than that.

For a large batch the same lookups are joins (`lookup.py`). Each comes as a column named like the join's alias, a struct
of what the expressions read of it, so that `"rate 0".rate` means the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.database import Session, quoted
from dative_atom.engine.lookup import Lookup, Tables, XrefLookup
from dative_atom.engine.money import RATE

_FIELD: Final = re.compile(r'b\."((?:[^"]|"")+)"')
_CONSTANT: Final = re.compile(r"\(?'((?:[^']|'')*)'\)?")
_XREF: Final = pa.struct([("v", pa.string())])
_RATE: Final = pa.struct([("rate", RATE)])


@dataclass(frozen=True)
class _Part:
    """One value that a lookup asks by. type: as the join compares it."""

    sql: str
    type: pa.DataType

    def known(self, batch: pa.RecordBatch) -> list[Any] | None:
        """Its value for every document, where it is a constant or a field that needs no conversion."""
        constant = _CONSTANT.fullmatch(self.sql)
        if constant is not None:
            return [constant[1].replace("''", "'")] * batch.num_rows
        field = _FIELD.fullmatch(self.sql)
        index = batch.schema.get_field_index(field[1].replace('""', '"')) if field is not None else -1
        return batch.column(index).to_pylist() if index >= 0 and batch.schema.field(index).type == self.type else None

    @property
    def text(self) -> str:
        return f"TRY_CAST({self.sql} AS {'DATE' if pa.types.is_date(self.type) else 'VARCHAR'})"


class Picks:
    """The lookups of one query."""

    def __init__(self, lookups: Sequence[Lookup], tables: Tables) -> None:
        self._tables = tables
        self._lookups = [(lookup, _parts(lookup)) for lookup in lookups]

    @property
    def names(self) -> list[str]:
        return [lookup.alias for lookup, _ in self._lookups]

    def columns(self, session: Session, batch: pa.RecordBatch) -> list[pa.Array] | None:
        """One column a lookup, a row for each document; None where they can not be picked. Raises BOUND_ERRORS."""
        parts = [part for _, parts in self._lookups for part in parts]
        values = {part: known for part in parts if (known := part.known(batch)) is not None}
        unknown = [part for part in dict.fromkeys(parts) if part not in values]
        if unknown:
            computed = self._computed(unknown, session, batch)
            if computed is None:
                return None
            values.update(zip(unknown, computed, strict=True))
        return [self._picked(lookup, [values[part] for part in parts]) for lookup, parts in self._lookups]

    def _computed(self, parts: Sequence[_Part], session: Session, batch: pa.RecordBatch) -> list[list[Any]] | None:
        columns = ", ".join(f"{part.text} AS k{index}" for index, part in enumerate(parts))
        statement = session.bound(f"SELECT b.{quoted(DOCUMENT)}, {columns} FROM batch b", batch.schema)
        if statement is None:
            return None
        found = statement.run(batch)
        return [found.column(f"k{index}").to_pylist() for index in range(len(parts))]

    def _picked(self, lookup: Lookup, values: Sequence[list[Any]]) -> pa.Array:
        if isinstance(lookup, XrefLookup):
            keys = values[0]
            links = self._tables.links(lookup, list(dict.fromkeys(key for key in keys if key is not None)))
            return _column([links.get(key) for key in keys], _XREF)
        rates = [self._tables.rate(lookup, *asked) for asked in zip(*values, strict=True)]
        return _column(rates, _RATE)


def _parts(lookup: Lookup) -> list[_Part]:
    if isinstance(lookup, XrefLookup):
        return [_Part(lookup.key, pa.string())]
    dated = [_Part(lookup.on, pa.date32())] if lookup.on is not None else []
    return [_Part(lookup.source, pa.string()), _Part(lookup.target, pa.string()), *dated]


def _column(values: Sequence[Any], type_: pa.StructType) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array(values, type_.field(0).type)], fields=[type_.field(0)])
