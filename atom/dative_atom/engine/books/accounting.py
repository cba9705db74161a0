"""Proves that every document of a batch came to rest exactly once (Invariant 2).

Written: it reached the end, or a stop, after a target had it. Filtered: a stop ended it before any target had it.
Returned: it reached the end and no target was on its way. Dead-lettered: it waits in a queue, whatever had it before.
A document that several targets had counts once. What was derived from a document (parts, copies) must come to rest as
well, and the document's own fate is the gravest of theirs: dead-lettered, written, returned, filtered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes

from dative_atom.documents.batch import DOCUMENT, ERROR_STEP
from dative_atom.engine.routing import Flow
from dative_atom.journal.contract import Counts

GRAVITY = ("dead_lettered", "written", "returned", "filtered")
"""The fate of a document of which several were made is the first of these that any of them had."""
NAMED_MAX = 10
"""How many missing documents the error names; the others are counted."""


@dataclass(frozen=True)
class Fates:
    """Where the documents of a batch came to rest, one row each, by document number.

    documents: uint64. outcome, step: strings. target: the document's id at its last target, null without one.
    """

    documents: pa.Array
    outcome: pa.Array
    step: pa.Array
    target: pa.Array
    counts: Counts


def balance(flow: Flow, out: pa.RecordBatch | None, last_step: str) -> Fates:
    """The fate of every document of the flow. StopRun engine.unaccounted when one has none, or two.

    out: what flowed out of the last step. last_step: named for documents that reached the end.
    """
    written, target, wrote = _written(flow)
    rested = [
        (parked.errors.column(DOCUMENT), "dead_lettered", parked.errors.column(ERROR_STEP)) for parked in flow.parked
    ]
    for step, documents in flow.filtered:
        rested.append((documents, "filtered", _constant(step, len(documents))))
    for step, documents in flow.returned:
        rested.append((documents, "returned", _constant(step, len(documents))))
    if out is not None and out.num_rows:
        rested.append((out.column(DOCUMENT), "returned", _constant(last_step, out.num_rows)))
    documents = _concat([item[0] for item in rested], pa.uint64())
    _prove(documents, flow.lineage.living(flow.source.column(DOCUMENT)), flow.batch)
    outcome = _concat([_constant(item[1], len(item[0])) for item in rested], pa.string())
    step = _concat([item[2] for item in rested], pa.string())
    # Where a target was on the way, the document counts as written and the target's step is its rest.
    place = pc.index_in(documents, value_set=written)
    counted = pc.and_(pc.is_valid(place), pc.not_equal(outcome, "dead_lettered"))
    outcome = pc.if_else(counted, "written", outcome)
    step = pc.if_else(counted, wrote.take(place), step)
    rests = _Rests(documents, outcome, step, target.take(place))
    if flow.lineage.derivations:
        had = _Rests(written, _constant("written", len(written)), wrote, target)
        rests = _of_sources(rests, had, flow)
    counts = _counts(rests.outcome, flow)
    if not _rising(rests.documents):
        rests = rests.taken(pc.sort_indices(rests.documents))
    return Fates(rests.documents, rests.outcome, rests.step, rests.target, counts)


@dataclass(frozen=True)
class _Rests:
    """Where documents came to rest, one row each."""

    documents: pa.Array
    outcome: pa.Array
    step: pa.Array
    target: pa.Array

    def __add__(self, other: _Rests) -> _Rests:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return _Rests(*(pa.concat_arrays(pair) for pair in pairs))

    def taken(self, rows: pa.Array) -> _Rests:
        return _Rests(*(getattr(self, name).take(rows) for name in self.__dataclass_fields__))


def _of_sources(rests: _Rests, had: _Rests, flow: Flow) -> _Rests:
    """The fates of the source's documents, each the gravest of all that was made of it.

    had: what targets have, whatever became of it after: a document that was written before it was split was written.
    """
    rests += had
    source = flow.source.column(DOCUMENT)
    children, ancestors = flow.lineage.ancestry(source)
    pairs = pa.table(
        {"document": pa.concat_arrays([source, children]), "source": pa.concat_arrays([source, ancestors])}
    )
    found = pa.table(
        {
            "document": rests.documents,
            "gravity": pc.index_in(rests.outcome, value_set=pa.array(GRAVITY)),
            "row": pa.arange(0, len(rests.documents)),
        }
    )
    told = pairs.join(found, "document", join_type="inner").sort_by(
        [("source", "ascending"), ("gravity", "ascending"), ("row", "ascending")]
    )
    sources = _concat([told.column("source")], pa.uint64())
    # The first row of each source is its gravest fate.
    first = pc.index_in(pc.unique(sources), value_set=sources)
    row = _concat([told.column("row")], pa.int64()).take(first)
    return replace(rests.taken(row), documents=sources.take(first))


def _written(flow: Flow) -> tuple[pa.Array, pa.Array, pa.Array]:
    """(documents, target ids, steps) of what targets have; a document's last target comes first and is found first."""
    last_first = list(reversed(flow.written))
    documents = _concat([item.documents for item in last_first], pa.uint64())
    target = _concat([item.target for item in last_first], pa.string())
    steps = _concat([_constant(item.step, len(item.documents)) for item in last_first], pa.string())
    return documents, target, steps


def _rising(documents: pa.Array) -> bool:
    """Each number is greater than the one before: no two are alike."""
    return bool(pc.all(pc.greater(documents[1:], documents[:-1]), min_count=0).as_py())


def _prove(rested: pa.Array, read: pa.Array, batch: int) -> None:
    # The usual case, at a hundredth of the price: what was read has come to rest in one place, in its order.
    if rested.equals(read) and _rising(read):
        return
    known = pc.is_in(read, value_set=rested)
    # All of no documents is no answer in Arrow; an empty batch has nothing to prove.
    if len(rested) == len(read) == pc.count_distinct(rested).as_py() and pc.all(known, min_count=0).as_py():
        return
    missing = read.filter(pc.invert(pc.is_in(read, value_set=rested)))
    counted = pc.value_counts(rested)
    twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    raise StopRun(
        f"batch {batch}: {len(missing)} of {len(read)} documents came to rest nowhere {_named(missing)}"
        f" and {len(twice)} more than once {_named(twice)}",
        code=codes.UNACCOUNTED,
    )


def _named(documents: pa.Array) -> str:
    return (
        f"({', '.join(str(number) for number in documents.slice(0, NAMED_MAX).to_pylist())})" if len(documents) else ""
    )


def _counts(outcome: pa.Array, flow: Flow) -> Counts:
    tally = {item["values"]: item["counts"] for item in pc.value_counts(outcome).to_pylist()}
    masked = _masked(flow)
    return Counts(
        read=flow.source.num_rows,
        written=tally.get("written", 0),
        filtered=tally.get("filtered", 0),
        returned=tally.get("returned", 0),
        dead_lettered=tally.get("dead_lettered", 0),
        masked=pc.count_distinct(masked).as_py(),
    )


def _masked(flow: Flow) -> pa.Array:
    """The source documents that a mask touched, or that something masked was made of."""
    masked = _concat(flow.masked, pa.uint64())
    if not flow.lineage.derivations:
        return masked
    source = flow.source.column(DOCUMENT)
    children, ancestors = flow.lineage.ancestry(source)
    own = masked.filter(pc.is_in(masked, value_set=source))
    return pa.concat_arrays([own, ancestors.filter(pc.is_in(children, value_set=masked))])


def prove_execution(counts: Counts) -> None:
    """The whole execution adds up. StopRun engine.unaccounted otherwise."""
    if counts.unexplained:
        raise StopRun(
            f"{counts.read} documents were read, {counts.unexplained} of them are neither written ({counts.written}),"
            f" filtered ({counts.filtered}), returned ({counts.returned}) nor dead-lettered ({counts.dead_lettered})",
            code=codes.UNACCOUNTED,
        )


def _constant(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def _concat(arrays: list[pa.Array], type_: pa.DataType) -> pa.Array:
    flat = [
        chunk.cast(type_)
        for array in arrays
        for chunk in (array.chunks if isinstance(array, pa.ChunkedArray) else [array])
    ]
    return pa.concat_arrays(flat) if flat else pa.array([], type_)
