"""Retries, lost commits, unknown outcomes, refused documents, cancels: nothing lost, nothing blindly repeated."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from dative.errors.base import RetryLater, StopRun
from dative.errors.connector import DENIED, RateLimited, Timeout, Unavailable, UnknownOutcome
from dative_atom.engine.memory import Faults
from dative_atom.engine.sources.source import watermark
from dative_atom.journal.contract import ExecutionState

UPSERT = """
  steps:
    - id: upsert
      database.upsert: {connection: erp, table: customer, key: [Id]}
      retry: {on: [timeout, rate_limited, conflict], max_attempts: 3, backoff: {first: 2s, factor: 2, max: 5m}}
"""
TWO = """
  steps:
    - {id: first, database.upsert: {connection: erp, table: a, key: [Id]}}
    - {id: second, database.upsert: {connection: erp, table: b, key: [Id]}}
"""


@pytest.mark.parametrize(
    ("faults", "state", "code", "writes"),
    [
        ([Timeout("slow"), None], "succeeded", None, 2),
        ([Timeout("slow"), RateLimited("busy"), None], "succeeded", None, 3),
        ([Timeout("slow")] * 3, "failed", "engine.retries_exhausted", 3),
        ([Unavailable("down")], "failed", "engine.retries_exhausted", 1),  # not among the step's classes
        ([StopRun("no", code=DENIED)], "failed", "connector.denied", 1),
    ],
)
@pytest.mark.parametrize("transactional", [True, False])
def test_a_write_is_tried_again_by_its_class_and_no_more_often(
    engine, accounts, transactional: bool, faults, state: str, code: str | None, writes: int
) -> None:
    engine.system.rows = accounts(5)
    target = engine.target("upsert", key=("Id",), transactional=transactional, faults=Faults(write=list(faults)))
    execution = engine.run(UPSERT)
    assert execution.state.value == state
    assert (execution.failure or {}).get("code") == code
    assert target.writes == writes
    assert target.effects == (5 if state == "succeeded" else 0)
    # A failed execution keeps its place: nothing counts as read that has not settled.
    assert execution.counts.read == (5 if state == "succeeded" else 0)


def test_a_pause_is_as_long_as_the_other_side_asked_and_jitter_stays_below_its_bound(engine, accounts) -> None:
    engine.system.rows = accounts(1)
    engine.target(
        "upsert", key=("Id",), faults=Faults(write=[RateLimited("busy", retry_after_s=90.0), Timeout("slow")])
    )
    assert engine.run(UPSERT).state is ExecutionState.SUCCEEDED
    assert engine.waits[0] == 90.0
    assert 0 <= engine.waits[1] <= 4.0


def test_a_pause_beyond_the_budget_is_not_begun(engine, accounts) -> None:
    engine.system.rows = accounts(1)
    engine.target("upsert", faults=Faults(write=[RateLimited("busy", retry_after_s=86_400.0)]))
    assert engine.run(UPSERT).failure["code"] == "engine.retries_exhausted"
    assert engine.waits == []


@pytest.mark.parametrize(
    ("commit", "writes"),
    [(["lost"], 1), (["undone", None], 2), ([Timeout("slow"), None], 2)],
)
def test_a_lost_commit_is_asked_for_at_the_target_and_only_repeated_when_it_did_not_happen(
    engine, accounts, commit, writes: int
) -> None:
    engine.system.rows = accounts(6)
    target = engine.target("upsert", key=("Id",), transactional=True, faults=Faults(commit=list(commit)))
    execution = engine.run(UPSERT)
    assert execution.state is ExecutionState.SUCCEEDED, execution.failure
    assert (execution.counts.written, target.effects, target.writes) == (6, 6, writes)


@pytest.mark.parametrize("transactional", [True, False])
def test_a_second_targets_lost_commit_does_not_repeat_what_the_first_one_has(
    engine, accounts, transactional: bool
) -> None:
    engine.system.rows = accounts(6)
    first = engine.target("first", key=("Id",), transactional=transactional)
    second = engine.target("second", key=("Id",), transactional=True, faults=Faults(commit=["undone", None]))
    execution = engine.run(TWO)
    assert execution.state is ExecutionState.SUCCEEDED, execution.failure
    assert (execution.counts.written, first.effects, second.effects) == (6, 6, 6)


def test_a_document_written_to_two_targets_counts_once(engine, accounts) -> None:
    engine.system.rows = accounts(6)
    assert engine.run(TWO).counts.written == 6


REFUSED = StopRun("not this time", code=DENIED)


@pytest.mark.parametrize("again", [6, 8])
def test_an_execution_that_stopped_between_two_commits_is_not_repeated_by_the_next_one(
    engine, accounts, again: int
) -> None:
    engine.system.rows = accounts(6)
    first = engine.target("first", key=("Id",), transactional=True)
    second = engine.target("second", key=("Id",), transactional=True, faults=Faults(commit=[REFUSED, None]))
    assert engine.run(TWO).state is ExecutionState.FAILED
    assert (first.effects, second.effects) == (6, 0)
    engine.system.rows = accounts(again)
    assert engine.run(TWO).counts.written == again
    assert (first.effects, second.effects) == (again, again)
    assert engine.journal.halfway("env/sync") == b""


def test_what_changed_at_the_source_meanwhile_is_sent_to_the_target_that_had_committed(engine, accounts) -> None:
    engine.system.rows = accounts(6)
    first = engine.target("first", key=("Id",), transactional=True)
    engine.target("second", key=("Id",), transactional=True, faults=Faults(commit=[REFUSED, None]))
    assert engine.run(TWO).state is ExecutionState.FAILED
    rows = accounts(6)
    engine.system.rows = rows.set_column(2, "Last", pa.array([*rows.column("Last").to_pylist()[:5], "Changed"]))
    assert engine.run(TWO).state is ExecutionState.SUCCEEDED
    assert first.effects == 7
    assert first.rows[("A000005",)]["Last"] == "Changed"


def test_a_commit_of_which_nobody_can_tell_leaves_the_execution_to_a_resume(engine, accounts) -> None:
    engine.system.rows = accounts(6)
    target = engine.target("upsert", key=("Id",), transactional=True, faults=Faults(commit=["lost"]))
    target.silent = 1
    execution_id = engine.plan()
    with pytest.raises(RetryLater):
        engine.run(UPSERT, execution_id=execution_id)
    assert engine.journal.execution(execution_id).state is ExecutionState.RUNNING
    ended = engine.run(UPSERT, execution_id=execution_id)
    assert (ended.state, ended.counts.written, target.effects) == (ExecutionState.SUCCEEDED, 6, 6)


def test_an_answer_lost_without_a_mark_is_unknown_and_never_sent_again(engine, accounts) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), faults=Faults(write=[UnknownOutcome("no answer")]))
    execution = engine.run(UPSERT.replace("      retry:", "      # retry:"))
    assert execution.state is ExecutionState.PARTIAL
    assert target.writes == 1
    assert {letter.parked.code for letter in engine.journal.dead_letters()} == {"engine.outcome_unknown"}
    assert execution.counts.dead_lettered == 4


def test_refused_documents_are_parked_and_their_neighbours_written(engine, accounts) -> None:
    engine.system.rows = accounts(10)
    refuse = lambda row: ("connector.denied", "too old") if row["Id"] in ("A000002", "A000007") else None  # noqa: E731
    target = engine.target("upsert", key=("Id",), transactional=True, faults=Faults(reject=refuse))
    execution = engine.run(UPSERT)
    assert (execution.counts.written, execution.counts.dead_lettered, target.effects) == (8, 2, 8)
    assert sorted(letter.parked.document for letter in engine.journal.dead_letters()) == [2, 7]


def test_documents_refused_for_a_reason_that_passes_are_sent_again_alone(engine, accounts) -> None:
    engine.system.rows = accounts(10)
    left = {"A000002": 1, "A000007": 9}

    def refuse(row):
        if left.get(row["Id"], 0):
            left[row["Id"]] -= 1
            return "connector.conflict", "locked"
        return None

    target = engine.target("upsert", key=("Id",), faults=Faults(reject=refuse))
    execution = engine.run(UPSERT)
    assert (execution.counts.written, execution.counts.dead_lettered) == (9, 1)
    assert (target.writes, target.effects) == (3, 9)


def test_a_cancel_stops_a_pause_and_keeps_what_is_settled(engine, accounts) -> None:
    engine.system.rows = accounts(6)
    engine.batch_rows = 2
    target = engine.target("upsert", key=("Id",), faults=Faults(write=[None, Timeout("slow")]))
    wait = engine._wait

    def cancelled(seconds: float) -> bool:
        engine.control.cancel()
        return wait(seconds)

    engine._wait = cancelled
    execution = engine.run(UPSERT)
    assert (execution.state, execution.failure["code"]) == (ExecutionState.CANCELLED, "engine.cancelled")
    assert (execution.counts.written, target.effects) == (2, 2)
    assert engine.journal.position("env/sync") == b'{"row":2}'


def test_a_retried_dead_letter_is_resolved_under_its_own_identity_and_moves_no_position(engine, accounts) -> None:
    body = """
  steps:
    - {id: shape, map: {fields: {Id: Id, since: "date(Since, '%m/%d/%Y')"}}}
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
"""
    engine.system.rows = accounts(5, bad={1: "soon", 3: "later"})
    assert engine.run(body).counts.dead_lettered == 2
    position = engine.journal.position("env/sync")
    first, second = sorted(engine.journal.dead_letters(), key=lambda letter: letter.parked.document)
    engine.journal.repair(first.dead_letter_id, {"Since": "12/24/2024"})
    execution = engine.run(body, retry_of=[first.dead_letter_id, second.dead_letter_id])
    assert (execution.counts.read, execution.counts.written, execution.counts.dead_lettered) == (2, 1, 1)
    assert engine.journal.dead_letter(first.dead_letter_id).state == "resolved"
    again = engine.journal.dead_letter(second.dead_letter_id)
    assert (again.state, again.attempts) == ("waiting", 2)
    assert engine.journal.position("env/sync") == position
    assert engine.system.targets["upsert"].effects == 4


def test_last_run_date_is_the_epoch_first_and_then_the_last_start(engine, accounts) -> None:
    seen = []
    connect = engine.system.connect

    def spying(connection):
        connector = connect(connection)
        reader = connector.reader
        connector.reader = lambda operation, context: (
            seen.append((context.binds["lastRunDate"], context.binds["watermark"])),
            reader(operation, context),
        )[1]
        return connector

    engine.system.connect = spying
    engine.system.rows = accounts(1)
    began = engine.clock.now()
    engine.run(UPSERT)
    engine.clock.advance(3600)
    engine.run(UPSERT)
    assert [bind.year for bind in seen[0]] == [1970, 1970]
    # A table in memory has no stamps: nothing says how far it was read, so :watermark leaves nothing out.
    assert (seen[1][0], seen[1][1].year) == (began, 1970)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (None, None),
        ({"row": 3}, None),
        ({"upper": "2026-03-01T12:00:00.000Z", "lower": "2026-03-01T11:55:00.000Z"}, datetime(2026, 3, 1, 11, 55, tzinfo=UTC)),
        ({"upper": "2026-03-01T12:00:00.000Z", "lower": None, "at": ["2026-03-01T11:58:00.000Z", "x"]}, None),
        ({"_inside": {"after": {"lower": "2026-03-01 11:55:00+00"}, "rows": 1}}, datetime(2026, 3, 1, 11, 55, tzinfo=UTC)),
        ({"upper": "42", "lower": "42", "at": []}, "42"),
        ({"upper": "2026-03-01 12:00:00", "lower": "2026-03-01 11:00:00"}, "2026-03-01 11:00:00"),
    ],
)  # fmt: skip
def test_watermark_is_where_the_window_begins_that_is_read_next(position, expected) -> None:
    assert watermark(position) == expected
