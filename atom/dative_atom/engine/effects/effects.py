"""What a batch does to targets, and the law of its order (connectors/base.py, Invariants 1 and 8).

write → prepare → commit → settle; the source is told by whoever settled. An `Effects` belongs to one batch and outlives
its attempts: what has been applied for good, by a target without transactions or by one that has committed, is
remembered and never sent again when the batch starts over because another target's commit was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import engine as codes
from dative.errors.base import RetryLater, StopRun
from dative.errors.connector import UnknownOutcome
from dative.ids import ExecutionId, StepId

from dative_atom.connectors.base import UNFENCED, Fence, Mark, Outcome, Position, Prober, Ticket, Writer
from dative_atom.engine.effects.certainty import UNCERTAIN, Certainty, find_out, unknown, unknown_rows
from dative_atom.engine.effects.halfway import Halfway, Prints, packed, taken
from dative_atom.engine.effects.retry import Attempts, RetryPolicy, Waits, class_named
from dative_atom.engine.evaluation.database import one_batch
from dative_atom.engine.failpoints import reach
from dative_atom.engine.plan import Target
from dative_atom.journal.contract import Counts, Journal, Settlement

SENT_MOST: Final = 2
"""A document that did not happen is sent once more even where the step declares no retry: nothing can be doubled."""


@dataclass(eq=False)
class CommitLost(RetryLater):
    """A target did not commit and says so itself: the batch starts over. Never leaves the engine."""

    error_class: ClassVar[str] = "unavailable"


@dataclass
class Effects:
    """The effects of one batch. stream: "<environment id>/<process>"; marks are kept under "<stream>/<step>".

    suspect: an earlier attempt of the execution may have sent this batch and have been killed before it settled.
    halfway: what transactional targets have of documents that did not settle. prints: of the rows that transactional
    targets take; None where there is only one, which either has the batch or has it not.
    last: the target that commits last; where it has the batch, every one has.
    first_document: number of the batch's first. numbers: by step, of the documents that it writes.
    fence: asked before everything that changes something outside (Invariant 4).
    prepared: the settlement is on disk. undecided: targets that were told to commit and of which nobody knows yet whether they did.
    """

    stream: str
    execution_id: ExecutionId
    batch: int
    position: Position
    fencing_token: int
    waits: Waits
    suspect: bool = False
    halfway: Halfway = field(default_factory=Halfway)
    prints: Prints | None = None
    last: StepId | None = None
    fence: Fence = UNFENCED
    first_document: int = 0
    numbers: dict[StepId, pa.Array] = field(default_factory=dict)
    applied: dict[StepId, pa.RecordBatch] = field(default_factory=dict)
    pending: dict[StepId, pa.RecordBatch] = field(default_factory=dict)
    committed: set[StepId] = field(default_factory=set)
    prepared: bool = False
    undecided: set[StepId] = field(default_factory=set)
    sent: dict[StepId, pa.RecordBatch] = field(default_factory=dict)
    used: dict[StepId, pa.Array] = field(default_factory=dict)

    def ticket(self, step: StepId, rows: pa.Array | None = None) -> Ticket:
        """rows: which of the step's documents are written; None for all of them."""
        numbers = self.numbers.get(step)
        return Ticket(
            f"{self.stream}/{step}",
            self.execution_id,
            self.batch,
            self.position,
            self.fencing_token,
            self.first_document,
            numbers if rows is None or numbers is None else numbers.take(rows),
        )

    def write(
        self,
        step: StepId,
        writer: Writer,
        policy: RetryPolicy,
        documents: pa.RecordBatch,
        certainty: Certainty = UNCERTAIN,
        numbers: pa.Array | None = None,
    ) -> pa.RecordBatch:
        """Write the documents; returns the outcomes' columns, one row per document, in order.

        Whatever the policy covers is tried again, a whole batch that was not applied as well as single documents that
        were refused for a reason that passes. StopRun when it stays so. What nobody knows is found out as far as
        `certainty` allows.
        """
        if step in self.applied:
            return self.applied[step]
        if numbers is not None:
            self.numbers[step] = numbers
        attempts = Attempts(policy, self.waits, f"step {step}")
        if writer.transactional:
            self.pending[step] = self._in_transaction(step, writer, attempts, documents)
            return self.pending[step]
        if self.suspect and certainty.verify is not None and not certainty.repeatable:
            # Invariant 8: what an attempt that was killed may have sent is looked for before anything is sent. What may
            # be sent twice is sent: waiting for a late commit would only cost time.
            results = unknown(documents.num_rows, writer.result_fields, UnknownOutcome("sent by a killed attempt"))
        else:
            results = self._write(step, writer, attempts, documents)
        results = self._made_certain(step, writer, attempts, documents, results, certainty)
        results = self._write_again(step, writer, attempts, documents, results)
        self.applied[step] = results
        return results

    def _in_transaction(
        self, step: StepId, writer: Writer, attempts: Attempts, documents: pa.RecordBatch
    ) -> pa.RecordBatch:
        """Into the target's open transaction, but for what it has committed already."""
        if self.prints is None or (step == self.last and step not in self.halfway.rows):
            return self._write(step, writer, attempts, documents)
        prints = self.prints.of(documents)
        if step not in self.halfway.rows:
            results = self._write(step, writer, attempts, documents)
            self.sent[step] = taken(prints, results)
            return results
        found, places = self.halfway.found(step, prints)
        rows = pc.indices_nonzero(pc.invert(pc.is_in(pa.arange(0, len(prints)), value_set=found))).cast(pa.int64())
        fresh = self._write(step, writer, attempts, documents, rows)
        self.sent[step], self.used[step] = taken(prints.take(rows), fresh), places
        known = self.halfway.rows[step].select(fresh.schema.names).take(places).cast(fresh.schema)
        both = pa.Table.from_batches([known, fresh]).combine_chunks()
        return one_batch(both.take(pc.sort_indices(pa.concat_arrays([found, rows]))))

    def _write(
        self,
        step: StepId,
        writer: Writer,
        attempts: Attempts,
        documents: pa.RecordBatch,
        rows: pa.Array | None = None,
    ) -> pa.RecordBatch:
        """rows: of the documents, those that are written."""
        documents = documents if rows is None else documents.take(rows)
        while True:
            reach("write.before", step)
            self.fence.check()
            try:
                results = writer.write(documents, self.ticket(step, rows)).results
            except RetryLater as error:
                writer.rollback()
                attempts.pause(error)
            except UnknownOutcome as error:
                # Invariant 8: some of it may have been applied, so none of it is sent again before that is known.
                return unknown(documents.num_rows, writer.result_fields, error)
            else:
                reach("write.after", step)
                return results

    def _made_certain(
        self,
        step: StepId,
        writer: Writer,
        attempts: Attempts,
        documents: pa.RecordBatch,
        results: pa.RecordBatch,
        certainty: Certainty,
    ) -> pa.RecordBatch:
        """Find unknown documents at the target; send again only what did not happen or may be sent twice."""
        sent_most = max(attempts.most, SENT_MOST)
        for sent in range(1, sent_most + 1):
            rows = unknown_rows(results)
            if not len(rows):
                break
            if certainty.verify is not None and isinstance(writer, Prober):
                reach("probe.before", step)
                results, rows = find_out(writer, certainty.verify, self.waits, documents, results)
                reach("probe.after", step)
            elif not (certainty.repeatable and self._may_repeat(attempts)):
                break
            if not len(rows) or sent == sent_most:
                break
            results = _replaced(results, rows, self._write(step, writer, attempts, documents, rows))
        return results

    def _may_repeat(self, attempts: Attempts) -> bool:
        """An idempotent write whose answer was lost is an attempt like one that timed out."""
        if not (attempts.covers("timeout") or attempts.covers("unavailable")):
            return False
        attempts.wait(None, RetryLater("the answer was lost", code=codes.OUTCOME_UNKNOWN))
        return True

    def _write_again(
        self, step: StepId, writer: Writer, attempts: Attempts, documents: pa.RecordBatch, results: pa.RecordBatch
    ) -> pa.RecordBatch:
        """Single documents that were refused for a reason that passes, as often as the policy says."""
        while True:
            rows = _retryable(results, attempts)
            if not len(rows):
                return results
            try:
                attempts.wait(None, RetryLater(f"{len(rows)} documents refused", code=codes.REJECTED))
            except StopRun as stop:
                if stop.code is codes.CANCELLED:
                    raise
                return results
            again = self._write(step, writer, attempts, documents, rows)
            results = _replaced(results, rows, again)

    def start_over(self, targets: Sequence[Target]) -> None:
        """Forget what was written and not committed."""
        self.pending.clear()
        for step in [step for step in self.sent if step not in self.committed]:
            del self.sent[step]
        for target in targets:
            target.writer.rollback()

    def stopped(self, documents: int) -> Halfway:
        """What the targets have of this batch, which does not settle, when it is made of so many documents."""
        return self.halfway.and_also({step: self.sent[step] for step in self.committed if step in self.sent}, documents)

    def settle(self, journal: Journal, targets: Sequence[Target], settlement: Settlement) -> Counts:
        """Commit what was written and make the settlement valid. targets: the transactional ones, in their order.

        Raises CommitLost: start the batch over.
        """
        uncommitted = [target for target in targets if target.step not in self.committed]
        if self.halfway.rows:
            left = self.halfway.after(self.used, settlement.counts.read)
            settlement = replace(settlement, halfway=(self.stream, left.packed()))
        if not self.pending and not self.committed:
            reach("batch.written")
            self.fence.check()
            counts = journal.settle(settlement)
            reach("batch.settled")
            return counts
        # All transactional targets move their marks together, or a mark could not tell at a resume what was committed.
        for target in uncommitted:
            if target.step not in self.pending:
                self.fence.check()
                target.writer.write(_empty(target.documents), self.ticket(target.step))
        reach("batch.written")
        self.fence.check()
        journal.prepare(replace(settlement, sent=packed(self.sent)))
        self.prepared = True
        reach("batch.prepared")
        for target in uncommitted:
            self._commit(target)
        reach("batch.committed")
        self.fence.check()
        counts = journal.settle(execution_id=self.execution_id, fencing_token=self.fencing_token)
        reach("batch.settled")
        return counts

    def _commit(self, target: Target) -> None:
        ticket = self.ticket(target.step)
        reach("commit.before", target.step)
        # Invariant 4: however long writing took, what was written becomes visible only under a live lease.
        self.fence.check()
        self.undecided.add(target.step)
        try:
            target.writer.commit(ticket)
        except UnknownOutcome as error:
            # Invariant 8: the target itself says whether the lost commit happened. A member that is fenced does not ask.
            self.fence.check()
            if not same(target.writer.committed(ticket.stream), ticket):
                self.undecided.discard(target.step)
                raise CommitLost(
                    f"step {target.step}: the commit was lost and did not happen", code=error.code
                ) from error
        except RetryLater as error:
            self.undecided.discard(target.step)
            raise CommitLost(error.message, code=error.code, retry_after_s=error.retry_after_s) from error
        except StopRun:
            # It refused: its transaction has been rolled back.
            self.undecided.discard(target.step)
            raise
        reach("commit.after", target.step)
        self.undecided.discard(target.step)
        self.committed.add(target.step)
        if target.step in self.pending:
            self.applied[target.step] = self.pending.pop(target.step)


def same(mark: Mark | None, ticket: Ticket) -> bool:
    """The mark says that this very batch was committed."""
    return mark is not None and (mark.execution_id, mark.batch) == (ticket.execution_id, ticket.batch)


def _retryable(results: pa.RecordBatch, attempts: Attempts) -> pa.Array:
    """Indices of rejected rows whose code is of a class that the policy covers."""
    rejected = pc.equal(results.column("outcome"), Outcome.REJECTED.value)
    passing = [
        code
        for code in pc.unique(results.column("code").filter(rejected)).to_pylist()
        if attempts.covers(class_named(code))
    ]
    if not passing:
        return pa.array([], pa.int64())
    return pc.indices_nonzero(
        pc.and_(rejected, pc.is_in(results.column("code"), value_set=pa.array(passing, pa.string())))
    )


def _replaced(results: pa.RecordBatch, rows: pa.Array, newer: pa.RecordBatch) -> pa.RecordBatch:
    """The results with those rows replaced by newer ones, in the same order."""
    table = pa.Table.from_batches([results, newer.cast(results.schema)]).combine_chunks()
    place = pc.index_in(pa.arange(0, results.num_rows), value_set=rows.cast(pa.int64()))
    index = pc.if_else(
        pc.is_valid(place), pc.add(place.cast(pa.int64()), results.num_rows), pa.arange(0, results.num_rows)
    )
    return table.take(index).combine_chunks().to_batches()[0]


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in schema], schema=schema)
