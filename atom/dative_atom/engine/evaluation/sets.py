"""Values that depend on several documents, and numbers of sequences: computed for all documents before a query runs.

line_number(), running_total(), group_total(), group_count(): over the documents that are together in a batch, in their
order, or over the items of one document's list inside an `each`. They are off the pure path: other batches, other
values. A document whose argument fails is left out of the totals, and fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.database import Session, quoted

if TYPE_CHECKING:
    from dative_atom.engine.evaluation.lookup import Tables

PARENT = "_parent"
"""In a batch of items: the row of the document whose list they are of."""


@dataclass(frozen=True)
class Lifted:
    """One such value. sql: a window over the view `batch`, or of a sequence its key, "" for none.

    sequence: the table of kind sequence. place: where a number is asked for, because two places get two numbers.
    """

    sql: str
    sequence: str | None = None
    place: str = ""


def with_sets(batch: pa.RecordBatch, lifted: Sequence[Lifted], session: Session, tables: Tables) -> pa.RecordBatch:
    """The batch with a column "_set <n>" for each of them."""
    if not lifted:
        return batch
    asked = [(index, item.sql) for index, item in enumerate(lifted) if item.sql]
    computed: dict[int, pa.Array] = {}
    if asked:
        columns = ", ".join(f"{sql} AS s{index}" for index, sql in asked)
        found = session.query(f"SELECT b.{quoted(DOCUMENT)}, {columns} FROM batch b", batch)
        order = pc.index_in(batch.column(DOCUMENT), value_set=found.column(DOCUMENT))
        computed = {index: found.column(f"s{index}").take(order) for index, _ in asked}
    arrays = [
        computed[index] if item.sequence is None else _numbers(item.sequence, computed.get(index), batch, tables)
        for index, item in enumerate(lifted)
    ]
    names = [f"_set {index}" for index in range(len(lifted))]
    return pa.RecordBatch.from_arrays([*batch.columns, *arrays], names=[*batch.schema.names, *names])


def _numbers(sequence: str, keys: pa.Array | None, batch: pa.RecordBatch, tables: Tables) -> pa.Array:
    if batch.num_rows == 0:  # a query that is only asked for its types takes no number
        return pa.array([], pa.int64())
    if keys is None:
        return pa.array(tables.numbers(sequence, batch.num_rows), pa.int64())
    given = tables.numbers_of(sequence, pc.unique(keys).drop_null().to_pylist())
    return pa.array([given.get(key) for key in keys.to_pylist()], pa.int64())
