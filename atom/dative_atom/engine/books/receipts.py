"""Receipts: what each target has of each document, one columnar record per batch and target.

They are settled with the batch (Invariants 1 and 2): a receipt is valid when the position is, and a batch that is done
again leaves one receipt. A document that was parked before any target had seen it has a receipt too, of the step where
it stopped, so that nothing which was not delivered is without its reason. What a step made of documents (parts, copies,
joined ones) has one receipt for each document it was made of, with its own number beside theirs.

A batch with one target, the usual one, writes its rows once: the receipts are the rows of its tracked documents with two
columns more. Keys and target ids are most of either record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.v1 import telemetry_pb2

from dative_atom.documents.batch import DOCUMENT, ERROR_CODE, ERROR_STEP
from dative_atom.engine.books.accounting import Fates
from dative_atom.engine.books.tracking import Effects, few_texts, in_parts, tracked
from dative_atom.engine.making.derived import FIRST
from dative_atom.engine.routing import Flow, Reached, rows_of
from dative_atom.journal.contract import Receipts, SharedRows

PARKED: Final = "parked"
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")
"""Receipts stay on the atom, so a few bytes more cost less than the time that zstd takes."""


@dataclass(frozen=True)
class Books:
    """What a settlement keeps of a batch's documents. tracked: serialized dative.v1.TrackedDocuments."""

    tracked: list[bytes]
    receipts: list[Receipts]


def books_of(flow: Flow, fates: Fates, keys: pa.RecordBatch, about: telemetry_pb2.TrackedDocuments) -> Books:
    """keys: of `Tracking.keys`; every row names its document by them. about: what every tracked record names."""
    # Where nothing is tracked there are no rows that they could stand in.
    effects = _effects(flow, fates) if keys.num_columns > 1 else None
    parts = list(tracked(fates, keys, about, effects))
    bodies = [part.body for part in parts]
    if effects is None or not parts:
        return Books(bodies, receipts_of(flow, keys))
    step = flow.reached[0].step
    shared = [
        Receipts(step, part.part, part.rows, b"", SharedRows(index, part.arrow)) for index, part in enumerate(parts)
    ]
    return Books(bodies, shared)


def _effects(flow: Flow, fates: Fates) -> Effects | None:
    """What the batch's one target has, row by row of the fates; None where that does not say all there is to say."""
    if len(flow.reached) != 1 or flow.lineage.derivations:
        return None
    reached = flow.reached[0]
    if not flow.parked and reached.documents.equals(fates.documents):
        return Effects(few_texts(reached.outcome), few_texts(reached.code))
    parked = list(_parked(flow))
    documents = _concat([reached.documents, *(one.documents for one in parked)])
    place = pc.index_in(fates.documents, value_set=documents)
    outcome, code = (
        pa.concat_arrays([getattr(one, name).cast(pa.string()) for one in (reached, *parked)]).take(place)
        for name in ("outcome", "code")
    )
    return Effects(few_texts(outcome), few_texts(code))


def receipts_of(flow: Flow, keys: pa.RecordBatch) -> list[Receipts]:
    """In rows of their own, one record or more for each time a target was reached."""
    origins = _origins(flow)
    counted: dict[str, int] = {}
    found: list[Receipts] = []
    for reached in (*flow.reached, *_parked(flow)):
        rows = _rows(reached, keys, origins)
        # A step that the batch passed more than once goes on counting its rows: each record has a place of its own.
        first = counted.get(reached.step, 0)
        found.extend(Receipts(reached.step, *part) for part in in_parts(rows, _LZ4, first))
        counted[reached.step] = first + rows.num_rows
    return found


def _origins(flow: Flow) -> pa.Table | None:
    """Columns document, source: what each document of the batch was made of; None where nothing was made."""
    if not flow.lineage.derivations:
        return None
    source = flow.source.column(DOCUMENT).cast(pa.uint64())
    children, ancestors = flow.lineage.ancestry(source)
    return pa.table({"document": pa.concat_arrays([source, children]), "source": pa.concat_arrays([source, ancestors])})


def _by_source(reached: Reached, origins: pa.Table) -> tuple[Reached, pa.Array]:
    """One row for each document of the source, and the number of what was made of it: null where it is the document."""
    asked = pa.table({"document": reached.documents, "place": pa.arange(0, len(reached.documents))})
    pairs = asked.join(origins, "document", join_type="inner")
    pairs = pairs.sort_by([("place", "ascending"), ("source", "ascending")])
    documents, source, place = (_flat(pairs.column(name)) for name in ("document", "source", "place"))
    derived = pc.greater_equal(documents, pa.scalar(FIRST, pa.uint64()))
    made = pc.if_else(derived, documents, pa.scalar(None, pa.uint64()))
    outcome, code, target = (column.take(place) for column in (reached.outcome, reached.code, reached.target))
    return Reached(reached.step, source, outcome, code, target), made


def _rows(reached: Reached, keys: pa.RecordBatch, origins: pa.Table | None) -> pa.RecordBatch:
    made = None
    if origins is not None:
        reached, made = _by_source(reached, origins)
    if not keys.column(DOCUMENT).equals(reached.documents):
        keys = rows_of(keys, reached.documents)
    columns = {
        "document": reached.documents,
        **({} if made is None else {"made": made}),
        "outcome": few_texts(reached.outcome),
        "code": few_texts(reached.code),
        "target": reached.target,
        **{name: keys.column(name) for name in keys.schema.names[1:]},
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _parked(flow: Flow) -> Iterator[Reached]:
    """Parked documents that no target has seen."""
    if not flow.parked:
        return
    seen = _concat([reached.documents for reached in flow.reached])
    for parked in flow.parked:
        errors = parked.errors.filter(pc.invert(pc.is_in(parked.errors.column(DOCUMENT), value_set=seen)))
        for step in pc.unique(errors.column(ERROR_STEP)).to_pylist():
            rows = errors.filter(pc.equal(errors.column(ERROR_STEP), step))
            outcome = pa.repeat(pa.scalar(PARKED, pa.string()), rows.num_rows)
            target = pa.nulls(rows.num_rows, pa.string())
            yield Reached(step, rows.column(DOCUMENT), outcome, rows.column(ERROR_CODE), target)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.chunks else pa.array([], column.type)


def _concat(arrays: Sequence[pa.Array]) -> pa.Array:
    return pa.concat_arrays(arrays) if arrays else pa.array([], pa.uint64())
