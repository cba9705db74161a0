"""How a statement of the builder's own is read: what it may be, where its names stand, what it can not hide."""

from __future__ import annotations

import pytest
from dative.process.statements import StatementError, read_statement
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("sql", "kind", "names"),
    [
        ("CALL p(:a, :b, :a)", "CALL", ["a", "b", "a"]),
        ("insert into t values (:a::text, ':b', \"c:d\", $x$:e$x$, E'\\':f') -- :g", "INSERT", ["a"]),
        ("/* :a */ UPDATE t SET x = :b;  ", "UPDATE", ["b"]),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "WITH", []),
        ("SELECT a[1:2], :ünï FROM t", "SELECT", ["ünï"]),
        ("DELETE FROM t WHERE a = ';' AND b = :b ; -- end", "DELETE", ["b"]),
        ("INSERT OR IGNORE INTO t VALUES (:a)", "INSERT", ["a"]),
    ],
)
def test_names_are_found_outside_of_texts_and_comments(sql: str, kind: str, names: list[str]) -> None:
    statement = read_statement(sql, "document")
    assert (statement.kind, list(statement.names)) == (kind, names)
    assert sql.startswith(statement.written(lambda name: f":{name}"))


@pytest.mark.parametrize(
    ("sql", "per", "code"),
    [
        ("", "document", "statement.not_allowed"),
        ("-- nothing", "document", "statement.not_allowed"),
        ("(SELECT 1)", "document", "statement.not_allowed"),
        ("DO $$ BEGIN END $$", "document", "statement.not_allowed"),
        ("COPY t FROM PROGRAM 'id'", "document", "statement.not_allowed"),
        ("PRAGMA writable_schema = 1", "document", "statement.not_allowed"),
        ("ATTACH 'x' AS y", "document", "statement.not_allowed"),
        ("VACUUM INTO 'x'", "document", "statement.not_allowed"),
        ("LOCK TABLE t", "document", "statement.not_allowed"),
        ("commit", "document", "statement.transaction"),
        ("/**/ Rollback", "document", "statement.transaction"),
        ("SET ROLE admin", "document", "statement.transaction"),
        ("create table t (a int)", "document", "statement.ddl"),
        ("TRUNCATE t", "document", "statement.ddl"),
        ("SELECT * INTO copy FROM t", "document", "statement.ddl"),
        ("WITH x AS (SELECT 1) SELECT * INTO y FROM x", "document", "statement.ddl"),
        ("SELECT 1; COMMIT", "document", "statement.several"),
        ("SELECT 1;;", "document", "statement.several"),
        ("SELECT 1 /* ; */ ; /* */ SELECT 2", "document", "statement.several"),
        ("SELECT 'a", "document", "statement.unreadable"),
        ("SELECT /* a", "document", "statement.unreadable"),
        ("SELECT $a$ b", "document", "statement.unreadable"),
        ("SELECT /* /* */ 1 */", "document", "statement.unreadable"),
        ("SELECT '\0'", "document", "statement.unreadable"),
        ("SELECT 1", "batch", "statement.bind"),
        ("SELECT :id FROM :documents AS d", "batch", "statement.bind"),
        ("SELECT * FROM :documents", "batch", "statement.bind"),
        ("SELECT * FROM :documents AS", "batch", "statement.bind"),
    ],
)
def test_what_is_not_one_plain_statement_is_refused(sql: str, per: str, code: str) -> None:
    with pytest.raises(StatementError) as refused:
        read_statement(sql, per)  # type: ignore[arg-type]
    assert refused.value.code.name == code


@given(st.text(st.sampled_from("'\"$/*-;:aE\\ \n\0()sql"), max_size=60))
def test_any_text_is_read_or_refused_and_read_as_it_stands(text: str) -> None:
    sql = f"SELECT {text}"
    try:
        statement = read_statement(sql, "document")
    except StatementError:
        return
    assert sql.startswith(statement.written(lambda name: f":{name}"))
