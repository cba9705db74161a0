"""map: makes a new document out of the fields of the one that comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
from dative.ids import StepId
from dative.process.shapes import MapSettings

from dative_atom.documents.batch import is_lineage, payload_fields
from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.evaluation.nested import MakeQuery, compile_fields
from dative_atom.engine.evaluation.query import Evaluation, Query
from dative_atom.engine.routing import Flow


class Evaluates(Protocol):
    """A query, or fields some of which hold fields themselves."""

    def evaluate(self, session: Session, batch: pa.RecordBatch) -> Evaluation: ...


@dataclass(frozen=True)
class Map:
    """Evaluates its expressions; documents for which one fails take the catch route."""

    step: StepId
    fields: Evaluates
    passed: tuple[str, ...]
    schema: pa.Schema
    verb: str = "map"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.fields.evaluate(flow.session, batch)
        columns = [*(batch.column(name) for name in self.passed), *evaluation.columns]
        return flow.failures(self.step, assembled(columns, self.schema), evaluation.failures)


def compile_map(at: Arrival) -> Map:
    """Lineage columns always pass; with `keep: rest` the source's fields do that no target field replaces."""
    settings, schema = at.settings(MapSettings), at.schema
    targets = {name.lower() for name in settings.fields}
    rest = payload_fields(schema) if settings.keep == "rest" else []
    lineage = [name for name in schema.names if is_lineage(name)]
    passed = (*lineage, *(name for name in rest if name.lower() not in targets))
    plain = [(name, written) for name, written in settings.fields.items() if isinstance(written, str)]
    if len(plain) == len(settings.fields):
        query, types = at.query(plain)
        return Map(at.id, query, passed, _schema(at, passed, list(settings.fields), types))
    made = compile_fields(settings.fields, schema, _queries(at), where=at.where)
    types = [column.type for column in made.evaluate(at.context.session, no_rows(schema)).columns]
    return Map(at.id, made, passed, _schema(at, passed, list(settings.fields), types))


def _schema(at: Arrival, passed: Sequence[str], names: Sequence[str], types: Sequence[pa.DataType]) -> pa.Schema:
    for name, type_ in zip(names, types, strict=True):
        if _has_null(type_):
            raise at.refused(f"field {name} has no type; CAST it")
    fields = [pa.field(name, type_) for name, type_ in zip(names, types, strict=True)]
    return pa.schema([*(at.schema.field(name) for name in passed), *fields])


def _has_null(type_: pa.DataType) -> bool:
    if pa.types.is_list(type_):
        return _has_null(type_.value_type)
    return any(_has_null(item.type) for item in type_) if pa.types.is_struct(type_) else pa.types.is_null(type_)


def _queries(at: Arrival) -> MakeQuery:
    def make(outputs: Sequence[tuple[str, str]], schema: pa.Schema, *, each: bool) -> Query:
        query = at.context.query(outputs, at.where, schema, each=each)
        query.types(at.context.session, no_rows(schema))
        return query

    return make


def assembled(columns: list[pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """A batch of these columns, of exactly the types of the schema."""
    # A type can be wider for no rows than for some (DuckDB's dictionaries, a view): it is made what was compiled.
    cast = [
        column if column.type == item.type else column.cast(item.type)
        for column, item in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(cast, schema=schema)
