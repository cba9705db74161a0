"""What documents set for those after them: valid with the position, sealed, gone with its execution, across versions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.ids import ExecutionId
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Settlement
from dative_atom.journal.sqlite import SqliteJournal

from tests.journal.places import AnyJournal, Place

# Settles as fast as it can, each batch with its number as position and as property, and says each batch afterwards.
SETTLER = """
import sys
from dative.clock import SystemClock
from dative_atom.journal.contract import Counts, Settlement
from dative_atom.journal.open import open_journal
journal = open_journal(sys.argv[-2], SystemClock(), key=sys.argv[-1])
for batch in range(int(sys.argv[2]), 100_000):
    value = b"%d" % batch
    settlement = Settlement(sys.argv[1], "env/sync", batch, value, batch + 1, Counts(read=1, written=1),
        remembered={"process.n": value}, persisted={"persisted.n": value})
    journal.prepare(settlement)
    journal.settle(execution_id=sys.argv[1])
    print(batch, flush=True)
"""


def settlement(execution: Execution, batch: int = 0, **values: dict[str, bytes]) -> Settlement:
    return Settlement(
        execution.execution_id, execution.stream, batch, b"1", batch + 1, Counts(read=1, written=1), **values
    )


def another(journal: AnyJournal, execution: Execution, **changed: object) -> ExecutionId:
    planned = replace(execution, execution_id=ExecutionId("01JX0000000000000000000002"), **changed)
    assert journal.plan(planned)
    return planned.execution_id


def test_properties_of_an_execution_and_of_its_stream_are_read_together(
    journal: AnyJournal, execution: Execution
) -> None:
    journal.settle(settlement(execution, remembered={"process.p": b"1"}, persisted={"persisted.q": b"2"}))
    journal.settle(settlement(execution, 1, remembered={"process.p": b"3"}))
    assert journal.remembered(execution.execution_id, "env/sync") == {"process.p": b"3", "persisted.q": b"2"}


def test_a_preparation_sets_nothing_until_it_is_settled(journal: AnyJournal, execution: Execution) -> None:
    journal.prepare(settlement(execution, remembered={"process.p": b"1"}, persisted={"persisted.q": b"2"}))
    assert journal.remembered(execution.execution_id, "env/sync") == {}
    journal.settle(execution_id=execution.execution_id)
    assert journal.remembered(execution.execution_id, "env/sync") == {"process.p": b"1", "persisted.q": b"2"}


def test_settling_a_batch_again_sets_nothing_anew(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, persisted={"persisted.q": b"1"}))
    journal.settle(settlement(execution, persisted={"persisted.q": b"2"}))
    assert journal.remembered(execution.execution_id, "env/sync") == {"persisted.q": b"1"}


@pytest.mark.parametrize("state", [ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.CANCELLED])
def test_the_end_of_an_execution_leaves_what_is_persisted(
    journal: AnyJournal, execution: Execution, state: ExecutionState, clock: ManualClock
) -> None:
    journal.settle(settlement(execution, remembered={"process.p": b"1"}, persisted={"persisted.q": b"2"}))
    journal.finish(execution.execution_id, state, clock.now(), None)
    assert journal.remembered(execution.execution_id, "env/sync") == {"persisted.q": b"2"}
    assert journal.remembered(another(journal, execution), "env/sync") == {"persisted.q": b"2"}


def test_another_stream_and_another_execution_see_nothing(journal: AnyJournal, execution: Execution) -> None:
    journal.settle(settlement(execution, remembered={"process.p": b"1"}, persisted={"persisted.q": b"2"}))
    assert journal.remembered(another(journal, execution), "env/other") == {}


def test_values_are_nowhere_on_disk_in_the_clear(journal: AnyJournal, execution: Execution, place: Place) -> None:
    secret = b"an-unmistakable-value"
    journal.settle(settlement(execution, remembered={"process.p": secret}, persisted={"persisted.q": secret}))
    journal.close()
    assert not place.holds(secret)


def test_a_kill_leaves_the_properties_of_the_position(journal: AnyJournal, execution: Execution, place: Place) -> None:
    for _ in range(3):
        first = journal.resume(execution.execution_id).batch
        arguments = [sys.executable, "-c", SETTLER, execution.execution_id, str(first), *place.arguments]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(10)][-1]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        place.quiet()
        position = journal.position("env/sync")
        assert journal.remembered(execution.execution_id, "env/sync") == {
            "process.n": position,
            "persisted.n": position,
        }


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_journal_of_the_first_version_is_brought_up_to_date(
    first_version: Path, execution: Execution, clock: ManualClock
) -> None:
    newer = SqliteJournal(first_version, clock)
    assert newer.plan(replace(execution, attempt=0))
    newer.settle(settlement(execution, persisted={"persisted.q": b"2"}))
    assert newer.remembered(execution.execution_id, "env/sync") == {"persisted.q": b"2"}
    newer.close()


def test_what_happened_to_caches_is_kept_in_order_until_the_execution_ends(
    journal: AnyJournal, execution: Execution, clock: ManualClock
) -> None:
    journal.settle(settlement(execution, cached=[b"1", b"2"]))
    journal.settle(settlement(execution, cached=[b"3"]))  # the same batch: it has settled
    journal.prepare(settlement(execution, 1, cached=[b"4"]))
    assert journal.cached(execution.execution_id) == [b"1", b"2"]
    journal.settle(execution_id=execution.execution_id)
    assert journal.cached(execution.execution_id) == [b"1", b"2", b"4"]
    assert journal.cached(another(journal, execution)) == []
    journal.finish(execution.execution_id, ExecutionState.FAILED, clock.now(), None)
    assert journal.cached(execution.execution_id) == []


def test_events_of_a_batch_are_told_when_it_settles_and_once(journal: AnyJournal, execution: Execution) -> None:
    journal.prepare(settlement(execution, events=[b"told"]))
    assert not [record for record in journal.outbox(0) if record.kind == "event"]
    journal.settle(execution_id=execution.execution_id)
    journal.settle(settlement(execution, events=[b"told"]))
    assert [record.body for record in journal.outbox(0) if record.kind == "event"] == [b"told"]
