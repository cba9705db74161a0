"""What a journal promises, method by method; `test_kill.py` beside it holds it to that when its process dies."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.ids import DeadLetterId, ExecutionId, ProcessName, StepId
from dative.letters import taken_apart
from dative.v1 import telemetry_pb2
from dative_atom.journal import sqlite_schema
from dative_atom.journal.contract import (
    Counts,
    Execution,
    ExecutionState,
    LinkRows,
    ParkedDocument,
    Receipts,
    Settlement,
)
from dative_atom.journal.sqlite import SqliteJournal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journal.places import AnyJournal, Place

_executions = itertools.count()


def settlement(execution: Execution, batch: int = 0, **changes: object) -> Settlement:
    base = Settlement(
        execution_id=execution.execution_id,
        stream=execution.stream,
        batch=batch,
        position=b'{"n":%d}' % batch,
        documents_end=10 * (batch + 1),
        counts=Counts(read=10, written=10),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def parked(document: int, **changes: object) -> ParkedDocument:
    base = ParkedDocument(
        document=document,
        queue="sync",
        step="to-customer",  # type: ignore[arg-type]
        code="expression.cast_failed",
        reason="since: no date in this text",
        field="since",
        payload={"Id": "001", "Phone": "canary-555-0100", "since": "soon"},
        classified=["Phone"],
        keys={"Id": "001"},
        keep_s=86_400,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def records(journal: AnyJournal) -> list[telemetry_pb2.Record]:
    return [telemetry_pb2.Record.FromString(record.body) for record in journal.outbox(0)]


def test_an_execution_is_planned_once(journal: AnyJournal, execution: Execution) -> None:
    assert not journal.plan(replace(execution, trigger="schedule"))
    found = journal.execution(execution.execution_id)
    assert found is not None
    assert found.trigger == "manual"


def test_beginning_again_counts_attempts_and_keeps_the_first_start(
    journal: AnyJournal, execution: Execution, clock: ManualClock
) -> None:
    clock.advance(60)
    again = journal.begin(execution.execution_id, clock.now(), "cd" * 16)
    assert (again.attempt, again.started_at, again.trace_id) == (2, execution.started_at, "cd" * 16)


def test_what_was_unfinished_is_found_after_a_restart(journal: AnyJournal, execution: Execution, place: Place) -> None:
    journal.close()
    with_new_process = place.open()
    assert [each.execution_id for each in with_new_process.unfinished()] == [execution.execution_id]
    with_new_process.close()


def test_an_ended_execution_never_runs_or_settles_again(journal: AnyJournal, execution: Execution) -> None:
    journal.finish(execution.execution_id, ExecutionState.CANCELLED, journal.clock.now(), None)
    assert journal.unfinished() == []
    for call in (
        lambda: journal.begin(execution.execution_id, journal.clock.now()),
        lambda: journal.settle(settlement(execution)),
    ):
        with pytest.raises(DativeError) as refused:
            call()
        assert refused.value.code.name == "journal.already_finished"


def test_settling_moves_position_counts_and_numbers_together(journal: AnyJournal, execution: Execution) -> None:
    assert journal.resume(execution.execution_id).position is None
    counts = journal.settle(settlement(execution))
    resumed = journal.resume(execution.execution_id)
    assert counts == Counts(read=10, written=10, batches=1)
    assert (resumed.position, resumed.batch, resumed.document, resumed.counts) == (b'{"n":0}', 1, 10, counts)


def test_settling_a_batch_twice_changes_nothing(journal: AnyJournal, execution: Execution) -> None:
    once = journal.settle(settlement(execution, dead_letters=[parked(3)]))
    twice = journal.settle(settlement(execution, dead_letters=[parked(3)]))
    assert once == twice
    assert len(journal.dead_letters()) == 1


def test_a_preparation_is_invisible_until_it_is_settled(journal: AnyJournal, execution: Execution) -> None:
    full = settlement(execution, dead_letters=[parked(3)], seen=[("001", "t1")], links=[LinkRows("x", {"a": ["1"]})])
    journal.prepare(full)
    again = journal.prepared(execution.execution_id)
    assert again is not None
    assert (again.position, again.counts, again.dead_letters) == (full.position, full.counts, full.dead_letters)
    assert journal.position(execution.stream) is None
    assert journal.dead_letters() == []
    assert journal.ledger(execution.stream, ["001"]) == {}
    assert journal.outbox(0) == []

    journal.settle(execution_id=execution.execution_id)
    assert journal.prepared(execution.execution_id) is None
    assert journal.position(execution.stream) == b'{"n":0}'
    assert journal.ledger(execution.stream, ["001"]) == {"001": "t1"}
    assert journal.xref_rows("x") == 1


def test_a_discarded_preparation_leaves_no_trace(journal: AnyJournal, execution: Execution) -> None:
    journal.prepare(settlement(execution))
    journal.discard(execution.execution_id)
    assert journal.prepared(execution.execution_id) is None
    assert journal.settle(execution_id=execution.execution_id) == Counts()


def test_the_next_execution_starts_where_the_stream_stands(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution))
    journal.finish(execution.execution_id, ExecutionState.SUCCEEDED, journal.clock.now(), None)
    following = replace(execution, execution_id=ExecutionId("01JX0000000000000000000002"))
    journal.plan(following)
    resumed = journal.resume(following.execution_id)
    assert (resumed.position, resumed.batch, resumed.document) == (b'{"n":0}', 0, 0)


LAST_TIMES = [
    # states of executions in order -> number of the one :lastRunDate and :lastSuccessDate name, from 0
    ([], None, None),
    ([ExecutionState.SUCCEEDED], 0, 0),
    ([ExecutionState.SUCCEEDED, ExecutionState.FAILED], 0, 0),
    ([ExecutionState.SUCCEEDED, ExecutionState.CANCELLED], 0, 0),
    ([ExecutionState.SUCCEEDED, ExecutionState.PARTIAL], 1, 0),
    ([ExecutionState.FAILED], None, None),
]


@pytest.mark.parametrize(("states", "last_run", "last_success"), LAST_TIMES)
def test_last_run_names_the_last_execution_that_read_to_its_end(
    journal: AnyJournal,
    clock: ManualClock,
    states: list[ExecutionState],
    last_run: int | None,
    last_success: int | None,
) -> None:
    starts = []
    for number, state in enumerate(states):
        clock.advance(60)
        starts.append(clock.now())
        planned = Execution(
            ExecutionId(f"01JX00000000000000000000{number:02}"),
            "sync",
            1,
            "env/sync",
            "manual",
            clock.now(),
            "",  # type: ignore[arg-type]
        )
        journal.plan(planned)
        journal.begin(planned.execution_id, clock.now())
        journal.finish(planned.execution_id, state, clock.now() + timedelta(seconds=5), None)
    expected = tuple(None if number is None else starts[number] for number in (last_run, last_success))
    assert journal.last_times("env/sync") == expected


def test_a_payload_is_nowhere_on_disk_in_the_clear(journal: AnyJournal, execution: Execution, place: Place) -> None:
    journal.prepare(settlement(execution, dead_letters=[parked(3)]))
    journal.settle(execution_id=execution.execution_id)
    assert journal.dead_letters()[0].parked.payload["Phone"] == "canary-555-0100"
    assert not place.holds(b"canary")


def test_a_dead_letter_is_reported_without_its_payload(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, dead_letters=[parked(3)]))
    (record,) = records(journal)
    (letter,) = taken_apart(record.dead_letters)
    assert letter.environment_id == "env"
    assert (letter.code, letter.field) == ("expression.cast_failed", "since")
    assert dict(letter.keys) == {"Id": "001"}
    assert b"canary" not in record.SerializeToString()


def _retry(journal: AnyJournal, execution: Execution, letter: DeadLetterId) -> Execution:
    again = replace(
        execution, execution_id=ExecutionId("01JX0000000000000000000009"), trigger="retry", retry_of=[letter]
    )
    journal.retry([letter], again)
    return journal.begin(again.execution_id, journal.clock.now())


def test_a_repaired_document_keeps_its_identity_through_a_retry(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, dead_letters=[parked(3)]))
    letter = journal.dead_letters()[0].dead_letter_id
    journal.repair(letter, {"since": "02/28/2021"})
    again = _retry(journal, execution, letter)
    found = journal.dead_letter(letter)
    assert found is not None
    assert found.state == "retrying"
    assert found.parked.payload["since"] == "02/28/2021"

    journal.settle(settlement(again, position=None, resolved=[letter], counts=Counts(read=1, written=1)))
    resolved = journal.dead_letter(letter)
    assert resolved is not None
    assert (resolved.state, resolved.execution_id) == ("resolved", execution.execution_id)
    assert journal.position(execution.stream) == b'{"n":0}', "a retry moves no position"


def test_a_retry_that_fails_again_is_the_same_letter_with_one_attempt_more(
    journal: AnyJournal, execution: Execution
) -> None:
    journal.settle(settlement(execution, dead_letters=[parked(3)]))
    letter = journal.dead_letters()[0].dead_letter_id
    again = _retry(journal, execution, letter)
    journal.settle(settlement(again, position=None, dead_letters=[parked(0, origin=letter, code="database.rejected")]))
    (found,) = journal.dead_letters()
    assert (found.dead_letter_id, found.attempts, found.parked.code) == (letter, 2, "database.rejected")


def test_letters_of_a_retry_that_died_wait_again(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, dead_letters=[parked(3)]))
    letter = journal.dead_letters()[0].dead_letter_id
    again = _retry(journal, execution, letter)
    journal.finish(again.execution_id, ExecutionState.FAILED, journal.clock.now(), {"code": "x"})
    assert [each.dead_letter_id for each in journal.dead_letters()] == [letter]


def test_only_a_waiting_letter_is_repaired_or_retried(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, dead_letters=[parked(3)]))
    letter = journal.dead_letters()[0].dead_letter_id
    again = _retry(journal, execution, letter)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: journal.repair(letter, {}), "journal.dead_letter_not_waiting"),
        (lambda: journal.retry([letter], replace(again)), "journal.dead_letter_not_waiting"),
        (lambda: journal.repair(DeadLetterId("nobody"), {}), "journal.unknown_dead_letter"),
    ]
    for call, code in calls:
        with pytest.raises(DativeError) as refused:
            call()
        assert refused.value.code.name == code


def test_a_link_is_found_from_both_sides(journal: AnyJournal) -> None:
    assert journal.xref_load(LinkRows("account", {"crm": ["A", "B"], "erp": ["1", "2"]})) == 2
    assert journal.xref_load(LinkRows("account", {"crm": ["A"], "erp": ["1"]})) == 0, "the same pair again is no change"
    assert journal.xref_lookup("account", ("crm",), "erp", ["A", "B", "C"]) == {"A": "1", "B": "2"}
    assert journal.xref_lookup("account", ("erp",), "crm", ["2"]) == {"2": "B"}
    assert sorted(journal.xref_all("account", ("crm",), "erp")) == [("A", "1"), ("B", "2")]
    assert journal.xref_lookup("nobody", ("crm",), "erp", ["A"]) == {}
    assert journal.xref_lookup("account", ("nobody",), "erp", ["A"]) == {}


def test_a_link_that_takes_anothers_place_says_so(journal: AnyJournal) -> None:
    journal.xref_load(LinkRows("account", {"crm": ["A"], "erp": ["1"]}))
    journal.xref_load(LinkRows("account", {"crm": ["B"], "erp": ["1"]}))
    assert journal.xref_all("account", ("crm",), "erp") == [("B", "1")]
    (record,) = records(journal)
    assert record.event.kind == "xref.replaced"


def test_a_hostile_table_name_is_only_a_name(journal: AnyJournal) -> None:
    name = 'x"; DROP TABLE outbox; --'
    journal.xref_load(LinkRows(name, {'c"1': ["A"], "erp": ["1"]}))
    assert journal.xref_lookup(name, ('c"1',), "erp", ["A"]) == {"A": "1"}
    assert journal.outbox(0) == []


@pytest.mark.parametrize("columns", [{}, {"a": ["1"], "b": []}, {"a": [None]}], ids=["none", "lengths", "null"])
def test_a_ragged_link_is_refused(journal: AnyJournal, columns: dict[str, list[str]]) -> None:
    with pytest.raises(DativeError) as refused:
        journal.xref_load(LinkRows("x", columns))
    assert refused.value.code.name == "journal.xref_invalid"


def test_the_outbox_is_numbered_without_holes_and_drained_by_acknowledgement(journal: AnyJournal) -> None:
    for number in range(5):
        journal.report("event", b"x" * number)
    assert [record.sequence for record in journal.outbox(0)] == [1, 2, 3, 4, 5]
    assert [record.sequence for record in journal.outbox(2, rows_max=2)] == [3, 4]
    assert [record.sequence for record in journal.outbox(0, bytes_max=3)] == [1, 2, 3]
    assert journal.spooled() == (5, 10)
    journal.acknowledge(3)
    assert (journal.acknowledged(), journal.spooled()) == (3, (2, 7))
    journal.acknowledge(2)
    assert journal.acknowledged() == 3, "an older acknowledgement that arrives late takes nothing back"


def test_acknowledged_records_stay_for_the_backup_horizon(journal: AnyJournal, clock: ManualClock) -> None:
    journal.report("event", b"1")
    journal.acknowledge(1)
    assert [record.sequence for record in journal.outbox(0)] == [1]
    clock.advance(49 * 3600)
    journal.report("event", b"2")
    journal.acknowledge(1)
    assert [record.sequence for record in journal.outbox(0)] == [2]


def test_a_full_spool_drops_spans_first_and_says_so(journal: AnyJournal) -> None:
    journal.spool_bytes_max = 2000
    journal.report("spans", b"s" * 900)
    journal.report("execution", b"e" * 900)
    journal.report("execution", b"e" * 900)
    kinds = [record.kind for record in journal.outbox(0)]
    assert kinds == ["dropped", "execution", "execution"]
    dropped = telemetry_pb2.Record.FromString(journal.outbox(0)[0].body).dropped
    assert (dropped.signal, dropped.items, dropped.reason) == ("spans", 1, "spool full")
    journal.report("execution", b"e" * 900)
    assert [record.kind for record in journal.outbox(0)].count("execution") == 3, "results are never dropped"


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_newer_journal_is_refused(journal: AnyJournal, tmp_path: Path, clock: ManualClock) -> None:
    journal.connection().execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(DativeError) as refused:
        SqliteJournal(tmp_path / "journal.db", clock)
    assert refused.value.code.name == "journal.unreadable"


def test_a_damaged_file_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(DativeError) as refused:
        SqliteJournal(tmp_path / "journal.db", clock)
    assert refused.value.code.name == "journal.unreadable"


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_full_disk_stops_with_its_code_and_loses_nothing(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution))
    pages = journal.connection().execute("PRAGMA page_count").fetchone()[0]
    journal.connection().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DativeError) as full:
        journal.settle(settlement(execution, 1, tracked=[b""], links=[LinkRows("x", {"a": ["v" * 100_000]})]))
    assert full.value.code.name == "journal.disk_full"
    assert journal.resume(execution.execution_id).batch == 1
    journal.connection().execute("PRAGMA max_page_count = 1000000")
    assert journal.settle(settlement(execution, 1)).batches == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["prepare", "settle", "discard", "direct", "again"]), max_size=20))
def test_counts_are_those_of_settled_batches_in_any_order_of_steps(
    journal: AnyJournal, clock: ManualClock, steps: list[str]
) -> None:
    number = next(_executions)
    planned_at = clock.now()
    execution = Execution(ExecutionId(f"{number}"), ProcessName("p"), 1, f"e/{number}", "manual", planned_at, "")
    journal.plan(execution)
    journal.begin(execution.execution_id, clock.now())
    batch, pending = 0, False
    for step in steps:
        if step == "prepare":
            journal.prepare(settlement(execution, batch))
            pending = True
        elif step == "discard":
            journal.discard(execution.execution_id)
            pending = False
        elif step == "settle":
            journal.settle(execution_id=execution.execution_id)
            batch += pending
            pending = False
        elif step == "direct":
            journal.settle(settlement(execution, batch))
            batch, pending = batch + 1, False
        elif batch:
            journal.settle(settlement(execution, batch - 1))
            pending = False
    resumed = journal.resume(execution.execution_id)
    assert (resumed.batch, resumed.counts.read, resumed.document) == (batch, 10 * batch, 10 * batch)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000, 400_000])
def test_tracked_documents_of_any_size_are_a_record_that_reads_back(
    journal: AnyJournal, execution: Execution, size: int
) -> None:
    tracked = telemetry_pb2.TrackedDocuments(process="sync", rows=size, arrow=b"x" * size)
    journal.settle(settlement(execution, tracked=[tracked.SerializeToString()]))
    (record,) = records(journal)
    assert record.tracked_documents == tracked


def receipts(*numbers: int, size: int = 3) -> list[Receipts]:
    return [Receipts(StepId("upsert"), number, 1, b"%d" % number * size) for number in numbers]


def test_receipts_are_valid_with_their_batch_and_once(
    journal: AnyJournal, execution: Execution, clock: ManualClock
) -> None:
    first = settlement(
        execution, receipts=receipts(0, 1), attempt=1, fencing_token=7, receipts_keep_s=60.0, at=clock.now()
    )
    journal.prepare(first)
    assert journal.receipts(execution.execution_id) == []
    journal.settle(execution_id=execution.execution_id)
    journal.settle(first)
    kept = journal.receipts(execution.execution_id)
    assert [(one.batch, one.attempt, one.fencing_token, one.at, one.receipts) for one in kept] == [
        (0, 1, 7, clock.now(), one) for one in receipts(0, 1)
    ]
    assert journal.receipts(execution.execution_id, kept[0].sequence, limit=1) == kept[1:]
    journal.prepare(settlement(execution, 1, receipts=receipts(0)))
    journal.discard(execution.execution_id)
    assert journal.receipts(execution.execution_id) == kept


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_journal_of_the_first_version_is_brought_up_and_keeps_what_it_has(
    tmp_path: Path, clock: ManualClock, execution: Execution
) -> None:
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    for statement in sqlite_schema.SCHEMA.split(";"):
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO spool VALUES (1, 'epoch', 0, 0, 0)")
    old.execute("INSERT INTO stream (stream, position) VALUES ('env/sync', x'7b7d')")
    old.commit()
    old.close()
    again = SqliteJournal(path, clock)
    assert (again.spool_epoch(), again.position("env/sync")) == ("epoch", b"{}")
    again.plan(execution)
    again.settle(settlement(execution, receipts=receipts(0), receipts_keep_s=60.0))
    assert len(again.receipts(execution.execution_id)) == 1
    again.close()
