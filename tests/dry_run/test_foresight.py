"""A property: over any rows there and any rows given, what changes is what was foreseen, unless it could not be known."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.ids import ExecutionId, StepId
from dative_atom.connectors.base import ConnectionConfig, Operation, RunContext, Ticket
from dative_atom.connectors.calls import Unlogged
from dative_atom.connectors.connection import open_connection
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = st.none() | st.sampled_from(["", "a", "A", "ä", "1", "1.0", "null", "a,b", '"', "x" * 40])
AMOUNTS = st.none() | st.sampled_from(["0", "1.5", "1.50", "-2", "7.005"])
ROWS = st.lists(st.tuples(st.integers(1, 6), NAMES, AMOUNTS), max_size=8)
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("amount", pa.string())])


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def _context() -> RunContext:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    return RunContext(ExecutionId("01"), clock, Unlogged(), threading.Event(), {}, None)  # type: ignore[arg-type]


def _table(path: Path) -> dict[int, tuple[Any, ...]]:
    with sqlite3.connect(path) as database:
        found = {row[0]: row for row in database.execute("SELECT id, name, amount, typeof(amount) FROM customer")}
    database.close()
    return found


@settings(max_examples=60, deadline=None)
@given(there=ROWS, documents=ROWS.filter(bool))
def test_what_changes_is_what_was_foreseen(place: Path, there: list[Any], documents: list[Any]) -> None:
    path = place / "erp.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, amount NUMERIC(12,2))")
        database.executemany("INSERT OR IGNORE INTO customer VALUES (?, ?, ?)", there)
    database.close()
    before = _table(path)
    batch = pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in documents], SCHEMA)
    connector = open_connection(ConnectionConfig("erp", "database", {"url": f"sqlite:///{path}"}, {}))  # type: ignore[arg-type]
    operation = Operation(StepId("write"), "database", "upsert", {"table": "customer", "key": ["id"]})

    previewer = connector.previewer(operation, _context(), SCHEMA)  # type: ignore[attr-defined]
    foreseen = previewer.preview(batch).rows.column("outcome").to_pylist()
    previewer.close()
    assert _table(path) == before

    writer = connector.writer(operation, _context(), SCHEMA)
    ticket = Ticket("s", ExecutionId("01"), 0, {}, 0)
    outcomes = writer.write(batch, ticket).results.column("outcome").to_pylist()
    writer.commit(ticket)
    writer.close()
    after = _table(path)

    changed = {key for key, row in after.items() if before.get(key) != row}
    unknown = {row[0] for row, told in zip(documents, foreseen, strict=True) if told == "cannot_know"}
    said = {row[0] for row, told in zip(documents, foreseen, strict=True) if told == "change"}
    assert said - unknown == changed - unknown
    for told, outcome in zip(foreseen, outcomes, strict=True):
        assert (told == "rejected") == (outcome == "rejected") or told == "cannot_know"
