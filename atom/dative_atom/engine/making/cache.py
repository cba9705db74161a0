"""A document cache of an execution: rows of columns, each with the source document that added it and that removed it.

A document sees what it or one before it added, and not what it or one before it removed, so batches may be cut anywhere.
A cache is never changed: an act makes a new one. Acts are what settles and what a resumed execution does again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as engine_codes
from dative.errors import shapes as codes

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.sql import quoted

if TYPE_CHECKING:
    from dative_atom.engine.evaluation.database import Session

SINCE: Final = "_since"
UNTIL: Final = "_until"
_ROW: Final = "_row"
_NEVER: Final = (1 << 63) - 1
_NAME: Final = b"cache"
_KIND: Final = b"act"


@dataclass(frozen=True)
class CacheSpec:
    """What a step that fills a cache says of it. schema: of the kept fields."""

    key: tuple[str, ...]
    schema: pa.Schema
    rows_max: int
    bytes_max: int


@dataclass(frozen=True)
class Act:
    """One act on a cache. rows: of an addition its fields and SINCE; of a removal its keys and UNTIL, no key for all."""

    cache: str
    adds: bool
    rows: pa.RecordBatch

    def stored(self) -> bytes:
        """As an Arrow stream that says what it is."""
        schema = self.rows.schema.with_metadata({_NAME: self.cache.encode(), _KIND: b"add" if self.adds else b"remove"})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_batch(self.rows.replace_schema_metadata(schema.metadata))
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def restored(cls, body: bytes) -> Act:
        rows = pa.ipc.open_stream(body).read_next_batch()
        metadata = rows.schema.metadata
        return cls(metadata[_NAME].decode(), metadata[_KIND] == b"add", rows.replace_schema_metadata(None))


@dataclass(frozen=True)
class Cache:
    """Its rows: the kept fields, SINCE, UNTIL (int64; _NEVER while they are there)."""

    rows: pa.Table | None = None

    def after(self) -> Cache:
        """Without what is gone: documents to come can not see it."""
        if self.rows is None or not self.rows.num_rows:
            return Cache()
        there = pc.equal(self.rows.column(UNTIL), _NEVER)
        return self if pc.all(there).as_py() else Cache(self.rows.filter(there).combine_chunks())

    def done(self, act: Act, session: Session) -> Cache:
        """The cache after this act. session: of the calling thread."""
        return self._with(act.rows) if act.adds else self._without(act.rows, session)

    def _with(self, added: pa.RecordBatch) -> Cache:
        rows = pa.Table.from_batches([added]).append_column(UNTIL, pa.repeat(pa.scalar(_NEVER), added.num_rows))
        return Cache(rows if self.rows is None else pa.concat_tables([self.rows, rows]))

    def _without(self, removed: pa.RecordBatch, session: Session) -> Cache:
        if self.rows is None:
            return self
        keys = [name for name in removed.schema.names if name != UNTIL]
        whole = self.rows.append_column(_ROW, pa.arange(0, self.rows.num_rows))
        same = " AND ".join([f"c.{SINCE} <= b.{UNTIL}", *(f"c.{quoted(name)} = b.{quoted(name)}" for name in keys)])
        found = session.query(
            f"SELECT c.{_ROW} AS r, min(b.{UNTIL}) AS u FROM batch b JOIN cache c ON {same} GROUP BY c.{_ROW}",
            removed,
            [("cache", whole)],
        )
        at = pc.index_in(pa.arange(0, self.rows.num_rows), value_set=found.column("r"))
        gone = pc.fill_null(found.column("u").take(at), _NEVER)
        until = pc.min_element_wise(self.rows.column(UNTIL).combine_chunks(), gone)
        return Cache(self.rows.set_column(self.rows.schema.get_field_index(UNTIL), UNTIL, until))

    def bounded(self, name: str, spec: CacheSpec) -> Cache:
        """This cache. StopRun cache.full beyond the bounds of the step that fills it."""
        there = self.after().rows
        rows, size = (there.num_rows, there.nbytes) if there is not None else (0, 0)
        if rows > spec.rows_max or size > spec.bytes_max:
            raise StopRun(
                f"cache {name} would hold {rows:,} documents of {size / 1024**2:,.1f} MiB; it may hold"
                f" {spec.rows_max:,} of {spec.bytes_max // 1024**2:,} MiB",
                code=codes.CACHE_FULL,
                where=f"cache {name}",
            )
        return self

    def matches(self, keys: pa.RecordBatch, session: Session) -> pa.Table:
        """(row of the keys, row of the cache) of every match, in that order. keys: the key fields, and SINCE: who asks."""
        if self.rows is None or not keys.num_rows:
            return pa.table({"b": pa.array([], pa.int64()), "c": pa.array([], pa.int64())})
        asking = keys.append_column(_ROW, pa.arange(0, keys.num_rows))
        names = [name for name in keys.schema.names if name != SINCE]
        same = [f"c.{quoted(name)} = b.{quoted(name)}" for name in names]
        seen = " AND ".join([*same, f"c.{SINCE} <= b.{SINCE}", f"b.{SINCE} < c.{UNTIL}"])
        whole = self.rows.select([*names, SINCE, UNTIL]).append_column(_ROW, pa.arange(0, self.rows.num_rows))
        found = session.query(
            f"SELECT b.{_ROW} AS b, c.{_ROW} AS c FROM batch b JOIN cache c ON {seen} ORDER BY 1, 2",
            asking,
            [("cache", whole)],
        )
        return pa.Table.from_batches([found])


@dataclass(frozen=True)
class CacheLookup:
    """One field of a cache, looked up by a key of one field. column: where the answer is set beside the batch.

    written: the key as it stands in the process. key: its SQL over `batch`, in the form that never fails.
    """

    column: str
    cache: str
    key_field: str
    written: str
    key: str
    want: str
    key_type: pa.DataType
    type: pa.DataType

    def beside(self, batch: pa.RecordBatch, session: Session) -> pa.RecordBatch:
        """The batch with this column more: a struct of one field, so that a miss is another thing than a null."""
        running = session.running
        asking = session.query(f"SELECT {self.key} AS k FROM batch b", batch).column("k")
        if asking.type != self.key_type:
            both_integers = pa.types.is_integer(asking.type) and pa.types.is_integer(self.key_type)
            if not (both_integers or pa.types.is_null(asking.type)):
                why = f"the key of cache {self.cache} is {self.key_type}, {self.written} is {asking.type}: CAST it"
                raise StopRun(why, code=engine_codes.COMPILE_FAILED, where=f"cache {self.cache}")
            asking = asking.cast(self.key_type)
        rows = running.caches.of(self.cache).rows
        keys = asked({self.key_field: asking}, running.sources(batch.column(DOCUMENT)))
        found = running.caches.of(self.cache).matches(keys, session)
        at = picked(found, batch.num_rows, last=True)
        values = pa.nulls(len(at), self.type) if rows is None else rows.column(self.want).take(at).combine_chunks()
        return batch.append_column(self.column, pa.StructArray.from_arrays([values], names=["v"], mask=pc.is_null(at)))


@dataclass
class Caches:
    """Every cache of an execution, as it stands for the documents of one batch in one stage. acts: of that batch."""

    held: dict[str, Cache] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)

    def of(self, name: str) -> Cache:
        return self.held.get(name, Cache())

    def do(self, act: Act, session: Session) -> Cache:
        """One act more; the cache after it."""
        self.acts.append(act)
        self.held[act.cache] = self.of(act.cache).done(act, session)
        return self.held[act.cache]

    def after(self) -> Caches:
        """As they stand when the batch is over."""
        return Caches({name: cache.after() for name, cache in self.held.items()})

    def repeating(self, acts: Sequence[Act], session: Session) -> Caches:
        """These, and those acts."""
        whole = Caches(dict(self.held))
        for act in acts:
            whole.do(act, session)
        return whole


def picked(found: pa.Table, count: int, *, last: bool) -> pa.Array:
    """For each of `count` rows the row of the cache that is taken; null where nothing is found."""
    chosen = found.group_by("b").aggregate([("c", "max" if last else "min")]).combine_chunks()
    at = pc.index_in(pa.arange(0, count), value_set=_flat(chosen.column("b")))
    return _flat(chosen.column("c_max" if last else "c_min")).take(at)


def listed(found: pa.Table, count: int, values: pa.StructArray) -> pa.Array:
    """For each of `count` rows the list of its matches; null where nothing is found. values: of the found rows."""
    counted = found.group_by("b").aggregate([("c", "count")]).combine_chunks()
    at = pc.index_in(pa.arange(0, count), value_set=_flat(counted.column("b")))
    sizes = _flat(counted.column("c_count")).take(at)
    ends = pc.cumulative_sum(pc.fill_null(sizes, 0)).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, values, mask=pc.is_null(sizes))


def asked(keys: Mapping[str, pa.Array], sources: pa.Array) -> pa.RecordBatch:
    """What `matches` is asked. sources: the source document of each row."""
    columns: Sequence[pa.Array] = [*keys.values(), sources.cast(pa.int64())]
    return pa.RecordBatch.from_arrays(list(columns), names=[*keys, SINCE])


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def merged_spec(first: CacheSpec, second: CacheSpec) -> CacheSpec:
    """What two steps that fill one cache say of it together: the wider bounds."""
    return replace(
        first, rows_max=max(first.rows_max, second.rows_max), bytes_max=max(first.bytes_max, second.bytes_max)
    )
