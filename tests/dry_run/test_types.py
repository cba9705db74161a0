"""Every type of a column is compared as the database compares it: what was just written is no change."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.ids import ExecutionId, StepId
from dative_atom.connectors.base import ConnectionConfig, Operation, RunContext, Ticket
from dative_atom.connectors.calls import Unlogged
from dative_atom.connectors.connection import open_connection

SCHEMA = pa.schema(
    [
        ("id", pa.int64()), ("amount", pa.decimal128(12, 2)), ("ratio", pa.float64()), ("born", pa.date32()),
        ("at", pa.timestamp("us", "UTC")), ("clock", pa.time64("us")), ("active", pa.bool_()), ("doc", pa.string()),
        ("docb", pa.string()), ("raw", pa.binary()), ("key", pa.string()), ("kind", pa.string()),
    ]
)  # fmt: skip
UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
FIRST = {
    "id": 1, "amount": Decimal("1.50"), "ratio": 0.1, "born": date(1815, 12, 10),
    "at": datetime(2026, 3, 1, 12, 0, 0, 5, UTC), "clock": time(1, 2, 3), "active": True, "doc": '{"a": 1}',
    "docb": '{"b":[1, 2]}', "raw": b"\x00\xff", "key": UUID, "kind": 'q"uo,te',
}  # fmt: skip
EMPTY = {**dict.fromkeys(SCHEMA.names), "id": 2}
CHANGED = {
    **FIRST, "amount": Decimal("1.51"), "born": date(1815, 12, 11), "active": False, "doc": '{"a": 2}', "kind": "é\n",
}  # fmt: skip
TABLES = {
    "postgres": "CREATE TABLE thing (id int8 PRIMARY KEY, amount numeric(12,2), ratio float8, born date, at timestamptz, "
    "clock time, active bool, doc json, docb jsonb, raw bytea, key uuid, kind text)",
    "sqlite": "CREATE TABLE thing (id INTEGER PRIMARY KEY, amount DECIMAL(12,2), ratio REAL, born DATE, at TIMESTAMP, "
    "clock TIME, active BOOLEAN, doc TEXT, docb TEXT, raw BLOB, key TEXT, kind TEXT)",
}


@pytest.mark.parametrize("kind", TABLES)
def test_what_was_written_is_no_change_and_every_difference_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    site: Any = request.getfixturevalue(kind)
    site.run(TABLES[kind])
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    context = RunContext(ExecutionId("01"), clock, Unlogged(), threading.Event(), {}, None)  # type: ignore[arg-type]
    connector: Any = open_connection(ConnectionConfig("erp", "database", {"url": site.address}, {}))  # type: ignore[arg-type]
    operation = Operation(StepId("write"), "database", "upsert", {"table": "thing", "key": ["id"]})
    writer = connector.writer(operation, context, SCHEMA)
    ticket = Ticket("s", ExecutionId("01"), 0, {}, 0)
    told = writer.write(pa.RecordBatch.from_pylist([FIRST, EMPTY], SCHEMA), ticket).results
    assert told.column("outcome").to_pylist() == ["applied", "applied"], told.to_pylist()
    writer.commit(ticket)
    writer.close()

    def foreseen(*rows: dict[str, Any]) -> list[dict[str, Any]]:
        previewer = connector.previewer(operation, context, SCHEMA)
        try:
            return list(previewer.preview(pa.RecordBatch.from_pylist(list(rows), SCHEMA)).rows.to_pylist())
        finally:
            previewer.close()

    assert [one["outcome"] for one in foreseen(FIRST, EMPTY)] == ["no_change", "no_change"]
    (one,) = foreseen(CHANGED)
    assert one["outcome"] == "change"
    assert set(json.loads(one["changed"])) == {"amount", "born", "active", "doc", "kind"}
    before, after = json.loads(one["before"]), json.loads(one["after"])
    assert (before["kind"], after["kind"]) == ('q"uo,te', "é\n")
    assert (Decimal(before["amount"]), Decimal(after["amount"])) == (Decimal("1.50"), Decimal("1.51"))
    (emptied,) = foreseen({**EMPTY, "id": 1})
    assert set(json.loads(emptied["changed"])) == set(SCHEMA.names) - {"id"}
    assert set(json.loads(emptied["after"]).values()) == {None}
