"""branch: a copy of each document along every arm; then the documents go on as they came.

Copies are documents of their own (`engine.derived`): what an arm makes of its copy, a split, a stop, a dead letter,
stays with that copy, and the fate of the document is the gravest of all its copies'.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId
from dative.process.shapes import BranchSettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.plan import Shape
from dative_atom.engine.routing import ERRORS, Caught, Flow, merged, run_steps


@dataclass(frozen=True)
class Way:
    """One arm. session: its own connection to the database where arms run at the same time."""

    name: str
    steps: Sequence[Shape]
    session: Session | None


@dataclass(frozen=True)
class Branch:
    """Leads copies along its arms, one after the other or all at once."""

    step: StepId
    ways: Sequence[Way]
    schema: pa.Schema
    effect: bool
    verb: str = "branch"
    composite: bool = True
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        if any(way.session is not None for way in self.ways):
            return self._at_once(batch, flow)
        for way in self.ways:
            copies = self._copies(batch, flow)
            batch = self._without_failed(batch, [(copies, self._lead(way, copies, flow))], flow)
        return batch

    def _at_once(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        """Every arm in a thread of its own, over books of its own: they are put together when all have ended."""
        copies = [self._copies(batch, flow) for _ in self.ways]
        span = flow.recorder.current
        flows = [flow.apart(way.session or flow.session) for way in self.ways]

        def lead(way: Way, documents: pa.RecordBatch, own: Flow) -> pa.RecordBatch:
            with own.recorder.under(span):
                return self._lead(way, documents, own)

        with ThreadPoolExecutor(len(self.ways), thread_name_prefix="dative-arm") as pool:
            errors = list(pool.map(lead, self.ways, copies, flows))
        for own in flows:
            flow.take_in(own)
        return self._without_failed(batch, list(zip(copies, errors, strict=True)), flow)

    def _copies(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        numbers = flow.lineage.derive(batch.column(DOCUMENT), replaces=False)
        return batch.set_column(0, batch.schema.field(0), numbers)

    def _lead(self, way: Way, copies: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        """Lead the copies along an arm; returns what failed there, rows of ERRORS."""
        caught = Caught(copies)
        flow.catching.append(caught)
        try:
            out = run_steps(way.steps, copies, flow)
        finally:
            flow.catching.pop()
        if out is not None and out.num_rows:
            flow.returned.append((self.step, out.column(DOCUMENT)))
        return merged(caught.errors, ERRORS)

    def _without_failed(
        self, batch: pa.RecordBatch, arms: Sequence[tuple[pa.RecordBatch, pa.RecordBatch]], flow: Flow
    ) -> pa.RecordBatch:
        """Fail, as one document each, those of which a copy failed; returns the others."""
        if not any(errors.num_rows for _, errors in arms):
            return batch
        failed = [self._originals(copies, errors, flow) for copies, errors in arms]
        rows = pa.concat_arrays([rows for rows, _ in failed])
        parts = pa.concat_arrays([errors.column(DOCUMENT) for _, errors in failed])
        errors = pa.Table.from_batches([errors for _, errors in failed], ERRORS).combine_chunks().to_batches()[0]
        whole = pc.unique(rows)
        originals = batch.column(DOCUMENT).take(whole)
        # One stand-in for the document and its failed copies: they came to grief together and are caught as one.
        groups = pa.concat_arrays([pa.arange(0, len(whole)), pc.index_in(rows, value_set=whole).cast(pa.int64())])
        stand_ins = flow.lineage.join(groups, pa.concat_arrays([originals, parts]), len(whole))
        first = errors.take(pc.index_in(whole, value_set=rows))
        flow.fail(first.set_column(0, ERRORS.field(0), stand_ins))
        return batch.filter(pc.invert(pc.is_in(batch.column(DOCUMENT), value_set=originals)))

    def _originals(self, copies: pa.RecordBatch, errors: pa.RecordBatch, flow: Flow) -> tuple[pa.Array, pa.RecordBatch]:
        """(row of the batch, error) of what failed: a copy itself, or something that the arm made of it."""
        numbers, copied = errors.column(DOCUMENT), copies.column(DOCUMENT)
        children, ancestors = flow.lineage.ancestry(copied)
        parts = pa.concat_arrays([copied, children])
        owners = pa.concat_arrays([copied, ancestors])
        asked = pc.is_in(parts, value_set=numbers)
        parts, owners = parts.filter(asked), owners.filter(asked)
        # A copy and its original stand in the same row.
        return pc.index_in(owners, value_set=copied).cast(pa.int64()), errors.take(
            pc.index_in(parts, value_set=numbers)
        )


def compile_branch(at: Arrival) -> Branch:
    settings = at.settings(BranchSettings)
    ways = []
    for arm in settings.branches:
        steps, _ = at.steps(arm.steps)
        ways.append(Way(arm.name, steps, at.context.new_session() if settings.parallel else None))
    effect = any(shape.effect for way in ways for shape in way.steps)
    return Branch(at.id, ways, at.schema, effect)
