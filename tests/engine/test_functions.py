"""Every function that the engine writes itself: what it gives, what it refuses, and what goes over several documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from dative.process.chains import read_chains
from dative.process.functions import FUNCTIONS
from dative.process.model import ChainSettings
from dative.process.tables import SequenceTable
from dative_atom.documents.profile import field_types
from dative_atom.engine.evaluation.database import Database
from dative_atom.engine.evaluation.expression import Scope
from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.evaluation.query import Evaluation, Query
from dative_atom.engine.evaluation.rows import HeldRows, Router
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.evaluator import MemoryTables

COUNTRIES = HeldRows({"code": ["DE", "FR"], "lang": ["de", "fr"], "name": ["Germany", "France"]})
CHAINS = read_chains(
    {
        "full_name": ChainSettings(
            parameters={"a": "text", "b": "text"}, expression="concat_ws(' ', trim(a), trim(b))"
        ),
        "shout": ChainSettings(parameters={"a": "text"}, expression="upper(full_name(a, '!')) || '.'"),
        "day_of": ChainSettings(parameters={"t": "text", "f": "text"}, expression="date(t, f)"),
    }
)
Evaluate = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    made = Database(256 << 20)
    yield made
    made.close()


@pytest.fixture
def evaluate(database: Database) -> Evaluate:
    xrefs = MemoryTables()
    sequences = {"no": SequenceTable(start=100, step=10)}
    tables = Tables(Router(xrefs, {"countries": COUNTRIES}), frozenset(("countries", "no")), {}, sequences)

    def run(sql: str, **fields: Any) -> Evaluation:
        rows = max((len(column) for column in fields.values()), default=1)
        batch = pa.record_batch({"_document": pa.array(range(rows), pa.uint64()), **fields})
        started = "CAST('2026-03-01T23:30:00+00:00' AS TIMESTAMPTZ)"
        properties = {"execution.started_at": started}
        scope = Scope({}, properties, tables.names, None, CHAINS, field_types(batch.schema))
        query = Query([("f", scope.compile(sql, "step s, field f"))], scope, tables)
        return query.evaluate(database.session(), batch)

    return run


EXAMPLES = [name for name, function in FUNCTIONS.items() if function.own and function.result]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_a_function_of_the_engine_is_true(evaluate: Evaluate, name: str) -> None:
    found = evaluate(FUNCTIONS[name].example)
    assert found.failures == []
    assert str(found.columns[0][0].as_py()) == FUNCTIONS[name].result


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        # rounding, each way on both sides of zero
        *(
            (f"precision({value}, 1, rounding => '{mode}')", Decimal(result))
            for mode, results in {
                "half_even": ["0.2", "-0.2", "0.4", "0.3"],
                "half_up": ["0.3", "-0.3", "0.4", "0.3"],
                "up": ["0.3", "-0.3", "0.4", "0.4"],
                "down": ["0.2", "-0.2", "0.3", "0.3"],
                "ceiling": ["0.3", "-0.2", "0.4", "0.4"],
                "floor": ["0.2", "-0.3", "0.3", "0.3"],
            }.items()
            for value, result in zip(["0.25", "-0.25", "0.35", "0.31"], results, strict=True)
        ),
        ("precision(1234567890.12345, 0, rounding => 'up')", Decimal("1234567891")),
        ("precision('12.345', 2)", Decimal("12.34")),
        ("precision(NULL, 2)", None),
        ("round_currency(10.5, 'JPY')", Decimal("10")),
        ("round_currency(10.5, 'JPY', rounding => 'half_up')", Decimal("11")),
        ("round_currency(1.00055, 'KWD')", Decimal("1.001")),
        # number patterns
        ("number_format(1234567.891, '#,##0.00')", "1,234,567.89"),
        ("number_format(0, '#,##0.00')", "0.00"),
        ("number_format(-0.001, '0.00')", "0.00"),
        ("number_format(0.5, '#.##')", ".5"),
        ("number_format(7, '000')", "007"),
        ("number_format(12345, '000')", "12345"),
        ("number_format(1234, '#,##0.##')", "1,234"),
        ("number_format(1234.5, '#,##0.0#', decimal => ',', group => ' ')", "1 234,5"),
        ("number_format(999999999999999999, '#,##0')", "999,999,999,999,999,999"),
        ("number_format(2.5, '0', rounding => 'half_up')", "3"),
        ("number_format(1234.5, '$#,##0.00')", "$1,234.50"),
        # zones: gaps, folds, both directions
        (
            "timestamp('2024-03-31 02:30', '%Y-%m-%d %H:%M', zone => 'Europe/Paris', gap => 'shift')",
            datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
        ),
        (
            "timestamp('2024-10-27 02:30', '%Y-%m-%d %H:%M', zone => 'Europe/Paris')",
            datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
        ),
        (
            "timestamp('2024-10-27 02:30', '%Y-%m-%d %H:%M', zone => 'Europe/Paris', fold => 'earlier')",
            datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        ),
        (
            "timestamp('2024-04-07 01:45', '%Y-%m-%d %H:%M', zone => 'Australia/Lord_Howe', fold => 'earlier')",
            datetime(2024, 4, 6, 14, 45, tzinfo=UTC),
        ),
        (
            "timestamp('2024-10-27 03:30', '%Y-%m-%d %H:%M', zone => 'Europe/Paris', fold => 'error')",
            datetime(2024, 10, 27, 2, 30, tzinfo=UTC),
        ),
        (
            "format_timestamp(timestamp('2024-07-01 10:00', '%Y-%m-%d %H:%M', zone => 'Europe/Paris'),"
            " '%Y-%m-%d %H:%M', zone => 'Asia/Tokyo')",
            "2024-07-01 17:00",
        ),
        ("today()", date(2026, 3, 1)),
        ("today(zone => 'Asia/Tokyo')", date(2026, 3, 2)),
        ("local_date(property('execution.started_at'), 'America/New_York')", date(2026, 3, 1)),
        # dates that are moved
        ("date_add(DATE '2024-02-29', -1, 'year')", date(2023, 2, 28)),
        ("date_add(d, 1, 'month')", date(2024, 2, 29)),
        ("date_add(d, 2, 'week')", date(2024, 2, 14)),
        ("date_add(d, 1, 'quarter')", date(2024, 4, 30)),
        ("date_add(at, 1, 'day', zone => 'Europe/Paris')", datetime(2024, 3, 31, 7, 0, tzinfo=UTC)),
        ("date_add(at, 1, 'day')", datetime(2024, 3, 31, 8, 0, tzinfo=UTC)),
        ("date_add(at, 90, 'minute')", datetime(2024, 3, 30, 9, 30, tzinfo=UTC)),
        ("date_add(NULLIF(d, d), 1, 'day')", None),
        # kana
        ("kana('ｶﾞｷﾞﾊﾟﾋﾟｱﾞ', 'full')", "ガギパピア゛"),
        ("kana('ガギパピヴ', 'half')", "ｶﾞｷﾞﾊﾟﾋﾟｳﾞ"),
        ("kana('カタカナ ABC 漢字', 'hiragana')", "かたかな ABC 漢字"),
        ("kana('か\u3099', 'katakana')", "ガ"),
        # lookups by one column and by two
        ("lookup('countries', code => 'DE', want => 'name')", "Germany"),
        ("lookup('countries', code => 'DE', lang => 'de', want => 'name')", "Germany"),
        ("lookup('countries', code => 'DE', lang => 'fr', want => 'name', missing => 'null')", None),
        ("lookup('countries', code => NULL, want => 'name')", None),
        # lists
        ("list_sum(pluck(lines, 'qty'))", 5),
        ("list_join(pluck(lines, 'sku'), '/')", "A/B"),
        ("list_get(pluck(lines, 'sku'), 9)", None),
        ("list_sum(pluck(parse_json('[{\"q\": 2}, {\"q\": 3}]', 'list({q: integer})'), 'q'))", 5),
        ("parse_json('{\"a\": 1.25}', '{a: decimal(5,2), b: text}')", {"a": Decimal("1.25"), "b": None}),
        ("parse_json(CAST(NULL AS VARCHAR), 'list(text)')", None),
        # functions of the process' own
        ("full_name('  Ada', 'L ')", "Ada L"),
        ("shout('ada')", "ADA !."),
        ("day_of('31.01.2024', '%d.%m.%Y')", date(2024, 1, 31)),
    ],
)
def test_a_function_gives(evaluate: Evaluate, sql: str, value: object) -> None:
    found = evaluate(
        sql,
        d=pa.array([date(2024, 1, 31)]),
        at=pa.array([datetime(2024, 3, 30, 8, 0, tzinfo=UTC)]),
        lines=pa.array([[{"sku": "A", "qty": 2}, {"sku": "B", "qty": 3}]]),
    )
    assert found.failures == []
    assert found.columns[0][0].as_py() == value


BAD = {"t": pa.array(["x"]), "d": pa.array([date(2024, 1, 31)]), "n": pa.array([99_999_999])}


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("precision('12a', 2)", "expression.number_unreadable"),
        ("precision(1e30, 2)", "expression.number_unreadable"),
        ("round_currency(1.5, NULL)", "expression.number_unreadable"),
        ("number_format('x', '0')", "expression.number_unreadable"),
        (
            "timestamp('2024-10-27 02:30', '%Y-%m-%d %H:%M', zone => 'Europe/Paris', fold => 'error')",
            "expression.date_unreadable",
        ),
        ("date_add(d, n, 'year')", "expression.evaluation_failed"),
        ("lookup('countries', code => 'XX', want => 'name')", "expression.lookup_missing"),
        ("lookup('countries', code => 'DE', lang => 'fr', want => 'name')", "expression.lookup_missing"),
        ("day_of('31.02.2024', '%d.%m.%Y')", "expression.date_unreadable"),
        ("parse_json('{' || t, 'list(text)')", "expression.evaluation_failed"),
        ("parse_json('[\"' || t || '\"]', 'list(integer)')", "expression.evaluation_failed"),
        ("running_total(CAST(t AS INTEGER))", "expression.cast_failed"),
    ],
)
def test_a_function_that_fails_says_why(evaluate: Evaluate, sql: str, code: str) -> None:
    assert [(failure.row, failure.code) for failure in evaluate(sql, **BAD).failures] == [(0, code)]


ORDERS = {"o": pa.array(["x", "y", "x", "x"]), "a": pa.array(["1", "2", "bad", "4"])}


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("line_number()", [1, 2, 3, 4]),
        ("line_number(by => o)", [1, 1, 2, 3]),
        ("group_count(by => o)", [3, 1, 3, 3]),
        ("running_total(length(a), by => o)", [1, 1, 4, 5]),
        ("group_total(length(a))", [6, 6, 6, 6]),
        ("line_number(by => o) * 10 + group_count()", [14, 14, 24, 34]),
    ],
)
def test_what_goes_over_several_documents_follows_their_order(evaluate: Evaluate, sql: str, values: list[int]) -> None:
    found = evaluate(sql, **ORDERS)
    assert found.failures == []
    assert [int(value) for value in found.columns[0].to_pylist()] == values


def test_a_document_whose_amount_fails_is_left_out_of_the_totals_and_fails_alone(evaluate: Evaluate) -> None:
    found = evaluate("running_total(number(a), by => o)", **ORDERS)
    assert [(failure.row, failure.code) for failure in found.failures] == [(2, "expression.number_unreadable")]
    assert [found.columns[0][row].as_py() for row in (0, 1, 3)] == [1, 2, 5]


def test_a_number_of_a_sequence_is_given_once_and_to_the_same_key_again(evaluate: Evaluate) -> None:
    assert evaluate("sequence('no')", **ORDERS).columns[0].to_pylist() == [100, 110, 120, 130]
    first = evaluate("sequence('no', key => o)", **ORDERS).columns[0].to_pylist()
    assert first == [140, 150, 140, 140]
    assert evaluate("sequence('no', key => o)", **ORDERS).columns[0].to_pylist() == first
    assert evaluate("sequence('no') - sequence('no')", **ORDERS).columns[0].to_pylist() == [-40] * 4
    assert evaluate("sequence('no', key => NULLIF(o, 'y'))", **ORDERS).columns[0].to_pylist() == [140, None, 140, 140]


@given(st.lists(st.decimals(min_value=-(10**9), max_value=10**9, places=4), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_a_formatted_number_reads_back_as_the_number_rounded(database: Database, numbers: list[Decimal]) -> None:
    session = database.session()
    tables = Tables(MemoryTables(), frozenset())
    scope = Scope({}, {}, frozenset(), None)
    outputs = [("f", scope.compile("number_format(n, '#,##0.00')", "s")), ("p", scope.compile("precision(n, 2)", "s"))]
    column = pa.array(numbers, pa.decimal128(18, 4))
    batch = pa.record_batch({"_document": pa.array(range(len(numbers)), pa.uint64()), "n": column})
    found = Query(outputs, scope, tables).evaluate(session, batch)
    read = [Decimal(text.replace(",", "")) for text in found.columns[0].to_pylist()]
    assert read == found.columns[1].to_pylist() == [number.quantize(Decimal("0.01")) for number in numbers]
