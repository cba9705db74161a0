"""What a driver hands over becomes batches that are not larger than asked, and not much smaller."""

from __future__ import annotations

import pyarrow as pa
from dative_atom.connectors.sizing import even
from hypothesis import given
from hypothesis import strategies as st


@given(rows=st.integers(0, 200), rows_max=st.integers(1, 90))
def test_no_row_is_lost_and_batches_are_even(rows: int, rows_max: int) -> None:
    batches = list(even(pa.record_batch({"n": pa.array(range(rows), pa.int64())}), rows_max))
    assert [row for batch in batches for row in batch.column(0).to_pylist()] == list(range(rows))
    sizes = [batch.num_rows for batch in batches]
    assert not sizes or (max(sizes) <= rows_max and max(sizes) - min(sizes) <= 1)
    assert len(sizes) == -(-rows // rows_max)
