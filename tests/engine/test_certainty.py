"""A write whose answer was lost: looked for, waited for, sent again only when it did not happen, never doubled."""

from __future__ import annotations

from typing import Any

import pytest
from dative.errors.connector import Unavailable
from dative_atom.engine.memory import Faults
from dative_atom.journal.contract import ExecutionState

STEP = """
  steps:
    - id: create
      database.insert: {{connection: erp, table: invoice}}
      {more}
"""
UPSERT = "database.upsert: {connection: erp, table: invoice, key: [Id]}"
VERIFIED = STEP.format(more="verify: {key: [Id], within: 2m}")
RETRIED = STEP.format(
    more="verify: {key: [Id], within: 2m}\n      retry: {on: [timeout], max_attempts: 4, backoff: {first: 1s}}"
)


@pytest.mark.parametrize(
    ("lost", "effects", "writes", "written", "parked"),
    [
        ([0], 4, 1, 4, 0),  # it was there at the first look
        ([3], 4, 1, 4, 0),  # a commit that came late is waited for
        ([None], 4, 2, 4, 0),  # it did not happen, so it is sent again
        ([None, 0], 4, 2, 4, 0),
        ([None, None], 0, 2, 0, 4),  # twice is enough without a retry: a person decides
    ],
)
def test_what_was_lost_is_found_or_sent_again_and_each_effect_is_one(
    engine: Any, accounts: Any, lost: list[int | None], effects: int, writes: int, written: int, parked: int
) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("create", key=("Id",), faults=Faults(lost=list(lost)))
    execution = engine.run(VERIFIED)
    assert execution.failure is None, execution.failure
    assert (target.effects, target.writes) == (effects, writes)
    assert (execution.counts.written, execution.counts.dead_lettered, execution.counts.unexplained) == (
        written,
        parked,
        0,
    )
    assert {letter.parked.code for letter in engine.journal.dead_letters()} <= {"engine.outcome_unknown"}


def test_nothing_is_sent_again_before_a_late_commit_must_have_shown(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(1)
    sent_at: list[float] = []
    note = lambda _: sent_at.append(engine.clock.elapsed_s())  # noqa: E731
    target = engine.target("create", key=("Id",), faults=Faults(lost=[None], reject=note))
    engine.run(VERIFIED)
    first, again = sent_at
    assert again - first >= 120.0
    # It was looked for meanwhile, and at the very end.
    assert target.probes == len(engine.waits) > 3


def test_without_verify_an_unknown_document_waits_for_a_person_and_is_never_sent_again(
    engine: Any, accounts: Any
) -> None:
    engine.system.rows = accounts(3)
    target = engine.target("create", key=("Id",), faults=Faults(lost=[0]))
    execution = engine.run(STEP.format(more="timeout: 30s"))
    assert (target.effects, target.writes, execution.counts.dead_lettered) == (3, 1, 3)


def test_an_idempotent_write_is_repeated_as_one_that_timed_out(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(3)
    target = engine.target("create", key=("Id",), faults=Faults(lost=[0, None]))
    body = RETRIED.replace("database.insert: {connection: erp, table: invoice}", UPSERT)
    execution = engine.run(body.replace("verify: {key: [Id], within: 2m}\n      ", ""))
    assert (target.writes, len(target.rows), execution.counts.written) == (3, 3, 3)


def test_a_target_that_can_not_be_asked_leaves_the_outcome_unknown(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(2)
    target = engine.target("create", key=("Id",), faults=Faults(lost=[None], probe=[Unavailable("down")] * 100))
    execution = engine.run(VERIFIED)
    assert (target.writes, execution.counts.dead_lettered) == (1, 2)


def test_a_killed_attempt_s_batch_is_looked_for_before_anything_is_sent(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(4)
    engine.batch_rows = 2
    target = engine.target("create", key=("Id",))
    execution_id = engine.plan()
    # The first attempt applied its first batch and was killed before it settled.
    engine.journal.begin(execution_id, engine.clock.now(), "0" * 32)
    target.apply([{"Id": "A000000"}, {"Id": "A000001"}])
    execution = engine.run(VERIFIED, execution_id=execution_id)
    assert execution.state is ExecutionState.SUCCEEDED, execution.failure
    assert (execution.attempt, target.effects, execution.counts.written) == (2, 4, 4)


def test_a_killed_attempt_s_idempotent_batch_is_sent_again_at_once(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("create", key=("Id",))
    execution_id = engine.plan()
    engine.journal.begin(execution_id, engine.clock.now(), "0" * 32)
    body = VERIFIED.replace("database.insert: {connection: erp, table: invoice}", UPSERT)
    execution = engine.run(body, execution_id=execution_id)
    assert execution.state is ExecutionState.SUCCEEDED, execution.failure
    # Nothing was looked for, and nobody waited two minutes for a commit that may come late.
    assert (target.probes, engine.waits, len(target.rows)) == (0, [], 4)


def test_documents_of_a_batch_are_told_apart(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(3)
    target = engine.target("create", key=("Id",), faults=Faults(lost=[None]))
    target.apply([{"Id": "A000001"}])
    execution = engine.run(VERIFIED)
    # One was there already and is not sent; the two that did not happen are.
    assert (target.effects, target.writes, execution.counts.written) == (3, 2, 3)


def test_an_answer_lost_twice_under_a_retry_is_sent_as_often_as_the_retry_says(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(2)
    target = engine.target("create", key=("Id",), faults=Faults(lost=[None, None, None, 2]))
    execution = engine.run(RETRIED)
    assert (target.effects, target.writes, execution.counts.written) == (2, 4, 2)
