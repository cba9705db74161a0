"""try/catch: documents that fail in its steps take the catch steps; their neighbours go on.

The catch steps get the documents as they came to the try, with the error columns. A try whose steps begin without a
target is cut in two: `TryHead` runs ahead in the transform stage, `Try` goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId
from dative.process.shapes import TrySettings

from dative_atom.documents.batch import DOCUMENT, ERROR_COLUMNS
from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.plan import Shape
from dative_atom.engine.routing import ERRORS, Caught, Flow, merged, rows_of, run_steps


@dataclass(frozen=True)
class TryHead:
    """The first steps of a try, which touch no target."""

    step: StepId
    steps: Sequence[Shape]
    schema: pa.Schema | None
    verb: str = "try"
    effect: bool = False
    composite: bool = True
    recorded: bool = False

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        caught = Caught(batch)
        flow.open_tries[self.step] = caught
        return _guarded(self.steps, batch, caught, flow)


@dataclass(frozen=True)
class Try:
    """A try, or what is left of it after its head. catch: empty means that failed documents are parked."""

    step: StepId
    steps: Sequence[Shape]
    catch: Sequence[Shape]
    schema: pa.Schema | None
    effect: bool
    verb: str = "try"
    composite: bool = True
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        caught = flow.open_tries.pop(self.step, None) or Caught(batch)
        through = _guarded(self.steps, batch, caught, flow)
        errors = merged(caught.errors, ERRORS)
        rescued = self._caught(errors, caught.entered, flow) if errors.num_rows else None
        return None if self.schema is None else merged((through, rescued), self.schema)

    def _caught(self, errors: pa.RecordBatch, entered: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        if not self.catch:
            flow.fail(errors)
            return None
        documents = as_entered(errors, entered, flow)
        return without_errors(run_steps(self.catch, documents, flow))


def as_entered(errors: pa.RecordBatch, entered: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
    """The failed documents as they came to the try, with why they failed.

    What failed may have been made inside the try: then the document it was made of is caught, once, with the first of
    the reasons, and stands for all its failed parts from here on. Parts that did not fail have gone their way.
    """
    numbers = errors.column(DOCUMENT)
    plain = pc.is_in(numbers, value_set=entered.column(DOCUMENT))
    if pc.all(plain, min_count=0).as_py():
        return with_errors(rows_of(entered, numbers), errors)
    own = errors.filter(plain)
    made = _stand_ins(errors.filter(pc.invert(plain)), entered, flow)
    schema = catch_schema(entered.schema)
    return merged((with_errors(rows_of(entered, own.column(DOCUMENT)), own), made), schema)


def _stand_ins(errors: pa.RecordBatch, entered: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
    """Documents as they came to the try, numbered anew, for those of their parts that failed."""
    children, ancestors = flow.lineage.ancestry(entered.column(DOCUMENT))
    failed = pc.is_in(children, value_set=errors.column(DOCUMENT))
    children, ancestors = children.filter(failed), ancestors.filter(failed)
    whole = pc.unique(ancestors)
    numbers = flow.lineage.join(pc.index_in(ancestors, value_set=whole), children, len(whole))
    first = children.take(pc.index_in(whole, value_set=ancestors))
    reasons = errors.take(pc.index_in(first, value_set=errors.column(DOCUMENT)))
    documents = with_errors(rows_of(entered, whole), reasons)
    return documents.set_column(0, documents.schema.field(0), numbers)


def _guarded(steps: Sequence[Shape], batch: pa.RecordBatch, caught: Caught, flow: Flow) -> pa.RecordBatch | None:
    flow.catching.append(caught)
    try:
        return run_steps(steps, batch, flow)
    finally:
        flow.catching.pop()


def with_errors(batch: pa.RecordBatch, errors: pa.RecordBatch) -> pa.RecordBatch:
    """Documents on the catch route: an inner catch's error columns give way to the newer ones."""
    plain = without_errors(batch)
    assert plain is not None  # noqa: S101  (a batch goes in, so a batch comes out)
    columns = [*plain.columns, *(errors.column(name) for name in ERROR_COLUMNS)]
    return pa.RecordBatch.from_arrays(columns, schema=catch_schema(plain.schema))


def without_errors(batch: pa.RecordBatch | None) -> pa.RecordBatch | None:
    """Documents that leave the catch route are documents like others again."""
    if batch is None:
        return None
    kept = [name for name in batch.schema.names if name not in ERROR_COLUMNS]
    return batch if len(kept) == batch.num_columns else batch.select(kept)


def catch_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of the catch route of a try that is entered with this schema."""
    kept = [item for item in schema if item.name not in ERROR_COLUMNS]
    return pa.schema([*kept, *(ERRORS.field(name) for name in ERROR_COLUMNS)])


def split(shape: Try) -> tuple[TryHead | None, Try]:
    """A head that touches no target, and the rest; no head where the try begins with a target or only its catch has one."""
    count = next((index for index, inner in enumerate(shape.steps) if inner.effect), 0)
    if count == 0:
        return None, shape
    head = TryHead(shape.step, shape.steps[:count], shape.steps[count - 1].schema)
    return head, Try(shape.step, shape.steps[count:], shape.catch, shape.schema, shape.effect)


def compile_try(at: Arrival) -> Try:
    settings = at.settings(TrySettings)
    steps, through = at.steps(settings.steps)
    catch, caught = at.steps(settings.catch, catch_schema(at.schema))
    rescued = None
    if caught is not None and settings.catch:
        left = without_errors(no_rows(caught))
        rescued = left.schema if left is not None else None
    effect = any(shape.effect for shape in (*steps, *catch))
    return Try(at.id, steps, catch, at.together(through, rescued), effect)
