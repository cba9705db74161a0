"""unnest: a document with a list becomes a document for every item of it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.shapes import UnnestSettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.nested import item_columns
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class Unnest:
    """Items are documents of their own; the document's fate is the gravest of theirs."""

    step: StepId
    field: str
    item: str
    keep_empty: bool
    items_max: int
    schema: pa.Schema
    verb: str = "unnest"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        counts = pc.fill_null(pc.list_value_length(batch.column(self.field)), 0)
        many = pc.indices_nonzero(pc.greater(counts, self.items_max)).to_pylist()
        if many:
            reason = f"the list has more than {self.items_max:,} items"
            failures = [Failure(row, codes.TOO_MANY_ITEMS.name, reason, self.field) for row in many]
            batch = flow.failures(self.step, batch, failures)
            counts = pc.fill_null(pc.list_value_length(batch.column(self.field)), 0)
        lists = batch.column(self.field)
        empty = pc.equal(counts, 0)
        parents, values = pc.list_parent_indices(lists).cast(pa.int64()), pc.list_flatten(lists)
        if self.keep_empty:
            without = pc.indices_nonzero(empty).cast(pa.int64())
            order = pc.sort_indices(pa.concat_arrays([parents, without]))
            values = pa.concat_arrays([values, pa.nulls(len(without), values.type)]).take(order)
            parents = pa.concat_arrays([parents, without]).take(order)
        elif pc.any(empty).as_py():
            flow.filtered.append((self.step, batch.column(DOCUMENT).filter(empty)))
        numbers = flow.lineage.derive(batch.column(DOCUMENT).take(parents))
        made = {DOCUMENT: numbers, **item_columns(self.item, values)}
        columns = [
            made[item.name] if item.name in made else batch.column(item.name).take(parents) for item in self.schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def compile_unnest(at: Arrival) -> Unnest:
    settings, schema = at.settings(UnnestSettings), at.schema
    index = schema.get_field_index(settings.list)
    if index < 0 or not pa.types.is_list(schema.field(index).type):
        raise at.refused(f"the documents have no list {settings.list}")
    items = item_columns(settings.item, pa.array([], schema.field(index).type.value_type))
    kept = [item for item in schema if item.name != settings.list and item.name not in items]
    made = [pa.field(name, column.type) for name, column in items.items()]
    return Unnest(
        at.id, settings.list, settings.item, settings.empty == "keep", settings.items_max, pa.schema([*kept, *made])
    )
