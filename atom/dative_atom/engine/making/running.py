"""What an execution remembers from document to document: its properties, whichever batch set them.

Documents are taken as if they came one by one, in the order of the source: one sees what itself has set, or else what
the last one before it set, so that batches may be cut anywhere. For that every act of setting is kept, for the batch it
happens in, with the source document it happened to; between batches the last value remains. What was derived from a
document stands at its place. A null sets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.making.cache import Act, Caches
from dative_atom.engine.making.derived import FIRST, Lineage

if TYPE_CHECKING:
    from dative_atom.engine.evaluation.database import Session

DOCUMENT_PROPERTY: Final = "document."
PERSISTED: Final = "persisted."
START: Final = "start."
"""`start.x` is `persisted.x` as it was when the execution began: what steps before the one that sets it read."""
_VALUE: Final = "value"
_TOLD: Final = "told"
_ENDS: Final = "ends"


@dataclass(frozen=True)
class Acts:
    """Who set a property in this batch. sources: numbers of source documents, each once, rising. values: none null."""

    sources: pa.Array
    values: pa.Array

    def then(self, sources: pa.Array, values: pa.Array) -> Acts:
        """These acts and later ones; of several of one source the last one counts."""
        order = pc.sort_indices(sources)
        if not len(self.sources) and _rising(sources.take(order)):
            return Acts(sources.take(order), values.take(order))
        every = pa.concat_arrays([self.sources, sources])
        table = pa.table({"source": every, "place": pa.arange(0, len(every))})
        last = table.group_by("source").aggregate([("place", "max")]).sort_by("source").combine_chunks()
        place = last.column("place_max").combine_chunks()
        return Acts(every.take(place), pa.concat_arrays([self.values, values]).take(place))

    def at(self, sources: pa.Array, before: pa.Scalar) -> pa.Array:
        """The value as each of these source documents sees it. before: the value as it was before the batch."""
        if sources.equals(self.sources):
            return self.values
        table = pa.table(
            {
                "source": pa.concat_arrays([self.sources, sources]),
                # A document sees what itself has set.
                "reads": pa.concat_arrays([pa.repeat(False, len(self.sources)), pa.repeat(True, len(sources))]),
                "row": pa.concat_arrays([pa.repeat(-1, len(self.sources)), pa.arange(0, len(sources))]),
                _VALUE: pa.concat_arrays([self.values, pa.nulls(len(sources), self.values.type)]),
            }
        ).sort_by([("source", "ascending"), ("reads", "ascending")])
        filled = pc.fill_null_forward(table.column(_VALUE))
        seen = table.set_column(3, _VALUE, pc.fill_null(filled, before) if before.is_valid else filled)
        return seen.filter(seen.column("reads")).sort_by("row").column(_VALUE).combine_chunks()


@dataclass
class Running:
    """What is remembered, as it stands for the documents of one batch in one stage.

    values: "process.x", "persisted.x" and "start.x" as they were before the batch. acts: of the batch, by property.
    told: notices of the execution so far. caches: of documents. ends: it reads nothing more once this batch has settled.
    source, lineage: of the flow, which sets them.
    """

    values: Mapping[str, pa.Scalar] = field(default_factory=dict)
    acts: dict[str, Acts] = field(default_factory=dict)
    source: pa.RecordBatch | None = None
    lineage: Lineage = field(default_factory=Lineage)
    told: int = 0
    ends: bool = False
    caches: Caches = field(default_factory=Caches)

    def types(self) -> dict[str, pa.DataType]:
        """The types of what former executions left: steps before the one that sets it read that."""
        return {name: value.type for name, value in self.values.items() if name.startswith(START)}

    def typed(self, types: Mapping[str, pa.DataType]) -> Running:
        """The values as the steps of this version set them. StopRun engine.property_unreadable where one does not fit."""
        values = dict(self.values)
        for name in types.keys() & values.keys():
            try:
                values[name] = values[name].cast(types[name])
            except pa.ArrowException as error:
                raise StopRun(
                    f"{name} was kept as {values[name].type}, this version of the process sets a {types[name]}",
                    code=codes.PROPERTY_UNREADABLE,
                    where=name,
                ) from error
        return Running(values, told=self.told, ends=self.ends, caches=self.caches)

    def after(self) -> Running:
        """As it stands when the batch is over."""
        last = {name: acts.values[len(acts.values) - 1] for name, acts in self.acts.items() if len(acts.values)}
        return Running({**self.values, **last}, told=self.told, ends=self.ends, caches=self.caches.after())

    def repeating(self, ahead: Running, session: Session) -> Running:
        """This, and what the stage ahead has done in the batch that this one now gets from it."""
        caches = self.caches.repeating(ahead.caches.acts, session)
        return replace(self, acts=dict(ahead.acts), ends=ahead.ends, caches=caches)

    def set(self, name: str, documents: pa.Array, values: pa.Array) -> None:
        """These documents set the property; where the value is null, they do not."""
        if values.null_count:
            there = pc.is_valid(values)
            documents, values = documents.filter(there), values.filter(there)
        if len(values):
            none = Acts(pa.array([], pa.uint64()), pa.array([], values.type))
            self.acts[name] = self.acts.get(name, none).then(self.sources(documents), values)

    def shown(self, batch: pa.RecordBatch, wanted: Mapping[str, pa.DataType]) -> pa.RecordBatch:
        """The batch with the wanted properties as columns, each named as `column_of` says."""
        if not wanted:
            return batch
        columns, schema = list(batch.columns), batch.schema
        for name, type_ in wanted.items():
            columns.append(self._column(name, type_, batch.column(DOCUMENT)))
            schema = schema.append(pa.field(column_of(name), type_))
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _column(self, name: str, type_: pa.DataType, documents: pa.Array) -> pa.Array:
        before = self.values.get(name, pa.scalar(None, type_))
        acts = self.acts.get(name)
        if acts is None or not len(documents):
            return pa.repeat(before, len(documents))
        return acts.at(self.sources(documents), before)

    def sources(self, documents: pa.Array) -> pa.Array:
        """The source document of each: of what was derived, the one it was made of, or the last of several."""
        derived = pc.greater_equal(documents, pa.scalar(FIRST, pa.uint64()))
        if self.source is None or not pc.any(derived, min_count=0).as_py():
            return documents.cast(pa.uint64())
        children, ancestors = self.lineage.ancestry(self.source.column(DOCUMENT))
        pairs = pa.table({"child": children, "source": ancestors}).group_by("child").aggregate([("source", "max")])
        pairs = pairs.combine_chunks()
        place = pc.index_in(documents, value_set=pairs.column("child").combine_chunks())
        return pc.if_else(derived, pairs.column("source_max").combine_chunks().take(place), documents)


def column_of(name: str) -> str:
    """The column as which a query sees a property: "_process.x". No field of a document begins with _."""
    return f"_{name}"


def _rising(sources: pa.Array) -> bool:
    following = pc.greater(sources.slice(1), sources.slice(0, max(len(sources) - 1, 0)))
    return bool(pc.all(following, min_count=0).as_py())


def stored(values: Mapping[str, pa.Scalar]) -> dict[str, bytes]:
    """Each value as an Arrow stream of one column and one row: exact, whatever its type."""
    return {name: _written(value) for name, value in values.items()}


def _written(value: pa.Scalar) -> bytes:
    rows = pa.RecordBatch.from_arrays([pa.array([value.as_py()], value.type)], names=[_VALUE])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return bytes(sink.getvalue().to_pybytes())


def restored(bodies: Mapping[str, bytes], acts: Sequence[bytes], session: Session) -> Running:
    """As the journal keeps it: what `start.` says goes before what the execution itself has persisted meanwhile."""
    values = {name: pa.ipc.open_stream(body).read_all().column(0)[0] for name, body in bodies.items()}
    told, ends = (values.pop(name, pa.scalar(0)).as_py() for name in (_TOLD, _ENDS))
    first = {
        START + name.removeprefix(PERSISTED): value for name, value in values.items() if name.startswith(PERSISTED)
    }
    caches = Caches().repeating([Act.restored(body) for body in acts], session).after()
    return Running({**first, **values}, told=told, ends=bool(ends), caches=caches)


@dataclass(frozen=True)
class Kept:
    """What a settlement keeps. execution: for as long as the execution lasts. stream: for the next ones too.

    cached: acts on caches, to be done again in this order.
    """

    execution: Mapping[str, bytes]
    stream: Mapping[str, bytes]
    cached: Sequence[bytes]


def kept(running: Running, *, persists: bool) -> Kept:
    """What the batch has set. persists: False for a retry of dead letters, which moves nothing that lasts."""
    after = running.after().values
    own = {name: after[name] for name in running.acts if not (persists and name.startswith(PERSISTED))}
    lasting = {name: after[name] for name in running.acts if persists and name.startswith(PERSISTED)}
    for name in lasting:
        start = START + name.removeprefix(PERSISTED)
        # A resume must know what the first attempt began with, and nothing is an answer too.
        own[start] = running.values.get(start, pa.scalar(None, after[name].type))
    if running.told:
        own[_TOLD] = pa.scalar(running.told)
    if running.ends:
        # Killed before it has finished, it must not read on when it is resumed.
        own[_ENDS] = pa.scalar(1)
    return Kept(stored(own), stored(lasting), [act.stored() for act in running.caches.acts])
