"""Runs one planned execution to its end, in the process that calls it.

Begin, resume, read → transform → deliver, settle batch by batch, prove the count, finish. The journal knows everything
that matters before this returns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
from dative.bundle.canonical import canonical_json
from dative.clock import Clock
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import ExecutionId
from dative.v1 import telemetry_pb2

from dative_atom.connectors.base import UNFENCED, ConnectionConfig, Connector, Fence, Mark, Position, RunContext
from dative_atom.connectors.connection import open_connection
from dative_atom.engine.books.accounting import Fates, balance, prove_execution
from dative_atom.engine.books.ledger import JournalLedger
from dative_atom.engine.books.notices import Teller
from dative_atom.engine.books.parking import parked_documents, profile_of
from dative_atom.engine.books.receipts import books_of
from dative_atom.engine.books.reports import report_execution, report_spans
from dative_atom.engine.context import open_execution
from dative_atom.engine.effects.effects import CommitLost, Effects
from dative_atom.engine.effects.fence import Latch, is_fenced
from dative_atom.engine.effects.halfway import Halfway, Prints, unpacked
from dative_atom.engine.effects.retry import LOST_COMMIT, Attempts, Waits
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.failpoints import reach
from dative_atom.engine.failures import failure_of
from dative_atom.engine.making.running import Running, kept
from dative_atom.engine.message import Message
from dative_atom.engine.pipeline import Control, Reading, Start, Transformed, Transforming, numbered, until_halted
from dative_atom.engine.routing import Flow, Observer, run_steps
from dative_atom.engine.sources.source import watermark
from dative_atom.journal.contract import Counts, Execution, ExecutionState, Journal, Settlement
from dative_atom.telemetry.recorder import Recorder, parse_traceparent, trace_of

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What :lastRunDate, :lastSuccessDate and :watermark are in a process' first execution."""

Connect = Callable[[ConnectionConfig], Connector]


@dataclass(frozen=True)
class Surroundings:
    """What a caller may replace: tests do, the worker does not.

    wait: waits that many seconds and says whether the execution was halted meanwhile; None waits on the control.
    progress: called with the counts after each settled batch. observe: with what flows out of every step.
    fence: whether this member may still act (Invariant 4); the journal is opened with the same one by whoever opens it.
    """

    clock: Clock
    connect: Connect = open_connection
    control: Control = field(default_factory=Control)
    wait: Callable[[float], bool] | None = None
    progress: Callable[[Counts], None] | None = None
    observe: Observer | None = None
    fence: Fence = UNFENCED


def run_execution(
    message: Message, journal: Journal, surroundings: Surroundings, recorder: Recorder | None = None
) -> Execution:
    """Run it. Never raises for what a process, a source or a target does: that is a coded failure in the journal.

    Raises only when the journal can not say what happened (its disk is full, the execution is not known or has ended),
    when nobody can say whether a target committed, or when this member may act no more (`fence.is_fenced`): then nothing
    has been settled that is not in it, and another attempt goes on.
    """
    surroundings = replace(surroundings, fence=Latch(surroundings.fence))
    surroundings.fence.check()
    recorder = recorder or Recorder(parse_traceparent(message.traceparent), trace_of(message.execution_id))
    execution = journal.begin(
        ExecutionId(message.execution_id),
        surroundings.clock.now(),
        recorder.trace_id,
        message.fencing_token,
        atom_id=message.atom_id,
    )
    recorder.of_attempt(execution.execution_id, execution.attempts)
    report_execution(journal, execution, message, recorder)
    reach("execution.begun")
    failure: dict[str, str] | None = None
    try:
        _Run(message, execution, journal, surroundings, recorder).run()
    except BaseException as error:
        if is_fenced(error, message.fencing_token):
            raise
        # What broke off may have done so because somebody else goes on: its end is his to write (Invariant 4).
        surroundings.fence.check()
        if journal.prepared(execution.execution_id) is not None:
            # Invariant 1: targets may have committed what has not settled. Only a resume, which asks them, may end this.
            raise
        failure = failure_of(error, cancelled=surroundings.control.cancelled)
        if not isinstance(error, Exception):
            raise
    return _finish(message, journal, surroundings, recorder, failure)


def _finish(
    message: Message,
    journal: Journal,
    surroundings: Surroundings,
    recorder: Recorder,
    failure: Mapping[str, str] | None,
) -> Execution:
    execution = journal.execution(ExecutionId(message.execution_id))
    if execution is None:
        raise StopRun("the execution has gone from the journal", code=codes.READ_INVALID)
    state = _state(execution.counts, failure)
    now = surroundings.clock.now()
    reach("execution.finishing")
    surroundings.fence.check()
    # Reported first: killed between the two, the next attempt reports a newer version of it, and no end is ever silent.
    ended = replace(execution, state=state, finished_at=now, failure=failure)
    report_execution(journal, ended, message, recorder)
    report_spans(journal, ended, message, recorder)
    finished = journal.finish(execution.execution_id, state, now, failure, message.fencing_token)
    reach("execution.finished")
    return finished


def _state(counts: Counts, failure: Mapping[str, str] | None) -> ExecutionState:
    if failure is not None:
        cancelled = failure["code"] == codes.CANCELLED.name
        return ExecutionState.CANCELLED if cancelled else ExecutionState.FAILED
    return ExecutionState.PARTIAL if counts.dead_lettered else ExecutionState.SUCCEEDED


class _Run:
    """One attempt of one execution."""

    def __init__(
        self,
        message: Message,
        execution: Execution,
        journal: Journal,
        surroundings: Surroundings,
        recorder: Recorder,
    ) -> None:
        self.message = message
        self.execution = execution
        self.journal = journal
        self.surroundings = surroundings
        self.recorder = recorder
        self.control = surroundings.control
        self.ledger = JournalLedger(journal, execution.stream)
        # What is remembered, in the stage ahead and as far as batches have settled.
        self.ahead = self.settled = Running()
        self.fence = surroundings.fence
        self.waits = Waits(surroundings.clock, self._waited)

    def run(self) -> None:
        opened = open_execution(
            self.message, self.execution, self.journal, self.surroundings.connect, self._context(), self.ledger
        )
        self.opened = opened
        self.receipts_keep_s = opened.receipts_keep_s
        self.control.on_halt(opened.database.interrupt)
        reading = Reading(opened.source, self.recorder, self.control)
        transforming: Transforming | None = None
        try:
            plan = opened.compile(reading.open())
            self.plan = plan
            self.transactional = list(plan.transactional())
            start = self._resume()
            self.ahead = self.settled = opened.remembered().typed(plan.running)
            self.first_batch = start.batch
            reading.begin(start)
            transforming = Transforming(plan, opened.database, self._flow, self.control, opened.process.spec.source.id)
            transforming.start(reading.channel, start.batch)
            self._deliver_all(transforming)
            reading.finish()
            reach("batch.acknowledged")
            self._prove()
        finally:
            self.control.halt()
            reading.finish()
            if transforming is not None:
                transforming.join()
            opened.close()

    def _waited(self, seconds: float) -> bool:
        halted = (self.surroundings.wait or self.control.halted.wait)(seconds)
        # A pause is where a lease runs out unseen; nothing is tried again, and no target is probed, without it.
        self.fence.check()
        return halted

    def _flow(self, batch: int, documents: pa.RecordBatch, session: Session) -> Flow:
        """A batch at the beginning of the transform stage; the batch before it has left that stage."""
        self.ahead = self.ahead.after()
        queue, observe = self.opened.process.name, self.surroundings.observe
        return Flow(batch, documents, session, self.recorder, queue, observe=observe, running=self.ahead)

    def _context(self) -> RunContext:
        """What readers and writers are lent."""
        last_run, last_success = self.journal.last_times(self.execution.stream)
        stands = self.journal.resume(self.execution.execution_id).position
        return RunContext(
            execution_id=self.execution.execution_id,
            clock=self.surroundings.clock,
            calls=self.recorder,
            cancelled=self.control.halted,
            binds={
                **self.message.parameters,
                **self.execution.parameters,
                "lastRunDate": last_run or EPOCH,
                "lastSuccessDate": last_success or EPOCH,
                "watermark": watermark(json.loads(stands) if stands else None) or EPOCH,
            },
            ledger=self.ledger,
            fencing_token=self.message.fencing_token,
            fence=self.fence,
        )

    def _resume(self) -> Start:
        """Where this attempt begins, after what a former one had prepared was settled or given up."""
        execution_id = self.execution.execution_id
        self.halfway = Halfway.read(self.journal.halfway(self.mark_stream))
        self.prints = Prints(self.opened.database.session)
        prepared = self.journal.prepared(execution_id)
        # Asking a target for its mark finishes what it had committed, and what is prepared is settled or given up.
        self.fence.check()
        resumed = prepared is not None or self.execution.attempt > 1
        marks = {
            target.step: target.writer.committed(f"{self.mark_stream}/{target.step}")
            for target in (self.transactional if resumed else ())
        }
        own = [mark.batch for mark in marks.values() if mark is not None and mark.execution_id == execution_id]
        if prepared is not None:
            # Invariant 1: the target's own mark says whether the batch that was being settled is there.
            there = [step for step, mark in marks.items() if _marked(mark, execution_id, prepared.batch)]
            if marks and len(there) == len(marks):
                self.journal.settle(execution_id=execution_id, fencing_token=self.message.fencing_token)
            else:
                sent = {step: rows for step, rows in unpacked(prepared.sent).items() if step in there}
                halfway = self.halfway.and_also(sent, prepared.counts.read)
                self._not_settled(halfway)
        stands = self.journal.resume(execution_id)
        # A number that any target may have seen is never used again.
        used = [*own, *([prepared.batch] if prepared is not None else [])]
        batch = max([stands.batch, *(number + 1 for number in used)])
        position: Position | None = json.loads(stands.position) if stands.position else None
        rows = self.opened.batch_rows
        return Start(position, batch, stands.document, rows)

    def _not_settled(self, halfway: Halfway) -> None:
        """A prepared batch is given up, but not what some of its targets committed."""
        self.fence.check()
        self.halfway = halfway
        kept = (self.mark_stream, halfway.packed())
        self.journal.discard(self.execution.execution_id, kept, self.message.fencing_token)

    @property
    def mark_stream(self) -> str:
        """Retries of dead letters have marks of their own, beside those of the process' ordinary executions."""
        return f"{self.execution.stream}#retry" if self.execution.retry_of else self.execution.stream

    def _deliver_all(self, transforming: Transforming) -> None:
        session = self.opened.database.session()
        for item in () if self.settled.ends else until_halted(transforming.channel, self.control):
            counts = self._deliver(item, session)
            self.ledger.settled(item.piece.seen)
            if item.piece.position is not None:
                self.opened.source.settled(item.piece.position)
            if self.surroundings.progress is not None and counts is not None:
                self.surroundings.progress(counts)
            if self.settled.ends:
                break
        # After a stop of the execution: what was read ahead has not settled, and the next execution reads it.
        if self.settled.ends:
            self.control.halt()

    def _deliver(self, item: Transformed, session: Session) -> Counts | None:
        """Deliver and settle one batch, starting over as often as a commit is lost that did not happen."""
        if item.piece.documents.num_rows == 0:
            return self._move(item)
        effects = Effects(
            self.mark_stream,
            self.execution.execution_id,
            item.batch,
            item.piece.position or {},
            self.message.fencing_token,
            self.waits,
            # A batch is sent after the one before it has settled: only the first of an attempt may have been sent.
            suspect=self.execution.attempt > 1 and item.batch == self.first_batch,
            halfway=self.halfway,
            last=self.transactional[-1].step if self.transactional else None,
            fence=self.fence,
            first_document=numbered(item.piece.documents)[0],
            prints=self.prints if len(self.transactional) > 1 or self.halfway.rows else None,
        )
        attempts = Attempts(LOST_COMMIT, self.waits, f"batch {item.batch}")
        try:
            while True:
                try:
                    return self._attempt(item, effects, session)
                except CommitLost as lost:
                    effects.start_over(self.transactional)
                    attempts.pause(lost)
        except BaseException as error:
            effects.start_over(self.transactional)
            if is_fenced(error, self.message.fencing_token):
                # Invariant 4: the member that goes on asks the targets' marks what to make of what is prepared.
                raise
            if effects.prepared and not effects.undecided and len(effects.committed) < len(self.transactional):
                self._not_settled(effects.stopped(item.piece.documents.num_rows))
            raise

    def _attempt(self, item: Transformed, effects: Effects, session: Session) -> Counts:
        flow = item.flow.fork(session, effects, self.settled)
        out = run_steps(self.plan.deliver, item.documents, flow) if item.documents is not None else None
        steps = self.opened.process.spec.steps
        fates = balance(flow, out, steps[-1].id if steps else self.opened.process.spec.source.id)
        counts = effects.settle(self.journal, self.transactional, self._settlement(item, flow, fates))
        self.settled = flow.running.after()
        self.halfway = self.halfway.after(effects.used, fates.counts.read)
        return counts

    def _settlement(self, item: Transformed, flow: Flow, fates: Fates) -> Settlement:
        opened, source = self.opened, item.piece.documents
        now = self.surroundings.clock.now()
        keys = opened.tracking.keys(source, flow.session)
        books = books_of(flow, fates, keys, self._about(item.batch, now))
        letters = parked_documents(flow, opened.classified, opened.tracking.fields, item.piece.origins)
        again = {letter.origin for letter in letters}
        teller = Teller(self.execution.execution_id, self.execution.process, self.message.environment_id)
        events, flow.running.told = teller.events(flow.notices, flow.running.told, now)
        keeps = kept(flow.running, persists=not self.execution.retry_of)
        return Settlement(
            execution_id=self.execution.execution_id,
            stream=self.execution.stream,
            batch=item.batch,
            position=_position(item.piece.position),
            documents_end=numbered(source)[1],
            counts=fates.counts,
            dead_letters=letters,
            resolved=[origin for origin in item.piece.origins if origin not in again],
            links=flow.links,
            tracked=books.tracked,
            receipts=books.receipts,
            receipts_keep_s=self.receipts_keep_s,
            attempt=self.execution.attempt,
            fencing_token=self.message.fencing_token,
            at=now,
            seen=item.piece.seen.pairs(),
            forget_before=item.piece.seen.forget_before,
            profile=profile_of(source) if letters else None,
            events=events,
            remembered=keeps.execution,
            persisted=keeps.stream,
            snapshot=item.piece.snapshot,
            cached=keeps.cached,
        )

    def _about(self, batch: int, at: datetime) -> telemetry_pb2.TrackedDocuments:
        """What each record of tracked documents of this batch names."""
        execution = self.execution
        return telemetry_pb2.TrackedDocuments(
            execution_id=execution.execution_id,
            process=execution.process,
            process_version=execution.process_version,
            attempt=execution.attempt,
            batch=batch,
            settled_at_ms=int(at.timestamp() * 1000),
        )

    def _move(self, item: Transformed) -> Counts | None:
        """An empty batch moves the position only."""
        if item.piece.position is None:
            return None
        stands = self.journal.resume(self.execution.execution_id)
        self.fence.check()
        return self.journal.settle(
            Settlement(
                execution_id=self.execution.execution_id,
                stream=self.execution.stream,
                batch=item.batch,
                position=_position(item.piece.position),
                documents_end=stands.document,
                counts=Counts(),
                seen=item.piece.seen.pairs(),
                forget_before=item.piece.seen.forget_before,
                attempt=self.execution.attempt,
                fencing_token=self.message.fencing_token,
                at=self.surroundings.clock.now(),
            )
        )

    def _prove(self) -> None:
        found = self.journal.execution(self.execution.execution_id)
        if found is not None:
            prove_execution(found.counts)


def _marked(mark: Mark | None, execution_id: ExecutionId, batch: int) -> bool:
    """The target's own mark says that it committed this batch."""
    return mark is not None and (mark.execution_id, mark.batch) == (execution_id, batch)


def _position(position: Position | None) -> bytes | None:
    return canonical_json(dict(position)) if position is not None else None
