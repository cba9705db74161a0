"""Expressions: what is let through, what it means, and that nothing else gets through."""

from __future__ import annotations

import duckdb
import pytest
from dative.process import datatypes
from dative.process.expression import ExpressionError, parse_expression, read_expression
from dative.process.forbidden import why_forbidden
from dative.process.functions import FUNCTIONS, PROPERTIES
from hypothesis import given, settings
from hypothesis import strategies as st

FIELDS = {
    "name": datatypes.TEXT,
    "amount": datatypes.decimal(18, 2),
    "count": datatypes.INTEGER,
    "ratio": datatypes.DOUBLE,
    "active": datatypes.BOOLEAN,
    "day": datatypes.DATE,
    "at": datatypes.TIMESTAMP,
    "payload": datatypes.JSON,
}


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"enable_external_access": "false", "threads": "1"})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_example_of_the_reference_is_true(name: str, database: duckdb.DuckDBPyConnection) -> None:
    function = FUNCTIONS[name]
    expression = parse_expression(function.example)
    if function.own:
        assert [call.name for call in expression.calls] == [name]
        return
    row = database.execute(f"SELECT {expression.tree.sql(dialect='duckdb')}").fetchone()
    assert row is not None
    assert str(row[0]) == function.result
    assert _fits(expression.type, str(database.description[0][1]))


def _fits(kind: datatypes.DataType, column: str) -> bool:
    by_kind = {
        "text": ("VARCHAR",),
        "integer": ("INT",),
        "double": ("DOUBLE",),
        "boolean": ("BOOL",),
        "date": ("DATE",),
        "timestamp": ("TIMESTAMP", "DATETIME"),
        "decimal": ("DECIMAL",),
        "json": ("JSON",),
        "any": ("",),
    }
    return any(name in column.upper() for name in by_kind[kind.kind])


TYPES: list[tuple[str, str]] = [
    ("name", "text"),
    ("amount + 1", "decimal(18,2)"),
    ("amount + count", "decimal(21,2)"),
    ("amount * 12", "decimal(20,2)"),
    ("count + 1", "integer"),
    ("amount * amount", "decimal(36,4)"),
    ("amount / 2", "double"),
    ("count % 2", "integer"),
    ("ratio + amount", "double"),
    ("-count", "integer"),
    ("name || 'x'", "text"),
    ("count > 5 AND active", "boolean"),
    ("NOT active OR name IS NULL", "boolean"),
    ("name IN ('a', 'b')", "boolean"),
    ("day BETWEEN '2024-01-01' AND DATE '2024-12-31'", "boolean"),
    ("day + 1", "date"),
    ("day + INTERVAL 1 MONTH", "timestamp"),
    ("day - day", "integer"),
    ("EXTRACT(year FROM day)", "integer"),
    ("CASE WHEN active THEN 1 ELSE 2.5 END", "decimal(2,1)"),
    ("CASE WHEN active THEN count ELSE 2.5 END", "decimal(20,1)"),
    ("CASE WHEN active THEN 1 ELSE 100 END", "integer"),
    ("CASE name WHEN 'a' THEN day END", "date"),
    ("CASE WHEN active THEN NULL ELSE at END", "timestamp"),
    ("CAST(name AS DECIMAL(10, 2))", "decimal(10,2)"),
    ("name::INTEGER", "integer"),
    ("TRY_CAST(name AS DATE)", "date"),
    ("coalesce(NULL, count, amount)", "decimal(21,2)"),
    ("if(active, 'a', 'b')", "text"),
    ("round(amount * 2, 1)", "decimal(18,1)"),
    ("precision(amount, 1)", "decimal(17,1)"),
    ("precision(amount, 4)", "decimal(20,4)"),
    ("precision(name, 2)", "decimal(38,2)"),
    ("round_currency(amount, 'JPY')", "decimal(16,0)"),
    ("currency(amount, 'USD', 'EUR')", "decimal(38,2)"),
    ("currency(amount, 'USD', 'JPY')", "decimal(38,0)"),
    ("currency(amount, name, 'KWD', on => day)", "decimal(38,3)"),
    ("number(name)", "decimal(38,6)"),
    ("number(name, scale => 2)", "decimal(38,2)"),
    ("date(name, '%Y-%m-%d', '%d.%m.%Y')", "date"),
    ("timestamp(name, '%Y-%m-%d %H:%M', zone => 'Europe/Paris')", "timestamp"),
    ("xref('t', a => name, want => 'b')", "text"),
    ("property('execution.started_at')", "timestamp"),
    ("json_extract_string(payload, '$.a')", "text"),
    ("unknown_field + 1", "any"),
    ("Owner.Name", "any"),
    ("NULL", "any"),
]


@pytest.mark.parametrize(("sql", "expected"), TYPES, ids=[case[0] for case in TYPES])
def test_types_are_known_before_anything_runs(sql: str, expected: str) -> None:
    expression, problems = read_expression(sql, FIELDS)
    assert problems == []
    assert expression is not None
    assert str(expression.type) == expected


REFUSED: list[tuple[str, str]] = [
    ("name + 1", "wrong_type"),
    ("name = 5", "wrong_type"),
    ("name = count", "wrong_type"),
    ("day = count", "wrong_type"),
    ("active AND name", "wrong_type"),
    ("upper(amount)", "wrong_type"),
    ("concat_ws()", "wrong_arguments"),
    ("coalesce(name, count)", "wrong_type"),
    ("CASE WHEN active THEN name ELSE count END", "wrong_type"),
    ("CASE WHEN count THEN 1 END", "wrong_type"),
    ("day + at", "wrong_type"),
    ("CAST(name AS DECIMAL(50, 2))", "wrong_type"),
    ("CAST(name AS UUID)", "not_allowed"),
    ("CAST(name AS INTEGER[])", "not_allowed"),
    ("CAST(name AS STRUCT(a INTEGER))", "not_allowed"),
    ("date(name)", "ambiguous_date"),
    ("date(name, '%m/%Y')", "ambiguous_date"),
    ("date(name, '%d/%m/%Q')", "wrong_arguments"),
    ("date(name, name)", "wrong_arguments"),
    ("timestamp(name, '%Y-%m-%d', zone => 'Mars/Olympus')", "wrong_arguments"),
    ("timestamp(name, '%Y-%m-%d', zones => 'UTC')", "wrong_arguments"),
    ("currency(amount, 'usd', 'EUR')", "wrong_arguments"),
    ("currency(amount, xref('t', a => name, want => 'b'), 'EUR')", "wrong_arguments"),
    ("currency(amount, 'USD')", "wrong_arguments"),
    ("xref('t', want => 'b')", "wrong_arguments"),
    ("xref('t', a => name)", "wrong_arguments"),
    ("xref('t', want => 'c')", "wrong_arguments"),
    ("xref('t', a => name, want => 'b', missing => 'maybe')", "wrong_arguments"),
    ("xref('t', a => xref('t', a => name, want => 'b'), want => 'b')", "wrong_arguments"),
    ("xref(name, a => name, want => 'b')", "wrong_arguments"),
    ("property('execution.identity')", "wrong_arguments"),
    ("lpad(name, count, ' ')", "unbounded"),
    ("lpad(name, 100000, ' ')", "unbounded"),
    ("replace(" * 5 + "name" + ", 'a', 'aa')" * 5, "unbounded"),
    ("repeat(name, 10)", "forbidden_function"),
    ("format('{:>999999999}', name)", "forbidden_function"),
    ("range(1000000000)", "forbidden_function"),
    ("getenv('HOME')", "forbidden_function"),
    ("\"getenv\"('HOME')", "forbidden_function"),
    ("GetEnv('HOME')", "forbidden_function"),
    ("read_text('/etc/passwd')", "forbidden_function"),
    ("duckdb_settings()", "forbidden_function"),
    ("query('SELECT 1')", "forbidden_function"),
    ("pragma_version()", "forbidden_function"),
    ("now()", "forbidden_function"),
    ("random()", "forbidden_function"),
    ("sum(amount)", "forbidden_function"),
    ("current_date", "not_allowed"),
    ("main.getenv('HOME')", "not_allowed"),
    ("name.upper()", "not_allowed"),
    ("{'a': name}", "not_allowed"),
    ("{'a': name}", "not_allowed"),
    ("name[1]", "not_allowed"),
    ("x -> x + 1", "not_allowed"),
    ("name IN count", "not_allowed"),
    ("payload->>'$.a'", "not_allowed"),
    ("$1", "not_allowed"),
    ("?", "not_allowed"),
    (":name", "not_allowed"),
    ("*", "not_scalar"),
    ("b.*", "not_scalar"),
    ("(SELECT 1)", "not_scalar"),
    ("EXISTS (SELECT 1)", "not_scalar"),
    ("name IN (SELECT 1)", "not_allowed"),
    ("name = ANY (SELECT 1)", "not_scalar"),
    ("count(*) OVER ()", "not_scalar"),
    ("row_number() OVER (ORDER BY name)", "not_scalar"),
    ("name FROM t", "syntax"),
    ("name AS other", "syntax"),
    ("name, count", "syntax"),
    ("name UNION SELECT 1", "syntax"),
    ("SELECT name", "not_scalar"),
    ("ATTACH 'x.db'", "not_scalar"),
    ("PRAGMA version", "not_scalar"),
    ("COPY t TO 'x'", "not_scalar"),
    ("name; DROP TABLE t", "not_scalar"),
    ("name -- comment\n; SELECT 1", "not_scalar"),
    ("/* only a comment */", "syntax"),
    ("'open", "syntax"),
    ("name ||", "syntax"),
    ("", "syntax"),
    ("((((((((((((((((((((((name))))))))))))))))))))))", "too_deep"),
    ("NOT " * 30 + "active", "too_deep"),
    ("CASE WHEN " * 30 + "active", "too_deep"),
    ("1" + " + 1" * 100, "too_deep"),
    ("name" + "::TEXT" * 100, "too_deep"),
    ("INTERVAL " * 400, "too_deep"),
    ("'" + "x" * 4000 + "'", "too_long"),
    ("1, " * 1000, "too_long"),
]


@pytest.mark.parametrize(("sql", "code"), REFUSED, ids=[case[0][:50] for case in REFUSED])
def test_what_is_not_in_the_language_is_refused_with_its_reason(sql: str, code: str) -> None:
    _, problems = read_expression(sql, FIELDS)
    assert f"expression.{code}" in [problem.code.name for problem in problems]
    with pytest.raises(ExpressionError):
        parse_expression(sql, FIELDS)


def test_no_function_of_the_database_that_reaches_outside_is_in_the_table(
    database: duckdb.DuckDBPyConnection,
) -> None:
    names = database.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    known = {str(name) for (name,) in names}
    assert {name for name in FUNCTIONS if why_forbidden(name)} == set()
    plain = {
        name for name, function in FUNCTIONS.items() if not function.own and name not in ("coalesce", "ifnull", "if")
    }
    assert plain <= known
    volatile = database.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'"
    ).fetchall()
    assert {name for (name,) in volatile} & plain == set()


def test_the_engine_gets_the_tree_the_fields_and_the_calls() -> None:
    sql = "coalesce(xref('account', crm => upper(\"Own Id\"), want => 'erp', missing => 'null'), param('none')) || Owner.Name"
    expression = parse_expression(sql)
    assert expression.fields == {"Own Id", "Owner.Name"}
    assert expression.functions == {"coalesce", "xref", "upper", "param"}
    calls = {call.name: call for call in expression.calls}
    xref = calls["xref"]
    assert (xref.table, list(xref.columns()), xref.named["want"].name) == ("account", ["crm"], "erp")
    assert all(call.node.find_ancestor(type(expression.tree)) is not None for call in expression.calls)
    assert parse_expression("currency(1, 'USD', 'EUR')").calls[0].table is None
    assert parse_expression("currency(1, 'USD', 'EUR', rates => 'ecb')").calls[0].table == "ecb"


def test_inner_calls_come_before_those_around_them() -> None:
    calls = parse_expression("currency(number(a), 'USD', 'EUR', on => date(b, '%Y-%m-%d'))").calls
    assert [call.name for call in calls][-1] == "currency"
    assert {call.name for call in calls[:-1]} == {"number", "date"}


def test_every_name_keeps_the_spelling_it_was_written_in() -> None:
    # Typed nodes would turn these into other functions: what is checked is what runs.
    for sql in ("ifnull(a, b)", "left(a, 2)", "date_trunc('day', a)", "length(a)", "contains(a, 'x')"):
        assert parse_expression(sql).tree.sql(dialect="duckdb").lower() == sql


def test_comments_do_not_reach_the_engine() -> None:
    assert parse_expression("a /* secret */ + 1 -- more").tree.sql(dialect="duckdb") == "a + 1"


def test_every_property_has_a_type_of_the_language() -> None:
    for kind, doc in PROPERTIES.values():
        assert datatypes.parse_type(kind).known
        assert doc.endswith(".")


_VOCABULARY = (
    "name amount count day ( ) , . ; + - * / || = <> AND OR NOT CASE WHEN THEN ELSE END IN BETWEEN LIKE IS NULL CAST AS "
    "INTERVAL EXTRACT FROM DATE 'x' '%Y' 1 2.5 upper( date( xref( => :: [ ] { } SELECT OVER $1 ? \" ' -- /* */ \\ @ ~"
)
_WORDS = st.sampled_from(_VOCABULARY.split())


@settings(max_examples=400, deadline=None)
@given(st.lists(_WORDS, max_size=40).map(" ".join) | st.text(max_size=80))
def test_no_text_makes_the_reader_raise_and_nothing_unknown_gets_through(sql: str) -> None:
    expression, problems = read_expression(sql, FIELDS)
    if expression is None:
        assert problems
    elif not problems:
        assert expression.functions <= set(FUNCTIONS)
        expression.tree.sql(dialect="duckdb")
