"""Dead letters in the journal: what people and time do with them, exactly, whole, and told to the controller."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.ids import DeadLetterId, ExecutionId, ProcessName, StepId
from dative.letters import taken_apart
from dative.v1 import telemetry_pb2
from dative_atom.journal import database
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Settlement
from dative_atom.journal.dead_letters import HISTORY_MAX
from dative_atom.journal.letter_changes import RECORDS_KEPT
from dative_atom.journal.letters import LetterChange, ParkedDocument, Profile, Retry, Selection
from dative_atom.journal.sqlite import SqliteJournal

DAY_S = 86_400.0
TYPES = {"Id": "string", "amount": "decimal128(10, 2)", "count": "int32", "on": "date32[day]", "Phone": "string"}
PAYLOAD = {"Id": "001", "amount": "1.50", "count": 7, "on": "2026-01-31", "Phone": "canary-555-0100"}


def parked(document: int, **changes: Any) -> ParkedDocument:
    base = ParkedDocument(
        document=document,
        queue="sync",
        step=StepId("upsert"),
        code="expression.cast_failed",
        reason="on: no date in this text",
        field="on",
        payload=PAYLOAD,
        classified=["Phone"],
        keys={"Id": "001"},
        keep_s=30 * DAY_S,
    )
    return replace(base, **changes)


def settle(
    journal: SqliteJournal, execution: Execution, letters: Iterable[ParkedDocument], types: Any = TYPES, batch: int = 0
) -> list[DeadLetterId]:
    """Park these; returns the ids of everything that waits."""
    parked_ones = list(letters)
    journal.settle(
        Settlement(
            execution_id=execution.execution_id,
            stream=execution.stream,
            batch=batch,
            position=None,
            documents_end=10_000,
            counts=Counts(read=len(parked_ones), dead_lettered=len(parked_ones)),
            dead_letters=parked_ones,
            profile=Profile(types, b"arrow") if types else None,
        )
    )
    return [letter.dead_letter_id for letter in journal.dead_letters(limit=10_000)]


def reported(journal: SqliteJournal, kind: str) -> list[Any]:
    """Everything reported of one kind; letters that were parked together, each as if it had come alone."""
    found: list[Any] = []
    for kept in journal.outbox(0, rows_max=10_000):
        record = telemetry_pb2.Record.FromString(kept.body)
        assert record.WhichOneof("kind") == kept.kind
        if kind == "dead_letter" and kept.kind == "dead_letters":
            found += taken_apart(record.dead_letters)
        elif kept.kind == kind:
            found.append(getattr(record, kind))
    return found


def again(execution: Execution, number: int = 9, **changes: Any) -> Execution:
    return replace(execution, **{"execution_id": ExecutionId(f"01JX{number:022d}"), "trigger": "retry", **changes})


def refused(call: Callable[[], object]) -> DativeError:
    with pytest.raises(DativeError) as found:
        call()
    return found.value


# ---- editing ----------------------------------------------------------------------------------------------------

EDITS: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": "12.25"}, "", ""),
    ({"amount": 12.5, "count": "8", "on": "2026-02-28", "Phone": None}, "", ""),
    ({"Amount": "1"}, "dead_letters.unknown_field", "Amount"),
    ({"amount": "1.505"}, "dead_letters.wrong_type", "amount"),
    ({"amount": "123456789.00"}, "dead_letters.wrong_type", "amount"),
    ({"amount": True}, "dead_letters.wrong_type", "amount"),
    ({"amount": "NaN"}, "dead_letters.wrong_type", "amount"),
    ({"Id": "002", "count": 2**40}, "dead_letters.wrong_type", "count"),
    ({"count": 1.5}, "dead_letters.wrong_type", "count"),
    ({"count": "٣"}, "dead_letters.wrong_type", "count"),
    ({"on": "31/01/2026"}, "dead_letters.wrong_type", "on"),
    ({"Id": 2}, "dead_letters.wrong_type", "Id"),
    ({"Id": ["2"]}, "dead_letters.wrong_type", "Id"),
]


@pytest.mark.parametrize(("fields", "code", "where"), EDITS, ids=[str(fields) for fields, _, _ in EDITS])
def test_an_edit_is_stored_whole_or_refused_with_its_field(
    journal: SqliteJournal, execution: Execution, fields: dict[str, Any], code: str, where: str
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    if code:
        error = refused(lambda: journal.repair(letter, fields))
        assert (error.code.name, error.where) == (code, where)
        assert str(fields[where]) not in error.message, "an error never holds a value"
    else:
        journal.repair(letter, fields)
    stored = journal.dead_letter(letter)
    assert stored is not None
    assert stored.parked.payload == (PAYLOAD if code else {**PAYLOAD, **fields})


def test_an_edit_is_on_record_with_who_and_which_fields_never_the_values(
    journal: SqliteJournal, execution: Execution
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    journal.repair(letter, {"Phone": "canary-2", "Id": "002"}, actor="anna")
    found = journal.dead_letter(letter)
    assert found is not None
    assert [(event.kind, event.actor, list(event.fields)) for event in found.history] == [
        ("failed", "", []),
        ("edited", "anna", ["Id", "Phone"]),
    ]
    told = reported(journal, "dead_letter")[-1]
    assert [event.kind for event in told.history] == ["failed", "edited"]
    assert b"canary" not in told.SerializeToString()
    assert b"002" not in told.SerializeToString()


def test_of_two_people_who_edit_the_same_revision_the_second_is_told(
    journal: SqliteJournal, execution: Execution
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    found = journal.dead_letter(letter)
    assert found is not None
    journal.repair(letter, {"Id": "by anna"}, actor="anna", expected_revision=found.revision)
    error = refused(lambda: journal.repair(letter, {"Id": "by bob"}, actor="bob", expected_revision=found.revision))
    assert error.code.name == "dead_letters.changed"
    kept = journal.dead_letter(letter)
    assert kept is not None
    assert kept.parked.payload["Id"] == "by anna"


def test_without_a_profile_the_payload_itself_says_what_fits(journal: SqliteJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1)], types=None)
    assert refused(lambda: journal.repair(letter, {"other": 1})).code.name == "dead_letters.unknown_field"
    assert refused(lambda: journal.repair(letter, {"count": "x"})).code.name == "dead_letters.wrong_type"
    journal.repair(letter, {"count": 8})


def test_nested_values_are_checked_to_their_leaves(journal: SqliteJournal, execution: Execution) -> None:
    lines = {"list": {"struct": {"sku": "string", "pieces": "int64"}}}
    (letter,) = settle(journal, execution, [parked(1, payload={"lines": []})], types={"lines": lines})
    journal.repair(letter, {"lines": [{"sku": "A", "pieces": 2}]})
    for value in ([{"sku": "A", "pieces": "two"}], [{"sku": "A", "price": 1}], {"sku": "A"}, ["A"]):
        error = refused(lambda value=value: journal.repair(letter, {"lines": value}))
        assert error.code.name == "dead_letters.wrong_type"


def test_a_check_of_an_edit_stores_nothing(journal: SqliteJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    assert journal.check_repair(letter, {"Id": "002"}).parked.payload["Id"] == "002"
    assert refused(lambda: journal.check_repair(letter, {"no": 1})).code.name == "dead_letters.unknown_field"
    found = journal.dead_letter(letter)
    assert found is not None
    assert (found.parked.payload, found.revision) == (PAYLOAD, 1)


def test_a_document_of_five_megabytes_is_edited_in_one_field(journal: SqliteJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1, payload={**PAYLOAD, "Phone": "x" * 5_000_000})])
    journal.repair(letter, {"Id": "002"})
    found = journal.dead_letter(letter)
    assert found is not None
    assert (len(found.parked.payload["Phone"]), found.parked.payload["Id"]) == (5_000_000, "002")
    assert found.payload_bytes > 5_000_000
    assert all(len(told.SerializeToString()) < 2_000 for told in reported(journal, "dead_letter"))


# ---- retrying ---------------------------------------------------------------------------------------------------


def test_a_letter_that_fails_again_keeps_its_document_and_all_attempts(
    journal: SqliteJournal, execution: Execution
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
    journal: SqliteJournal, execution: Execution
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    retry = again(execution, retry_of=[letter])
    journal.retry([letter], retry)
    journal.begin(retry.execution_id, journal.clock.now())
    journal.finish(retry.execution_id, ExecutionState.FAILED, journal.clock.now(), {"code": "x"})
    told = reported(journal, "dead_letter")
    assert [(one.state, one.revision) for one in told] == [("waiting", 1), ("retrying", 2), ("waiting", 3)]


def start(journal: SqliteJournal, selection: Selection | None = None, **changes: Any) -> str:
    retry = Retry("R1", ProcessName("sync"), selection or Selection(), "anna", journal.clock.now(), **changes)
    assert journal.start_retry(retry)
    return retry.retry_id


def test_a_retry_takes_every_letter_once_whatever_becomes_of_it(
    journal: SqliteJournal, execution: Execution, clock: ManualClock
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


def _planned(journal: SqliteJournal, execution: Execution) -> Execution:
    assert journal.plan(execution)
    return execution


def test_a_chunk_and_how_far_the_retry_is_survive_a_kill_together(
    journal: SqliteJournal, execution: Execution, tmp_path: Path, clock: ManualClock
) -> None:
    settle(journal, execution, [parked(number) for number in range(4)])
    retry_id = start(journal, chunk=2)
    first = journal.next_chunk(retry_id, again(execution, 1))
    journal.close()  # a kill from here on
    reopened = SqliteJournal(tmp_path / "journal.db", clock)
    (found,) = reopened.retries()
    assert first is not None
    assert (found.execution_id, found.taken, found.after) == (first.execution_id, 2, first.retry_of[-1])
    assert first.execution_id in {one.execution_id for one in reopened.unfinished()}
    second = reopened.next_chunk(retry_id, again(execution, 2))
    assert second is not None
    assert not set(first.retry_of) & set(second.retry_of)
    reopened.close()


def test_a_chunk_holds_a_bounded_number_of_bytes(journal: SqliteJournal, execution: Execution) -> None:
    big = {"Id": "x" * 12_000_000}
    settle(journal, execution, [parked(number, payload=big) for number in range(4)], types=None)
    chunk = journal.next_chunk(start(journal), again(execution))
    assert chunk is not None
    assert len(chunk.retry_of) == 2


def test_a_letter_may_be_discarded_before_its_chunk_is_taken(journal: SqliteJournal, execution: Execution) -> None:
    letters = settle(journal, execution, [parked(number) for number in range(3)])
    retry_id = start(journal, Selection(ids=letters), chunk=2)
    assert journal.next_chunk(retry_id, again(execution, 1)) is not None
    journal.change_letters(Selection(ids=[letters[2]]), LetterChange("discard", "bob", "sold"))
    assert journal.next_chunk(retry_id, again(execution, 2)) is None


def test_a_retry_that_was_ended_takes_nothing_more(journal: SqliteJournal, execution: Execution) -> None:
    settle(journal, execution, [parked(1)])
    retry_id = start(journal)
    ended = journal.end_retry(retry_id, "stopped", {"code": "x"})
    assert ended is not None
    assert journal.next_chunk(retry_id, again(execution)) is None
    assert journal.end_retry(retry_id, "cancelled") is None
    assert not journal.start_retry(ended)


# ---- many at once -----------------------------------------------------------------------------------------------


def test_a_selection_takes_what_fits_all_of_it(
    journal: SqliteJournal, execution: Execution, clock: ManualClock
) -> None:
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


def test_named_letters_are_changed_all_or_not_at_all(journal: SqliteJournal, execution: Execution) -> None:
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


def test_many_are_changed_in_bounded_steps(journal: SqliteJournal, execution: Execution) -> None:
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


STATES: list[tuple[str, Callable[[SqliteJournal, DeadLetterId, Execution], object]]] = [
    ("retrying", lambda journal, letter, execution: journal.retry([letter], again(execution, retry_of=[letter]))),
    ("discarded", lambda journal, letter, _: journal.change_letters(
        Selection(ids=[letter]), LetterChange("discard", "anna", "sold"))),
    ("expired", lambda journal, letter, _: journal.change_letters(
        Selection(ids=[letter]), LetterChange("expire", "anna"))),
]  # fmt: skip


@pytest.mark.parametrize(("state", "bring"), STATES, ids=[state for state, _ in STATES])
def test_a_letter_in_another_state_refuses_every_change(
    journal: SqliteJournal, execution: Execution, state: str, bring: Callable[..., object]
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


# ---- time -------------------------------------------------------------------------------------------------------


def house(journal: SqliteJournal) -> None:
    while not journal.keep_house().idle:
        pass


def test_a_letter_is_announced_a_day_before_it_expires_and_then_destroyed_with_its_record_kept(
    journal: SqliteJournal, execution: Execution, clock: ManualClock, tmp_path: Path
) -> None:
    long = {**PAYLOAD, "Phone": "x" * 20_000}
    settle(journal, execution, [parked(1, payload=long), parked(2, payload=long)])
    sealed = journal.connection().execute("SELECT payload FROM dead_letter").fetchone()[0]
    house(journal)
    assert reported(journal, "event") == []
    clock.advance(29 * DAY_S)
    house(journal)
    house(journal)
    (event,) = reported(journal, "event")
    assert (event.kind, dict(event.fields)) == (
        "dead_letters.expiring",
        {"process": "sync", "queue": "sync", "dead_letters": "2"},
    )
    assert {one.state for one in journal.dead_letters()} == {"waiting"}
    clock.advance(DAY_S)
    house(journal)
    assert [event.kind for event in reported(journal, "event")] == ["dead_letters.expiring", "dead_letters.expired"]
    for letter in journal.dead_letters(state="expired"):
        assert (letter.parked.payload, letter.payload_bytes, letter.parked.reason) == (
            {},
            0,
            "on: no date in this text",
        )
        assert dict(letter.parked.keys) == {"Id": "001"}
    assert {one.state for one in reported(journal, "dead_letter")[-2:]} == {"expired"}
    journal.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pieces = [sealed[start : start + 64] for start in range(0, len(sealed) - 64, 500)]
    for file in tmp_path.iterdir():
        assert not any(piece in file.read_bytes() for piece in pieces), "not even sealed"


def test_letters_whose_day_passed_while_the_atom_was_off_get_a_day_more(
    journal: SqliteJournal, execution: Execution, clock: ManualClock
) -> None:
    settle(journal, execution, [parked(1), parked(2, keep_s=3600.0)])
    clock.advance(40 * DAY_S)
    house(journal)
    assert len(journal.dead_letters()) == 2
    clock.advance(3601)
    house(journal)
    assert [one.parked.document for one in journal.dead_letters()] == [1]
    clock.advance(DAY_S)
    house(journal)
    assert journal.dead_letters() == []
    assert len(journal.dead_letters(state="expired")) == 2


def test_keeping_a_letter_longer_is_announced_anew(
    journal: SqliteJournal, execution: Execution, clock: ManualClock
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    clock.advance(29 * DAY_S)
    house(journal)
    journal.change_letters(Selection(ids=[letter]), LetterChange("keep", "anna", keep_s=10 * DAY_S))
    clock.advance(8 * DAY_S)
    house(journal)
    assert len(reported(journal, "event")) == 1
    clock.advance(DAY_S)
    house(journal)
    assert len(reported(journal, "event")) == 2


def test_a_letter_that_is_retried_does_not_expire_meanwhile(
    journal: SqliteJournal, execution: Execution, clock: ManualClock
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    clock.advance(29 * DAY_S)
    house(journal)
    retry = again(execution, retry_of=[letter])
    journal.retry([letter], retry)
    clock.advance(3 * DAY_S)
    house(journal)
    found = journal.dead_letter(letter)
    assert found is not None
    assert (found.state, found.parked.payload) == ("retrying", PAYLOAD)


def test_the_document_of_an_ended_letter_goes_with_its_keep_and_its_record_much_later(
    journal: SqliteJournal, execution: Execution, clock: ManualClock
) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    journal.change_letters(Selection(ids=[letter]), LetterChange("discard", "anna", "sold"))
    clock.advance(29 * DAY_S)
    house(journal)
    found = journal.dead_letter(letter)
    assert found is not None
    assert found.parked.payload == PAYLOAD
    clock.advance(2 * DAY_S)
    house(journal)
    found = journal.dead_letter(letter)
    assert found is not None
    assert (found.state, found.parked.payload, found.note) == ("discarded", {}, "sold")
    clock.advance(RECORDS_KEPT.total_seconds())
    house(journal)
    assert journal.dead_letter(letter) is None
    assert journal.letter_profile(letter) is None


def test_history_is_bounded_and_keeps_the_first_failure(journal: SqliteJournal, execution: Execution) -> None:
    (letter,) = settle(journal, execution, [parked(1)])
    for number in range(HISTORY_MAX + 5):
        journal.repair(letter, {"Id": f"{number}"}, actor=f"person {number}")
    found = journal.dead_letter(letter)
    assert found is not None
    assert len(found.history) == HISTORY_MAX
    assert found.history[0].kind == "failed"
    assert found.history[-1].actor == f"person {HISTORY_MAX + 4}"


def test_a_journal_of_the_first_version_is_taken_over_with_its_letters(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "journal.db"
    key = AESGCM.generate_key(256)
    path.with_name("journal.db.key").write_bytes(key)
    old = sqlite3.connect(path)
    for statement in database._SCHEMA.split(";"):
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO spool VALUES (1, 'epoch', 0, 0, 0)")
    nonce = b"\0" * 12
    sealed = nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(parked(1)), b"D1")
    now = clock.now().isoformat()
    old.execute(
        "INSERT INTO dead_letter VALUES ('D1', 'E1', 'sync', 'waiting', 1, ?, ?, 'sync', 'env/sync', 't', NULL, ?)",
        (now, now, sealed),
    )
    old.commit()
    old.close()
    journal = SqliteJournal(path, clock)
    (letter,) = journal.dead_letters()
    assert (letter.parked.payload, letter.parked.reason) == (PAYLOAD, "on: no date in this text")
    assert sum(journal.count_letters(Selection(code="expression.cast_failed")).values()) == 1
    assert journal.repair(letter.dead_letter_id, {"Id": "002"}).revision == 1
    journal.close()
