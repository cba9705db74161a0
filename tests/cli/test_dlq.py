"""`dative dlq`: what a person sees of dead letters and does with them; documents opened and sealed on this machine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.secrets import open_sealed, seal_info
from dative.v1 import control_pb2, types_pb2

TRACE = "4f" * 16
PERSONAL = "Grace Hopper"


@pytest.fixture
def letters(admin: Any, fake: Any) -> Any:
    """One that waits, with a history, and one that was discarded."""
    state = fake.state
    state.add_atom("hq-1", "dev")
    history = [
        types_pb2.DeadLetterEvent(
            kind="failed", step="to-customer", reason="since: not a date", code="expression.cast_failed",
            execution_id="01JRUN1",
        ),
        types_pb2.DeadLetterEvent(kind="edited", actor="anna", fields=["since"]),
        types_pb2.DeadLetterEvent(kind="assigned", actor="anna", assignee="bob"),
    ]  # fmt: skip
    common = {
        "execution_id": "01JRUN1", "process": "account-to-erp", "step": "to-customer", "field": "since",
        "code": "expression.cast_failed", "reason": "since: not a date", "keys": {"Id": "001A"}, "trace_id": TRACE,
        "revision": 3, "attempts": 1,
    }  # fmt: skip
    state.dead_letters["01JDEAD"] = types_pb2.DeadLetter(
        dead_letter_id="01JDEAD", state="waiting", assignee="bob", history=history, **common
    )
    state.dead_letters["01JGONE"] = types_pb2.DeadLetter(
        dead_letter_id="01JGONE", state="discarded", note="sold", **common
    )
    state.payloads["01JDEAD"] = json.dumps({"Id": "001A", "Name": PERSONAL, "since": "soon"}).encode()
    return state


# ---- looking ----------------------------------------------------------------------------------------------------


def test_a_list_asks_for_exactly_what_was_said(admin: Any, letters: Any) -> None:
    told = admin(
        "dlq", "list", "--env", "dev", "--queue", "review", "--process", "p", "--code", "c", "--assignee", "-",
        "--execution", "01J", "--newer", "24h", "--older", "2026-03-01T12:00:00+00:00", "--state", "all", "-o", "name",
    )  # fmt: skip
    assert told.stdout.split() == ["01JGONE", "01JDEAD"]
    request = letters.commands[-1]
    assert (request.queue, request.process, request.code, request.assignee, request.execution_id, request.state) == (
        "review", "p", "c", "-", "01J", "all",
    )  # fmt: skip
    assert request.created_before.ToJsonString() == "2026-03-01T12:00:00Z"
    assert request.HasField("created_after")


def test_a_list_pages_to_its_end(admin: Any, letters: Any) -> None:
    for number in range(1200):
        identity = f"01JMANY{number:04d}"
        letters.dead_letters[identity] = types_pb2.DeadLetter(dead_letter_id=identity, state="waiting")
    names = admin("dlq", "list", "--env", "dev", "-o", "name", "--limit", "100000").stdout.split()
    assert len(names) == len(set(names)) == 1201
    assert [request.page_size for request in letters.commands] == [500, 500, 500]


def test_a_letter_says_why_what_was_tried_and_what_to_type_next_but_no_value(admin: Any, letters: Any) -> None:
    told = admin("dlq", "show", "01JDEAD")
    assert "since: not a date (expression.cast_failed)" in told.stdout
    assert "failed at to-customer: since: not a date (expression.cast_failed) execution 01JRUN1" in told.stdout
    assert "edited since by anna" in told.stdout
    assert "assigned to bob by anna" in told.stdout
    assert PERSONAL not in told.stdout
    assert f"next   dative trace show {TRACE}" in told.stderr
    assert "next   dative dlq edit 01JDEAD since=VALUE --dry-run" in told.stderr
    assert "next   dative explain expression.cast_failed" in told.stderr
    gone = admin("dlq", "show", "01JGONE")
    assert "sold" in gone.stdout
    assert "dlq edit" not in gone.stderr


def test_a_payload_comes_masked_and_is_revealed_only_to_who_may(admin: Any, letters: Any) -> None:
    told = admin("dlq", "show", "01JDEAD", "--payload")
    assert PERSONAL not in told.stdout
    assert "payload Name    ***" in told.stdout
    assert "soon   ◀ here it stopped" in told.stdout
    assert "rpc.permission_denied" in admin("dlq", "show", "01JDEAD", "--reveal", code=6).stderr
    letters.revealers = 1
    item = json.loads(admin("dlq", "show", "01JDEAD", "--reveal", "-o", "json").stdout)
    assert item["payload"] == {"Id": "001A", "Name": PERSONAL, "since": "soon"}
    assert item["classified"] == ["Name"]


# ---- editing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["arguments", "stdin"])
def test_an_edit_is_sealed_to_the_atom(admin: Any, letters: Any, how: str) -> None:
    if how == "arguments":
        admin("dlq", "edit", "01JDEAD", "since=2026-01-31", "count:=7", "note:=null")
    else:
        text = '{"since": "2026-01-31", "count": 7, "note": null}'
        admin("dlq", "edit", "01JDEAD", "--from-file", "-", stdin=text)
    sealed = letters.repaired["01JDEAD"]
    assert b"2026-01-31" not in sealed
    opened = open_sealed(sealed, letters.atom_keys["hq-1"], seal_info("dative/dead-letter-repair/v1", "01JDEAD"))
    assert json.loads(opened) == {"since": "2026-01-31", "count": 7, "note": None}


def test_an_edit_of_what_somebody_else_has_changed_is_refused_unless_it_is_forced(admin: Any, letters: Any) -> None:
    letters.behind = 1
    assert "dead_letters.changed" in admin("dlq", "edit", "01JDEAD", "since=x", code=6).stderr
    assert "01JDEAD" not in letters.repaired
    admin("dlq", "edit", "01JDEAD", "since=x", "--force")
    assert "01JDEAD" in letters.repaired


def test_an_edit_may_be_retried_at_once(admin: Any, letters: Any) -> None:
    told = admin("dlq", "edit", "01JDEAD", "since=x", "--retry", "-o", "json")
    assert json.loads(told.stdout)["execution_ids"] == ["01JRETRY"]
    assert list(letters.commands[-1].dead_letter_ids) == ["01JDEAD"]


OUTCOMES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"ends": "written", "step": "upsert", "targets": [{"step": "upsert", "document": {"id": "001A"}}]},
        "would end  written at upsert",
        "the same command without --dry-run stores it",
    ),
    (
        {"ends": "dead_lettered", "step": "to-customer", "code": "x.y", "reason": "no date", "field": "since"},
        "no date (x.y)",
        "it would wait again",
    ),
    ({"ends": "filtered", "step": "leave"}, "would end  filtered at leave", "nothing was stored"),
]


@pytest.mark.parametrize(("outcome", "said", "next_"), OUTCOMES, ids=[str(one["ends"]) for one, _, _ in OUTCOMES])
def test_a_dry_run_says_where_the_document_would_end_and_stores_nothing(
    admin: Any, letters: Any, outcome: dict[str, Any], said: str, next_: str
) -> None:
    letters.outcome = outcome
    told = admin("dlq", "edit", "01JDEAD", "since=2026-01-31", "--dry-run")
    assert said in told.stdout
    assert next_ in told.stderr
    assert letters.repaired == {}
    item = json.loads(admin("dlq", "edit", "01JDEAD", "since=x", "--dry-run", "-o", "json").stdout)
    assert item["ends"] == outcome["ends"]


# ---- many -------------------------------------------------------------------------------------------------------


def test_a_retry_takes_ids_or_a_selection_at_a_rate(admin: Any, letters: Any) -> None:
    assert admin("dlq", "retry", "01JDEAD", "-o", "name").stdout == "01JRETRY\n"
    admin("dlq", "retry", "--env", "dev", "--code", "expression.cast_failed", "--rate", "50/s", "--batch", "20")
    admin("dlq", "retry", "--env", "dev", "--all", "--rate", "120/m")
    one, some, every = letters.commands
    assert list(one.dead_letter_ids) == ["01JDEAD"]
    assert (some.environment, some.matching.code, some.rate_per_s, some.chunk) == (
        "dev", "expression.cast_failed", 50, 20,
    )  # fmt: skip
    assert (every.matching.all, every.rate_per_s) == (True, 2)


COMMANDS: list[tuple[tuple[str, ...], str, Any]] = [
    (("discard", "--reason", "sold"), "discarded: sold", {"reason": "sold"}),
    (("assign", "--to", "bob"), "assigned to bob", {"assignee": "bob"}),
    (("assign", "--nobody"), "assigned to nobody", {"assignee": ""}),
    (("expire",), "expired, their documents destroyed", {}),
]


@pytest.mark.parametrize(("typed", "said", "fields"), COMMANDS, ids=[" ".join(typed) for typed, _, _ in COMMANDS])
def test_the_same_is_done_to_one_and_to_all_that_fit(
    admin: Any, letters: Any, typed: tuple[str, ...], said: str, fields: dict[str, str]
) -> None:
    assert f"1 dead letter {said}" in admin("dlq", *typed, "01JDEAD").stderr
    assert f"7 dead letters {said}" in admin("dlq", *typed, "--env", "dev", "--queue", "review").stderr
    one, many = letters.commands
    assert list(one.selection.dead_letter_ids) == ["01JDEAD"]
    assert (many.environment, many.selection.queue) == ("dev", "review")
    for name, value in fields.items():
        assert getattr(one, name) == getattr(many, name) == value


def test_keeping_longer_moves_the_end_and_destroys_nothing(admin: Any, letters: Any) -> None:
    assert "kept for another 30d" in admin("dlq", "expire", "01JDEAD", "--keep", "30d").stderr
    assert letters.commands[0].keep.seconds == 30 * 86_400


@pytest.mark.parametrize("typed", [("discard", "--reason", "x"), ("expire",)], ids=["discard", "expire"])
def test_giving_up_everything_in_production_is_asked_for(admin: Any, letters: Any, typed: tuple[str, ...]) -> None:
    letters.environments["dev"].production = True
    assert "cli.not_confirmed" in admin("dlq", *typed, "--all", "--env", "dev", code=6).stderr
    assert letters.commands == []
    admin("dlq", *typed, "--all", "--env", "dev", "--yes")
    assert letters.commands[0].selection == types_pb2.DeadLetterSelection(all=True)


USAGE = [
    ("retry",),
    ("retry", "01JDEAD", "--code", "x"),
    ("retry", "--all", "--code", "x", "--env", "dev"),
    ("retry", "01JDEAD", "--rate", "fast"),
    ("retry", "01JDEAD", "--rate", "0/s"),
    ("retry", "01JDEAD", "--batch", "1001"),
    ("discard", "01JDEAD"),
    ("discard", "01JDEAD", "--reason", " "),
    ("assign", "01JDEAD"),
    ("assign", "01JDEAD", "--to", "bob", "--nobody"),
    ("expire", "01JDEAD", "--keep", "soon"),
    ("edit", "01JDEAD"),
    ("edit", "01JDEAD", "since"),
    ("edit", "01JDEAD", ":=1"),
    ("edit", "01JDEAD", "count:=seven"),
    ("edit", "01JDEAD", "since=x", "--dry-run", "--retry"),
    ("edit", "01JDEAD", "--from-file", "nowhere.json"),
    ("list", "--older", "yesterday"),
]


@pytest.mark.parametrize("typed", USAGE, ids=[" ".join(typed) for typed in USAGE])
def test_what_makes_no_sense_is_a_usage_error_and_sends_nothing(
    admin: Any, letters: Any, typed: tuple[str, ...]
) -> None:
    admin("dlq", *typed, code=2)
    assert letters.commands == []
    assert letters.repaired == {}


def test_the_json_of_a_letter_is_whole(admin: Any, letters: Any) -> None:
    item = json.loads(admin("dlq", "show", "01JDEAD", "-o", "json").stdout)
    assert set(item) >= {field.name for field in control_pb2.GetDeadLetterResponse().dead_letter.DESCRIPTOR.fields}
    assert item["history"][1] == {
        "kind": "edited", "at": None, "actor": "anna", "execution_id": "", "step": "", "code": "", "reason": "",
        "field": "", "trace_id": "", "fields": ["since"], "assignee": "",
    }  # fmt: skip
