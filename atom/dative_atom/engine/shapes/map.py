"""map: makes a new document out of the fields of the one that comes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from dative.ids import StepId
from dative.process.shapes import MapSettings

from dative_atom.documents.batch import is_lineage, payload_fields
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.query import Query
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class Map:
    """Evaluates its expressions; documents for which one fails take the catch route."""

    step: StepId
    query: Query
    passed: tuple[str, ...]
    schema: pa.Schema
    verb: str = "map"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        columns = [*(batch.column(name) for name in self.passed), *evaluation.columns]
        return flow.failures(self.step, assembled(columns, self.schema), evaluation.failures)


def compile_map(at: Arrival) -> Map:
    """Lineage columns always pass; with `keep: rest` the source's fields do that no target field replaces."""
    settings, schema = at.settings(MapSettings), at.schema
    targets = {name.lower() for name in settings.fields}
    rest = payload_fields(schema) if settings.keep == "rest" else []
    lineage = [name for name in schema.names if is_lineage(name)]
    passed = (*lineage, *(name for name in rest if name.lower() not in targets))
    query, types = at.query(list(settings.fields.items()))
    for name, type_ in zip(settings.fields, types, strict=True):
        if pa.types.is_null(type_):
            raise at.refused(f"field {name} has no type; CAST it")
    fields = [pa.field(name, type_) for name, type_ in zip(settings.fields, types, strict=True)]
    return Map(at.id, query, passed, pa.schema([*(schema.field(name) for name in passed), *fields]))


def assembled(columns: list[pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """A batch of these columns, of exactly the types of the schema."""
    # A type can be wider for no rows than for some (DuckDB's dictionaries, a view): it is made what was compiled.
    cast = [
        column if column.type == item.type else column.cast(item.type)
        for column, item in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(cast, schema=schema)
