"""JSON lines made a column at a time are what an encoder makes a document at a time."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from dative_atom.connectors.disk.lines import ROWS_AT_ONCE, json_lines
from hypothesis import given
from hypothesis import strategies as st


def written(documents: pa.RecordBatch) -> list[str]:
    text = b"".join(json_lines(documents)).decode()
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.text(max_size=6).filter(lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text)),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.booleans(),
            st.none() | st.floats(),
        ),
        max_size=20,
    ),
    start=st.integers(0, 3),
)
def test_every_line_reads_back_as_its_document(rows: list[tuple[object, ...]], start: int) -> None:
    kinds = [("t", pa.string()), ('i"', pa.int64()), ("b", pa.bool_()), ("f", pa.float64())]
    arrays = [pa.array([row[place] for row in rows], kind) for place, (_, kind) in enumerate(kinds)]
    documents = pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in kinds]).slice(start)
    expected = [
        [None if isinstance(value, float) and not math.isfinite(value) else value for value in row]
        for row in rows[start:]
    ]
    assert [list(json.loads(line).values()) for line in written(documents)] == expected


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (pa.array([Decimal("1.50")]), '{"c":"1.50"}'),
        (pa.array([date(2024, 1, 31)]), '{"c":"2024-01-31"}'),
        (pa.array([datetime(2024, 1, 31, 1, 2, 3, tzinfo=UTC)]), '{"c":"2024-01-31T01:02:03.000000Z"}'),
        (pa.array([b"\xff"]), '{"c":"/w=="}'),
        (pa.array(['say "a\\b"\n\x01']), '{"c":"say \\"a\\\\b\\"\\n\\u0001"}'),
        (pa.array(["Zoë ☃"]), '{"c":"Zoë ☃"}'),
        (pa.array([1.0]), '{"c":1.0}'),
        (pa.array([None], pa.string()), '{"c":null}'),
        (pa.array([""]), '{"c":""}'),
    ],
)
def test_a_value_is_written(column: pa.Array, line: str) -> None:
    assert written(pa.record_batch({"c": column})) == [line]


def test_more_documents_than_are_put_together_at_once_all_come() -> None:
    rows = 2 * ROWS_AT_ONCE + 5
    assert written(pa.record_batch({"n": range(rows)})) == [f'{{"n":{row}}}' for row in range(rows)]
