"""*Nested job*: orders with five lines each, header and lines mapped, every line looked up and converted.

Measured: the engine's steps over columns, in batches of 10,000 orders, beside the same work in plain Python over dicts.
Sources and targets are left out on both sides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pyarrow as pa
from dative.clock import ManualClock
from dative.process.load import load
from dative_atom.documents.batch import number_documents
from dative_atom.engine.compile import compile_process
from dative_atom.engine.evaluation.database import Database
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.journal.contract import LinkRows
from dative_atom.telemetry.recorder import Recorder

from tests.engine.evaluator import Case, MemoryTables

LINES = 5
BATCH = 10_000
SKUS = 5_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)
RATES = {"rates": "from,to,date,rate\nUSD,EUR,2024-01-01,0.9137\n"}
PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: orders}
spec:
  connections: {shop: disk, erp: disk}
  tables: {rates: {kind: rates, file: rates.csv}, item: {kind: xref, columns: [shop, erp]}}
  source: {id: read, disk.read: {connection: shop, path: orders.jsonl, format: jsonl}}
  steps:
    - id: make
      map:
        fields:
          order_id: Id
          placed: date(Placed, '%m/%d/%Y')
          total: list_sum(pluck(Lines, 'Qty'))
          lines:
            each: Lines
            as: line
            fields:
              no: line_number()
              order_id: Id
              item: "xref('item', shop => line.Sku, want => 'erp')"
              amount: "currency(line.Price, Currency, 'EUR')"
              qty: line.Qty
    - {id: apart, unnest: {list: lines, as: line}}
"""


def orders(count: int) -> pa.Table:
    """Orders whose lines name items and prices."""
    lines = count * LINES
    items = pa.StructArray.from_arrays(
        [
            pa.array([f"S{row % SKUS}" for row in range(lines)]),
            pa.array([Decimal(row % 10_000) / 100 for row in range(lines)], pa.decimal128(18, 2)),
            pa.array([row % 7 + 1 for row in range(lines)], pa.int64()),
        ],
        names=["Sku", "Price", "Qty"],
    )
    return pa.table(
        {
            "Id": pa.array([f"O{row}" for row in range(count)]),
            "Placed": pa.array(["01/31/2024" if row % 2 else "2/1/2024" for row in range(count)]),
            "Currency": pa.array(["USD" if row % 2 else "EUR" for row in range(count)]),
            "Lines": pa.ListArray.from_arrays(pa.array(range(0, lines + 1, LINES), pa.int32()), items),
        }
    )


def ours(table: pa.Table) -> tuple[float, int]:
    """(seconds, lines made)."""
    process = load(PROCESS, filename="orders.yaml").process
    assert process is not None
    xrefs = MemoryTables()
    xrefs.xref_load(
        LinkRows("item", {"shop": [f"S{row}" for row in range(SKUS)], "erp": [f"E{row}" for row in range(SKUS)]})
    )
    database = Database(512 << 20)
    context = Case(process, database, ManualClock(NOW))._context(RATES, xrefs, {}, NOW)
    plan = compile_process(process.spec.steps, table.schema, context)
    session, made = database.session(), 0
    started = time.perf_counter()
    for first in range(0, table.num_rows, BATCH):
        batch = number_documents(table.slice(first, BATCH).combine_chunks().to_batches()[0], first)
        flow = Flow(first // BATCH, batch, session, Recorder(), "orders")
        out = run_steps([*plan.transform, *plan.deliver], batch, flow)
        assert out is not None
        made += out.num_rows
    seconds = time.perf_counter() - started
    database.close()
    return seconds, made


def row_loop(rows: list[dict[str, Any]]) -> tuple[float, int]:
    """The same in plain Python over dicts that are there already."""
    items = {f"S{row}": f"E{row}" for row in range(SKUS)}
    rates = {("USD", "EUR"): Decimal("0.9137")}
    started = time.perf_counter()
    made = sum(1 for row in rows for _ in _lines(row, items, rates))
    return time.perf_counter() - started, made


def _lines(
    row: dict[str, Any], items: dict[str, str], rates: dict[tuple[str, str], Decimal]
) -> Iterator[dict[str, Any]]:
    header = {
        "order_id": row["Id"],
        "placed": datetime.strptime(row["Placed"], "%m/%d/%Y").replace(tzinfo=UTC).date(),
        "total": sum(line["Qty"] for line in row["Lines"]),
    }
    rate = Decimal(1) if row["Currency"] == "EUR" else rates[row["Currency"], "EUR"]
    for number, line in enumerate(row["Lines"], 1):
        amount = (line["Price"] * rate).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        yield {**header, "no": number, "item": items[line["Sku"]], "amount": amount, "qty": line["Qty"]}
