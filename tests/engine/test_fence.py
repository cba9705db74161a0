"""A member that lost its lease does nothing any more, wherever it is; the next one has every effect exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.errors import molecule as codes
from dative.errors.base import StopRun
from dative.errors.connector import DENIED, Unavailable, UnknownOutcome
from dative.ids import ExecutionId, StepId
from dative.process.shapes import ProgramCommandSettings
from dative.v1 import telemetry_pb2
from dative_atom.connectors.base import Read, Ticket
from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine import failpoints
from dative_atom.engine.effects.effects import Effects
from dative_atom.engine.effects.fence import Latch, is_fenced
from dative_atom.engine.effects.retry import Waits
from dative_atom.engine.memory import Faults, MemoryWriter
from dative_atom.engine.routing import Flow
from dative_atom.engine.shapes.program_command import ProgramCommand
from dative_atom.journal.contract import ExecutionState
from dative_atom.telemetry.recorder import Recorder, span_of, trace_of
from dative_atom.worker.deadline import LOST, Deadline

TWO = """
  steps:
    - {id: first, database.upsert: {connection: erp, table: a, key: [Id]}}
    - {id: second, database.upsert: {connection: erp, table: b, key: [Id]}}
"""
UPSERT = """
  steps:
    - id: upsert
      database.upsert: {connection: erp, table: customer, key: [Id]}
"""
VERIFIED = """
  steps:
    - id: upsert
      database.insert: {connection: erp, table: customer}
      verify: {key: [Id], within: 8s}
"""


@pytest.fixture
def deadline() -> Iterator[Deadline]:
    made = Deadline.make()
    yield made
    failpoints.arm("")
    made.close()


def outside(engine: Any, execution_id: ExecutionId) -> tuple[Any, ...]:
    """Everything that an execution changes outside of its process."""
    journal, targets = engine.journal, engine.system.targets
    done = {step: (one.writes, one.effects, one.probes, dict(one.mark)) for step, one in targets.items()}
    known = journal.execution(execution_id)
    return done, known, journal.prepared(execution_id), journal.position("env/sync"), journal.spooled()


AHEAD = ("batch.read", "batch.transformed")
"""Boundaries of the threads that run ahead: a write may be on its way in the delivering one."""


def lost_at(engine: Any, deadline: Deadline, boundary: str, body: str = TWO) -> ExecutionId:
    """Run an execution whose member loses its lease at that boundary; what is outside is not touched after it."""
    execution_id = engine.plan()
    engine.fence, engine.token, engine.atom, engine.batch_rows = deadline, 7, "hq-1", 4
    then: list[Any] = []

    def lose() -> None:
        deadline.publish(LOST)
        then.append(outside(engine, execution_id))

    failpoints.arm(boundary, lose)
    with pytest.raises(StopRun) as stopped:
        engine.run(body, execution_id=execution_id)
    failpoints.arm("")
    assert stopped.value.code is codes.FENCED
    if boundary.partition(":")[0] not in AHEAD:
        assert then == [outside(engine, execution_id)]
    return execution_id


def taken_over(engine: Any, deadline: Deadline, execution_id: ExecutionId, body: str = TWO) -> Any:
    """Another member goes on with a higher token and a deadline of its own."""
    deadline.begin()
    deadline.publish(float("inf"))
    engine.token, engine.atom = 9, "hq-2"
    return engine.run(body, execution_id=execution_id)


WHERE = [
    "execution.begun",
    "step.before:first:2",
    "batch.read:2",
    "batch.transformed:2",
    "write.before:first:2",
    "write.after:first:2",
    "write.before:second:2",
    "write.after:second:2",
    "batch.written:2",
    "batch.prepared:2",
    "commit.before:first:2",
    "commit.after:first:2",
    "commit.before:second:2",
    "commit.after:second:2",
    "batch.committed:2",
    "batch.settled:2",
    "execution.finishing",
]


@pytest.mark.parametrize("transactional", [True, False])
@pytest.mark.parametrize("boundary", WHERE)
def test_wherever_the_lease_is_lost_nothing_follows_and_the_next_member_has_every_effect_once(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline, boundary: str, transactional: bool
) -> None:
    if not transactional and boundary.split(":")[0] in (
        "batch.prepared",
        "commit.before",
        "commit.after",
        "batch.committed",
    ):
        boundary = "batch.written:3"
    engine.system.rows = accounts(12)
    targets = [engine.target(step, key=("Id",), transactional=transactional) for step in ("first", "second")]
    execution_id = lost_at(engine, deadline, boundary)
    left = [target.effects for target in targets]
    known = engine.journal.execution(execution_id)
    assert (known.state, known.finished_at) == (ExecutionState.RUNNING, None), "a fenced attempt writes no end"
    assert known.counts.written % 4 == 0
    assert left[1] <= left[0] <= 12
    done = taken_over(engine, deadline, execution_id)
    assert (done.state, done.attempt, done.counts.read, done.counts.written) == (ExecutionState.SUCCEEDED, 2, 12, 12)
    sent_again = 0 if transactional else 4  # an idempotent write of the batch that had not settled
    for target in targets:
        assert len(target.rows) == 12
        assert 12 <= target.effects <= 12 + sent_again


def test_what_was_written_before_the_lease_was_lost_is_rolled_back_at_every_target(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    targets = [engine.target(step, key=("Id",), transactional=True) for step in ("first", "second")]
    lost_at(engine, deadline, "commit.before:first")
    assert [(target.writes, target.effects, target.mark) for target in targets] == [(1, 0, {}), (1, 0, {})]


def test_a_target_that_is_asked_request_by_request_gets_none_after_the_lease(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(8)
    target = engine.target("upsert", key=("Id",), request_rows=2, idempotent=True)
    requests = iter((lambda: None, lambda: deadline.publish(LOST)))
    target.requested = lambda: next(requests)()
    execution_id = engine.plan()
    engine.fence, engine.token = deadline, 7
    with pytest.raises(StopRun):
        engine.run(UPSERT, execution_id=execution_id)
    assert target.effects == 4, "the third request was not made"
    target.requested = lambda: None
    taken_over(engine, deadline, execution_id, UPSERT)
    # The third line of defence: what had been sent before is known by its key.
    assert (target.effects, len(target.rows)) == (8, 8)


def test_a_member_that_is_fenced_does_not_look_for_what_became_of_a_write(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", faults=Faults(lost=[0]))
    lost_at(engine, deadline, "probe.before:upsert", VERIFIED)
    assert target.probes == 0
    assert target.writes == 1


def test_a_lost_answer_to_a_commit_is_left_to_whoever_goes_on(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), transactional=True, silent=99)

    def commit_and_lose(ticket: Ticket) -> None:
        deadline.publish(LOST)
        raise UnknownOutcome("lost")

    execution_id = engine.plan()
    engine.fence, engine.token = deadline, 7
    connector = engine.system.connect
    engine.system.connect = lambda config: _Losing(connector(config), commit_and_lose)
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code is codes.FENCED
    assert target.silent == 99, "the target was not asked"
    assert engine.journal.prepared(execution_id) is not None
    target.silent, engine.system.connect = 0, connector
    assert taken_over(engine, deadline, execution_id, UPSERT).counts.written == 4
    assert target.effects == 4


@pytest.mark.parametrize("error", [StopRun("no", code=DENIED), Unavailable("down")])
def test_an_error_of_a_commit_that_fell_together_with_the_loss_is_the_next_ones_too(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline, error: Exception
) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), transactional=True)

    def fail(ticket: Ticket) -> None:
        deadline.publish(LOST)
        raise error

    execution_id = engine.plan()
    engine.fence, engine.token = deadline, 7
    connector = engine.system.connect
    engine.system.connect = lambda config: _Losing(connector(config), fail)
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code is codes.FENCED
    assert engine.journal.prepared(execution_id) is not None, "nothing was given up"
    engine.system.connect = connector
    assert taken_over(engine, deadline, execution_id, UPSERT).counts.written == 4
    assert target.effects == 4


def test_a_target_that_does_not_say_what_it_committed_and_a_lost_lease_are_no_failure(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), transactional=True)

    def lose(ticket: Ticket) -> None:
        raise UnknownOutcome("lost")

    def silent(stream: str) -> None:
        deadline.publish(LOST)
        raise Unavailable("the target does not answer")

    execution_id = engine.plan()
    engine.fence, engine.token = deadline, 7
    connector = engine.system.connect
    engine.system.connect = lambda config: _Losing(connector(config), lose, silent)
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code is codes.FENCED
    assert target.effects == 0


def test_a_member_that_has_no_lease_begins_nothing(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    execution_id = engine.plan()
    deadline.publish(LOST)
    engine.fence, engine.token = deadline, 7
    with pytest.raises(StopRun):
        engine.run(UPSERT, execution_id=execution_id)
    assert engine.journal.execution(execution_id).state is ExecutionState.PENDING


def test_no_target_is_opened_without_a_lease(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    lost_at(engine, deadline, "execution.begun", UPSERT)
    assert engine.system.targets == {}


def test_what_a_lost_attempt_had_prepared_is_not_looked_at_without_a_lease(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), transactional=True)
    execution_id = lost_at(engine, deadline, "batch.prepared", UPSERT)
    target.silent = 99
    deadline.begin()
    deadline.publish(float("inf"))
    connector = engine.system.connect
    engine.system.connect = lambda config: _Opened(connector(config), lambda: deadline.publish(LOST))
    engine.token = 9
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code is codes.FENCED
    assert target.silent == 99, "the target was not asked for its mark"


class _Opened:
    """A connector that tells when a writer has been opened."""

    def __init__(self, inner: Any, opened: Callable[[], None]) -> None:
        self._inner, self._opened = inner, opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def writer(self, *arguments: Any) -> Any:
        made = self._inner.writer(*arguments)
        self._opened()
        return made


ONE_ARM = """
  steps:
    - {id: first, database.upsert: {connection: erp, table: a, key: [Id]}}
    - id: nobody
      decide: Id = 'nobody'
      then: [{id: second, database.upsert: {connection: erp, table: b, key: [Id]}}]
"""


def test_a_mark_that_moves_without_documents_does_not_move_without_a_lease(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    for step in ("first", "second"):
        engine.target(step, key=("Id",), transactional=True)
    lost_at(engine, deadline, "step.after:nobody", ONE_ARM)


def test_a_window_that_held_nothing_moves_no_position_without_a_lease(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(4)
    connector = engine.system.connect
    engine.system.connect = lambda config: _Empty(connector(config), lambda: deadline.publish(LOST))
    execution_id = engine.plan()
    engine.fence, engine.token = deadline, 7
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code is codes.FENCED
    assert engine.journal.position("env/sync") is None


class _Empty:
    """A source whose only window holds nothing; told when it has been read."""

    def __init__(self, inner: Any, read: Callable[[], None]) -> None:
        self._inner, self._read = inner, read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def reader(self, *arguments: Any) -> Any:
        made = self._inner.reader(*arguments)

        def read(after: Any, rows_max: int) -> Iterator[Read]:
            self._read()
            yield Read(pa.RecordBatch.from_pylist([], made.profile), {"row": 1})

        made.read = read
        return made


class _Losing:
    """A connector whose writers' commits end otherwise, and who may not say what they committed."""

    def __init__(
        self, inner: Any, commit: Callable[[Ticket], None], committed: Callable[[str], None] | None = None
    ) -> None:
        self._inner, self._commit, self._committed = inner, commit, committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def writer(self, *arguments: Any) -> Any:
        made = self._inner.writer(*arguments)
        made.commit = self._commit
        made.committed = self._committed or made.committed
        return made


class Blind:
    """A fence of a member that does not know that its lease is over."""

    def check(self) -> None:
        """It believes that it may."""


def test_a_blind_member_is_refused_by_the_journal_when_the_target_keeps_no_mark(
    engine: Any, accounts: Callable[..., pa.Table]
) -> None:
    engine.system.rows = accounts(4)
    execution_id = engine.plan()
    engine.fence, engine.token = Blind(), 7
    target = engine.target("upsert", key=("Id",), idempotent=True)

    def overtaken() -> None:
        engine.journal.begin(execution_id, engine.clock.now(), "ab" * 16, 9, atom_id="hq-2")

    target.requested = overtaken
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code is codes.FENCED
    known = engine.journal.execution(execution_id)
    assert (known.state, known.counts.written, known.fencing_token) == (ExecutionState.RUNNING, 0, 9)
    target.requested, engine.token = lambda: None, 9
    assert engine.run(UPSERT, execution_id=execution_id).counts.written == 4
    assert target.effects == 4


def test_a_blind_member_is_refused_by_the_mark_of_its_target(
    engine: Any, accounts: Callable[..., pa.Table], clock: ManualClock
) -> None:
    """The successor committed at the target, and had not reached the journal of this member yet."""
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), transactional=True)
    schema = engine.system.rows.schema
    MemoryWriter(target, schema).commit(Ticket("env/sync/upsert", ExecutionId("01OTHER"), 0, {}, 9))
    execution_id = engine.plan()
    engine.fence, engine.token = Blind(), 7
    with pytest.raises(StopRun) as stopped:
        engine.run(UPSERT, execution_id=execution_id)
    assert stopped.value.code.name == "connector.fenced"
    assert is_fenced(stopped.value, 7)
    assert engine.journal.execution(execution_id).state is ExecutionState.RUNNING
    assert target.effects == 0


def test_an_atom_alone_that_a_mark_refuses_ends_as_failed(engine: Any, accounts: Callable[..., pa.Table]) -> None:
    engine.system.rows = accounts(4)
    target = engine.target("upsert", key=("Id",), transactional=True)
    MemoryWriter(target, engine.system.rows.schema).commit(Ticket("env/sync/upsert", ExecutionId("01OTHER"), 0, {}, 9))
    ended = engine.run(UPSERT)
    assert (ended.state, ended.failure["code"]) == (ExecutionState.FAILED, "connector.fenced")


def test_once_lost_it_stays_lost_for_the_execution(deadline: Deadline) -> None:
    latch = Latch(deadline)
    latch.check()
    deadline.publish(LOST)
    with pytest.raises(StopRun):
        latch.check()
    deadline.publish(float("inf"))
    with pytest.raises(StopRun):
        latch.check()


def test_the_source_is_not_told_by_a_member_that_lost_its_lease(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    engine.system.rows = accounts(8)
    engine.target("upsert", key=("Id",), transactional=True)
    told: list[Any] = []
    connector = engine.system.connect
    engine.system.connect = lambda config: _Told(connector(config), told)
    lost_at(engine, deadline, "batch.settled", UPSERT)
    assert told == []


class _Told:
    def __init__(self, inner: Any, told: list[Any]) -> None:
        self._inner, self._told = inner, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def reader(self, *arguments: Any) -> Any:
        made = self._inner.reader(*arguments)
        made.acknowledge = self._told.append
        return made


def run_with(fence: Any, command: tuple[str, ...], clock: ManualClock) -> StopRun:
    made = ProgramCommandSettings(command=command, timeout=timedelta(seconds=5))
    batch = pa.record_batch({DOCUMENT: pa.array([0], pa.uint64()), "Id": pa.array(["a"])})
    effects = Effects("env/p", ExecutionId("01X"), 0, {}, 7, Waits(clock, lambda _: True), fence=fence)
    flow = Flow(0, batch, None, Recorder(), "p", effects)  # type: ignore[arg-type]
    with pytest.raises(StopRun) as stopped:
        ProgramCommand(StepId("run"), made, batch.schema).apply(batch, flow)
    return stopped.value


def test_a_program_that_runs_when_the_lease_is_lost_is_killed(
    tmp_path: Any, deadline: Deadline, clock: ManualClock
) -> None:
    ran = tmp_path / "ran"

    class LostWhenRun:
        def check(self) -> None:
            if ran.exists():
                deadline.publish(LOST)
            deadline.check()

    said = run_with(LostWhenRun(), ("/bin/sh", "-c", f"echo x >> {ran}; sleep 60; echo y >> {ran}"), clock)
    assert said.code is codes.FENCED
    assert ran.read_text() in ("", "x\n"), "it did not get further"


def test_a_program_is_not_started_without_a_lease(deadline: Deadline, clock: ManualClock) -> None:
    deadline.publish(LOST)
    assert run_with(deadline, ("/there/is/none",), clock).code is codes.FENCED


# --- keys and traces ----------------------------------------------------------------------------------------------------


def test_a_key_is_the_same_in_every_attempt_and_no_other_document_has_it() -> None:
    made = Ticket("env/p/s", ExecutionId("01X"), 3, {}, 7, 100, pa.array([100, 101, 103], pa.uint64()))
    again = replace(made, batch=5, fencing_token=9)
    assert made.idempotency_key(b"a", 0) == again.idempotency_key(b"a", 0)
    others = [
        made.idempotency_key(b"b", 0),
        made.idempotency_key(b"a", 1),
        made.idempotency_key(b"a"),
        replace(made, stream="env/p/t").idempotency_key(b"a", 0),
        replace(made, execution_id=ExecutionId("01Y")).idempotency_key(b"a", 0),
        replace(made, first_document=0).idempotency_key(b"a", 0),
    ]
    assert len({*others, made.idempotency_key(b"a", 0)}) == 7


def test_all_attempts_are_one_trace_and_each_one_links_to_the_one_that_was_lost(
    engine: Any, accounts: Callable[..., pa.Table], deadline: Deadline
) -> None:
    from dative_controller.reporting.otlp import decode

    engine.system.rows = accounts(8)
    engine.target("upsert", key=("Id",), transactional=True)
    execution_id = lost_at(engine, deadline, "batch.written:2", UPSERT)
    engine.clock.advance(3.0)
    done = taken_over(engine, deadline, execution_id, UPSERT)
    assert done.trace_id == trace_of(execution_id)
    records = [telemetry_pb2.Record.FromString(record.body) for record in engine.journal.outbox(0)]
    spans = [row for one in records if one.WhichOneof("kind") == "spans" for row in decode(one.spans.otlp, {})[0]]
    assert {row.trace_id for row in spans} == {trace_of(execution_id)}
    lost, own = (next(row for row in spans if row.span_id == span_of(execution_id, attempt)) for attempt in (1, 2))
    told = ("dative.attempt", "dative.atom.id", "dative.fencing_token")
    assert [lost.attributes[name] for name in told] == ["1", "hq-1", "7"]
    assert [own.attributes[name] for name in told] == ["2", "hq-2", "9"]
    assert (lost.error, lost.attributes["error.type"], lost.end_ns - lost.start_ns) == (True, "lost", 3_000_000_000)
    (link,) = own.links
    assert link[:2] == (lost.trace_id, lost.span_id)
    assert json.dumps(link[2], sort_keys=True) == json.dumps(
        {"dative.atom.id": "hq-1", "dative.attempt": "1", "dative.ended": "lost"}
    )
