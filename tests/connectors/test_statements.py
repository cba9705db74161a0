"""What a builder's own statement does to a database: values stay values, bad documents leave alone, nothing is half done."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from dative.errors.base import RetryLater, StopRun
from dative.ids import ConnectionName
from dative_atom.connectors.base import ConnectionConfig, Prober
from dative_atom.connectors.database.connector import DatabaseConnector
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

BOTH = pytest.mark.parametrize("system", ["postgres", "sqlite"])
ROWS = pa.schema([pa.field("id", pa.int64()), pa.field("name", pa.string())])
TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL)"
INSERT = "INSERT INTO t (id, name) VALUES (:id, :name)"


def _writer(bench: Any, address: str, sql: str, schema: pa.Schema = ROWS, **options: Any) -> Any:
    erp = bench.connect("database", {"url": address})
    made = bench.operation("database", "execute", {"sql": sql, **options})
    return bench.opened(erp.writer(made, bench.context(), schema))


def _rows(*names: str | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": i, "name": name} for i, name in enumerate(names)], schema=ROWS)


def _codes(results: pa.RecordBatch) -> list[str | None]:
    found: list[str | None] = results.column("code").to_pylist()
    return found


@pytest.fixture
def made(request: pytest.FixtureRequest, system: str) -> Any:
    address, run = request.getfixturevalue(system)
    run(TABLE)
    return address, run


# --- values -----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "'; DROP TABLE t; --",
    "x'); DELETE FROM t; SELECT ('",
    '"', "\\'; --", "$1", ":id", "?1", "$$", "/* */", "*/ --", "%s", "\n;\n", "NULL", "é\u202e\U0001f600", "", "E'\\'",
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("per", ["document", "batch"])
def test_no_value_is_ever_read_as_sql(made: Any, bench: Any, per: str) -> None:
    address, run = made
    whole = "INSERT INTO t (id, name) SELECT d.id, d.name FROM :documents AS d WHERE 1 = 1"
    writer = _writer(bench, address, whole if per == "batch" else INSERT, per=per)
    assert set(_codes(writer.write(_rows(*HOSTILE), bench.ticket()).results)) == {None}
    writer.commit(bench.ticket())
    assert [row[0] for row in run("SELECT name FROM t ORDER BY id")] == HOSTILE


@example(texts=["a", "n\0l", "'"])
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_out_as_it_went_in_or_its_document_alone_is_rejected(
    sqlite: Any, bench: Any, texts: list[str]
) -> None:
    address, run = sqlite
    run("CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY, name text NOT NULL)")
    run("DELETE FROM t")
    run("DROP TABLE IF EXISTS dative_position")
    writer = _writer(bench, address, INSERT)
    codes = _codes(writer.write(_rows(*texts), bench.ticket()).results)
    writer.commit(bench.ticket())
    writer.close()
    assert codes == ["database.value_invalid" if "\0" in text else None for text in texts]
    assert [row[0] for row in run("SELECT name FROM t ORDER BY id")] == [text for text in texts if "\0" not in text]


# --- procedures and results -------------------------------------------------------------------------------------------

PROCEDURE = """CREATE PROCEDURE book(who bigint, what text, INOUT receipt text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
  IF what = 'refuse' THEN RAISE EXCEPTION 'secret %', what USING ERRCODE = 'P0002'; END IF;
  INSERT INTO t VALUES (who, what); receipt := 'R' || who;
END $$"""


def test_a_procedure_is_called_for_each_document_and_answers_it(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run(TABLE)
    run(PROCEDURE)
    writer = _writer(bench, address, "CALL book(:id, :name, NULL)", result_columns=["receipt"])
    results = writer.write(_rows("a", "refuse", None, "d"), bench.ticket()).results
    assert _codes(results) == [None, "database.row_refused", "database.null_value", None]
    assert results.column("result.receipt").to_pylist() == ["R0", None, None, "R3"]
    assert not any("secret" in (reason or "") for reason in results.column("reason").to_pylist())
    writer.commit(bench.ticket())
    assert run("SELECT id, name FROM t ORDER BY id") == [(0, "a"), (3, "d")]


def test_a_procedure_that_commits_by_itself_stops_the_run_and_leaves_nothing(postgres: Any, bench: Any) -> None:
    address, run = postgres
    run(TABLE)
    run("CREATE PROCEDURE p(a bigint) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (a, 'x'); COMMIT; END $$")
    writer = _writer(bench, address, "CALL p(:id)")
    with pytest.raises(StopRun) as stopped:
        writer.write(_rows("a"), bench.ticket())
    assert stopped.value.code.name == "statement.transaction"
    assert run("SELECT * FROM t") == []


@pytest.mark.parametrize(
    "sql", ["INSERT OR ROLLBACK INTO t VALUES (:id, :name)", "INSERT OR ROLLBACK INTO t SELECT :id, :name"]
)
def test_a_statement_of_sqlite_that_ends_the_transaction_stops_the_run(sqlite: Any, bench: Any, sql: str) -> None:
    address, run = sqlite
    run(TABLE)
    run("INSERT INTO t VALUES (1, 'there')")
    writer = _writer(bench, address, sql)
    with pytest.raises(StopRun) as stopped:
        writer.write(_rows("a", "b", "c"), bench.ticket())
    assert stopped.value.code.name == "statement.transaction"
    assert run("SELECT * FROM t") == [(1, "there")]


@BOTH
def test_what_a_statement_returns_comes_back_as_text_to_its_document(made: Any, bench: Any) -> None:
    address, run = made
    run("INSERT INTO t VALUES (1, 'old')")
    sql = "UPDATE t SET name = :name WHERE id = :id RETURNING id, name AS was"
    writer = _writer(bench, address, sql, result_columns=["was", "id"])
    results = writer.write(_rows("a", "b"), bench.ticket()).results
    assert results.column("result.id").to_pylist() == [None, "1"]
    assert results.column("result.was").to_pylist() == [None, "b"]
    assert results.schema.names[3:] == writer.result_fields.names
    assert not isinstance(writer, Prober)


@BOTH
def test_a_document_for_which_nothing_was_found_can_be_rejected(made: Any, bench: Any) -> None:
    address, run = made
    run("INSERT INTO t VALUES (1, 'old')")
    sql = "UPDATE t SET name = :name WHERE id = :id RETURNING id"
    writer = _writer(bench, address, sql, result_columns=["id"], required=True)
    assert _codes(writer.write(_rows("a", "b", "c"), bench.ticket()).results) == [
        "statement.no_row",
        None,
        "statement.no_row",
    ]


@BOTH
def test_a_batch_answers_each_document_by_its_number(made: Any, bench: Any) -> None:
    address, run = made
    run("INSERT INTO t VALUES (0, 'zero'), (2, 'two')")
    sql = "SELECT d._row, t.name FROM :documents AS d JOIN t ON t.id = d.id"
    writer = _writer(bench, address, sql, per="batch", result_columns=["name"], required=True)
    results = writer.write(_rows("a", "b", "c"), bench.ticket()).results
    assert results.column("result.name").to_pylist() == ["zero", None, "two"]
    assert _codes(results) == [None, "statement.no_row", None]


@BOTH
@pytest.mark.parametrize(
    ("sql", "options", "code"),
    [
        ("SELECT t.name FROM :documents AS d JOIN t ON t.id = d.id", {"per": "batch"}, "statement.result_missing"),
        (
            "SELECT 7 AS _row, t.name FROM :documents AS d, t WHERE t.id = 0",
            {"per": "batch"},
            "statement.result_missing",
        ),
        (
            "SELECT 'x' AS _row, t.name FROM :documents AS d, t WHERE t.id = 0",
            {"per": "batch"},
            "statement.result_missing",
        ),
        ("UPDATE t SET name = :name WHERE id = :id", {}, "statement.result_missing"),
    ],
)
def test_results_that_fit_no_document_stop_the_run(
    made: Any, bench: Any, sql: str, options: dict[str, Any], code: str
) -> None:
    address, run = made
    run("INSERT INTO t VALUES (0, 'a'), (1, 'b')")
    with pytest.raises(StopRun) as stopped:
        _writer(bench, address, sql, result_columns=["name"], **options).write(_rows("a"), bench.ticket())
    assert stopped.value.code.name == code


@BOTH
@pytest.mark.parametrize(
    ("sql", "per"),
    [
        ("SELECT id FROM t WHERE name = :name", "document"),
        ("SELECT d._row, t.id FROM :documents AS d JOIN t ON t.name = d.name", "batch"),
    ],
)
def test_more_than_one_row_of_a_document_rejects_it_alone(made: Any, bench: Any, sql: str, per: str) -> None:
    address, run = made
    run("INSERT INTO t VALUES (0, 'a'), (1, 'b'), (2, 'b')")
    writer = _writer(bench, address, sql, per=per, result_columns=["id"])
    assert _codes(writer.write(_rows("a", "b", "none"), bench.ticket()).results) == [
        None,
        "statement.too_many_rows",
        None,
    ]


# --- bad documents ----------------------------------------------------------------------------------------------------


@BOTH
def test_bad_documents_of_a_set_based_statement_leave_alone(made: Any, bench: Any) -> None:
    address, run = made
    run("INSERT INTO t VALUES (3, 'there')")
    sql = "INSERT INTO t (id, name) SELECT d.id, upper(d.name) FROM :documents AS d WHERE d.id >= 0"
    writer = _writer(bench, address, sql, per="batch")
    results = writer.write(_rows("a", None, "c", "d", "n\0l", "f"), bench.ticket()).results
    assert _codes(results) == [
        None, "database.null_value", None, "database.duplicate", "database.value_invalid", None,
    ]  # fmt: skip
    writer.commit(bench.ticket())
    assert [row[0] for row in run("SELECT name FROM t ORDER BY id")] == ["A", "C", "there", "F"]


@BOTH
def test_documents_are_executed_in_their_order_around_a_bad_one(made: Any, bench: Any) -> None:
    address, run = made
    run("INSERT INTO t VALUES (7, '')")
    sql = "UPDATE t SET name = CASE WHEN :name = '!' THEN NULL ELSE name || :name END WHERE id = 7"
    writer = _writer(bench, address, sql)
    codes = _codes(writer.write(_rows("a", "b", "!", "d", "e", "f"), bench.ticket()).results)
    assert codes == [None, None, "database.null_value", None, None, None]
    writer.commit(bench.ticket())
    assert run("SELECT name FROM t") == [("abdef",)]


# --- bounds -----------------------------------------------------------------------------------------------------------

FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE :id >= 0"


@BOTH
def test_a_statement_that_does_not_end_is_stopped_and_the_next_batch_goes_on(made: Any, bench: Any) -> None:
    address, run = made
    writer = _writer(bench, address, FOREVER, timeout="50ms")
    with pytest.raises(RetryLater) as late:
        writer.write(_rows("a"), bench.ticket())
    assert late.value.code.name == "database.statement_timeout"
    writer.write(_rows(), bench.ticket())
    writer.commit(bench.ticket())
    assert writer.committed("env/p/step").batch == 0
    assert run("SELECT * FROM t") == []


@BOTH
def test_rows_that_nobody_asked_for_are_bounded(made: Any, bench: Any) -> None:
    address, _ = made
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n "
        "WHERE :id >= 0"
    )
    results = _writer(bench, address, sql).write(_rows("a"), bench.ticket()).results
    assert _codes(results) == ["statement.too_many_rows"]


# --- refused before anything is read ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO t VALUES (:id, :nam)", "statement.bind"),
        ("INSERT INTO t VALUES (:id, :name); DELETE FROM t", "statement.several"),
        ("COMMIT", "statement.transaction"),
        ("DROP TABLE t", "statement.ddl"),
        ("INSERT INTO tt VALUES (:id, :name)", "database.table_unknown"),
        ("INSERT INTO t (id, nam) VALUES (:id, :name)", None),
        ("INSERT t INTO (:id)", "database.query_invalid"),
    ],
)
def test_a_statement_that_can_not_be_is_refused_at_opening(made: Any, bench: Any, sql: str, code: str | None) -> None:
    address, run = made
    with pytest.raises(StopRun) as refused:
        _writer(bench, address, sql)
    assert code is None or refused.value.code.name == code
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        run("SELECT * FROM dative_position")


@BOTH
@pytest.mark.parametrize("per", ["document", "batch"])
def test_a_dry_run_can_not_know_and_leaves_nothing(made: Any, bench: Any, per: str) -> None:
    address, run = made
    erp = bench.connect("database", {"url": address})
    sql = INSERT if per == "document" else "INSERT INTO t SELECT d.id, d.name FROM :documents AS d"
    made_op = bench.operation("database", "execute", {"sql": sql, "per": per, "result_columns": []})
    look = bench.opened(erp.previewer(made_op, bench.context(), ROWS))
    rows = look.preview(_rows("a", "b")).rows
    assert rows.column("outcome").to_pylist() == ["cannot_know"] * 2
    assert "INSERT" in rows.column("reason")[0].as_py()
    assert run("SELECT * FROM t") == []


# --- recorded and replayed --------------------------------------------------------------------------------------------


class Tape:
    """A `Wire` that keeps what the database said, and afterwards says it in its stead."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, Any]] = []
        self.replaying = False

    def http(self, request: Any, send: Any) -> Any:
        raise AssertionError(f"a database makes no HTTP call: {request}, {send}")

    def sql(self, call: str, arguments: Any, ask: Any) -> Any:
        if not self.replaying:
            self.kept.append((call, ask()))
            return self.kept[-1][1]
        kept, found = self.kept.pop(0)
        assert kept == call
        return found


@BOTH
@pytest.mark.parametrize("per", ["document", "batch"])
def test_a_recorded_statement_is_replayed_without_its_database(made: Any, bench: Any, per: str) -> None:
    address, run = made
    run("INSERT INTO t VALUES (1, 'one')")
    sql = {
        "document": "UPDATE t SET name = :name WHERE id = :id RETURNING name",
        "batch": "SELECT d._row, t.name FROM :documents AS d JOIN t ON t.id = d.id",
    }[per]
    tape = Tape()

    def written() -> pa.RecordBatch:
        erp = DatabaseConnector(ConnectionConfig(ConnectionName("erp"), "database", {"url": address}, {}, tape))
        operation = bench.operation("database", "execute", {"sql": sql, "per": per, "result_columns": ["name"]})
        writer = erp.writer(operation, bench.context(), ROWS)
        results = writer.write(_rows("a", "b", "c"), bench.ticket()).results
        writer.commit(bench.ticket())
        writer.close()
        return results

    recorded = written()
    run("DROP TABLE t")
    tape.replaying = True
    assert written().equals(recorded)
    assert tape.kept == []
