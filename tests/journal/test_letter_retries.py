"""Dead letters that are retried, alone and by the thousand: each once, in bounded steps, across kills; and changes of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dative.clock import ManualClock
from dative.ids import DeadLetterId, ProcessName
from dative_atom.journal.contract import Execution, ExecutionState
from dative_atom.journal.letters import LetterChange, Retry, Selection

from tests.journal.letters import PAYLOAD, again, parked, refused, reported, settle
from tests.journal.places import AnyJournal, Place


def test_a_letter_that_fails_again_keeps_its_document_and_all_attempts(
    journal: AnyJournal, execution: Execution
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    journal.repair(letter, {"Id": "002"}, actor="anna")
    retry = again(execution, retry_of=[letter])
    journal.retry([letter], retry, actor="anna")
    journal.begin(retry.execution_id, journal.clock.now(), "cd" * 16)
    # What the retry could not read came to it as null: the letter keeps what it was.
    worse = parked(0, origin=letter, payload={**PAYLOAD, "amount": None}, code="database.rejected", step="write")
    settle(journal, retry, [worse])
    found = journal.dead_letter(letter)
    assert found is not None
    assert (found.state, found.attempts, found.execution_id) == ("waiting", 2, execution.execution_id)
    assert found.parked.payload == {**PAYLOAD, "Id": "002"}
    failures = [(event.execution_id, event.step, event.code) for event in found.history if event.kind == "failed"]
    assert failures == [
        (execution.execution_id, "upsert", "expression.cast_failed"),
        (retry.execution_id, "write", "database.rejected"),
    ]


def test_letters_that_a_retry_did_not_settle_wait_again_and_the_controller_is_told(
    journal: AnyJournal, execution: Execution
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    retry = again(execution, retry_of=[letter])
    journal.retry([letter], retry)
    journal.begin(retry.execution_id, journal.clock.now())
    journal.finish(retry.execution_id, ExecutionState.FAILED, journal.clock.now(), {"code": "x"})
    told = reported(journal, "dead_letter")
    assert [(one.state, one.revision) for one in told] == [("waiting", 1), ("retrying", 2), ("waiting", 3)]


def start(journal: AnyJournal, selection: Selection | None = None, **changes: Any) -> str:
    retry = Retry("R1", ProcessName("sync"), selection or Selection(), "anna", journal.clock.now(), **changes)
    assert journal.start_retry(retry)
    return retry.retry_id


def test_a_retry_takes_every_letter_once_whatever_becomes_of_it(
    journal: AnyJournal, execution: Execution, clock: ManualClock
) -> None:
    everything = settle(journal, execution, [parked(number) for number in range(7)])
    retry_id = start(journal, chunk=3)
    clock.advance(1)
    late = journal.begin(_planned(journal, again(execution, 50, trigger="manual")).execution_id, clock.now())
    settle(journal, late, [parked(99)])
    taken = []
    for number in (1, 2, 3):
        chunk = journal.next_chunk(retry_id, again(execution, number))
        assert chunk is not None
        taken += chunk.retry_of
        # It fails again: it waits, and this retry does not take it a second time.
        journal.begin(chunk.execution_id, clock.now())
        settle(journal, chunk, [parked(at, origin=letter) for at, letter in enumerate(chunk.retry_of)])
        journal.finish(chunk.execution_id, ExecutionState.PARTIAL, clock.now(), None)
    assert journal.next_chunk(retry_id, again(execution, 4)) is None
    assert taken == everything
    assert [retry.state for retry in journal.retries("done")] == ["done"]
    assert journal.retries() == []


def _planned(journal: AnyJournal, execution: Execution) -> Execution:
    assert journal.plan(execution)
    return execution


def test_a_chunk_and_how_far_the_retry_is_survive_a_kill_together(
    journal: AnyJournal, execution: Execution, place: Place
) -> None:
    settle(journal, execution, [parked(number) for number in range(4)])
    retry_id = start(journal, chunk=2)
    first = journal.next_chunk(retry_id, again(execution, 1))
    journal.close()  # a kill from here on
    reopened = place.open()
    (found,) = reopened.retries()
    assert first is not None
    assert (found.execution_id, found.taken, found.after) == (first.execution_id, 2, first.retry_of[-1])
    assert first.execution_id in {one.execution_id for one in reopened.unfinished()}
    second = reopened.next_chunk(retry_id, again(execution, 2))
    assert second is not None
    assert not set(first.retry_of) & set(second.retry_of)
    reopened.close()


def test_a_chunk_holds_a_bounded_number_of_bytes(journal: AnyJournal, execution: Execution) -> None:
    big = {"Id": "x" * 12_000_000}
    settle(journal, execution, [parked(number, payload=big) for number in range(4)], types=None)
    chunk = journal.next_chunk(start(journal), again(execution))
    assert chunk is not None
    assert len(chunk.retry_of) == 2


def test_a_letter_may_be_discarded_before_its_chunk_is_taken(journal: AnyJournal, execution: Execution) -> None:
    letters = settle(journal, execution, [parked(number) for number in range(3)])
    retry_id = start(journal, Selection(ids=letters), chunk=2)
    assert journal.next_chunk(retry_id, again(execution, 1)) is not None
    journal.change_letters(Selection(ids=[letters[2]]), LetterChange("discard", "bob", "sold"))
    assert journal.next_chunk(retry_id, again(execution, 2)) is None


def test_a_retry_that_was_ended_takes_nothing_more(journal: AnyJournal, execution: Execution) -> None:
    settle(journal, execution, [parked(1)])
    retry_id = start(journal)
    ended = journal.end_retry(retry_id, "stopped", {"code": "x"})
    assert ended is not None
    assert journal.next_chunk(retry_id, again(execution)) is None
    assert journal.end_retry(retry_id, "cancelled") is None
    assert not journal.start_retry(ended)


def test_a_selection_takes_what_fits_all_of_it(journal: AnyJournal, execution: Execution, clock: ManualClock) -> None:
    letters = settle(journal, execution, [parked(0), parked(1, queue="other"), parked(2, code="database.rejected")])
    by_document = {one.parked.document: one.dead_letter_id for one in journal.dead_letters()}
    journal.change_letters(Selection(ids=[by_document[0]]), LetterChange("assign", "bob", assignee="anna"))
    cases = [
        (Selection(), 3),
        (Selection(ids=letters[:2]), 2),
        (Selection(queue="other"), 1),
        (Selection(code="database.rejected"), 1),
        (Selection(process="sync", queue="sync"), 2),
        (Selection(process="nothing"), 0),
        (Selection(assignee="anna"), 1),
        (Selection(assignee="-"), 2),
        (Selection(execution_id=execution.execution_id), 3),
        (Selection(created_before=clock.now()), 0),
        (Selection(created_after=clock.now()), 3),
    ]
    assert [sum(journal.count_letters(selection).values()) for selection, _ in cases] == [count for _, count in cases]


def test_named_letters_are_changed_all_or_not_at_all(journal: AnyJournal, execution: Execution) -> None:
    first, second = settle(journal, execution, [parked(0), parked(1)])
    discard = LetterChange("discard", "anna", "sold")
    journal.change_letters(Selection(ids=[first]), discard)
    for call in (
        lambda: journal.change_letters(Selection(ids=[second, first]), discard),
        lambda: journal.count_letters(Selection(ids=[second, first])),
    ):
        error = refused(call)
        assert (error.code.name, error.message) == (
            "journal.dead_letter_not_waiting",
            f"dead letter {first} is discarded, by anna",
        )
    assert [one.dead_letter_id for one in journal.dead_letters()] == [second]


def test_many_are_changed_in_bounded_steps(journal: AnyJournal, execution: Execution) -> None:
    settle(journal, execution, [parked(number) for number in range(12)])
    for change in (LetterChange("assign", "bob", assignee="anna"), LetterChange("discard", "anna", "sold")):
        steps, after, done = [], "", False
        while not done:
            count, after = journal.change_letters(Selection(), change, after=after, limit=5)
            steps.append(count)
            done = not after
        assert steps == [5, 5, 2]
    (one, *others) = journal.dead_letters(state="discarded")
    assert len(others) == 11
    assert (one.assignee, one.note) == ("anna", "sold")
    assert [(event.kind, event.actor, event.reason) for event in one.history[1:]] == [
        ("assigned", "bob", ""),
        ("discarded", "anna", "sold"),
    ]


STATES: list[tuple[str, Callable[[AnyJournal, DeadLetterId, Execution], object]]] = [
    ("retrying", lambda journal, letter, execution: journal.retry([letter], again(execution, retry_of=[letter]))),
    ("discarded", lambda journal, letter, _: journal.change_letters(
        Selection(ids=[letter]), LetterChange("discard", "anna", "sold"))),
    ("expired", lambda journal, letter, _: journal.change_letters(
        Selection(ids=[letter]), LetterChange("expire", "anna"))),
]  # fmt: skip


@pytest.mark.parametrize(("state", "bring"), STATES, ids=[state for state, _ in STATES])
def test_a_letter_in_another_state_refuses_every_change(
    journal: AnyJournal, execution: Execution, state: str, bring: Callable[..., object]
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    bring(journal, letter, execution)
    calls: list[Callable[[], object]] = [
        lambda: journal.repair(letter, {"Id": "2"}),
        lambda: journal.check_repair(letter, {"Id": "2"}),
        lambda: journal.retry([letter], again(execution, 10)),
        *(
            lambda kind=kind: journal.change_letters(Selection(ids=[letter]), LetterChange(kind, "bob", "x"))
            for kind in ("discard", "assign", "expire", "keep")
        ),
    ]
    for call in calls:
        error = refused(call)
        assert error.code.name == "journal.dead_letter_not_waiting"
        assert f"is {state}" in error.message
    found = journal.dead_letter(letter)
    assert found is not None
    assert found.state == state
