"""process_call: leads the documents through another process, compiled into this one; what it returns flows on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import process as process_codes
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.datatypes import DataType
from dative.process.shapes import DocumentsSettings, ProcessCallSettings, renamed

from dative_atom.documents.batch import DOCUMENT, ERROR_CODE, ERROR_STEP
from dative_atom.documents.profile import arrow_type
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.database import quoted
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.making.called import inside
from dative_atom.engine.making.running import DOCUMENT_PROPERTY, column_of
from dative_atom.engine.plan import Shape
from dative_atom.engine.routing import ERRORS, KEEP_DEFAULT_S, Caught, Flow, Parked, merged, run_steps
from dative_atom.engine.shapes.map import assembled


@dataclass(frozen=True)
class Entry:
    """Makes the documents what the called process declares: its fields, of its types."""

    step: StepId
    query: Query
    passed: Sequence[str]
    schema: pa.Schema

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        columns = [*(batch.column(name) for name in self.passed), *evaluation.columns]
        made = assembled(columns, self.schema)
        return flow.failures(self.step, made, evaluation.failures)


@dataclass(frozen=True)
class Call:
    """One call. returns: the called process has a `return_documents`. last: its last step, where others come to rest.

    schema: what it returns; of the caller's documents where the call does not wait.
    """

    step: StepId
    process: str
    entry: Entry
    steps: Sequence[Shape]
    last: StepId
    returned: pa.Schema | None
    returns: bool
    schema: pa.Schema | None
    effect: bool
    wait: bool = True
    abort: bool = False
    verb: str = "process_call"
    composite: bool = True
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        if not self.wait:
            self._aside(batch, flow)
            return batch
        if not self.abort:
            return self._through(batch, flow)
        out, errors = self._watched(batch, flow)
        if errors.num_rows:
            first = errors.slice(0, 1).to_pylist()[0]
            raise StopRun(
                f"step {self.step}: {errors.num_rows} documents failed in process {self.process},"
                f" the first at step {first[ERROR_STEP]} ({first[ERROR_CODE]})",
                code=codes.CALL_ABORTED,
                where=f"step {self.step}",
            )
        return out

    def _through(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        out = run_steps(self.steps, self.entry.apply(batch, flow), flow)
        handed = [documents for call, documents in flow.handed_back if call == self.step]
        flow.handed_back[:] = [item for item in flow.handed_back if item[0] != self.step]
        if not self.returns:
            return out
        if out is not None and out.num_rows:
            flow.returned.append((self.last, out.column(DOCUMENT)))
        return None if self.returned is None else merged(handed, self.returned)

    def _watched(self, batch: pa.RecordBatch, flow: Flow) -> tuple[pa.RecordBatch | None, pa.RecordBatch]:
        """What it returns, and what failed in it uncaught, as rows of ERRORS."""
        caught = Caught(batch)
        flow.catching.append(caught)
        try:
            out = self._through(batch, flow)
        finally:
            flow.catching.pop()
        return out, merged(caught.errors, ERRORS)

    def _aside(self, batch: pa.RecordBatch, flow: Flow) -> None:
        """Lead copies through. What becomes of them is theirs: they rest here, and failed ones wait for a person."""
        numbers = flow.lineage.derive(batch.column(DOCUMENT), replaces=False)
        out, errors = self._watched(batch.set_column(0, batch.schema.field(0), numbers), flow)
        if out is not None and out.num_rows:
            flow.returned.append((self.last, out.column(DOCUMENT)))
        if errors.num_rows:
            flow.parked.append(Parked(flow.queue, KEEP_DEFAULT_S, errors))


def compile_process_call(at: Arrival) -> Call:
    settings = at.settings(ProcessCallSettings)
    return compile_call(at, settings.process, at.id, settings.parameters, wait=settings.wait, abort=settings.abort)


def compile_call(
    at: Arrival, process: str, step: StepId, parameters: Mapping[str, str], *, wait: bool = True, abort: bool = False
) -> Call:
    """step: what the called steps are reported under. Opens their targets' writers."""
    called, context = inside(at.context, process, step, parameters)
    spec = called.process.spec
    if not isinstance(spec.source.settings, DocumentsSettings):
        why = f"step {step}: process {process} takes no documents of a caller"
        raise StopRun(why, code=process_codes.NOT_CALLABLE, where=f"step {step}")
    entry = _entry(at, step, process, spec.source.settings)
    shapes, end = at.compile_steps(renamed(spec.steps, f"{step}."), entry.schema, context, None)
    returns = context.calling.returns if context.calling is not None else []
    out = at.together(*returns) if returns else end
    last = StepId(f"{step}.{spec.steps[-1].id}") if spec.steps else step
    effect = any(shape.effect for shape in shapes)
    schema = out if wait else at.schema
    return Call(step, process, entry, shapes, last, out, bool(returns), schema, effect, wait, abort)


def _entry(at: Arrival, step: StepId, process: str, settings: DocumentsSettings) -> Entry:
    outputs = []
    for name, kind in settings.types.items():
        index = at.schema.get_field_index(name)
        if index < 0:
            raise at.refused(f"process {process} needs the field {name}, which the documents do not have")
        outputs.append((name, _typed(name, kind, at.schema.field(index).type)))
    query, types = at.query(outputs)
    fields = [pa.field(name, type_) for (name, _), type_ in zip(outputs, types, strict=True)]
    # Its properties go through with a document, whatever the called process knows of them.
    passed = [name for name in at.schema.names if name == DOCUMENT or name.startswith(column_of(DOCUMENT_PROPERTY))]
    return Entry(step, query, passed, pa.schema([*(at.schema.field(name) for name in passed), *fields]))


_SQL = {"text": "VARCHAR", "integer": "BIGINT", "timestamp": "TIMESTAMPTZ", "binary": "BLOB"}


def _typed(name: str, kind: DataType, arrived: pa.DataType) -> str:
    """SQL of the field as the declared type; a value that is none of it fails its own document."""
    if not kind.known or arrow_type(kind).equals(arrived):
        return quoted(name)
    return f"CAST({quoted(name)} AS {_SQL.get(kind.kind, str(kind))})"
