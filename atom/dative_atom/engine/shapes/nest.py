"""nest: documents of a batch that are alike in some fields become one document with a list.

Sorting and grouping run in DuckDB and Arrow; a group's document is made of all of its members, so that each of them has
its fate.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId
from dative.process.shapes import NestSettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.database import quoted
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class Nest:
    """Replaces the documents of a group by one."""

    step: StepId
    sql: str
    into: str
    items: tuple[str, ...]
    schema: pa.Schema
    verb: str = "nest"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        if batch.num_rows == 0:
            return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in self.schema], schema=self.schema)
        found = flow.session.query(self.sql, batch)
        # Groups stand in the order of their first documents, and the documents of a group in theirs.
        order = pc.sort_indices(found, [("first", "ascending"), (DOCUMENT, "ascending")])
        rows = pc.index_in(found.column(DOCUMENT).take(order), value_set=batch.column(DOCUMENT)).cast(pa.int64())
        firsts = found.column("first").take(order)
        groups = pc.index_in(firsts, value_set=pc.unique(firsts)).cast(pa.int64())
        starts = pc.index_in(pc.unique(groups), value_set=groups).cast(pa.int32())
        sorted_ = batch.take(rows)
        offsets = pa.concat_arrays([starts, pa.array([len(rows)], pa.int32())])
        values = pa.StructArray.from_arrays([sorted_.column(name) for name in self.items], names=list(self.items))
        lists = pa.ListArray.from_arrays(offsets, values)
        numbers = flow.lineage.join(groups, sorted_.column(DOCUMENT), len(starts))
        made = {DOCUMENT: numbers, self.into: lists}
        heads = sorted_.take(starts)
        columns = [made[item.name] if item.name in made else heads.column(item.name) for item in self.schema]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def compile_nest(at: Arrival) -> Nest:
    settings, schema = at.settings(NestSettings), at.schema
    for name in (*settings.by, *settings.items):
        if name not in schema.names:
            raise at.refused(f"the documents have no field {name}")
    kept = [
        item
        for item in schema
        if item.name != settings.into and (item.name not in settings.items or item.name in settings.by)
    ]
    lists = pa.list_(pa.struct([pa.field(name, schema.field(name).type) for name in settings.items]))
    document = f"b.{quoted(DOCUMENT)}"
    by = ", ".join(f"b.{quoted(name)}" for name in settings.by)
    sql = f"SELECT {document}, min({document}) OVER (PARTITION BY {by}) AS first FROM batch b"
    return Nest(at.id, sql, settings.into, settings.items, pa.schema([*kept, pa.field(settings.into, lists)]))
