"""Properties: what holds for any text, any edits, any kill."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from dative.clock import SystemClock
from dative_atom.connectors.base import ConnectionConfig, Operation, RunContext
from dative_atom.connectors.binds import bind_sql
from dative_atom.connectors.connection import open_connection
from dative_atom.connectors.database.session import literal, quoted
from dative_atom.connectors.salesforce.soql import bound_where
from dative_sandbox.salesforce.soql.evaluate import run as evaluate
from dative_sandbox.server import SalesforceSandbox
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NASTY = st.one_of(TEXT, st.sampled_from(["'", "\\", "\\'", "' OR Name != '", "a\nb", "%", ":x", "''", '"', "\\\\'--"]))


@pytest.fixture(scope="module")
def people() -> Any:
    """An org with one account whose name each example sets; its own parser and evaluator judge our literals."""
    sandbox = SalesforceSandbox(clock_start=datetime(2026, 3, 1, 12, tzinfo=UTC), clock_frozen=True)
    row = sandbox.org.complete("Account", {"Id": "", "Name": "x"}, sandbox.user.id)
    sandbox.org.put("Account", row)
    return sandbox, row


@given(NASTY.filter(lambda text: text.strip() == text and text))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bind_in_soql_is_compared_as_itself_whatever_it_holds(people: Any, text: str) -> None:
    sandbox, row = people
    row["Name"] = text
    where = bound_where("Name = :who", {"who": text}, lambda _: "string")
    found = evaluate(
        sandbox.org, f"SELECT Id FROM Account WHERE {where}", base="", timezone="UTC", deleted=False, child_page=dict
    )
    assert len(found.rows) == 1
    other = bound_where("Name = :who", {"who": text + "'x"}, lambda _: "string")
    found = evaluate(
        sandbox.org, f"SELECT Id FROM Account WHERE {other}", base="", timezone="UTC", deleted=False, child_page=dict
    )
    assert len(found.rows) == 0


@given(NASTY)
@settings(max_examples=200, deadline=None)
def test_a_bind_in_sql_reads_back_as_itself_whatever_it_holds(text: str) -> None:
    sql = bind_sql(
        'SELECT :x, \':x\', "a:x" FROM (SELECT 1 AS "a:x") -- :x', {"x": text}, lambda value, _: literal(value)
    )
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute(sql).fetchall() == [(text, ":x", 1)]


@given(NASTY.filter(bool), NASTY)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_reads_names_and_literals_as_they_were_meant(postgres_server: str, name: str, text: str) -> None:
    name = name.encode()[:60].decode("utf-8", "ignore") or "x"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        cursor = connection.execute(f"SELECT {literal(text)} AS {quoted(name)}")
        assert cursor.description is not None
        assert (cursor.description[0].name, cursor.fetchone()) == (name, (text,))


EDIT = st.tuples(st.sampled_from(["add", "edit", "delete", "late", "wait"]), st.integers(0, 30))
RUN = st.tuples(st.lists(EDIT, max_size=8), st.integers(0, 3), st.sampled_from(["30s", "60s", "5m"]))


@given(st.lists(RUN, min_size=1, max_size=5))
@settings(max_examples=12, deadline=None)
def test_however_an_org_is_edited_between_and_during_runs_what_was_read_is_what_is_there(runs: list[Any]) -> None:
    """G6. Late commits show within 30 s, the least overlap; a kill throws away reads that had not settled."""
    with SalesforceSandbox(clock_start=datetime(2026, 3, 1, 12, tzinfo=UTC), clock_frozen=True) as sandbox:
        sandbox.org.options.page_rows_max = 3
        mirror, position, ledger = Mirror(), None, _Ledger()
        crm = _connect(sandbox)
        for number, (edits, killed_after, overlap) in enumerate(runs):
            for edit, argument in edits:
                _edit(sandbox, edit, argument)
            sandbox.clock.advance(2)
            for attempt in (killed_after, 10_000):  # the first attempt is killed after so many settled reads
                position = _run(crm, sandbox, mirror, position, ledger, f"01{number}", overlap, attempt)
        sandbox.clock.advance(60)
        _run(crm, sandbox, mirror, position, ledger, "02LAST", "5m", 10_000)
        crm.close()
        truth = {row["Id"]: (row["Name"], row["IsDeleted"]) for row in sandbox.org.rows("Account")}
        assert mirror.rows == truth


class Mirror:
    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, bool]] = {}


class _Ledger:
    """Entries of unsettled reads are dropped, as the journal does."""

    def __init__(self) -> None:
        self.settled: dict[str, str] = {}
        self.pending: dict[str, str] = {}
        self.forget: str | None = None

    def known(self, keys: Any) -> Any:
        return pa.array([self.pending.get(key) or self.settled.get(key) for key in keys.to_pylist()], pa.string())

    def add(self, keys: Any, versions: Any) -> None:
        self.pending.update(zip(keys.to_pylist(), versions.to_pylist(), strict=True))

    def forget_before(self, version: str) -> None:
        self.forget = version

    def settle(self) -> None:
        self.settled.update(self.pending)
        if self.forget is not None:
            self.settled = {key: kept for key, kept in self.settled.items() if kept >= self.forget}
        self.discard()

    def discard(self) -> None:
        self.pending, self.forget = {}, None


def _connect(sandbox: SalesforceSandbox) -> Any:
    given_settings = {"login_url": sandbox.url, "client_id": sandbox.consumer_key, "username": sandbox.user.username}
    assert sandbox.private_key_pem is not None
    return open_connection(
        ConnectionConfig("crm", "salesforce", given_settings, {"private_key": sandbox.private_key_pem.decode()})
    )


def _run(
    crm: Any, sandbox: Any, mirror: Mirror, position: Any, ledger: Any, execution: str, overlap: str, reads_max: int
) -> Any:
    options = {"object": "Account", "fields": ["Id", "Name"], "incremental": {"overlap": overlap, "deletes": "include"}}
    context = RunContext(execution, SystemClock(), _Calls(), threading.Event(), {}, ledger)
    reader = crm.reader(Operation("read", "salesforce", "query", options), context)
    for count, read in enumerate(reader.read(position, 2)):
        if count >= reads_max:
            break
        mirror.rows |= {row["Id"]: (row["Name"], row["IsDeleted"]) for row in read.batch.to_pylist()}
        position = read.position
        ledger.settle()
    ledger.discard()
    reader.close()
    return position


class _Calls:
    def traceparent(self) -> str:
        return ""

    def called(self, name: str, **more: Any) -> None:
        pass


def _edit(sandbox: Any, edit: str, argument: int) -> None:
    org, user = sandbox.org, sandbox.user.id
    live = [row for row in org.rows("Account") if not row["IsDeleted"]]
    if edit == "wait":
        sandbox.clock.advance(argument)
    elif edit == "add" or not live:
        org.put("Account", org.complete("Account", {"Id": "", "Name": f"n{argument}"}, user))
    elif edit == "late":
        org.commit_late("Account", org.complete("Account", {"Id": "", "Name": "late"}, user), argument * 0.9)
    elif edit == "edit":
        org.change("Account", live[argument % len(live)]["Id"], {"Name": f"e{argument}"}, user)
    else:
        org.delete("Account", live[argument % len(live)]["Id"], user)
