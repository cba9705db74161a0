"""Builds the answer of a preview, column by column."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.connectors.base import PREVIEW_FIELDS, Foresight, Preview
from dative_atom.connectors.outcomes import Tally

TEXT = pa.string()


def all_of(rows: int, outcome: Foresight, reason: str | None = None, notes: Sequence[str] = ()) -> Preview:
    """The same answer for every document."""
    said = [pa.scalar(outcome.value, TEXT), pa.scalar(None, TEXT), pa.scalar(reason, TEXT)]
    columns = [pa.repeat(value, rows) for value in said] + [pa.nulls(rows, TEXT)] * 3
    return Preview(pa.RecordBatch.from_arrays(columns, schema=PREVIEW_FIELDS), tuple(notes))


def with_rejected(preview: Preview, tally: Tally) -> Preview:
    """The preview with what the tally rejects rejected, and without anything else about these documents."""
    if not tally.rejected_rows:
        return preview
    told = tally.outcomes({}).results
    refused = pc.equal(told.column("outcome"), "rejected")
    columns = {name: preview.rows.column(name) for name in PREVIEW_FIELDS.names}
    columns["outcome"] = pc.if_else(refused, Foresight.REJECTED.value, columns["outcome"])
    for name in ("code", "reason"):
        columns[name] = pc.if_else(refused, told.column(name), columns[name])
    for name in ("changed", "before", "after"):
        columns[name] = pc.if_else(refused, pa.scalar(None, TEXT), columns[name])
    return Preview(pa.RecordBatch.from_arrays(list(columns.values()), schema=PREVIEW_FIELDS), preview.notes)
