"""What time does with dead letters: told before, then destroyed, their record kept; and journals of older versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.clock import ManualClock
from dative_atom.journal import sqlite_schema
from dative_atom.journal.contract import Execution
from dative_atom.journal.dead_letters import HISTORY_MAX
from dative_atom.journal.letter_changes import RECORDS_KEPT
from dative_atom.journal.letters import LetterChange, Selection
from dative_atom.journal.sqlite import SqliteJournal

from tests.journal.letters import DAY_S, PAYLOAD, again, parked, reported, settle
from tests.journal.places import AnyJournal


def house(journal: AnyJournal) -> None:
    while not journal.keep_house().idle:
        pass


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_letter_is_announced_a_day_before_it_expires_and_then_destroyed_with_its_record_kept(
    journal: AnyJournal, execution: Execution, clock: ManualClock, tmp_path: Path
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
    journal: AnyJournal, execution: Execution, clock: ManualClock
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
    journal: AnyJournal, execution: Execution, clock: ManualClock
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
    journal: AnyJournal, execution: Execution, clock: ManualClock
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
    journal: AnyJournal, execution: Execution, clock: ManualClock
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


def test_history_is_bounded_and_keeps_the_first_failure(journal: AnyJournal, execution: Execution) -> None:
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
    for statement in sqlite_schema.SCHEMA.split(";"):
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
