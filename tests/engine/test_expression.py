"""What expressions give, and what they say when they can not: exact, coded, without the value."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.errors import StopRun
from dative.process.load import load
from dative_atom.engine.evaluation.database import Database, Session
from dative_atom.engine.evaluation.expression import Scope
from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.evaluation.money import Rates, read_rates
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.evaluation.rows import HELD_ROWS_MAX
from dative_atom.journal.contract import LinkRows

from tests.engine.evaluator import MemoryTables, run_case

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RATES = """from,to,date,rate
USD,EUR,2024-01-01,0.5
USD,EUR,2025-01-01,0.9
USD,EUR,2027-01-01,9
USD,JPY,2024-01-01,150.5
USD,KWD,2024-01-01,0.30775
"""
FIELDS = {
    "t": pa.array(["x"]),
    "n": pa.array([None], pa.string()),
    "d": pa.array([Decimal("10.05")], pa.decimal128(18, 2)),
    "i": pa.array([7], pa.int64()),
    "z": pa.array([0], pa.int64()),
    "big": pa.array([2**62], pa.int64()),
    "closed": pa.array([date(2024, 6, 1)]),
    "json": pa.array(['{"a": 1}']),
}


@pytest.fixture
def tools(tmp_path: Path):
    database = Database(256 << 20)
    path = tmp_path / "rates.csv"
    path.write_text(RATES)
    rates = {"rates": Rates.of(read_rates(path, "rates"), NOW.date())}
    xrefs = MemoryTables()
    xrefs.xref_load(LinkRows("link", {"crm": ["x", "y"], "erp": ["E1", "E2"]}))
    yield database.session(), Tables(xrefs, frozenset(("rates", "link")), rates)
    database.close()


def evaluate(tools: tuple[Session, Tables], sql: str, **fields: pa.Array):
    session, tables = tools
    scope = Scope({"code": "it's"}, {"process.name": "'p'"}, tables.names, "rates")
    query = Query([("f", scope.compile(sql, "step s, field f"))], scope, tables)
    columns = {**FIELDS, **fields}
    evaluation = query.evaluate(session, pa.record_batch({"_document": pa.array([0], pa.uint64()), **columns}))
    failure = evaluation.failures[0] if evaluation.failures else None
    return evaluation.columns[0][0].as_py(), failure


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("concat_ws(' ', n, t)", "x"),
        ("currency(d, 'USD', 'EUR')", Decimal("9.04")),  # 9.045: half to even, down
        ("currency(10.15, 'USD', 'EUR')", Decimal("9.14")),  # 9.135: half to even, up
        ("currency(d, 'USD', 'EUR', on => closed)", Decimal("5.02")),  # the rate of its day; 5.025 to even
        ("currency(d, 'USD', 'JPY')", Decimal("1513")),  # no minor units
        ("currency(d, 'USD', 'KWD')", Decimal("3.093")),  # three of them
        ("currency(d, 'EUR', 'EUR')", Decimal("10.05")),  # needs no rate
        ("currency(NULL, 'XTS', 'EUR')", None),
        ("date('01/31/2024', '%d.%m.%Y', '%m/%d/%Y')", date(2024, 1, 31)),
        ("date('1/2/2024', '%Y%m%d', '%m/%d/%Y')", date(2024, 1, 2)),
        ("date(n, '%m/%d/%Y')", None),
        (
            "timestamp('2024-07-01 12:00', '%Y-%m-%d %H:%M', zone => 'Europe/Paris')",
            datetime(2024, 7, 1, 10, tzinfo=UTC),
        ),
        ("timestamp('2024-07-01 12:00', '%Y-%m-%d %H:%M')", datetime(2024, 7, 1, 12, tzinfo=UTC)),
        ("number('-12.50', scale => 2)", Decimal("-12.50")),
        ("xref('link', crm => t, want => 'erp')", "E1"),
        ("xref('link', crm => n, want => 'erp')", None),
        ("xref('link', crm => 'none', want => 'erp', missing => 'null')", None),
        ("param('code')", "it's"),
        ("property('process.name')", "p"),
        ("CASE WHEN t = 'y' THEN CAST(t AS INTEGER) END", None),  # the arm that is not taken fails nobody
        ("coalesce(TRY_CAST(t AS INTEGER), 0)", 0),
        ("i / 2", 3.5),
        ("json_extract_string(json, '$.b')", None),
        ("if(i > 5, 'a', 'b')", "a"),
        ("t IN ('x', 'y') AND NOT i BETWEEN 1 AND 3", True),
    ],
)
def test_an_expression_gives(tools, sql: str, value: object) -> None:
    assert evaluate(tools, sql) == (value, None)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("CAST(t AS INTEGER)", "expression.cast_failed"),
        ("coalesce(CAST(t AS INTEGER), 0)", "expression.cast_failed"),
        ("date('02/30/2024', '%m/%d/%Y')", "expression.date_unreadable"),
        ("date('01/02/24', '%m/%d/%Y')", "expression.date_unreadable"),  # not the year 24
        ("date(' 01/2/2024', '%m/%d/%Y')", "expression.date_unreadable"),
        ("date('', '%m/%d/%Y')", "expression.date_unreadable"),
        ("timestamp('2024-03-31 02:30', '%Y-%m-%d %H:%M', zone => 'Europe/Paris')", "expression.date_unreadable"),
        ("number('1,500')", "expression.number_unreadable"),
        ("number('1e3')", "expression.number_unreadable"),
        ("number(' 1')", "expression.number_unreadable"),
        ("currency(d, 'GBP', 'EUR')", "expression.rate_missing"),
        ("currency(d, n, 'EUR')", "expression.rate_missing"),
        ("currency(d, 'USD', 'EUR', on => DATE '2020-01-01')", "expression.rate_missing"),
        ("currency(t, 'USD', 'EUR')", "expression.number_unreadable"),
        ("xref('link', crm => 'none', want => 'erp')", "expression.lookup_missing"),
        ("i / z", "expression.evaluation_failed"),
        ("big * 4", "expression.evaluation_failed"),
        ("make_date(2024, i + 6, 1)", "expression.evaluation_failed"),
        ("json_extract_string(t, '$.a')", "expression.evaluation_failed"),
        ("t = 5", "expression.evaluation_failed"),  # a cast that only the database sees
    ],
)
def test_an_expression_that_fails_says_why(tools, sql: str, code: str) -> None:
    _, failure = evaluate(tools, sql)
    assert failure is not None
    assert (failure.code, failure.field, failure.row) == (code, "f", 0)


def test_a_reason_shows_the_form_of_a_value_and_nothing_of_the_value(tools) -> None:
    _, failure = evaluate(tools, "CAST(t AS INTEGER)", t=pa.array(["Zoë Q-7781, geb. 12/24"]))
    assert "'aaa a-9999, aaa. 99/99'" in failure.reason
    assert not any(part in failure.reason for part in ("Zo", "7781", "geb", "12/24"))


@pytest.mark.parametrize(
    "sql",
    ["read_csv('/etc/passwd')", "getenv('HOME')", "(SELECT 1)", "t; DROP TABLE x", "sum(i)", "repeat(t, 9)", "t AS u"],
)
def test_what_is_not_in_the_language_does_not_compile(tools, sql: str) -> None:
    with pytest.raises(StopRun) as refused:
        evaluate(tools, sql)
    assert refused.value.code.name == "engine.compile_failed"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD '/tmp/x.so'",
        "SET enable_external_access=true",
        "SET memory_limit='1TB'",
        "SET lock_configuration=false",
        "SELECT * FROM tools",  # a variable of Python around the call
    ],
)
def test_the_database_is_shut_even_to_statements_that_get_so_far(tools, sql: str) -> None:
    with pytest.raises(duckdb.Error):
        tools[0].rows(sql)


@pytest.mark.parametrize("extra", [0, HELD_ROWS_MAX])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_large_table_is_asked_once_a_batch_and_gives_what_a_small_one_gives(extra: int, rows: int) -> None:
    class Counting(MemoryTables):
        asked = 0

        def xref_lookup(self, table, column, want, keys):
            self.asked += 1
            return super().xref_lookup(table, column, want, keys)

    xrefs = Counting()
    keys = [f"k{row}" for row in range(3 + extra)]
    xrefs.xref_load(LinkRows("link", {"crm": keys, "erp": [key.upper() for key in keys]}))
    database = Database(256 << 20)
    tables = Tables(xrefs, frozenset(("link",)))
    scope = Scope({}, {}, tables.names, None)
    query = Query([("f", scope.compile("xref('link', crm => t, want => 'erp')", "s"))], scope, tables)
    batch = pa.record_batch({"_document": pa.array(range(rows), pa.uint64()), "t": pa.array(["k2", "k0", "k1"][:rows])})
    assert query.evaluate(database.session(), batch).columns[0].to_pylist() == ["K2", "K0", "K1"][:rows]
    assert xrefs.asked == (1 if extra else 0)
    database.close()


def test_the_shipped_example_runs_on_records_like_its_source_gives() -> None:
    root = Path(__file__).parents[2] / "examples" / "account-to-erp"
    process = load((root / "process.yaml").read_bytes(), filename="process.yaml").process
    row = {
        "Id": "001", "Name": "Acme", "Industry": "Healthcare", "AnnualRevenue": Decimal("10"), "CurrencyIsoCode": "EUR",
        "FirstName": "Ada", "LastName": "L", "Phone": "+49 30 12345", "Customer_Since__c": "01/31/2024",
        "Credit_Limit__c": "5.5", "CreatedDate": NOW, "SystemModstamp": NOW,
    }  # fmt: skip
    bad = {**row, "Id": "002", "Customer_Since__c": "31.31.2024"}
    tables = {"rates": RATES}
    result = run_case(process, tables, [row, bad], clock=ManualClock(NOW))
    assert result.failure is None
    assert (result.counts.written, result.counts.dead_lettered, result.counts.masked) == (1, 1, 1)
    assert result.targets["upsert"][0]["phone"].endswith("45")
    assert "Ada" not in str(result.targets["upsert"])


def test_an_overflow_that_two_fields_share_fails_its_row_and_no_other(tools) -> None:
    session, tables = tools
    scope = Scope({}, {}, tables.names, None)
    outputs = [(name, scope.compile(sql, name)) for name, sql in (("a", "n * 4"), ("b", "n * 4 + 1"))]
    numbers = [row if row != 5 else 2**62 for row in range(10)]
    batch = pa.record_batch({"_document": pa.array(range(10), pa.uint64()), "n": pa.array(numbers, pa.int64())})
    query = Query(outputs, scope, tables)
    evaluation = query.evaluate(session, batch)
    assert [failure.row for failure in evaluation.failures] == [5]
    assert evaluation.columns[1].to_pylist() == [None if row == 5 else row * 4 + 1 for row in range(10)]
    assert query.watch.strict_rows == 1, "the batch as a whole took the fast query"
