"""The limit and the peers of *accounts sync*: what the same rows cost without us.

Each contender runs in a process of its own, so that its memory is its own: `python -m tests.benchmarks.peers NAME URI ROWS`.
The two copies move mapped rows that were made beforehand: they map nothing, they are what the machine and PostgreSQL
allow at best.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.benchmarks.accounts import RATES, xref_pairs

COLUMNS = ("source_id", "full_name", "revenue", "since", "erp_id", "phone", "email", "industry", "modified")
CHANGES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
MAPPED = """
CREATE TABLE mapped AS SELECT id AS source_id, first_name || ' ' || last_name AS full_name,
  1234.56::numeric(18, 2) AS revenue, DATE '2020-01-01' AS since, 'C' || id AS erp_id, phone, email, industry,
  system_modstamp AS modified FROM account
"""


def prepare_copies(uri: str) -> None:
    """Make the mapped rows that the copies move; not part of what is timed."""
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS mapped")
        db.execute(MAPPED)


def _copy(source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: str) -> None:
    with (
        source.cursor().copy("COPY mapped TO STDOUT (FORMAT binary)") as out,
        target.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as into,
    ):
        for block in out:
            into.write(block)


def copy_only(uri: str, _rows: int) -> None:
    """Bare binary COPY … TO | COPY … FROM into an empty table like the target, its primary key included."""
    with psycopg.connect(uri) as source, psycopg.connect(uri) as target:
        target.execute("CREATE TABLE fresh (LIKE customer INCLUDING INDEXES)")
        _copy(source, target, "fresh")
        target.execute("DROP TABLE fresh")


def copy_upsert(uri: str, _rows: int) -> None:
    """The same into a stage table, then one upsert: the least that ends in the same target."""
    with psycopg.connect(uri) as source, psycopg.connect(uri) as target:
        target.execute("CREATE TEMP TABLE stage (LIKE customer)")
        _copy(source, target, "stage")
        target.execute(f"INSERT INTO customer SELECT * FROM stage ON CONFLICT (source_id) DO UPDATE SET {CHANGES}")


def _mapped(row: dict[str, Any], links: dict[str, str]) -> dict[str, Any] | None:
    try:
        amount = Decimal(row["revenue"])
        month, day, year = (int(part) for part in row["since"].split("/"))
        since = date(year, month, day)
    except (InvalidOperation, ValueError):
        return None
    healthcare = row["industry"] == "Healthcare"
    rate = Decimal(RATES.get(row["currency"], "1"))
    return {
        "source_id": row["id"],
        "full_name": f"{row['first_name']} {row['last_name']}",
        "revenue": (amount * rate).quantize(Decimal("0.01"), ROUND_HALF_EVEN),
        "since": since,
        "erp_id": links.get(row["id"]),
        "phone": "*" * (len(row["phone"]) - 2) + row["phone"][-2:] if healthcare else row["phone"],
        "email": None if healthcare else row["email"],
        "industry": row["industry"],
        "modified": row["system_modstamp"],
    }


def row_loop(uri: str, rows: int) -> None:
    """One dictionary and one upsert a row: how such a job is usually written first."""
    links = dict(zip(*xref_pairs(rows), strict=True))
    marks = ", ".join(f"%({name})s" for name in COLUMNS)
    statement = (
        f"INSERT INTO customer ({', '.join(COLUMNS)}) VALUES ({marks}) ON CONFLICT (source_id) DO UPDATE SET {CHANGES}"
    )
    with psycopg.connect(uri) as source, psycopg.connect(uri) as target:
        cursor = source.cursor("rows", row_factory=dict_row)
        cursor.itersize = 5000
        cursor.execute("SELECT * FROM account ORDER BY system_modstamp, id")
        for row in cursor:
            mapped = _mapped(row, links)
            if mapped is not None:
                target.execute(statement, mapped)


def events(uri: str, rows: int) -> tuple[float, list[float]]:
    """(CPU milliseconds a document, seconds of each) of documents that come alone: mapped, upserted and committed."""
    links = dict(zip(*xref_pairs(rows), strict=True))
    marks = ", ".join(f"%({name})s" for name in COLUMNS)
    statement = (
        f"INSERT INTO customer ({', '.join(COLUMNS)}) VALUES ({marks}) ON CONFLICT (source_id) DO UPDATE SET {CHANGES}"
    )
    times = []
    with psycopg.connect(uri, row_factory=dict_row) as source, psycopg.connect(uri) as target:
        documents = source.execute("SELECT * FROM account ORDER BY id").fetchall()
        before = time.thread_time()
        for document in documents:
            started = time.perf_counter()
            mapped = _mapped(document, links)
            if mapped is not None:
                target.execute(statement, mapped)
                target.commit()
            times.append(time.perf_counter() - started)
        cpu_s = time.thread_time() - before
    return 1000 * cpu_s / rows, times


def dlt_arrow(uri: str, rows: int) -> None:
    """dlt's own fast way: Arrow tables in, merged by key; mapped in Python a batch at a time."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ.update(
            {"DLT_PROJECT_DIR": directory, "DLT_DATA_DIR": directory, "RUNTIME__DLTHUB_TELEMETRY": "false"}
        )
        os.chdir(directory)
        import dlt
        import pyarrow as pa
        from adbc_driver_postgresql import dbapi

        links = dict(zip(*xref_pairs(rows), strict=True))
        kinds = {"revenue": pa.decimal128(18, 2), "since": pa.date32(), "modified": pa.timestamp("us", "UTC")}
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])

        @dlt.resource(name="customer_dlt", write_disposition="merge", primary_key="source_id")
        def customers() -> Iterator[pa.Table]:
            with dbapi.connect(uri) as db, db.cursor() as cursor:
                cursor.execute("SELECT * FROM account ORDER BY system_modstamp, id")
                for batch in cursor.fetch_record_batch():
                    found = (_mapped(row, links) for row in batch.to_pylist())
                    yield pa.Table.from_pylist([row for row in found if row is not None], schema=schema)

        # dlt reads a user without a password as none at all.
        destination = dlt.destinations.postgres(uri.replace("postgres:@", "postgres:none@localhost"))
        dlt.pipeline("bench", destination=destination, dataset_name="dlt_bench", pipelines_dir=directory).run(
            customers()
        )


CONTENDERS = {"copy": copy_only, "copy_upsert": copy_upsert, "row_loop": row_loop, "dlt": dlt_arrow}

if __name__ == "__main__":
    CONTENDERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
