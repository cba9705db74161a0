"""Documents that come alone or in tens end exactly as those that come in thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.process.functions import FUNCTIONS
from dative.process.load import load
from dative_atom.documents.batch import number_documents
from dative_atom.documents.profile import field_types
from dative_atom.engine.compile import compile_process
from dative_atom.engine.evaluation.bound import BOUND_ERRORS, ROWS_MAX
from dative_atom.engine.evaluation.database import Database, Session
from dative_atom.engine.evaluation.expression import Scope
from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.evaluation.money import Rates, read_rates
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.evaluation.rows import HELD_ROWS_MAX, HeldRows, Router
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.journal.contract import LinkRows
from dative_atom.telemetry.recorder import Recorder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.evaluator import Case, MemoryTables

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MIN, MAX = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1900, 2200))
RATES = """from,to,date,rate
USD,EUR,2024-01-01,0.5
USD,EUR,2025-01-01,0.9
USD,EUR,2027-01-01,9
USD,JPY,2024-01-01,150.5
"""
# One expression or more for every function of the language, over fields whose values may be bad for it.
EXPRESSIONS = {
    "currency": ["currency(dec, cur, 'EUR')", "currency(number(t), upper(cur), cur2, on => d)", "currency(t, 'USD', 'JPY')",
                 "currency(dec, 'USD', 'EUR', on => date(t, '%m/%d/%Y'))", "currency(CAST(t AS DECIMAL(9, 2)), cur, 'EUR')"],
    "date": ["date(t, '%m/%d/%Y', '%Y-%m-%d')"],
    "timestamp": ["timestamp(t, '%m/%d/%Y %H:%M', zone => 'Europe/Paris')", "timestamp(t, '%Y-%m-%d')"],
    "number": ["number(t)", "number(t, scale => 2) * 4"],
    "xref": ["xref('link', crm => t, want => 'erp')", "xref('link', crm => t, want => 'erp', missing => 'null')",
             "xref('link', crm => CAST(t AS INTEGER), want => 'erp', missing => 'null')",
             "xref('link', crm => lower(t), want => 'erp')", "xref('link', crm => i, want => 'erp')",
             "xref('large', crm => t, want => 'erp', missing => 'null')"],
    "param": ["param('code') || t"],
    "property": ["property('process.name')"],
    "concat": ["concat(t, i, dec, d, ts)"],
    "concat_ws": ["concat_ws(' ', t, NULL, b)"],
    "upper": ["upper(t)"], "lower": ["lower(t)"], "trim": ["trim(t)"], "ltrim": ["ltrim(t, '0')"],
    "rtrim": ["rtrim(t, '. ')"], "length": ["length(t)"], "left": ["left(t, i)"], "right": ["right(t, 2)"],
    "substring": ["substring(t, i, 3)"], "split_part": ["split_part(t, '/', i)"],
    "replace": ["replace(t, '.', '')"], "translate": ["translate(t, '/', '_')"],
    "lpad": ["lpad(t, 5, '0')"], "rpad": ["rpad(t, 5, t)"], "reverse": ["reverse(t)"], "instr": ["instr(t, '/')"],
    "contains": ["contains(t, '1')"], "starts_with": ["starts_with(t, '0')"], "ends_with": ["ends_with(t, '4')"],
    "strip_accents": ["strip_accents(t)"], "regexp_matches": ["regexp_matches(t, '^[0-9]+$')"],
    "regexp_extract": ["regexp_extract(t, '([0-9]+)', 1)"], "regexp_replace": ["regexp_replace(t, '[0-9]', '', 'g')"],
    "ascii": ["ascii(t)"], "chr": ["chr(CAST(i AS INTEGER))"], "url_encode": ["url_encode(t)"],
    "url_decode": ["url_decode(t)"], "md5": ["md5(t)"], "sha256": ["sha256(t)"],
    "abs": ["abs(big)", "abs(f)"], "round": ["round(dec, 2)", "round(f, 1)"], "trunc": ["trunc(f)"],
    "floor": ["floor(dec)"], "ceil": ["ceil(f)"], "sign": ["sign(big)"], "mod": ["mod(i, z)"],
    "power": ["power(f, i)"], "sqrt": ["sqrt(dec)"], "greatest": ["greatest(i, z, NULL)"], "least": ["least(t, cur)"],
    "year": ["year(d)"], "quarter": ["quarter(ts)"], "month": ["month(d)"], "week": ["week(d)"], "day": ["day(d)"],
    "isodow": ["isodow(d)"], "dayofyear": ["dayofyear(d)"], "hour": ["hour(ts)"], "minute": ["minute(ts)"],
    "second": ["second(ts)"], "date_trunc": ["date_trunc('month', d)"], "date_diff": ["date_diff('day', d, ts)"],
    "last_day": ["last_day(d)"], "make_date": ["make_date(2024, i, z)"], "strftime": ["strftime(d, '%d.%m.%Y')"],
    "epoch_ms": ["epoch_ms(ts)"], "coalesce": ["coalesce(t, cur)"], "ifnull": ["ifnull(t, 'a')"],
    "nullif": ["nullif(t, '')"], "if": ["if(i > 5, t, cur)"],
    "json_extract_string": ["json_extract_string(j, '$.a.b')"], "json_extract": ["json_extract(j, '$.a')"],
    "json_array_length": ["json_array_length(j)"], "json_valid": ["json_valid(j)"],
    "lookup": ["lookup('countries', code => t, want => 'name', missing => 'null')",
               "lookup('countries', code => cur, lang => lower(t), want => 'name', missing => 'null')"],
    "kana": ["kana(t, 'katakana')", "kana(t, 'full')", "kana(t, 'half')"],
    "precision": ["precision(t, 2)", "precision(dec, 0, rounding => 'up')", "precision(f, 1, rounding => 'floor')"],
    "round_currency": ["round_currency(dec, cur)", "round_currency(t, 'JPY', rounding => 'half_up')"],
    "number_format": ["number_format(dec, '#,##0.0#')", "number_format(t, '000.##', decimal => ',')"],
    "monthname": ["monthname(d)"], "dayname": ["dayname(ts)"], "isoyear": ["isoyear(d)"],
    "date_add": ["date_add(d, i, 'month')", "date_add(ts, z, 'day', zone => 'Europe/Paris')", "date_add(ts, i, 'second')"],
    "date_sub": ["date_sub('month', d, DATE '2024-01-01')"],
    "local_date": ["local_date(ts, 'Asia/Tokyo')"], "today": ["today(zone => 'Asia/Tokyo')"],
    "format_timestamp": ["format_timestamp(ts, '%H:%M', zone => 'Europe/Paris')", "format_timestamp(d, '%Y')"],
    "list_count": ["list_count(lines)"], "list_get": ["list_get([t, cur], -1)"], "list_join": ["list_join([t, cur], '/')"],
    "list_sum": ["list_sum(pluck(lines, 'qty'))"], "list_min": ["list_min(['b', t])"], "list_max": ["list_max(['b', t])"],
    "list_contains": ["list_contains(['1', cur], t)"], "list_distinct": ["list_distinct([t, cur, 'b'])"],
    "pluck": ["pluck(lines, 'sku')"],
    "parse_json": ["parse_json(j, '{a: {b: integer}}')", "parse_json(j, 'list(integer)')"],
    "operators": ["i / z", "big * 4 + i", "-big", "t = 5", "CAST(t AS INTEGER)", "TRY_CAST(t AS DATE)", "CAST(d AS VARCHAR)",
                  "CASE WHEN b THEN CAST(t AS INTEGER) END", "t LIKE '%1%' OR i IN (1, 2)", "1", "t"],
}  # fmt: skip
SCHEMA = pa.schema([
    ("t", pa.string()), ("cur", pa.string()), ("cur2", pa.string()), ("j", pa.string()), ("i", pa.int64()),
    ("z", pa.int64()), ("big", pa.int64()), ("dec", pa.decimal128(18, 2)), ("f", pa.float64()), ("b", pa.bool_()),
    ("d", pa.date32()), ("ts", pa.timestamp("us", "UTC")), ("rate 9", pa.string()), ('od"d', pa.string()),
    ("lines", pa.list_(pa.struct([("sku", pa.string()), ("qty", pa.int64())]))),
])  # fmt: skip


def _or_none(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | values


_DATES = ["01/31/2024", "02/30/2024", "2024-03-31", "03/31/2024 02:30"]
_OTHERS = ["1", "", " 1", "k1", "K1", "%zz", "Zoë", "1e999", "'", "-7.25", "x" * 200]
TEXTS = st.sampled_from([*_DATES, *_OTHERS]) | st.text(max_size=8).filter(lambda text: "\0" not in text)
ROW = st.tuples(
    _or_none(TEXTS),
    _or_none(st.sampled_from(["USD", "EUR", "usd", "XTS"])),
    _or_none(st.sampled_from(["EUR", "JPY", "XTS"])),
    _or_none(st.sampled_from(['{"a": {"b": 1}}', "[1, 2]", "{", "", "null"])),
    _or_none(st.integers(-3, 200_000)),
    _or_none(st.integers(-1, 40)),
    _or_none(st.sampled_from([0, 7, 2**62, -(2**63), 2**63 - 1])),
    _or_none(st.decimals(Decimal("-1e15"), Decimal("1e15"), places=2)),
    _or_none(st.sampled_from([0.0, 2.5, -1.5, 1e308, -1e308])),
    _or_none(st.booleans()),
    _or_none(st.dates(date(1900, 1, 1), date(2200, 1, 1))),
    _or_none(st.datetimes(MIN, MAX, timezones=st.just(UTC))),
    st.none(),
    _or_none(TEXTS),
    _or_none(st.lists(st.fixed_dictionaries({"sku": _or_none(TEXTS), "qty": st.integers(0, 9)}), max_size=3)),
)


QUERIES: dict[str, Query] = {}
"""Compiled once: hypothesis runs a test many times."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Tables]]:
    path: Path = tmp_path_factory.mktemp("rates") / "rates.csv"
    path.write_text(RATES)
    database = Database(256 << 20)
    xrefs = MemoryTables()
    xrefs.xref_load(LinkRows("link", {"crm": ["k1", "1", "7"], "erp": ["E1", "E2", "E3"]}))
    keys = ["k1", *(f"n{row}" for row in range(HELD_ROWS_MAX))]
    xrefs.xref_load(LinkRows("large", {"crm": keys, "erp": [f"L {key}" for key in keys]}))
    rates = {"rates": Rates.of(read_rates(path, "rates"), NOW.date())}
    countries = HeldRows({"code": ["1", "EUR"], "lang": ["k1", "1"], "name": ["One", "Euro"]})
    names = frozenset(("rates", "link", "large", "countries"))
    yield database.session(), Tables(Router(xrefs, {"countries": countries}), names, rates)
    database.close()


def made(tools: tuple[Session, Tables], *sqls: str) -> Query:
    session, tables = tools
    started = "CAST('2026-03-01T12:00:00+00:00' AS TIMESTAMPTZ)"
    properties = {"process.name": "'p'", "execution.started_at": started}
    scope = Scope({"code": "it's"}, properties, tables.names, "rates", types=field_types(SCHEMA))
    query = Query([(f"f{index}", scope.compile(sql, f"f{index}")) for index, sql in enumerate(sqls)], scope, tables)
    query.types(session, number_documents(batch_of([]), 0))
    return query


def batch_of(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(list(column), field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def ended(query: Query, session: Session, batch: pa.RecordBatch, size: int) -> tuple[list[list[object]], list[object]]:
    """(values of the documents that do not fail, column by column; failures) of the batch, given in pieces."""
    columns: list[list[object]] = []
    failures: list[object] = []
    for first in range(0, batch.num_rows, size):
        evaluation = query.evaluate(session, batch.slice(first, size))
        failures += [(first + each.row, each.code, each.reason, each.field) for each in evaluation.failures]
        failed = {each.row for each in evaluation.failures}
        for place, column in enumerate(evaluation.columns):
            if place == len(columns):
                columns.append([column.type])
            assert column.type == columns[place][0]
            columns[place] += [value for row, value in enumerate(column.to_pylist()) if row not in failed]
    return columns, failures


def test_every_function_of_the_language_is_among_the_expressions() -> None:
    # What goes over several documents, and numbers that are given once, are another value in another batch. A cache is
    # filled by the steps before: test_caches.py.
    elsewhere = ("sequence", "cache")
    alone = {name for name, function in FUNCTIONS.items() if function.volatility != "set" and name not in elsewhere}
    assert alone <= set(EXPRESSIONS)


@pytest.mark.parametrize("name", EXPRESSIONS)
@settings(max_examples=8, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=40), size=st.integers(1, 12))
def test_a_batch_ends_the_same_whole_bound_and_one_by_one(tools, name: str, rows, size: int) -> None:
    session, _ = tools
    if name not in QUERIES:
        QUERIES[name] = made(tools, *EXPRESSIONS[name])
    query = QUERIES[name]
    few = number_documents(batch_of(rows), 0)
    # The same rows, often enough to take the way of large batches.
    times = ROWS_MAX // len(rows) + 1
    many = number_documents(batch_of(rows * times), 0)
    columns, failures = ended(query, session, many, many.num_rows)
    once = ended(query, session, few, few.num_rows)
    assert repr((columns, failures)) == repr(
        (
            [column[:1] + column[1:] * times for column in once[0]],
            [(row + lap * len(rows), *rest) for lap in range(times) for row, *rest in once[1]],
        )
    )
    assert repr(ended(query, session, few, size)) == repr(once)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_good_documents_take_the_bound_way_whatever_is_computed(tools, name: str) -> None:
    session, _ = tools
    good = (
        "1",
        "EUR",
        "JPY",
        '{"a": {"b": 1}}',
        1,
        1,
        7,
        Decimal(7),
        1.0,
        True,
        NOW.date(),
        NOW,
        None,
        None,
        [{"sku": "A", "qty": 1}],
    )
    for sql in EXPRESSIONS[name]:
        query = made(tools, sql)
        query.evaluate(session, number_documents(batch_of([good]), 0))
        assert query.watch.bound_rows == (0 if sql == "t" else 1), sql


def test_a_thousand_documents_end_the_same_in_one_batch_and_in_a_thousand(tools) -> None:
    session, _ = tools
    query = made(tools, "currency(dec, cur, 'EUR')", "date(t, '%m/%d/%Y')", "xref('link', crm => t, want => 'erp')")
    texts, currencies = ["1", "k1", "01/31/2024", None, "x"], ["USD", "EUR", "XTS", None]
    rows = [
        (texts[row % 5], currencies[row % 4], None, None, row, 1, 1, Decimal(row), 1.0, True, *[None] * 5)
        for row in range(1000)
    ]
    batch = number_documents(batch_of(rows), 0)
    assert ended(query, session, batch, 1) == ended(query, session, batch, 1000)
    assert query.watch.bound_rows == 1000


def test_a_batch_of_other_columns_than_before_is_prepared_again(tools) -> None:
    session, _ = tools
    query = made(tools, "upper(t)")
    narrow = pa.record_batch({"_document": pa.array([0], pa.uint64()), "t": ["a"]})
    wide = pa.record_batch({"_document": pa.array([0], pa.uint64()), "i": [1], "t": pa.array(["b"], pa.large_string())})
    assert [query.evaluate(session, each).columns[0].to_pylist() for each in (narrow, wide, narrow)] == [
        ["A"],
        ["B"],
        ["A"],
    ]


def test_a_field_that_is_named_like_a_lookup_is_none(tools) -> None:
    session, _ = tools
    query = made(tools, "xref('link', crm => t, want => 'erp')")
    batch = pa.record_batch({"_document": pa.array([0], pa.uint64()), "t": ["k1"], "xref 0": ["mine"], "v": ["w"]})
    assert query.evaluate(session, batch).columns[0].to_pylist() == ["E1"]


def test_time_is_utc_in_every_session_wherever_the_machine_stands() -> None:
    asked = "SELECT current_setting('TimeZone'), CAST(make_timestamptz(0) AS VARCHAR)"
    program = f"""
from dative_atom.engine.evaluation.database import Database
database = Database(256 << 20)
session = database.session()
bound = [database.bound(guarded).run({asked!r}) for guarded in (False, True)]
print([session.rows({asked!r}), *bound])
"""
    ended = subprocess.run(  # a process of its own: the zone is read once
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == str([[("UTC", "1970-01-01 00:00:00+00")]] * 3)


@pytest.mark.parametrize("guarded", [False, True])
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
        "SELECT * FROM 'https://example.com/x.csv'",
    ],
)
def test_the_database_of_bound_statements_is_shut_too(guarded: bool, sql: str) -> None:
    database = Database(256 << 20)
    connection = database.bound(guarded)
    try:
        with pytest.raises(BOUND_ERRORS):
            connection.run(sql)
        assert connection.run("SELECT current_setting('TimeZone'), current_setting('memory_limit')") == [
            ("UTC", "128.0 MiB")
        ]
    finally:
        connection.close()
        database.close()


class Counting:
    """A session that counts the statements it is asked for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.bound_calls = 0

    def bound(self, sql: str, schema: pa.Schema) -> object:
        self.bound_calls += 1
        return self._session.bound(sql, schema)

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


FUSED = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: disk, erp: database}
  source: {id: read, disk.read: {connection: crm, path: in.csv, format: csv}}
  steps:
    - id: m
      map: {keep: rest, fields: {Kind: upper(kind), n: number(amount), "c0": kind, odd: "'b.\\"none\\"'"}}
    - id: d
      decide: KIND = 'USD' AND kind2 IS NOT NULL
      then: [{id: k, mask: {Kind: keep_last(1), kind2: redact}}]
      else: [{id: e, decide: "n / 2 > 1", then: [{id: x, mask: {n: drop}}]}]
"""


def fused(database: Database, rows: list[dict[str, object]], size: int) -> tuple[list[object], list[object], int]:
    """(documents that flow out, failed ones, statements asked for) of a map, decisions and masks."""
    schema = pa.schema([(name, pa.string()) for name in ("kind", "kind2", "amount")])
    loaded = load(FUSED, filename="p.yaml")
    assert loaded.process is not None, loaded.findings
    case = Case(loaded.process, database, ManualClock(NOW))
    plan = compile_process(loaded.process.spec.steps, schema, case._context({}, MemoryTables(), {}, NOW))
    session = Counting(database.session())
    flowed: list[object] = []
    failed: list[object] = []
    for first in range(0, len(rows), size):
        source = number_documents(pa.RecordBatch.from_pylist(rows[first : first + size], schema=schema), first)
        flow = Flow(0, source, session, Recorder(), "q")  # type: ignore[arg-type]
        out = run_steps(plan.transform, source, flow)
        flowed += out.to_pylist()
        failed += [row for parked in flow.parked for row in parked.errors.to_pylist()]
    return flowed, failed, session.bound_calls


def test_a_map_and_the_steps_after_it_are_one_statement_and_end_as_they_do_apart() -> None:
    database = Database(256 << 20)
    values = [
        ("usd", "x", "1"),
        ("usd", None, "9"),
        ("eur", "y", "bad"),
        (None, "z", "5"),
        ("eur", None, None),
        ("usd", "w", "0"),
    ]
    rows: list[dict[str, object]] = [dict(zip(("kind", "kind2", "amount"), value, strict=True)) for value in values]
    flowed, failed, asked = fused(database, rows, 1)
    assert asked == len(rows), "one statement a batch"
    whole = fused(database, rows * 30, 6 * 30)
    assert whole[0][: len(flowed)] == flowed
    assert whole[1][: len(failed)] == failed
    assert fused(database, rows, 4)[:2] == (flowed, failed)
    assert [row["Kind"] for row in flowed] == ["**D", "USD", None, "EUR", "**D"]
    database.close()


def test_an_answer_for_other_documents_is_not_taken(tools) -> None:
    session, _ = tools
    first, second = made(tools, "upper(t) || 'x'"), made(tools, "lower(t)")
    first.lead([second])
    batch = number_documents(batch_of([("A", *[None] * (len(SCHEMA) - 1))]), 0)
    first.evaluate(session, batch)
    later = number_documents(batch_of([("B", *[None] * (len(SCHEMA) - 1))]), 7)
    assert second.evaluate(session, later).columns[0].to_pylist() == ["b"]
    first.evaluate(session, batch)
    first.evaluate(session, number_documents(batch_of([("C", *[None] * (len(SCHEMA) - 1))] * 200), 0))
    assert second.evaluate(session, number_documents(batch_of([("D", *[None] * (len(SCHEMA) - 1))]), 0)).columns[
        0
    ].to_pylist() == ["d"]


@pytest.mark.parametrize(
    ("sql", "certain"),
    [
        ("date(t, '%m/%d/%Y')", True),
        ("currency(number(t), cur, 'EUR', on => d)", True),
        ("CAST(number(t) AS INTEGER)", True),
        ("currency(t, upper(cur), 'EUR')", False),
        ("coalesce(number(t), 0)", False),
        ("CASE WHEN b THEN number(t) END", False),
        ("TRY_CAST(t AS DATE)", False),
        ("number(t) * 4", False),
        ("json_extract(j, '$.a')", False),
    ],
)
def test_only_conversions_of_fields_are_certain_to_fail_where_they_are_suspect(tools, sql: str, certain: bool) -> None:
    _, tables = tools
    assert Scope({}, {}, tables.names, "rates").compile(sql, "s").certain is certain
