"""Documents as JSON lines, a column at a time: one object per document and no Python object per value.

Numbers and booleans as JSON has them; everything else as text, decimals too, which keep their digits so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.connectors.disk.texts import as_text

ROWS_AT_ONCE: Final = 16_384
"""Lines that are put together at a time: a text column of Arrow holds 2 GiB."""
# What a JSON text may not hold as it is (RFC 8259, 7). Looked for in all texts of a column at once.
_ESCAPED: Final = re.compile(rb'["\\\x00-\x1f]')
_encode = msgspec.json.Encoder().encode


def json_lines(documents: pa.RecordBatch) -> Iterator[memoryview]:
    """The lines, each with its end, in pieces to be written one after the other."""
    for start in range(0, documents.num_rows, ROWS_AT_ONCE):
        yield _lines(documents.slice(start, ROWS_AT_ONCE))


def _lines(documents: pa.RecordBatch) -> memoryview:
    parts: list[pa.Array | str] = []
    before = "{"
    for name, column in zip(documents.schema.names, documents.columns, strict=True):
        values, quote = _json(column)
        parts += [f"{before}{_encode(name).decode()}:{quote}", values]
        before = f"{quote},"
    if not parts:
        return memoryview(b"{}\n" * documents.num_rows)
    # One pass over all columns: joining each with its own quotes before would cost as much again.
    lines = pc.binary_join_element_wise(*parts, f"{before[:-1]}}}\n", "")
    return _data(lines)


def _data(texts: pa.Array) -> memoryview:
    """The bytes of all texts, one after the other."""
    offsets, data = memoryview(texts.buffers()[1]).cast("i"), texts.buffers()[2]
    return memoryview(data or b"")[offsets[texts.offset] : offsets[texts.offset + len(texts)]]


def _json(column: pa.Array) -> tuple[pa.Array, str]:
    """(texts without a null, the quote that stands around each of them)."""
    kind = column.type
    if pa.types.is_floating(kind):
        # Their shortest digits are JSON's, which Arrow's text of 1.0 is not; what is no number becomes null.
        return _encoded(column), ""
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.fill_null(pc.cast(column, pa.string()), "null"), ""
    texts = as_text(column)
    written = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if written and len(texts) and _ESCAPED.search(_data(texts)) is not None:
        return _encoded(texts), ""
    if not texts.null_count:
        return texts, '"'
    return pc.fill_null(pc.binary_join_element_wise('"', texts, '"', ""), "null"), ""


def _encoded(column: pa.Array) -> pa.Array:
    return pa.array([_encode(value).decode() for value in column.to_pylist()], pa.string())
