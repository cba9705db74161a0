"""How documents move: through steps, to the catch route, to their rest.

A `Flow` is one batch on its way. It knows which documents failed and who catches them, and where each document came to
rest. Documents are told apart by their DOCUMENT column alone; after every fork rows stand in its order again. What steps
make out of documents (parts, copies) has numbers of its own, and `lineage` knows from whom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId

from dative_atom.documents.batch import (
    DOCUMENT,
    ERROR_CODE,
    ERROR_COLUMNS,
    ERROR_FIELD,
    ERROR_REASON,
    ERROR_STEP,
)
from dative_atom.engine.books.notices import Notices
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.failpoints import reach
from dative_atom.engine.making.derived import Lineage
from dative_atom.engine.making.running import Running
from dative_atom.journal.contract import LinkRows
from dative_atom.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from dative_atom.engine.effects.effects import Effects
    from dative_atom.engine.plan import Shape

KEEP_DEFAULT_S: Final = 30 * 86400.0
ERRORS: Final = pa.schema(
    [
        pa.field(DOCUMENT, pa.uint64(), nullable=False),
        *(pa.field(name, pa.string()) for name in ERROR_COLUMNS),
    ]
)
"""A failed document: its number and why. The document itself is taken from where the catch route begins."""


@dataclass(frozen=True)
class Parked:
    """Documents that came to rest in a dead-letter queue. errors: rows of ERRORS."""

    queue: str
    keep_s: float
    errors: pa.RecordBatch


@dataclass(frozen=True)
class Written:
    """Documents that a target applied or already had. target: their id there, null where it has none."""

    step: StepId
    documents: pa.Array
    target: pa.Array


@dataclass(frozen=True)
class Reached:
    """Documents that came to a target, whatever it said of each: what receipts are made of, one row a document.

    outcome: of `connectors.base.Outcome`; code: of the error, or null; target: their id there, or null.
    """

    step: StepId
    documents: pa.Array
    outcome: pa.Array
    code: pa.Array
    target: pa.Array


@dataclass
class Caught:
    """What a try has at hand: the documents as they came to it, and those that failed since."""

    entered: pa.RecordBatch
    errors: list[pa.RecordBatch] = field(default_factory=list)


Observer = Callable[[StepId, pa.RecordBatch], None]


@dataclass
class Flow:
    """One batch on its way, in one stage of the pipeline.

    batch: its number. source: the documents as the source gave them, numbered. effects: None in the transform stage.
    running: what the execution remembers. notices: what people are told when the batch settles.
    queue: where documents are parked that nothing catches. observe: called with what flows out of every step.
    handed_back: by the step that called a process, what that process returned; emptied by that step.
    """

    batch: int
    source: pa.RecordBatch
    session: Session
    recorder: Recorder
    queue: str
    effects: Effects | None = None
    observe: Observer | None = None
    catching: list[Caught] = field(default_factory=list)
    open_tries: dict[StepId, Caught] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)
    filtered: list[tuple[StepId, pa.Array]] = field(default_factory=list)
    returned: list[tuple[StepId, pa.Array]] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    reached: list[Reached] = field(default_factory=list)
    masked: list[pa.Array] = field(default_factory=list)
    links: list[LinkRows] = field(default_factory=list)
    handed_back: list[tuple[StepId, pa.RecordBatch]] = field(default_factory=list)
    failed: int = 0
    running: Running = field(default_factory=Running)
    notices: list[Notices] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.running.source, self.running.lineage = self.source, self.lineage

    def fork(self, session: Session, effects: Effects, running: Running) -> Flow:
        """This flow for the next stage: what is known so far, in lists of its own, so that a stage can start over."""
        return replace(
            self,
            session=session,
            effects=effects,
            catching=[],
            open_tries={step: Caught(tried.entered, list(tried.errors)) for step, tried in self.open_tries.items()},
            lineage=self.lineage.fork(),
            filtered=list(self.filtered),
            returned=list(self.returned),
            parked=list(self.parked),
            written=list(self.written),
            reached=list(self.reached),
            masked=list(self.masked),
            links=list(self.links),
            handed_back=list(self.handed_back),
            running=running.repeating(self.running, session),
            notices=list(self.notices),
        )

    def apart(self, session: Session) -> Flow:
        """A flow for a thread of its own, with empty books that `take_in` puts with these. Lineage is shared."""
        return Flow(
            self.batch,
            self.source,
            session,
            self.recorder,
            self.queue,
            self.effects,
            self.observe,
            lineage=self.lineage,
            running=self.running,
        )

    def take_in(self, other: Flow) -> None:
        """Put what came to rest in a flow that was apart with what came to rest in this one."""
        self.filtered.extend(other.filtered)
        self.returned.extend(other.returned)
        self.parked.extend(other.parked)
        self.written.extend(other.written)
        self.reached.extend(other.reached)
        self.masked.extend(other.masked)
        self.links.extend(other.links)
        self.handed_back.extend(other.handed_back)
        self.failed += other.failed
        self.notices.extend(other.notices)

    def fail(self, errors: pa.RecordBatch) -> None:
        """These documents (rows of ERRORS) can not go on: to the innermost catch, or parked where there is none.

        Outside any try nothing is lost either: they wait in the queue of the process' name.
        """
        if errors.num_rows == 0:
            return
        self.failed += errors.num_rows
        if self.catching:
            self.catching[-1].errors.append(errors)
        else:
            self.parked.append(Parked(self.queue, KEEP_DEFAULT_S, errors))

    def failures(self, step: StepId, batch: pa.RecordBatch, failures: Sequence[Failure]) -> pa.RecordBatch:
        """Fail these rows of the batch; returns the rows that go on."""
        if not failures:
            return batch
        rows = pa.array([failure.row for failure in failures], pa.int64())
        self.fail(errors_of(step, batch.column(DOCUMENT).take(rows), failures))
        return without(batch, rows)


def errors_of(step: StepId, documents: pa.Array, failures: Sequence[Failure]) -> pa.RecordBatch:
    """Rows of ERRORS for these documents and failures, one each."""
    columns = {
        ERROR_CODE: [failure.code for failure in failures],
        ERROR_REASON: [failure.reason for failure in failures],
        ERROR_FIELD: [failure.field for failure in failures],
        ERROR_STEP: [step] * len(failures),
    }
    arrays = [documents, *(pa.array(columns[name], pa.string()) for name in ERROR_COLUMNS)]
    return pa.RecordBatch.from_arrays(arrays, schema=ERRORS)


def without(batch: pa.RecordBatch, rows: pa.Array) -> pa.RecordBatch:
    """The batch without the rows at these indices."""
    gone = pc.is_in(pa.arange(0, batch.num_rows), value_set=rows)
    return batch.filter(pc.invert(gone))


def run_steps(shapes: Sequence[Shape], batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
    """Lead the batch through the steps. Returns what flows out; None where the last of them ends every document."""
    current: pa.RecordBatch | None = batch
    for shape in shapes:
        if current is None:
            break
        current = run_step(shape, current, flow)
    return current


def run_step(shape: Shape, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
    """Lead the batch through one step, recorded as one span and one line of totals, however many documents it has."""
    # The queries of this flow's thread see what is remembered as it stands for its documents.
    flow.session.running = flow.running
    reach("step.before", shape.step)
    out = _recorded(shape, batch, flow) if shape.recorded else shape.apply(batch, flow)
    reach("step.after", shape.step)
    return out


def _recorded(shape: Shape, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
    failed = flow.failed
    with flow.recorder.step(shape.step, shape.verb, flow.batch, batch.num_rows) as timer:
        out = shape.apply(batch, flow)
        timer.documents_out = out.num_rows if out is not None else 0
        # A try counts only what its own steps could not: they have counted theirs.
        timer.documents_failed = 0 if shape.composite else flow.failed - failed
    if flow.observe is not None and out is not None:
        flow.observe(shape.step, out)
    return out


def rows_of(batch: pa.RecordBatch, documents: pa.Array) -> pa.RecordBatch:
    """The rows of the batch with these document numbers, in their order."""
    return batch.take(pc.index_in(documents, value_set=batch.column(DOCUMENT)))


def merged(batches: Sequence[pa.RecordBatch | None], schema: pa.Schema) -> pa.RecordBatch:
    """Documents that flow on together, in the order of their numbers, columns as the schema says."""
    present = [conformed(batch, schema) for batch in batches if batch is not None and batch.num_rows]
    if not present:
        return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in schema], schema=schema)
    if len(present) == 1:
        return present[0]
    table = pa.Table.from_batches(present, schema).combine_chunks()
    return table.take(pc.sort_indices(table.column(DOCUMENT))).combine_chunks().to_batches()[0]


def conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the columns of the schema: missing ones null, others cast where types were widened."""
    if batch.schema.equals(schema):
        return batch
    columns = []
    for item in schema:
        index = batch.schema.get_field_index(item.name)
        if index < 0:
            columns.append(pa.nulls(batch.num_rows, item.type))
        else:
            column = batch.column(index)
            columns.append(column if column.type == item.type else column.cast(item.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
