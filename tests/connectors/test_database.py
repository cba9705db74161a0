"""What only a database can get wrong: types, ties, lost connections, other writers, many bad rows."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from dative.errors.base import ConfigError, DativeError, RetryLater, StopRun
from dative.errors.connector import UnknownOutcome

EVERY_TYPE = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("money", pa.decimal128(38, 10)),
        pa.field("day", pa.date32()),
        pa.field("moment", pa.timestamp("us", "UTC")),
        pa.field("clock", pa.time64("us")),
        pa.field("flag", pa.bool_()),
        pa.field("bytes", pa.binary()),
        pa.field("text", pa.string()),
        pa.field("float", pa.float64()),
    ]
)
EXACT = {
    "id": 2**62 + 1,
    "money": Decimal("1234567890123456789012345678.0123456789"),
    "day": date(1600, 2, 29),
    "moment": datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC),
    "clock": time(23, 59, 59, 999999),
    "flag": False,
    "bytes": b"\x00\xff",
    "text": "É 'quoted' \\ \n",
    "float": 0.1,
}


def _writer(bench: Any, address: str, schema: pa.Schema, operation: str = "upsert", **options: Any) -> Any:
    erp = bench.connect("database", {"url": address})
    options = {"table": "t", **({"key": ["id"]} if operation == "upsert" else {}), **options}
    return bench.opened(erp.writer(bench.operation("database", operation, options), bench.context(), schema))


def _read(bench: Any, address: str, after: Any = None, execution: str = "01EXECUTION", **options: Any) -> list[Any]:
    erp = bench.connect("database", {"url": address})
    return bench.read_all(erp.reader(bench.operation("database", "query", options), bench.context(execution)), after)


def test_every_type_goes_in_and_comes_out_exactly(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run(
        "CREATE TABLE t (id bigint PRIMARY KEY, money numeric(38,10), day date, moment timestamptz, clock time, "
        "flag boolean, bytes bytea, text text, float double precision)"
    )
    rows = pa.RecordBatch.from_pylist([EXACT, {"id": 1}], schema=EVERY_TYPE)
    writer = _writer(bench, address, EVERY_TYPE)
    writer.write(rows, bench.ticket())
    writer.commit(bench.ticket())
    read = _read(bench, address, table="t", key=["id"])
    assert read[0].batch.schema.equals(EVERY_TYPE)
    assert read[0].batch.to_pylist() == [{**dict.fromkeys(EVERY_TYPE.names), "id": 1}, EXACT]


def test_types_without_a_counterpart_are_read_as_their_text(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run("CREATE TYPE mood AS ENUM ('glad')")
    run("CREATE TABLE t (u uuid, n numeric, l int[], j jsonb, i inet, v interval, m mood)")
    run(
        "INSERT INTO t VALUES ('00000000-0000-0000-0000-000000000001', 1.10, '{1,2}', '{\"a\": 1.0}', '10.0.0.1', "
        "'1 day', 'glad')"
    )
    found = _read(bench, address, table="t")[0].batch
    assert set(found.schema.types) == {pa.string()}
    assert found.schema.field("j").metadata == {b"dative.type": b"json"}
    assert list(found.to_pylist()[0].values())[:3] == ["00000000-0000-0000-0000-000000000001", "1.10", "{1,2}"]


ROWS = [
    ("CREATE TABLE t (id text PRIMARY KEY, v text NOT NULL)", None, "database.null_value"),
    ("CREATE TABLE t (id text PRIMARY KEY, v text CHECK (v <> 'bad'))", "bad", "database.check_failed"),
    ("CREATE TABLE t (id text PRIMARY KEY, v varchar(3))", "lengthy", "database.text_too_long"),
    ("CREATE TABLE t (id text PRIMARY KEY, v numeric(4,2))", "123456.5", "database.out_of_range"),
    ("CREATE TABLE t (id text PRIMARY KEY, v smallint)", "70000", "database.out_of_range"),
    ("CREATE TABLE t (id text PRIMARY KEY, v date)", "13/45/2020", "database.out_of_range|database.value_invalid"),
    ("CREATE TABLE t (id text PRIMARY KEY, v integer)", "twelve", "database.value_invalid"),
    ("CREATE TABLE t (id text PRIMARY KEY, v text)", "a\0b", "database.value_invalid"),
    (
        "CREATE TABLE t (id text PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES ('x', 'taken')",
        "taken",
        "database.duplicate",
    ),
    (
        "CREATE TABLE p (id text PRIMARY KEY); CREATE TABLE t (id text PRIMARY KEY, v text REFERENCES p DEFERRABLE "
        "INITIALLY DEFERRED)",
        "orphan",
        "database.foreign_key",
    ),
]


@pytest.mark.parametrize(("ddl", "value", "code"), ROWS, ids=[f"{case[2]} {case[1]!r}" for case in ROWS])
def test_one_bad_row_is_rejected_by_code_without_its_value_and_the_others_are_applied(
    ddl: str, value: str | None, code: str, postgres: Any, bench: Any
) -> None:
    address, run = postgres
    for statement in ddl.split(";"):
        run(statement)
    schema = pa.schema([pa.field("id", pa.string()), pa.field("v", pa.string())])
    good = None if "REFERENCES" in ddl or "NOT NULL" not in ddl else "ok"
    rows = [{"id": f"k{number}", "v": good} for number in range(20)]
    rows[13]["v"] = value
    writer = _writer(bench, address, schema)
    results = writer.write(pa.RecordBatch.from_pylist(rows, schema=schema), bench.ticket()).results.to_pylist()
    writer.commit(bench.ticket())
    assert [number for number, row in enumerate(results) if row["outcome"] == "rejected"] == [13]
    assert re.fullmatch(code, results[13]["code"])
    assert value is None or value not in results[13]["reason"]
    assert run("SELECT count(*) FROM t WHERE id LIKE 'k%'") == [(19,)]


def test_a_number_that_would_be_rounded_silently_is_rejected(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run("CREATE TABLE t (id int PRIMARY KEY, v numeric(10,2), w int)")
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("v", pa.decimal128(12, 4)), pa.field("w", pa.float64())])
    rows = [(1, "1.2300", 1.0), (2, "1.2345", 1.0), (3, None, 1.5), (4, None, None)]
    batch = pa.RecordBatch.from_pylist([{"id": i, "v": v and Decimal(v), "w": w} for i, v, w in rows], schema=schema)
    results = _writer(bench, address, schema).write(batch, bench.ticket()).results
    assert results.column("code").to_pylist() == [None, "database.value_inexact", "database.value_inexact", None]


def test_rows_of_the_same_key_are_applied_in_order_and_the_last_one_wins(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run("CREATE TABLE t (id text PRIMARY KEY, v int)")
    schema = pa.schema([pa.field("id", pa.string()), pa.field("v", pa.int64())])
    batch = pa.RecordBatch.from_pylist([{"id": f"k{number % 7}", "v": number} for number in range(50)], schema=schema)
    writer = _writer(bench, address, schema)
    assert set(writer.write(batch, bench.ticket()).results.column("outcome").to_pylist()) == {"applied"}
    writer.commit(bench.ticket())
    assert run("SELECT v FROM t ORDER BY v") == [(number,) for number in range(43, 50)]


def test_a_row_that_a_trigger_swallows_is_not_counted_as_written(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run("CREATE TABLE t (id text PRIMARY KEY)")
    body = "BEGIN IF NEW.id = ''k3'' THEN RETURN NULL; END IF; RETURN NEW; END"
    run(f"CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
    run("CREATE TRIGGER swallow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION drop_it()")
    schema = pa.schema([pa.field("id", pa.string())])
    batch = pa.RecordBatch.from_pylist([{"id": f"k{number}"} for number in range(6)], schema=schema)
    results = _writer(bench, address, schema, "insert").write(batch, bench.ticket()).results
    assert results.column("code").to_pylist() == [None] * 3 + ["database.row_refused"] + [None] * 2


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
def test_generated_keys_come_back_to_the_document_that_caused_them(system: str, request: Any, bench: Any) -> None:
    address, run = request.getfixturevalue(system)
    serial = "integer PRIMARY KEY" if system == "sqlite" else "serial PRIMARY KEY"
    run(f"CREATE TABLE t (id {serial}, v text NOT NULL)")
    schema = pa.schema([pa.field("v", pa.string())])
    batch = pa.RecordBatch.from_pylist([{"v": "a"}, {"v": None}, {"v": "b"}, {"v": "c"}], schema=schema)
    writer = _writer(bench, address, schema, "insert", result_columns=["id"])
    results = writer.write(batch, bench.ticket()).results
    writer.commit(bench.ticket())
    there = dict(run("SELECT v, id FROM t"))
    assert results.column("result.id").to_pylist() == [str(there["a"]), None, str(there["b"]), str(there["c"])]


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
def test_rows_that_are_there_already_count_as_unchanged(system: str, request: Any, bench: Any) -> None:
    address, run = request.getfixturevalue(system)
    run("CREATE TABLE t (id varchar(9) PRIMARY KEY, v numeric(9,2), w integer)")
    run("INSERT INTO t VALUES ('a', 1.50, NULL), ('b', 2, 3)")
    schema = pa.schema([pa.field("id", pa.string()), pa.field("v", pa.decimal128(9, 2)), pa.field("w", pa.int64())])
    rows = [
        {"id": "a", "v": Decimal("1.5"), "w": None},
        {"id": "b", "v": Decimal(2), "w": 4},
        {"id": "c", "v": None, "w": None},
    ]
    writer = _writer(bench, address, schema, skip_unchanged=True)
    results = writer.write(pa.RecordBatch.from_pylist(rows, schema=schema), bench.ticket()).results
    assert results.column("outcome").to_pylist() == ["unchanged", "applied", "applied"]


# --- the connection -------------------------------------------------------------------------------------------------------


def _kill_others(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'dative'"
        )


def _table(run: Any) -> pa.Schema:
    run("CREATE TABLE t (id text PRIMARY KEY)")
    return pa.schema([pa.field("id", pa.string())])


def test_a_connection_lost_before_the_commit_has_applied_nothing_and_may_be_tried_again(
    postgres: Any, bench: Any
) -> None:
    address, run = postgres
    schema = _table(run)
    writer = _writer(bench, address, schema)
    batch = pa.RecordBatch.from_pylist([{"id": "a"}], schema=schema)
    writer.write(batch, bench.ticket())
    _kill_others(address)
    with pytest.raises(RetryLater):
        writer.commit(bench.ticket())
    assert run("SELECT * FROM t") == []
    writer.write(batch, bench.ticket())  # on a new connection
    writer.commit(bench.ticket())
    assert run("SELECT * FROM t") == [("a",)]


@pytest.mark.parametrize("arrives", [True, False], ids=["the commit arrived", "it did not"])
def test_a_lost_answer_to_commit_is_unknown_and_the_mark_tells(
    arrives: bool, postgres: Any, bench: Any, broken_wire: Any
) -> None:
    address, run = postgres
    schema = _table(run)
    wire = broken_wire(address, arrives)
    writer = _writer(bench, wire.address, schema)
    writer.write(pa.RecordBatch.from_pylist([{"id": "a"}], schema=schema), bench.ticket(3))
    wire.break_at(b"COMMIT")
    with pytest.raises(UnknownOutcome):
        writer.commit(bench.ticket(3))
    mark = writer.committed("env/p/step")
    assert (mark is not None and mark.batch == 3) is arrives
    assert run("SELECT * FROM t") == ([("a",)] if arrives else [])


def test_a_deadlock_or_a_lock_that_does_not_come_free_is_tried_later(postgres: Any, bench: Any) -> None:
    address, run = postgres
    schema = _table(run)
    run("INSERT INTO t VALUES ('a')")
    erp = bench.connect("database", {"url": address, "statement_timeout": "300ms"})
    writer = bench.opened(
        erp.writer(bench.operation("database", "upsert", {"table": "t", "key": ["id"]}), bench.context(), schema)
    )
    with psycopg.connect(address) as other:
        other.execute("SELECT * FROM t FOR UPDATE")
        with pytest.raises(RetryLater) as busy:
            writer.write(pa.RecordBatch.from_pylist([{"id": "a"}], schema=schema), bench.ticket())
    assert busy.value.code.name in ("connector.conflict", "database.statement_timeout")


REFUSED = [
    ({"url": "postgresql://nobody@127.0.0.1:1/x", "connect_timeout": "2s"}, RetryLater, "connector.unavailable"),
    ({"url": "postgresql://user:secret@127.0.0.1:1/x"}, ConfigError, "database.url_invalid"),
    ({"url": "oracle://x"}, ConfigError, "config.invalid"),
    ({"url": "sqlite:////nowhere/at/all.db"}, StopRun, "database.login_failed"),
    ({"url": "sqlite:///relative.db"}, ConfigError, "database.url_invalid"),
    ({"url": "sqlite:////x", "tmeout": "3s"}, ConfigError, "config.invalid"),
]


@pytest.mark.parametrize(("settings", "kind", "code"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_a_connection_that_can_not_be_is_refused_by_name(settings: Any, kind: type, code: str, bench: Any) -> None:
    def open_it() -> None:
        erp = bench.connect("database", settings)
        erp.reader(bench.operation("database", "query", {"table": "t"}), bench.context())

    with pytest.raises(kind) as refused:
        open_it()
    assert isinstance(refused.value, DativeError)
    assert refused.value.code.name == code


WRONG = [
    ("upsert", {"table": "tt", "key": ["id"]}, "database.table_unknown", "nearest is t"),
    ("upsert", {"table": "t", "key": ["idd"]}, "database.column_unknown", "nearest is id"),
    ("upsert", {"table": "t", "key": ["v"]}, "database.key_not_unique", "unique are: id"),
    ("query", {"table": "tt"}, "database.table_unknown", "nearest is t"),
    ("query", {"table": "t", "columns": ["vv"]}, "database.column_unknown", "nearest is v"),
    ("query", {"sql": "SELECT 1 AS x; DROP TABLE t"}, "database.query_invalid", ""),
    ("query", {"table": "t", "where": "v = :nobody"}, "connector.bind_missing", ":nobody"),
]


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
@pytest.mark.parametrize(
    ("operation", "options", "code", "says"), WRONG, ids=[f"{case[0]} {case[1]}" for case in WRONG]
)
def test_a_wrong_name_is_refused_with_the_nearest(
    operation: str, options: Any, code: str, says: str, system: str, request: Any, bench: Any
) -> None:
    address, run = request.getfixturevalue(system)
    run("CREATE TABLE t (id varchar(9) PRIMARY KEY, v varchar(9))")
    erp = bench.connect("database", {"url": address})
    made = bench.operation("database", operation, options)
    schema = pa.schema([pa.field("id", pa.string()), pa.field("v", pa.string())])
    opening = erp.reader if operation == "query" else lambda *given: erp.writer(*given, schema)
    with pytest.raises(StopRun) as refused:
        opening(made, bench.context())
    assert refused.value.code.name == code
    assert says in refused.value.message
    assert run("SELECT count(*) FROM t") == [(0,)]


def test_a_row_that_commits_late_is_caught_by_the_overlap_and_none_twice(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run("CREATE TABLE t (id int PRIMARY KEY, changed timestamptz NOT NULL)")
    run("INSERT INTO t SELECT i, timestamptz '2026-03-01 12:00Z' + i * interval '1 s' FROM generate_series(1, 9) i")
    options = {"table": "t", "incremental": {"field": "changed", "key": ["id"], "overlap": "1m"}}
    first = _read(bench, address, **options)
    run("INSERT INTO t VALUES (100, '2026-03-01 12:00:03Z')")  # stamped before, visible only now
    second = _read(bench, address, after=first[-1].position, execution="02", **options)
    assert [row["id"] for read in second for row in read.batch.to_pylist()] == [100]
