"""Batches of about the size that is asked for, out of what a driver hands over, without a copy."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def even(piece: pa.RecordBatch, rows_max: int) -> Iterator[pa.RecordBatch]:
    """The piece in as few batches as rows_max allows, all of one size but for a row: a small rest would cost a batch."""
    parts = -(-piece.num_rows // rows_max)
    start = 0
    for part in range(1, parts + 1):
        end = piece.num_rows * part // parts
        yield piece.slice(start, end - start)
        start = end
