"""cache_add, cache_get, cache_remove: document caches of the execution, filled, joined and emptied a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import CacheAddSettings, CacheGetSettings, CacheRemoveSettings
from dative.process.shapes.cache_get import MATCHES_MAX

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Evaluation, Failure, Query
from dative_atom.engine.making.cache import SINCE, UNTIL, Act, CacheSpec, asked, listed, merged_spec, picked
from dative_atom.engine.routing import Flow, without


@dataclass(frozen=True)
class CacheAdd:
    """Keeps the fields of documents whose key is whole."""

    step: StepId
    cache: str
    spec: CacheSpec
    schema: pa.Schema
    verb: str = "cache_add"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        rows = batch
        for name in self.spec.key:
            if rows.column(name).null_count:
                rows = rows.filter(pc.is_valid(rows.column(name)))
        if rows.num_rows:
            kept = rows.select(self.spec.schema.names)
            since = flow.running.sources(rows.column(DOCUMENT)).cast(pa.int64())
            act = Act(self.cache, True, kept.append_column(SINCE, since))
            flow.running.caches.do(act, flow.session).bounded(self.cache, self.spec)
        return batch


@dataclass(frozen=True)
class CacheRemove:
    """query: of the key fields; None removes everything."""

    step: StepId
    cache: str
    key: tuple[str, ...]
    query: Query | None
    schema: pa.Schema
    verb: str = "cache_remove"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch) if self.query is not None else Evaluation([])
        going = flow.failures(self.step, batch, evaluation.failures)
        if going.num_rows:
            until = flow.running.sources(going.column(DOCUMENT)).cast(pa.int64())
            columns = [*_without_failed(evaluation), until]
            rows = pa.RecordBatch.from_arrays(columns, names=[*self.key, UNTIL])
            flow.running.caches.do(Act(self.cache, False, rows), flow.session)
        return going


@dataclass(frozen=True)
class CacheGet:
    """fields: of the document -> of the cache. into: the field of the list, where all matches are taken."""

    step: StepId
    cache: str
    key: tuple[str, ...]
    query: Query
    fields: Mapping[str, str]
    take: str
    into: str | None
    miss: str
    schema: pa.Schema
    verb: str = "cache_get"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        going = flow.failures(self.step, batch, evaluation.failures)
        keys = dict(zip(self.key, _without_failed(evaluation), strict=True))
        cache = flow.running.caches.of(self.cache)
        found = cache.matches(asked(keys, flow.running.sources(going.column(DOCUMENT))), flow.session)
        if self.into is None:
            at = picked(found, going.num_rows, last=self.take == "last")
            there = pc.is_valid(at)
            made = {name: self._taken(cache.rows, wanted, at, name) for name, wanted in self.fields.items()}
        else:
            made = {self.into: self._list(cache.rows, found, going.num_rows)}
            there = pc.is_valid(made[self.into])
        columns = [made[name] if name in made else going.column(name) for name in self.schema.names]
        out = self._without_missed(pa.RecordBatch.from_arrays(columns, schema=self.schema), there, flow)
        return self._without_crowds(out, flow)

    def _taken(self, rows: pa.Table | None, wanted: str, at: pa.Array, name: str) -> pa.Array:
        if rows is None:
            return pa.nulls(len(at), self.schema.field(name).type)
        return rows.column(wanted).take(at).combine_chunks()

    def _list(self, rows: pa.Table | None, found: pa.Table, count: int) -> pa.Array:
        type_ = self.schema.field(self.into).type
        if rows is None or not found.num_rows:
            return pa.nulls(count, type_)
        taken = rows.take(found.column("c")).combine_chunks()
        values = [taken.column(wanted).combine_chunks() for wanted in self.fields.values()]
        return listed(found, count, pa.StructArray.from_arrays(values, fields=list(type_.value_type)))

    def _without_crowds(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        if self.into is None:
            return batch
        crowded = pc.fill_null(pc.greater(pc.list_value_length(batch.column(self.into)), MATCHES_MAX), False)
        reason = f"cache {self.cache} holds more than {MATCHES_MAX:,} matches"
        rows = pc.indices_nonzero(crowded).to_pylist()
        return flow.failures(
            self.step, batch, [Failure(row, codes.CACHE_MATCHES.name, reason, self.into) for row in rows]
        )

    def _without_missed(self, batch: pa.RecordBatch, there: pa.Array, flow: Flow) -> pa.RecordBatch:
        if self.miss == "null" or pc.all(there, min_count=0).as_py():
            return batch
        if self.miss == "filter":
            flow.filtered.append((self.step, batch.column(DOCUMENT).filter(pc.invert(there))))
            return batch.filter(there)
        reason = f"cache {self.cache} holds nothing under this {', '.join(self.key)}"
        rows = pc.indices_nonzero(pc.invert(there)).to_pylist()
        return flow.failures(self.step, batch, [Failure(row, codes.CACHE_MISS.name, reason, "") for row in rows])


def _without_failed(evaluation: Evaluation) -> list[pa.Array]:
    """The columns without the rows that failed."""
    columns = list(evaluation.columns)
    if evaluation.failures and columns:
        names = [str(index) for index in range(len(columns))]
        rows = pa.array([failure.row for failure in evaluation.failures], pa.int64())
        columns = list(without(pa.RecordBatch.from_arrays(columns, names=names), rows).columns)
    return columns


def compile_cache_add(at: Arrival) -> CacheAdd:
    settings = at.settings(CacheAddSettings)
    missing = [name for name in settings.kept if name not in at.schema.names]
    if missing:
        raise at.refused(f"its documents have no field {missing[0]}")
    schema = pa.schema([at.schema.field(name).with_nullable(True) for name in settings.kept])
    spec = CacheSpec(settings.key, schema, settings.rows_max, settings.mebibytes_max * 1024**2)
    name = at.context.own(settings.cache)
    first = at.context.caches.setdefault(name, spec)
    if not first.schema.equals(spec.schema) or first.key != spec.key:
        raise at.refused(f"cache {settings.cache} is filled with other fields or types by a step before")
    at.context.caches[name] = merged_spec(first, spec)
    return CacheAdd(at.id, name, spec, at.schema)


def compile_cache_remove(at: Arrival) -> CacheRemove:
    settings = at.settings(CacheRemoveSettings)
    name = at.context.own(settings.cache)
    query = _keys(at, settings.cache, settings.key) if settings.key else None
    return CacheRemove(at.id, name, tuple(settings.key), query, at.schema)


def compile_cache_get(at: Arrival) -> CacheGet:
    settings = at.settings(CacheGetSettings)
    query, name = _keys(at, settings.cache, settings.key), at.context.own(settings.cache)
    held = at.context.caches[name].schema
    unknown = [wanted for wanted in settings.fields.values() if wanted not in held.names]
    if unknown:
        raise at.refused(f"cache {settings.cache} keeps no {unknown[0]}")
    made = [pa.field(field, held.field(wanted).type) for field, wanted in settings.fields.items()]
    if settings.into is not None:
        made = [pa.field(settings.into, pa.list_(pa.struct(made)))]
    schema = at.schema
    for field in made:
        index = schema.get_field_index(field.name)
        schema = schema.append(field) if index < 0 else schema.set(index, field)
    key, fields = tuple(settings.key), settings.fields
    return CacheGet(at.id, name, key, query, fields, settings.take, settings.into, settings.miss, schema)


def _keys(at: Arrival, cache: str, key: Mapping[str, str]) -> Query:
    """The query of the key fields. Keys are compared as what they are: 10 is not '10'."""
    spec = at.context.caches.get(at.context.own(cache))
    if spec is None:
        raise at.refused(f"no step before fills the cache {cache}")
    if set(key) != set(spec.key):
        raise at.refused(f"cache {cache} is found by {', '.join(spec.key)}")
    query, types = at.query(list(key.items()))
    for name, type_ in zip(key, types, strict=True):
        held = spec.schema.field(name).type
        if type_ != held and not (pa.types.is_integer(type_) and pa.types.is_integer(held)):
            raise at.refused(f"key {name} is {type_} here and {held} in cache {cache}: CAST it")
    return query
