"""`dative process dry-run`: what a person sees of what a process would change."""

from __future__ import annotations

import json
from typing import Any

import pytest

DOCUMENTS = [
    {
        "step": "upsert",
        "outcome": "change",
        "changed": ["name"],
        "before": {"name": "ada\x1b[31m"},
        "after": {"name": None},
    },
    {"step": "upsert", "outcome": "change", "changed": [], "before": None, "after": {"id": 4, "phone": "•••"}},
    {"step": "upsert", "outcome": "no_change", "changed": [], "before": None, "after": {"id": 5}},
    {"step": "upsert", "outcome": "cannot_know", "changed": [], "before": None, "after": {"id": 6}},
]
OUTCOME = {
    "state": "partial",
    "failure": None,
    "counts": {"read": 5, "written": 4, "filtered": 0, "returned": 0, "dead_lettered": 1, "masked": 0, "batches": 1},
    "cut": True,
    "links": 0,
    "targets": {
        "upsert": {
            "counts": {"change": 2, "no_change": 1, "cannot_know": 1},
            "reasons": {"an earlier document of this run has the same key": 1},
            "notes": ["the database fills seen of a new row"],
        }
    },
    "documents": DOCUMENTS,
    "dead_letters": [{"step": "shape", "code": "expression.date_unreadable", "field": "since", "reason": "no date"}],
}


@pytest.fixture
def state(admin: Any, fake: Any) -> Any:
    fake.state.add_atom("hq-1", "dev")
    fake.state.outcome = OUTCOME
    return fake.state


def test_totals_reasons_and_differences_are_shown_and_exit_8_says_that_documents_would_fail(
    admin: Any, state: Any
) -> None:
    told = admin("process", "dry-run", "p", "--env", "dev", "--documents", "7", "--show", "3", "--param", "a=b", code=8)
    assert told.stdout.splitlines() == [
        "5 read, 4 written, 0 filtered, 1 dead-lettered (there is more; see --documents)",
        "upsert: 2 change, 1 no change, 1 cannot know",
        "  1 because an earlier document of this run has the same key",
        "  note: the database fills seen of a new row",
        "  ~ name: ada·[31m → ∅",
        "  + id: 4, phone: •••",
        "  cannot know: id: 6",
        "dead letter: no date (expression.date_unreadable at shape, field since)",
    ]
    assert "nothing was written" in told.stderr
    request = state.commands[-1]
    assert (request.process, request.documents_max, request.shown_max, dict(request.parameters)) == (
        "p",
        7,
        3,
        {"a": "b"},
    )


def test_a_program_gets_everything_as_json_and_a_failing_run_is_exit_1(admin: Any, state: Any) -> None:
    failure = {"code": "database.table_unknown", "message": "there is no table", "where": "", "next": ""}
    state.outcome = {**OUTCOME, "failure": failure}
    told = admin("process", "dry-run", "p", "--env", "dev", "-o", "json", code=1)
    item = json.loads(told.stdout)
    assert item["targets"] == OUTCOME["targets"]
    assert item["failure"]["code"] == "database.table_unknown"


def test_a_dry_run_that_changes_nothing_bad_is_exit_0(admin: Any, state: Any) -> None:
    state.outcome = {**OUTCOME, "counts": {**OUTCOME["counts"], "dead_lettered": 0}, "dead_letters": []}
    admin("process", "dry-run", "p", "--env", "dev")
