"""A real reader against a simulated org that misbehaves: every document is read, or a coded error says why not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dative.errors.base import DativeError, RetryLater, StopRun
from dative_atom.connectors.base import ConnectionConfig
from dative_atom.connectors.retry import Backoff
from dative_atom.connectors.salesforce.connector import SalesforceConnector
from dative_sandbox.salesforce.faults import Fault

OPTIONS = {"object": "Account", "fields": ["Id", "Name"], "incremental": {"overlap": "60s"}}
CALLS_PER_READ = 4


def add_accounts(org: Any, count: int, seconds_apart: float = 0) -> list[str]:
    ids = []
    for number in range(count):
        org.clock.advance(seconds_apart)
        row = org.org.complete("Account", {"Id": "", "Name": f"row {number}"}, org.user.id)
        org.org.put("Account", row)
        ids.append(row["Id"])
    return ids


@pytest.fixture
def impatient(bench: Any, org: Any) -> SalesforceConnector:
    """The connector without its guard, with pauses too short to notice."""
    settings = {"login_url": org.url, "client_id": org.consumer_key, "username": org.user.username, "timeout": "400ms"}
    config = ConnectionConfig("crm", "salesforce", settings, {"private_key": org.private_key_pem.decode()})
    return bench.opened(SalesforceConnector(config, Backoff(attempts_max=CALLS_PER_READ, first_s=0.001)))


@pytest.fixture
def read(bench: Any, impatient: SalesforceConnector) -> Callable[..., list[str]]:
    def run(after: Any = None, **options: Any) -> list[str]:
        operation = bench.operation("salesforce", "query", {**OPTIONS, **options})
        run.reads = bench.read_all(impatient.reader(operation, bench.context(run.execution)), after)
        return [name for item in run.reads for name in item.batch.column("Id").to_pylist()]

    run.execution = "01A"
    return run


PAGES = "/query/"
FAULTS = {
    "401": Fault(path=PAGES, kind="expire_tokens"),
    "429 with Retry-After": Fault(path=PAGES, status=429, headers={"Retry-After": "0"}, times=2),
    "420": Fault(path=PAGES, status=420, kind="html"),
    "503": Fault(path=PAGES, status=503, times=3),
    "502 HTML": Fault(path=PAGES, status=502, kind="html"),
    "HTML with status 200": Fault(path=PAGES, status=200, kind="html"),
    "half a body": Fault(path=PAGES, kind="truncate", after_bytes=120),
    "reset": Fault(path=PAGES, kind="reset"),
    "closed without an answer": Fault(path=PAGES, kind="close"),
    "hang": Fault(path=PAGES, kind="hang"),
    "too many at once": Fault(
        path=PAGES,
        status=403,
        body=[
            {
                "errorCode": "REQUEST_LIMIT_EXCEEDED",
                "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            }
        ],
        headers={"Retry-After": "0.01"},
    ),
    "a JSON list instead of a page": Fault(path=PAGES, status=200, body=[]),
    "login: 503": Fault(path="/services/oauth2/token", status=503),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes_is_survived_and_every_record_is_read_once(name: str, org: Any, read: Any) -> None:
    ids = add_accounts(org, 30, 1)
    org.clock.advance(5)
    org.org.options.page_rows_max = 10
    fault = FAULTS[name]
    org.faults.add(Fault(**{k: v for k, v in fault.to_json().items() if k != "struck"}))
    assert sorted(read()) == sorted(ids)
    assert sum(item.struck for item in org.faults.list()) > 0


STAYING: list[tuple[str, Fault, type[DativeError], str]] = [
    ("503", Fault(path="/query", status=503, times=-1), RetryLater, "connector.unavailable"),
    (
        "429, a long pause",
        Fault(path="/query", status=429, headers={"Retry-After": "3600"}, times=-1),
        RetryLater,
        "connector.rate_limited",
    ),
    ("hang", Fault(path="/query", kind="hang", times=-1), RetryLater, "connector.timeout"),
    (
        "half a body",
        Fault(path="/query", kind="truncate", after_bytes=50, times=-1),
        RetryLater,
        "connector.bad_answer",
    ),
    (
        "24-hour limit",
        Fault(
            path="/query",
            status=403,
            body=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}],
        ),
        StopRun,
        "salesforce.calls_exhausted",
    ),
    (
        "401 for ever",
        Fault(path="/query", status=401, body=[{"errorCode": "INVALID_SESSION_ID", "message": "x"}], times=-1),
        StopRun,
        "salesforce.session_rejected",
    ),
    (
        "retired version",
        Fault(path="/query", status=410, body=[{"errorCode": "UNSUPPORTED_API_VERSION", "message": "x"}]),
        StopRun,
        "salesforce.version_retired",
    ),
    (
        "no API",
        Fault(path="/query", status=403, body=[{"errorCode": "API_DISABLED_FOR_ORG", "message": "x"}]),
        StopRun,
        "salesforce.api_disabled",
    ),
    (
        "query timeout",
        Fault(path="/query", status=400, body=[{"errorCode": "QUERY_TIMEOUT", "message": "x"}], times=-1),
        StopRun,
        "salesforce.query_timeout",
    ),
    (
        "unknown code",
        Fault(path="/query", status=400, body=[{"errorCode": "NEW_IN_V70", "message": "x"}]),
        StopRun,
        "salesforce.refused",
    ),
]


@pytest.mark.parametrize(("name", "fault", "kind", "code"), STAYING, ids=[case[0] for case in STAYING])
def test_a_fault_that_stays_is_told_by_its_code(
    name: str, fault: Fault, kind: type, code: str, org: Any, read: Any
) -> None:
    add_accounts(org, 3, 1)
    org.faults.add(Fault(**{k: v for k, v in fault.to_json().items() if k != "struck"}))
    with pytest.raises(kind) as raised:
        read()
    assert raised.value.code.name == code
    assert raised.value.next


def test_a_session_that_is_always_rejected_costs_one_login_not_a_thousand(org: Any, read: Any) -> None:
    org.faults.add(
        Fault(path="/query", status=401, body=[{"errorCode": "INVALID_SESSION_ID", "message": "x"}], times=-1)
    )
    with pytest.raises(StopRun):
        read()
    assert sum("oauth2/token" in entry.path for entry in org.journal.entries()) <= 2


def test_an_expired_locator_goes_on_behind_the_last_row(org: Any, read: Any) -> None:
    ids = add_accounts(org, 35, 0)  # all with the same SystemModstamp: only the Id tells them apart
    org.clock.advance(5)
    org.org.options.page_rows_max = 10
    gone = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
    org.faults.add(Fault(path=PAGES, status=400, body=gone, times=2))
    assert sorted(read()) == sorted(ids)
    assert len(read.reads) == 5  # four pages, and the end of the window


def test_a_record_that_becomes_visible_late_is_read_and_nothing_twice(org: Any, read: Any) -> None:
    early = add_accounts(org, 5, 1)
    late = org.org.complete("Account", {"Id": "", "Name": "late"}, org.user.id)
    org.org.commit_late("Account", late, visible_after_s=20)
    org.clock.advance(10)
    first = read()
    assert sorted(first) == sorted(early)
    org.clock.advance(15)
    read.execution = "01B"
    assert read(after=read.reads[-1].position) == [late["Id"]]


def test_the_window_ends_at_the_servers_clock_whatever_ours_says(org: Any, read: Any) -> None:
    add_accounts(org, 1, 0)
    org.clock.advance(3600)
    read()
    assert read.reads[-1].position["upper"] == "2026-03-01T13:00:00.000Z"


def test_a_deleted_record_comes_with_its_mark(org: Any, bench: Any, impatient: Any) -> None:
    ids = add_accounts(org, 3, 1)
    org.org.delete("Account", ids[1], org.user.id)
    org.clock.advance(5)
    options = {**OPTIONS, "incremental": {"overlap": "0s", "deletes": "include"}}
    reads = bench.read_all(impatient.reader(bench.operation("salesforce", "query", options), bench.context()))
    rows = [row for item in reads for row in item.batch.to_pylist()]
    assert {row["Id"]: row["IsDeleted"] for row in rows} == {ids[0]: False, ids[1]: True, ids[2]: False}


def test_a_query_that_takes_too_long_is_read_in_halves(org: Any, read: Any) -> None:
    ids = add_accounts(org, 6, 10)
    org.clock.advance(5)
    read()
    position = read.reads[-1].position
    edited = add_accounts(org, 6, 10)
    org.clock.advance(5)
    org.faults.add(Fault(path="/query", status=400, body=[{"errorCode": "QUERY_TIMEOUT", "message": "x"}], times=2))
    read.execution = "01B"
    assert sorted(read(after=position)) == sorted(edited)
    assert ids


def test_the_reserve_of_api_calls_is_left_to_others(org: Any, connect_org: Any, bench: Any) -> None:
    add_accounts(org, 1, 1)
    org.org.limits.daily_requests_max, org.org.limits.used = 100, 60
    crm = connect_org(org, calls_reserve="0.5")
    with pytest.raises(StopRun) as stopped:
        bench.read_all(crm.reader(bench.operation("salesforce", "query", OPTIONS), bench.context()))
    assert stopped.value.code.name == "salesforce.calls_exhausted"


def test_a_cancelled_execution_does_not_wait_for_the_pause_to_end(org: Any, bench: Any, crm: Any) -> None:
    add_accounts(org, 1, 1)
    context = bench.context()
    reader = bench.opened(crm.reader(bench.operation("salesforce", "query", OPTIONS), context))
    org.faults.add(Fault(path="/query", status=503, headers={"Retry-After": "25"}, times=-1))
    threading.Timer(0.2, context.cancelled.set).start()
    with pytest.raises(StopRun) as stopped:
        list(reader.read(None, 100))
    assert stopped.value.code.name == "connector.cancelled"


OPENING = [
    ({"object": "Accout"}, "salesforce.object_unknown", ""),
    ({"fields": ["Id", "Nmae"]}, "salesforce.field_unknown", "nearest is Name"),
    ({"fields": ["Owne.Name"]}, "salesforce.field_unknown", "nearest is Owner"),
    ({"where": "Name = :who"}, "connector.bind_missing", ":who"),
    ({"where": "Name ="}, "salesforce.query_malformed", ""),
    ({"where": "Nam = 'x'"}, "salesforce.field_unknown", "Nam"),
]


@pytest.mark.parametrize(("options", "code", "says"), OPENING, ids=[case[1] + str(i) for i, case in enumerate(OPENING)])
def test_a_wrong_query_is_refused_by_name(options: dict[str, Any], code: str, says: str, org: Any, read: Any) -> None:
    with pytest.raises(DativeError) as refused:
        read(**options)
    assert refused.value.code.name == code
    assert says in refused.value.message


def test_a_where_reads_the_time_of_the_last_run(org: Any, bench: Any, impatient: Any) -> None:
    from datetime import UTC, datetime

    add_accounts(org, 4, 60)
    org.clock.advance(5)
    options = {**OPTIONS, "where": "CreatedDate >= :lastRunDate AND Name != :skip"}
    binds = {"lastRunDate": datetime(2026, 3, 1, 12, 2, tzinfo=UTC), "skip": "row 3"}
    reader = impatient.reader(bench.operation("salesforce", "query", options), bench.context(binds=binds))
    assert [row["Name"] for item in bench.read_all(reader) for row in item.batch.to_pylist()] == ["row 1", "row 2"]


def test_no_call_shows_a_literal_a_token_or_a_record(org: Any, read: Any, bench: Any) -> None:
    add_accounts(org, 2, 1)
    org.clock.advance(2)
    read(where="Name != 'secret customer'")
    shown = repr(bench.recorder.calls)
    assert "secret customer" not in shown
    assert "row 0" not in shown
    assert not any(token in shown for token in org.org.sessions)
    assert "/query" in shown
