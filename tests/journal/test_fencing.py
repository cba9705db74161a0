"""Who may change an execution: a token lower than the one that began it last is refused, whatever it wants to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.ids import ExecutionId
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Journal, Settlement
from dative_atom.journal.execution_types import ATTEMPTS_KEPT


def settlement(execution: Execution, token: int, batch: int = 0) -> Settlement:
    counts = Counts(read=1, written=1)
    return Settlement(
        execution.execution_id,
        execution.stream,
        batch,
        b"%d" % token,
        batch + 1,
        counts,
        fencing_token=token,
        halfway=("marks", b"of %d" % token),
    )


Change = Callable[[Journal, Execution, int], object]
CHANGES: dict[str, Change] = {
    "begin": lambda journal, one, token: journal.begin(one.execution_id, one.planned_at, "", token),
    "prepare": lambda journal, one, token: journal.prepare(settlement(one, token)),
    "settle": lambda journal, one, token: journal.settle(settlement(one, token)),
    "settle what was prepared": lambda journal, one, token: journal.settle(
        execution_id=one.execution_id, fencing_token=token
    ),
    "discard": lambda journal, one, token: journal.discard(one.execution_id, ("marks", b"gone"), token),
    "finish": lambda journal, one, token: journal.finish(
        one.execution_id, ExecutionState.SUCCEEDED, one.planned_at, None, token
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_lower_token_changes_nothing_and_the_same_or_a_higher_one_does(
    journal: Journal, execution: Execution, change: Change
) -> None:
    journal.begin(execution.execution_id, execution.planned_at, "", 7)
    journal.prepare(settlement(execution, 7))
    before = journal.execution(execution.execution_id)
    for stale in (0, 6):
        with pytest.raises(DativeError) as refused:
            change(journal, execution, stale)
        assert refused.value.code.name == "molecule.fenced"
    assert journal.execution(execution.execution_id) == before
    assert journal.prepared(execution.execution_id) == settlement(execution, 7)
    assert journal.position(execution.stream) is None
    assert journal.halfway("marks") == b""
    change(journal, execution, 7)


def test_whoever_goes_on_settles_what_the_lost_attempt_prepared(journal: Journal, execution: Execution) -> None:
    journal.begin(execution.execution_id, execution.planned_at, "", 7)
    journal.prepare(settlement(execution, 7))
    journal.begin(execution.execution_id, execution.planned_at, "", 9)
    assert journal.settle(execution_id=execution.execution_id, fencing_token=9).read == 1
    assert journal.position(execution.stream) == b"7"


def test_without_a_molecule_no_token_is_asked_for(journal: Journal, execution: Execution) -> None:
    for change in CHANGES.values():
        change(journal, execution, 0)
    found = journal.execution(execution.execution_id)
    assert found is not None
    assert (found.state, found.fencing_token) == (ExecutionState.SUCCEEDED, 0)


def test_attempts_tell_who_lost_it_and_who_went_on(journal: Journal, execution: Execution, clock: ManualClock) -> None:
    planned = replace(execution, execution_id=ExecutionId("01JX0000000000000000000003"))
    journal.plan(planned)
    started = clock.now()
    journal.begin(planned.execution_id, started, "aa" * 16, 3, atom_id="hq-2")
    clock.advance(20)
    found = journal.begin(planned.execution_id, clock.now(), "bb" * 16, 4, atom_id="hq-3", former="lost: hq-2")
    assert [(one.attempt, one.atom_id, one.fencing_token, one.trace_id) for one in found.attempts] == [
        (1, "hq-2", 3, "aa" * 16),
        (2, "hq-3", 4, "bb" * 16),
    ]
    assert (found.attempts[0].ended_at, found.attempts[0].reason) == (clock.now(), "lost: hq-2")
    ended = journal.finish(planned.execution_id, ExecutionState.SUCCEEDED, clock.now() + timedelta(seconds=1), None, 4)
    assert [(one.ended_at, one.reason) for one in ended.attempts] == [
        (started + timedelta(seconds=20), "lost: hq-2"),
        (started + timedelta(seconds=21), "succeeded"),
    ]


def test_the_first_attempt_and_the_newest_are_kept(journal: Journal, execution: Execution, clock: ManualClock) -> None:
    for _ in range(ATTEMPTS_KEPT + 5):
        found = journal.begin(execution.execution_id, clock.now())
    assert [one.attempt for one in found.attempts] == [1, *range(8, ATTEMPTS_KEPT + 7)]


def test_schedules_are_noted_by_the_newest_leader_only(journal: Journal, clock: ManualClock) -> None:
    first, later = clock.now(), clock.now() + timedelta(minutes=15)
    journal.schedule_note({"sync/0": first, "sync/1": first}, 5)
    journal.schedule_note({"sync/0": later}, 5)
    assert journal.schedule_last() == {"sync/0": later, "sync/1": first}
    journal.schedule_note({"sync/1": None}, 6)
    with pytest.raises(DativeError) as refused:
        journal.schedule_note({"sync/0": first}, 5)
    assert refused.value.code.name == "molecule.leader_fenced"
    assert journal.schedule_last() == {"sync/0": later}


def test_a_journal_belongs_to_one_cluster_until_another_is_adopted(journal: Journal) -> None:
    assert [journal.cluster("one"), journal.cluster("one"), journal.cluster("one", adopt=True)] == [1, 1, 1]
    with pytest.raises(DativeError) as refused:
        journal.cluster("two")
    assert refused.value.code.name == "molecule.wrong_cluster"
    assert [journal.cluster("two", adopt=True), journal.cluster("two")] == [2, 2]
    with pytest.raises(DativeError):
        journal.cluster("one")
