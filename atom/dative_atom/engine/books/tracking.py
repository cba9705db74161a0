"""Which documents are found again by which key: one columnar record per settled batch, a few bytes a document.

A classified field is never tracked in the clear (Invariant 6): it is a key only where `track` says `hash(Field)`, and
then nothing but an HMAC under the environment's key leaves the atom.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.process.classes import Classification
from dative.process.model import Spec
from dative.secrets import MaskKeys
from dative.v1 import telemetry_pb2

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.books.accounting import Fates
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.routing import rows_of
from dative_atom.journal.framing import length_prefix
from dative_atom.keys import TOKEN_BYTES, TRACKED_CHARACTERS_MAX, environment_key, tracking_key

ROWS_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 700_000
"""Of one record: below the 1 MiB that a message to the controller may have. Records beyond either bound are halved."""
_BLOCK_BYTES: Final = 64
_ARROW_FIELD: Final = telemetry_pb2.TrackedDocuments.DESCRIPTOR.fields_by_name["arrow"].number
_ZSTD: Final = pa.ipc.IpcWriteOptions(compression="zstd")


def classified_fields(spec: Spec) -> Container[str]:
    """The protected fields: patterns and nested names included, so it can be asked and not listed."""
    return Classification.of(spec)


def tracked_fields(spec: Spec) -> tuple[str, ...]:
    """The source fields by which a document may be found in the clear."""
    classified = classified_fields(spec)
    return tuple(key.field for key in spec.tracked_keys if not key.hashed and key.field not in classified)


@dataclass(frozen=True)
class Effects:
    """What the one target of a batch has of each document of `Fates`: see `engine.receipts`. Dictionary-encoded texts."""

    outcome: pa.Array
    code: pa.Array


@dataclass(frozen=True)
class Tracking:
    """The keys of a process' documents. fields: in the clear; hashed: as a hash under `key`, see `dative_atom.keys`."""

    fields: tuple[str, ...]
    hashed: tuple[str, ...]
    key: bytes

    def keys(self, source: pa.RecordBatch, session: Session) -> pa.RecordBatch:
        """DOCUMENT, "key.<field>" texts and "hash.<field>" bytes: one row per document of the source, in its order."""
        columns = {DOCUMENT: source.column(DOCUMENT)}
        for name in self.fields:
            if name in source.schema.names:
                columns[f"key.{name}"] = _text(source.column(name))
        for name in self.hashed:
            if name in source.schema.names:
                columns[f"hash.{name}"] = _hashed(_text(source.column(name)), self.key, session)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def tracking_of(spec: Spec, keys: MaskKeys) -> Tracking:
    """Errors: masks.key_missing where a key is tracked by its hash and the environment has no mask key."""
    hashed = tuple(key.field for key in spec.tracked_keys if key.hashed)
    return Tracking(tracked_fields(spec), hashed, tracking_key(environment_key(keys)) if hashed else b"")


@dataclass(frozen=True)
class TrackedPart:
    """A record of tracked documents. body: a serialized dative.v1.TrackedDocuments, whose last `arrow` bytes are its rows."""

    part: int
    rows: int
    body: bytes
    arrow: int


def tracked(
    fates: Fates, keys: pa.RecordBatch, about: telemetry_pb2.TrackedDocuments, effects: Effects | None
) -> Iterator[TrackedPart]:
    """The records of a batch; none where nothing is tracked.

    keys: of `Tracking.keys`. about: the execution, process, batch and time that each record names. effects: of those
    documents, where they belong into the same rows.
    """
    if keys.num_columns == 1 or not len(fates.documents):
        return
    if not keys.column(DOCUMENT).equals(fates.documents):
        keys = rows_of(keys, fates.documents)
    columns = {
        "document": fates.documents,
        "outcome": few_texts(fates.outcome),
        "step": few_texts(fates.step),
        "target": fates.target,
        **({} if effects is None else {"effect": effects.outcome, "code": effects.code}),
        **{name: keys.column(name) for name in keys.schema.names[1:]},
    }
    whole = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    hashed = any(name.startswith("hash.") for name in keys.schema.names)
    for first, rows, arrow in in_parts(whole, _ZSTD):
        head = telemetry_pb2.TrackedDocuments(part=first, rows=rows, hashed=hashed)
        head.MergeFrom(about)
        # The rows are put behind the rest as they are: protobuf would copy half a megabyte three times.
        body = b"".join((head.SerializeToString(), length_prefix(_ARROW_FIELD, len(arrow)), arrow))
        yield TrackedPart(first, rows, body, len(arrow))


def in_parts(rows: pa.RecordBatch, options: pa.ipc.IpcWriteOptions, first: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """(index of the first row, rows, Arrow IPC stream) of as few records as the bounds allow."""
    for start in range(0, rows.num_rows, ROWS_MAX):
        piece = rows.slice(start, ROWS_MAX)
        body = _ipc(piece, options)
        if len(body) <= BODY_BYTES_MAX or piece.num_rows == 1:
            yield first + start, piece.num_rows, body
            continue
        half = piece.num_rows // 2
        yield from in_parts(piece.slice(0, half), options, first + start)
        yield from in_parts(piece.slice(half), options, first + start + half)


def few_texts(column: pa.Array) -> pa.Array:
    """The column as dictionary<string>. That all rows are alike is the usual case, and found out at a fifth of the cost."""
    rows = len(column)
    if column.null_count == rows:
        return pa.nulls(rows, pa.dictionary(pa.int8(), pa.string()))
    if column.null_count or not pc.all(pc.equal(column, column[0])).as_py():
        return column.dictionary_encode()
    zeros = pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(bytes(rows))])
    return pa.DictionaryArray.from_arrays(zeros, column.slice(0, 1), safe=False)


def _ipc(rows: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
        stream.write_batch(rows)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _text(column: pa.Array) -> pa.Array:
    text = column.cast(pa.string())
    longest = pc.max(pc.binary_length(text)).as_py()
    if longest is not None and longest > TRACKED_CHARACTERS_MAX:
        text = pc.utf8_slice_codeunits(text, 0, TRACKED_CHARACTERS_MAX)
    return text


def _hashed(text: pa.Array, key: bytes, session: Session) -> pa.Array:
    """`dative_atom.keys.hashed_key` of a whole column, in DuckDB. Source of the construction: RFC 2104."""
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (_blob(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    digest = f"sha256({outer} || unhex(sha256({inner} || encode(value))))"
    sql = f"SELECT unhex(left({digest}, {2 * TOKEN_BYTES})) AS token FROM batch"
    found = session.query(sql, pa.RecordBatch.from_arrays([text], names=["value"]))
    return found.column(0).cast(pa.binary(TOKEN_BYTES))


def _blob(data: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'::BLOB"
