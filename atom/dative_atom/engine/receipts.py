"""Receipts: what each target has of each document, one columnar record per batch and target.

They are settled with the batch (Invariants 1 and 2): a receipt is valid when the position is, and a batch that is done
again leaves one receipt. A document that was parked before any target had seen it has a receipt too, of the step where
it stopped, so that nothing which was not delivered is without its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.documents.batch import DOCUMENT, ERROR_CODE, ERROR_STEP
from dative_atom.engine.routing import Flow, Reached, rows_of
from dative_atom.engine.tracking import in_parts
from dative_atom.journal.contract import Receipts

PARKED: Final = "parked"
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")
"""Receipts stay on the atom, so a few bytes more cost less than the time that zstd takes."""


def receipts_of(flow: Flow, keys: pa.RecordBatch) -> list[Receipts]:
    """keys: of `Tracking.keys`; every receipt names its document by them."""
    parts: dict[str, int] = {}
    found = []
    for reached in (*flow.reached, *_parked(flow)):
        # A step that the batch passed more than once goes on counting its rows, so that each record has a place of its own.
        first = parts.get(reached.step, 0)
        for part, rows, body in in_parts(_rows(reached, keys), _LZ4, first):
            found.append(Receipts(reached.step, part, rows, body))
        parts[reached.step] = first + len(reached.documents)
    return found


def _rows(reached: Reached, keys: pa.RecordBatch) -> pa.RecordBatch:
    if not keys.column(DOCUMENT).equals(reached.documents):
        keys = rows_of(keys, reached.documents)
    columns = {
        "document": reached.documents,
        "outcome": reached.outcome.dictionary_encode(),
        "code": reached.code.dictionary_encode(),
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


def _concat(arrays: Sequence[pa.Array]) -> pa.Array:
    return pa.concat_arrays(arrays) if arrays else pa.array([], pa.uint64())
