"""Misbehaving on demand: scripted faults as a client meets them, the allocations, and the control plane."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from dative_sandbox import SalesforceSandbox
from dative_sandbox.salesforce.faults import Fault

QUERY = "SELECT Id, Name FROM Account"


def test_a_scripted_status_strikes_as_often_as_told_and_lets_others_pass(client: Any) -> None:
    client.sandbox.faults.add(Fault(path="/query", status=503, times=2, skip=1, headers={"Retry-After": "3"}))
    answers = [client("GET", "/query", params={"q": QUERY}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 503, 200]
    assert answers[1].headers["Retry-After"] == "3"
    assert answers[1].json()[0]["errorCode"] == "SERVER_UNAVAILABLE"
    assert [entry.fault for entry in client.sandbox.journal.entries("/query")] == [None, "status", "status", None]
    client.sandbox.faults.add(Fault(path="/query", times=1))
    assert client("GET", "/limits").status_code == 200


def test_an_edge_page_is_html(client: Any) -> None:
    client.sandbox.faults.add(Fault(kind="html", status=502))
    answer = client("GET", "/limits")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (502, "text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_connection_can_be_cut_without_an_answer(client: Any, kind: Any) -> None:
    client.sandbox.faults.add(Fault(kind=kind))
    with pytest.raises(requests.ConnectionError):
        client("GET", "/limits")
    assert client("GET", "/limits").status_code == 200


def test_a_hang_is_silence_until_the_client_gives_up(client: Any) -> None:
    client.sandbox.faults.add(Fault(kind="hang"))
    with pytest.raises(requests.ReadTimeout):
        client.http.get(client.sandbox.url + "/services/data/v60.0/limits", timeout=0.2)
    assert client("GET", "/limits").status_code == 200


def test_a_truncated_answer_ends_after_n_bytes(client: Any) -> None:
    client.sandbox.reset(accounts=50)
    token = client.sandbox.org.open_session(client.sandbox.user, None).token
    client.http.headers["Authorization"] = f"Bearer {token}"
    client.sandbox.faults.add(Fault(kind="truncate", after_bytes=300))
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        client("GET", "/query", params={"q": QUERY})
    assert client.query(QUERY)["totalSize"] == 51


def test_a_slow_drip_is_whole_in_the_end(client: Any) -> None:
    client.sandbox.faults.add(Fault(kind="drip", after_bytes=200, seconds=0.001))
    assert "DailyApiRequests" in client.get("/limits")


def test_a_lost_answer_is_not_a_lost_write(client: Any) -> None:
    client.sandbox.faults.add(Fault(method="POST", path="/sobjects/Account", kind="reset", stage="after"))
    with pytest.raises(requests.ConnectionError):
        client("POST", "/sobjects/Account", json={"Name": "written"})
    client.sandbox.faults.add(Fault(method="POST", path="/sobjects/Account", kind="reset", stage="before"))
    with pytest.raises(requests.ConnectionError):
        client("POST", "/sobjects/Account", json={"Name": "never arrived"})
    assert [row["Name"] for row in client.query(QUERY)["records"]] == ["written"]


def test_all_tokens_can_die_in_the_middle(client: Any) -> None:
    client.sandbox.faults.add(Fault(path="/query", kind="expire_tokens"))
    assert client("GET", "/query", params={"q": QUERY}).status_code == 401


def test_stopping_lets_a_hanging_request_go() -> None:
    with ThreadPoolExecutor(1) as pool, SalesforceSandbox() as sandbox:
        fault = sandbox.faults.add(Fault(kind="hang", seconds=600))
        waiting = pool.submit(requests.get, sandbox.url + "/services/data", timeout=60)
        assert sandbox.faults.wait_struck(fault)
        started = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - started < 5
        with pytest.raises(requests.ConnectionError):
            waiting.result(timeout=10)


def test_every_rest_answer_shows_the_usage_errors_too(client: Any) -> None:
    shown = [client("GET", path).headers["Sforce-Limit-Info"] for path in ("/limits", "/nothing", "/query")]
    assert shown == ["api-usage=1/100000", "api-usage=2/100000", "api-usage=3/100000"]


def test_the_days_requests_run_out_and_come_back_after_24_hours(client: Any) -> None:
    client.sandbox.org.limits.daily_requests_max = 2
    answers = [client("GET", "/limits") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403]
    assert answers[2].json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert answers[3].headers["Sforce-Limit-Info"] == "api-usage=2/2"
    client.sandbox.clock.advance(24 * 3600 + 60)
    token = client.sandbox.org.open_session(client.sandbox.user, None).token
    client.http.headers["Authorization"] = f"Bearer {token}"
    assert client("GET", "/limits").status_code == 200


def test_too_many_long_requests_at_once_are_refused_with_the_other_meaning(client: Any) -> None:
    limits = client.sandbox.org.limits
    limits.concurrent_max, limits.long_request_s = 1, 0.0
    running = limits.begin()
    refused = client("GET", "/limits")
    limits.end(running)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert refused.json()[0]["message"] == "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    assert client("GET", "/limits").status_code == 200


def test_a_late_commit_is_stamped_now_and_seen_later(client: Any, control: Any) -> None:
    (record_id,) = control("POST", "/late", {"fields": {"Name": "late"}, "visible_after_s": 60})["ids"]
    assert client.query(QUERY)["totalSize"] == 0
    client.sandbox.clock.advance(61)
    (row,) = client.query("SELECT Id, SystemModstamp FROM Account")["records"]
    assert (row["Id"], row["SystemModstamp"]) == (record_id, "2026-05-13T10:20:30.000+0000")


def test_touching_moves_only_what_it_says(client: Any, control: Any) -> None:
    (record_id,) = control("POST", "/insert", {"fields": {"Name": "x", "AnnualRevenue": 1.0}})["ids"]
    client.sandbox.clock.advance(10)
    control("POST", "/record", {"id": record_id, "do": "touch"})
    row = client.get(f"/sobjects/Account/{record_id}")
    assert (row["SystemModstamp"][17:19], row["LastModifiedDate"][17:19]) == ("40", "30")
    control("POST", "/edit", {"id": record_id, "fields": {"Is_Large__c": True}, "touch": "none"})
    drifted = client.get(f"/sobjects/Account/{record_id}")
    assert (drifted["Is_Large__c"], drifted["SystemModstamp"]) == (True, row["SystemModstamp"])


def test_editing_25_changes_exactly_25_customers(client: Any, control: Any) -> None:
    control("POST", "/reset", {"accounts": 100, "seed": 7})
    token = client.sandbox.org.open_session(client.sandbox.user, None).token
    client.http.headers["Authorization"] = f"Bearer {token}"
    ids = control("POST", "/edit", {"object": "Account", "count": 25})["ids"]
    changed = client.query("SELECT Id FROM Account WHERE SystemModstamp >= 2026-05-13T10:20:30Z AND Type = 'Customer'")
    assert {row["Id"] for row in changed["records"]} == set(ids)
    assert len(ids) == 25


def test_a_lock_refuses_so_many_writes(client: Any, control: Any) -> None:
    (record_id,) = control("POST", "/insert", {"fields": {"Name": "x"}})["ids"]
    control("POST", "/lock", {"id": record_id, "writes": 1})
    refused = client("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "y"})
    assert refused.json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    assert client("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "y"}).status_code == 204


def test_the_journal_keeps_requests_and_no_secrets(client: Any, control: Any) -> None:
    client.query(QUERY)
    client("POST", "/services/oauth2/token", data={"grant_type": "password", "password": "hush-hush"})
    journal = control("GET", "/journal")
    assert [entry["path"] for entry in journal["entries"]] == ["/services/data/v60.0/query", "/services/oauth2/token"]
    token = client.http.headers["Authorization"].removeprefix("Bearer ")
    assert "hush-hush" not in str(journal)
    assert token not in str(journal)


BAD_COMMANDS = [
    ("/edit", {"object": "Nope"}, "object 'Nope' is unknown"),
    ("/edit", {"count": "many"}, "count 'many' is no whole number"),
    ("/edit", {"id": "0015f0000000zzz"}, "does not exist"),
    ("/faults", {"kind": "explode"}, "fault kind 'explode' is unknown"),
    ("/faults", {"path": "("}, "is no regular expression"),
    ("/faults", {"colour": "red"}, "a fault has no colour"),
    ("/clock", {"set": "tomorrow"}, "is no ISO 8601 time"),
    ("/limits", {"speed": 1}, "limits has no speed"),
    ("/insert", {"fields": {"Foo": 1}}, "Account has no Foo"),
    ("/record", {"id": "x", "do": "y"}, "does not exist"),
    ("/schema", {}, "say add, remove, hide or show"),
]


@pytest.mark.parametrize(("path", "body", "message"), BAD_COMMANDS)
def test_a_bad_command_is_refused_with_a_coded_error(
    control: Any, path: str, body: dict[str, Any], message: str
) -> None:
    answer = control("POST", path, body)
    assert answer["code"] == "sandbox.bad_command"
    assert message in answer["message"]
    assert answer["next"]
