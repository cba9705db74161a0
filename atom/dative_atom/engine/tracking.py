"""Which documents are found again by which key: one columnar record per settled batch, a few bytes a document.

Classified fields are never tracked in the clear (Invariant 6): a field that the process classifies is no key, whatever
`track` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
from dative.process.model import Spec
from dative.v1 import telemetry_pb2

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.accounting import Fates
from dative_atom.engine.routing import rows_of

ROWS_MAX: Final = 16_384
"""Documents a record: some 400 kB with two keys, below the 1 MiB that a message to the controller may have."""
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="zstd")


def classified_fields(spec: Spec) -> frozenset[str]:
    return frozenset(name for names in spec.classify.values() for name in names)


def tracked_fields(spec: Spec) -> tuple[str, ...]:
    """The source fields by which a document may be found."""
    return tuple(name for name in spec.track if name not in classified_fields(spec))


def tracked(
    fates: Fates, source: pa.RecordBatch, fields: Sequence[str], execution_id: str, process: str, batch: int
) -> Iterator[bytes]:
    """Serialized dative.v1.TrackedDocuments of the batch; none where nothing is tracked."""
    present = [name for name in fields if name in source.schema.names]
    if not present or not len(fates.documents):
        return
    documents = source.select([DOCUMENT, *present])
    if not documents.column(DOCUMENT).equals(fates.documents):
        documents = rows_of(documents, fates.documents)
    columns = {
        "document": fates.documents,
        "outcome": fates.outcome.dictionary_encode(),
        "step": fates.step.dictionary_encode(),
        "target": fates.target,
        **{f"key.{name}": documents.column(name).cast(pa.string()) for name in present},
    }
    whole = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    for start in range(0, whole.num_rows, ROWS_MAX):
        rows = whole.slice(start, ROWS_MAX)
        yield telemetry_pb2.TrackedDocuments(
            execution_id=execution_id, process=process, batch=batch, rows=rows.num_rows, arrow=_ipc(rows)
        ).SerializeToString()


def _ipc(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as stream:
        stream.write_batch(rows)
    return bytes(sink.getvalue().to_pybytes())
