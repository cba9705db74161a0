"""Documents parked together: each a letter of its own, whatever is shared on the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.ids import DeadLetterId, ExecutionId, StepId, document_ids
from dative.letters import APART_BYTES_MAX, LETTERS_MAX, taken_apart, together
from dative.v1 import telemetry_pb2, types_pb2
from dative_atom.journal import sqlite_schema
from dative_atom.journal.contract import Counts, Execution, Settlement
from dative_atom.journal.dead_letters import letter_message
from dative_atom.journal.letters import LetterChange, ParkedDocument, Selection
from dative_atom.journal.parking import KEY_MAX, TEXT_MAX
from dative_atom.journal.sqlite import SqliteJournal
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from tests.journal.places import AnyJournal, Place

MESSAGE_BYTES_MAX = 1024 * 1024


def parked(document: int, **changes: Any) -> ParkedDocument:
    base = ParkedDocument(
        document=document,
        queue="sync",
        step=StepId("upsert"),
        code="expression.cast_failed",
        reason="on: no date in this text",
        field="on",
        payload={"Id": f"canary-{document}"},
        classified=["Phone"],
        keys={"Id": f"{document}"},
        keep_s=86_400.0,
    )
    return replace(base, **changes)


def settlement(execution: Execution, letters: list[ParkedDocument], batch: int = 0) -> Settlement:
    counts = Counts(read=len(letters), dead_lettered=len(letters))
    end = max((one.document for one in letters), default=0) + 1
    return Settlement(execution.execution_id, execution.stream, batch, None, end, counts, dead_letters=letters)


def told(journal: AnyJournal) -> list[types_pb2.DeadLetter]:
    records = [
        telemetry_pb2.Record.FromString(one.body) for one in journal.outbox(0, rows_max=10_000, bytes_max=1 << 30)
    ]
    return [
        letter
        for record in records
        for letter in ([record.dead_letter] if record.HasField("dead_letter") else taken_apart(record.dead_letters))
    ]


MIXED = [
    parked(0),
    parked(1, reason="r" * 2000, keys={"Id": "k" * 500}),
    parked(2, reason="r" * 2001),
    parked(3, code="database.rejected", step=StepId("deliver"), field=""),
    parked(4, queue="review", keep_s=60.0),
    parked(5, keys={}, classified=[]),
    parked(6),
    parked(7, origin=DeadLetterId("01JX00000000000000000GONE0")),  # the atom has forgotten it
]


def test_each_letter_is_stored_with_what_is_its_own(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, MIXED))
    found = sorted(journal.dead_letters(), key=lambda letter: letter.parked.document)
    for letter, document in zip(found, MIXED, strict=True):
        keys = {name: value[:KEY_MAX] for name, value in document.keys.items()}
        assert letter.parked == replace(document, reason=document.reason[:TEXT_MAX], keys=keys)
        assert [letter.dead_letter_id] == document_ids(
            execution.planned_at, execution.execution_id, [document.document]
        )
        assert (letter.expires_at - letter.created_at).total_seconds() == document.keep_s
        (event,) = letter.history
        assert (event.kind, event.step, event.code, event.field) == (
            "failed", document.step, document.code, document.field,
        )  # fmt: skip
        assert (letter.state, letter.attempts, letter.revision) == ("waiting", 1, 1)


def test_the_controller_is_told_of_each_letter_what_is_stored_of_it(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, MIXED))
    messages = {one.dead_letter_id: one for one in told(journal)}
    assert len(messages) == len(MIXED)
    for letter in journal.dead_letters():
        expected = letter_message(letter)
        expected.environment_id = "env"
        assert messages[letter.dead_letter_id] == expected


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_payload_is_opened_and_destroyed_alone(journal: AnyJournal, execution: Execution, tmp_path: Path) -> None:
    journal.settle(settlement(execution, [parked(number) for number in range(3)]))
    first, second, third = (letter.dead_letter_id for letter in journal.dead_letters())
    journal.change_letters(Selection(ids=[first]), LetterChange("expire", "anna"))
    assert {letter.dead_letter_id for letter in journal.dead_letters()} == {second, third}
    assert all(letter.parked.payload for letter in journal.dead_letters())
    db = sqlite3.connect(tmp_path / "journal.db")
    (sealed,) = db.execute("SELECT payload FROM dead_letter WHERE dead_letter_id = ?", (second,)).fetchone()
    db.execute("UPDATE dead_letter SET payload = ? WHERE dead_letter_id = ?", (sealed, third))
    db.commit()
    db.close()
    with pytest.raises(InvalidTag):
        journal.dead_letter(third)


def test_a_retried_document_waits_as_the_letter_it_was_beside_new_ones(
    journal: AnyJournal, execution: Execution
) -> None:
    journal.settle(settlement(execution, [parked(7)]))
    (first,) = journal.dead_letters()
    journal.settle(settlement(execution, [parked(8, origin=first.dead_letter_id), parked(9)], batch=1))
    again, new = sorted(journal.dead_letters(), key=lambda letter: -letter.attempts)
    assert (again.dead_letter_id, again.attempts, again.parked.payload) == (
        first.dead_letter_id,
        2,
        first.parked.payload,
    )
    assert [event.kind for event in again.history] == ["failed", "failed"]
    assert (new.parked.document, new.attempts) == (9, 1)
    assert sorted(one.attempts for one in told(journal)) == [1, 1, 2]


NUMBERS = st.integers(0, 2**64 - 1)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.sets(NUMBERS), NUMBERS)  # noqa: DTZ001
def test_a_documents_id_is_its_own_whatever_it_is_made_beside(at: datetime, numbers: set[int], first: int) -> None:
    at = at.replace(tzinfo=UTC)
    together = document_ids(at, ExecutionId("E"), numbers)
    assert together == [document_ids(at, ExecutionId("E"), [number])[0] for number in numbers]
    assert len({*together, *document_ids(at, ExecutionId("F"), numbers)}) == 2 * len(numbers)
    assert all(ULID.from_str(one).milliseconds == int(at.timestamp() * 1000) for one in together)
    near = range(first & ~0xFFFF, (first & ~0xFFFF) + 50)
    assert document_ids(at, ExecutionId("E"), near) == sorted(document_ids(at, ExecutionId("E"), near))


SIZES = [(LETTERS_MAX * 2 + 1, 0, 0), (300, 5000, 0), (1000, 0, 40_000), (1, 600_000, 0), (0, 0, 0)]


@pytest.mark.parametrize(("letters", "own", "common"), SIZES)
def test_a_record_of_many_letters_fits_a_message(letters: int, own: int, common: int) -> None:
    shared = types_pb2.DeadLetter(process="sync", reason="c" * common)
    owns = [types_pb2.DeadLetter(dead_letter_id=f"{number}", note="o" * own) for number in range(letters)]
    records = list(together(shared, owns))
    assert all(record.ByteSize() < MESSAGE_BYTES_MAX for record in records)
    apart = [letter for record in records for letter in taken_apart(record.dead_letters)]
    assert [letter.dead_letter_id for letter in apart] == [letter.dead_letter_id for letter in owns]
    assert all(letter.process == "sync" and len(letter.reason) == common for letter in apart)


def test_few_bytes_do_not_become_many() -> None:
    huge = telemetry_pb2.DeadLetters(common=types_pb2.DeadLetter(note="x" * (APART_BYTES_MAX // 400)))
    for _ in range(LETTERS_MAX):
        huge.letters.add()
    many = telemetry_pb2.DeadLetters(letters=[types_pb2.DeadLetter()] * (LETTERS_MAX + 1))
    for record in (huge, many):
        with pytest.raises(DativeError, match="too many for one record"):
            taken_apart(record)


# Parks batches as fast as it can and says each on stdout after it is settled.
PARKER = """
import sys
from dative.clock import SystemClock
from dative_atom.journal.contract import Counts, ParkedDocument, Settlement
from dative_atom.journal.open import open_journal
journal = open_journal(sys.argv[-2], SystemClock(), key=sys.argv[-1])
execution_id = sys.argv[1]
first = journal.resume(execution_id).batch
for batch in range(first, first + 100_000):
    letters = [ParkedDocument(n, "q", "s", "c", f"r {n % 3}", "f", {"n": n}, [], {}, 86400.0)
        for n in range(batch * 50, batch * 50 + 50)]
    counts = Counts(read=50, dead_lettered=50)
    journal.prepare(Settlement(execution_id, "env/sync", batch, b"1", batch * 50 + 50, counts, dead_letters=letters))
    journal.settle(execution_id=execution_id)
    print(batch, flush=True)
"""


def test_a_kill_loses_no_letter_and_doubles_none(journal: AnyJournal, execution: Execution, place: Place) -> None:
    for _ in range(3):
        arguments = [sys.executable, "-c", PARKER, execution.execution_id, *place.arguments]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(5):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
        place.quiet()
        documents = list(range(journal.resume(execution.execution_id).counts.dead_lettered))
        assert documents
        kept = journal.dead_letters(limit=1_000_000)
        assert sorted(letter.parked.payload["n"] for letter in kept) == documents
        assert sorted(letter.document for letter in told(journal)) == documents


def test_what_settles_is_what_is_prepared_on_disk_whoever_prepared_it(
    journal: AnyJournal, execution: Execution, place: Place
) -> None:
    other = place.open()
    journal.prepare(settlement(execution, [parked(1)]))
    other.prepare(settlement(execution, [parked(2)]))
    journal.settle(execution_id=execution.execution_id)
    assert [letter.parked.document for letter in journal.dead_letters()] == [2]
    journal.prepare(settlement(execution, [parked(3)], batch=1))
    other.discard(execution.execution_id)
    journal.settle(execution_id=execution.execution_id)
    assert [letter.parked.document for letter in journal.dead_letters()] == [2]
    other.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_letters_of_the_version_before_move_into_the_new_table_whole(
    first_version: Path, execution: Execution, clock: ManualClock
) -> None:
    journal = SqliteJournal(first_version, clock)
    journal.plan(execution)
    journal.settle(settlement(execution, MIXED))
    db = journal.connection()
    before = db.execute("SELECT * FROM dead_letter ORDER BY dead_letter_id").fetchall()
    rows = next(index for index, script in enumerate(sqlite_schema.UPGRADES) if "dead_letter_rows" in script)
    for statement in sqlite_schema.UPGRADES[rows].split(";"):
        db.execute(statement)
    assert db.execute("SELECT * FROM dead_letter ORDER BY dead_letter_id").fetchall() == before
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'dead_letter'")}
    assert {f"dead_letter_{name}" for name in ("state", "retrying", "process", "expiry")} <= names
    journal.close()
