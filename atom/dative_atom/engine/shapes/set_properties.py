"""set_properties: values beside the documents' fields, as columns that travel along or as what the execution remembers."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.shapes import SetPropertiesSettings
from dative.process.shapes.set_properties import VALUE_CHARACTERS_MAX

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure, Query
from dative_atom.engine.making.running import DOCUMENT_PROPERTY, column_of
from dative_atom.engine.routing import Flow, without

_KEPT = (
    pa.types.is_string,
    pa.types.is_integer,
    pa.types.is_decimal,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_date,
    pa.types.is_timestamp,
)


@dataclass(frozen=True)
class SetProperties:
    """names: of the properties, in the order of the query's columns. Documents for which one fails take the catch route."""

    step: StepId
    query: Query
    names: tuple[str, ...]
    schema: pa.Schema
    verb: str = "set_properties"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        values = dict(zip(self.names, evaluation.columns, strict=True))
        failures = {failure.row: failure for failure in evaluation.failures}
        for name, column in values.items():
            failures = {**_too_long(name, column), **failures}
        going = flow.failures(self.step, batch, [failures[row] for row in sorted(failures)])
        if failures:
            rows = pa.array(sorted(failures), pa.int64())
            left = without(pa.RecordBatch.from_arrays(list(values.values()), names=list(values)), rows)
            values = {name: left.column(name) for name in values}
        columns = {column_of(name): column for name, column in values.items() if name.startswith(DOCUMENT_PROPERTY)}
        for name, column in values.items():
            if not name.startswith(DOCUMENT_PROPERTY):
                flow.running.set(name, going.column(DOCUMENT), column)
        arrays = [columns[name] if name in columns else going.column(name) for name in self.schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _too_long(name: str, column: pa.Array) -> dict[int, Failure]:
    if not pa.types.is_string(column.type):
        return {}
    long = pc.fill_null(pc.greater(pc.utf8_length(column), VALUE_CHARACTERS_MAX), False)
    reason = f"{name} would have more than {VALUE_CHARACTERS_MAX:,} characters"
    return {
        row: Failure(row, codes.PROPERTY_TOO_LONG.name, reason, name) for row in pc.indices_nonzero(long).to_pylist()
    }


def compile_set_properties(at: Arrival) -> SetProperties:
    settings = at.settings(SetPropertiesSettings)
    query, types = at.query(list(settings.properties.items()))
    schema = at.schema
    for name, type_ in zip(settings.properties, types, strict=True):
        if not any(is_kept(type_) for is_kept in _KEPT):
            raise at.refused(f"{name} is a {type_}; a property is a text, number, boolean, date or timestamp: CAST it")
        if name.startswith(DOCUMENT_PROPERTY):
            schema = _with(schema, pa.field(column_of(name), type_))
        elif (first := at.context.running.setdefault(at.context.own(name), type_)) != type_:
            raise at.refused(f"{name} was a {first} before, here it is a {type_}: CAST it")
    return SetProperties(at.id, query, tuple(map(at.context.own, settings.properties)), schema)


def _with(schema: pa.Schema, field: pa.Field) -> pa.Schema:
    index = schema.get_field_index(field.name)
    return schema.append(field) if index < 0 else schema.set(index, field)
