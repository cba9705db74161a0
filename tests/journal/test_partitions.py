"""Executions in parts: planned once, settled each alone, and one end for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.ids import ExecutionId
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Partition, PartitionState, Settlement

from tests.journal.places import AnyJournal, Place

PARTS = [Partition(0, b"A..K"), Partition(1, b"L..R"), Partition(2, b"S..Z")]
SUCCEEDED, FAILED, PARTIAL, CANCELLED = (
    ExecutionState.SUCCEEDED,
    ExecutionState.FAILED,
    ExecutionState.PARTIAL,
    ExecutionState.CANCELLED,
)


def work(journal: AnyJournal, part: PartitionState, state: ExecutionState = SUCCEEDED) -> None:
    """Begin a part, settle a batch of ten documents, and end it."""
    identity = part.execution.execution_id
    journal.begin(identity, journal.clock.now(), "", 5)
    assert journal.resume(identity).position is None, "nothing that another part or an earlier one left"
    number = part.partition.index
    settlement = Settlement(
        identity,
        part.execution.stream,
        0,
        b"%d" % number,
        10,
        Counts(read=10, written=10),
        seen=[(f"{number}", "v1")],
        persisted={f"p{number}": b"1", "last": b"%d" % number},
        fencing_token=5,
    )
    journal.settle(settlement)
    failure = {"code": "x.broken", "message": "it broke"} if state is FAILED else None
    journal.finish(identity, state, journal.clock.now(), failure, 5)


def divided(journal: AnyJournal, execution: Execution, states: Sequence[ExecutionState]) -> Execution:
    """The execution, ended after its parts ended so."""
    parts = journal.plan_partitions(execution.execution_id, PARTS, b"Z")
    for part, state in zip(parts, states, strict=True):
        if not part.done_before:
            work(journal, part, state)
    ended = journal.finish_partitioned(execution.execution_id, journal.clock.now())
    assert ended is not None
    return ended


def following(journal: AnyJournal, execution: Execution, number: int = 2) -> Execution:
    planned = replace(execution, execution_id=ExecutionId(f"01JX{number:022d}"))
    assert journal.plan(planned)
    return journal.begin(planned.execution_id, journal.clock.now())


def test_parts_are_planned_once_each_an_execution_of_its_own(journal: AnyJournal, execution: Execution) -> None:
    planned = journal.plan_partitions(execution.execution_id, PARTS, b"Z")
    again = journal.plan_partitions(execution.execution_id, PARTS[:1], b"Y")
    assert again == planned == journal.partitions(execution.execution_id)
    assert [part.partition for part in planned] == PARTS
    assert [part.execution.stream for part in planned] == [f"env/sync#{number}" for number in range(3)]
    assert {part.execution.parent_id for part in planned} == {execution.execution_id}
    assert [journal.partition_of(part.execution.execution_id) for part in planned] == PARTS
    assert journal.partition_of(execution.execution_id) is None
    unfinished = {one.execution_id for one in journal.unfinished()}
    assert unfinished == {execution.execution_id, *(part.execution.execution_id for part in planned)}


@pytest.mark.parametrize(
    "parts",
    [[], [Partition(1, b"")], [Partition(0, b""), Partition(0, b"")], [Partition(n, b"") for n in range(1001)]],
    ids=["none", "not from 0", "twice", "too many"],
)
def test_parts_that_are_none_are_refused(journal: AnyJournal, execution: Execution, parts: list[Partition]) -> None:
    with pytest.raises(DativeError) as refused:
        journal.plan_partitions(execution.execution_id, parts, None)
    assert refused.value.code.name == "journal.partitions_invalid"
    assert journal.partitions(execution.execution_id) == []


def test_the_whole_ends_when_all_parts_have_and_then_moves_its_stream(
    journal: AnyJournal, execution: Execution
) -> None:
    parts = journal.plan_partitions(execution.execution_id, PARTS, b"Z")
    for part in parts:
        assert journal.finish_partitioned(execution.execution_id, journal.clock.now()) is None
        assert journal.position("env/sync") is None
        work(journal, part)
    ended = journal.finish_partitioned(execution.execution_id, journal.clock.now())
    assert ended is not None
    assert (ended.state, ended.counts) == (SUCCEEDED, Counts(read=30, written=30, batches=3))
    assert journal.position("env/sync") == b"Z"
    assert journal.ledger("env/sync", ["0", "1", "2", "3"]) == {"0": "v1", "1": "v1", "2": "v1"}
    stands = {"p0": b"1", "p1": b"1", "p2": b"1", "last": b"2"}
    assert journal.remembered(following(journal, execution).execution_id, "env/sync") == stands
    assert journal.position("env/sync#1") is None
    assert journal.last_times("env/sync#1") == journal.last_times("env/sync") == (execution.started_at,) * 2
    assert journal.finish_partitioned(execution.execution_id, journal.clock.now()) == ended


ENDS = [
    ((SUCCEEDED, PARTIAL, SUCCEEDED), PARTIAL, b"Z"),
    ((SUCCEEDED, FAILED, SUCCEEDED), FAILED, None),
    ((CANCELLED, FAILED, SUCCEEDED), FAILED, None),
    ((CANCELLED, SUCCEEDED, CANCELLED), CANCELLED, None),
]


@pytest.mark.parametrize(("states", "end", "position"), ENDS)
def test_one_part_that_failed_fails_the_whole_and_the_position_stays(
    journal: AnyJournal,
    execution: Execution,
    states: Sequence[ExecutionState],
    end: ExecutionState,
    position: bytes | None,
) -> None:
    ended = divided(journal, execution, states)
    assert (ended.state, ended.counts.read, journal.position("env/sync")) == (end, 30, position)
    assert [part.execution.state for part in journal.partitions(execution.execution_id)] == list(states)
    if end is FAILED:
        assert ended.failure == {"code": "x.broken", "message": _said(states)}


def _said(states: Sequence[ExecutionState]) -> str:
    broken = sum(state in (FAILED, CANCELLED) for state in states)
    return f"{broken} of 3 parts did not end well; part 1: it broke"


def test_parts_that_came_to_rest_are_not_repeated_by_the_next_attempt(
    journal: AnyJournal, execution: Execution
) -> None:
    divided(journal, execution, (SUCCEEDED, FAILED, PARTIAL))
    second = following(journal, execution)
    parts = journal.plan_partitions(second.execution_id, PARTS, b"Z")
    assert [part.done_before for part in parts] == [True, False, True]
    assert [one.partition for one in journal.unfinished() if one.parent_id] == [1]
    ended = divided(journal, second, (FAILED, FAILED, FAILED))
    assert (ended.state, ended.counts.read) == (FAILED, 10)
    third = divided(journal, following(journal, execution, 3), (SUCCEEDED,) * 3)
    assert (third.state, third.counts.read, journal.position("env/sync")) == (SUCCEEDED, 10, b"Z")
    fourth = journal.plan_partitions(following(journal, execution, 4).execution_id, PARTS, None)
    assert not any(part.done_before for part in fourth), "the stream has moved"


def test_nothing_is_done_before_where_another_execution_moved_the_stream(
    journal: AnyJournal, execution: Execution
) -> None:
    divided(journal, execution, (SUCCEEDED, FAILED, SUCCEEDED))
    between = following(journal, execution)
    journal.settle(Settlement(between.execution_id, "env/sync", 0, b"M", 1, Counts(read=1, written=1)))
    parts = journal.plan_partitions(following(journal, execution, 3).execution_id, PARTS, b"Z")
    assert not any(part.done_before for part in parts)


def test_a_part_of_other_documents_is_not_taken_for_done(journal: AnyJournal, execution: Execution) -> None:
    divided(journal, execution, (SUCCEEDED, FAILED, SUCCEEDED))
    other = [Partition(0, b"A..M"), Partition(1, b"N..R"), PARTS[2]]
    parts = journal.plan_partitions(following(journal, execution).execution_id, other, b"Z")
    assert [part.done_before for part in parts] == [False, False, True]


def test_a_part_sees_what_the_stream_knows_and_its_own_over_it(journal: AnyJournal, execution: Execution) -> None:
    known = Settlement(
        execution.execution_id,
        "env/sync",
        0,
        b"A",
        1,
        Counts(),
        seen=[("k", "old"), ("o", "old")],
        persisted={"p": b"1"},
    )
    journal.settle(known)
    part = journal.plan_partitions(execution.execution_id, PARTS, b"Z")[1].execution
    journal.begin(part.execution_id, journal.clock.now())
    assert journal.resume(part.execution_id).position is None
    journal.settle(Settlement(part.execution_id, part.stream, 0, b"L", 1, Counts(), seen=[("k", "new")]))
    assert journal.ledger(part.stream, ["k", "o"]) == {"k": "new", "o": "old"}
    assert journal.remembered(part.execution_id, part.stream) == {"p": b"1"}
    assert journal.ledger("env/sync", ["k"]) == {"k": "old"}


def test_a_fenced_member_neither_divides_nor_ends(
    journal: AnyJournal, execution: Execution, clock: ManualClock
) -> None:
    journal.begin(execution.execution_id, clock.now(), "", 7)
    for call in (
        lambda: journal.plan_partitions(execution.execution_id, PARTS, b"Z", 6),
        lambda: journal.finish_partitioned(execution.execution_id, clock.now(), 6),
    ):
        with pytest.raises(DativeError) as refused:
            call()
        assert refused.value.code.name == "molecule.fenced"
    assert journal.partitions(execution.execution_id) == []


def test_the_end_of_the_whole_ends_parts_that_nobody_began(journal: AnyJournal, execution: Execution) -> None:
    parts = journal.plan_partitions(execution.execution_id, PARTS, b"Z")
    journal.begin(parts[0].execution.execution_id, journal.clock.now())
    journal.finish(execution.execution_id, CANCELLED, journal.clock.now(), None)
    states = [part.execution.state for part in journal.partitions(execution.execution_id)]
    assert states == [ExecutionState.RUNNING, CANCELLED, CANCELLED]


def test_what_a_part_reads_is_nowhere_in_the_clear(journal: AnyJournal, execution: Execution, place: Place) -> None:
    journal.plan_partitions(execution.execution_id, [Partition(0, b"canary-Smith..Smythe")], b"Z")
    assert not place.holds(b"canary-Smith")
