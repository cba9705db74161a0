"""What a batch looks up, picked by key and set beside its fields as columns.

Cross-references always: a join would need their rows as a table, and the journal is asked by key anyway. Rates only for
small batches, where joining costs more than all the rest; large ones join them (`lookup.py`). A picked column is named
like the join's alias, a struct of what the expressions read of it, so that `"rate 0".rate` means the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.database import quoted
from dative_atom.engine.evaluation.lookup import Lookup, Tables, XrefLookup
from dative_atom.engine.evaluation.money import RATE

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
        # What fails here fails for its document, in the expression that looks up by it, and not for the batch.
        return f"TRY(CAST({self.sql} AS {'DATE' if pa.types.is_date(self.type) else 'VARCHAR'}))"


Ask = Callable[[str, pa.RecordBatch], pa.RecordBatch | None]


class Picks:
    """The lookups of one query."""

    def __init__(self, lookups: Sequence[Lookup], tables: Tables) -> None:
        self._tables = tables
        self._lookups = [(lookup, _parts(lookup)) for lookup in lookups]
        self._xrefs = [each for each in self._lookups if isinstance(each[0], XrefLookup)]

    def beside(self, batch: pa.RecordBatch, ask: Ask, *, rates: bool) -> pa.RecordBatch | None:
        """The batch with a column for every cross-reference, and for every rate where `rates` says so.

        ask: evaluates a query over the batch, for what is no field; where it gives None, so does this.
        """
        lookups = self._lookups if rates else self._xrefs
        if not lookups:
            return batch
        parts = dict.fromkeys(part for _, asked in lookups for part in asked)
        values = {part: known for part in parts if (known := part.known(batch)) is not None}
        unknown = [part for part in parts if part not in values]
        if unknown:
            columns = ", ".join(f"{part.text} AS k{index}" for index, part in enumerate(unknown))
            found = ask(f"SELECT b.{quoted(DOCUMENT)}, {columns} FROM batch b", batch)
            if found is None:
                return None
            values.update((part, found.column(f"k{index}").to_pylist()) for index, part in enumerate(unknown))
        picked = [self._picked(lookup, [values[part] for part in asked]) for lookup, asked in lookups]
        names = [*batch.schema.names, *(lookup.alias for lookup, _ in lookups)]
        return pa.RecordBatch.from_arrays([*batch.columns, *picked], names=names)

    def _picked(self, lookup: Lookup, values: Sequence[list[Any]]) -> pa.Array:
        if isinstance(lookup, XrefLookup):
            keys = values[0]
            links = self._tables.links(lookup, [key for key in dict.fromkeys(keys) if key is not None])
            return _column([links.get(key) for key in keys], _XREF)
        return _column([self._tables.rate(lookup, *asked) for asked in zip(*values, strict=True)], _RATE)


def _parts(lookup: Lookup) -> list[_Part]:
    if isinstance(lookup, XrefLookup):
        return [_Part(lookup.key, pa.string())]
    dated = [_Part(lookup.on, pa.date32())] if lookup.on is not None else []
    return [_Part(lookup.source, pa.string()), _Part(lookup.target, pa.string()), *dated]


def _column(values: Sequence[Any], type_: pa.StructType) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array(values, type_.field(0).type)], fields=[type_.field(0)])
