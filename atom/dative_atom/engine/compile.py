"""From a process to a plan, once per execution: one compiler per shape, schemas led from step to step.

A step that does not fit the documents that reach it is found here, before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.shapes import (
    DeadLetterSettings,
    DecideSettings,
    MapSettings,
    MaskSettings,
    OperationSettings,
    RetrySettings,
    Step,
    StopSettings,
    TrySettings,
)

from dative_atom.documents.batch import DOCUMENT, payload_fields
from dative_atom.engine.plan import Context, Plan, Shape, Target
from dative_atom.engine.retry import policy_of
from dative_atom.engine.shapes.dead_letter import DeadLetter
from dative_atom.engine.shapes.decide import Decide
from dative_atom.engine.shapes.map import compile_map
from dative_atom.engine.shapes.mask import compile_mask
from dative_atom.engine.shapes.stop import Stop
from dative_atom.engine.shapes.target import Link, TargetShape
from dative_atom.engine.shapes.try_catch import Try, catch_schema, split, without_errors


def compile_process(steps: Sequence[Step], profile: pa.Schema, context: Context) -> Plan:
    """profile: the source's columns. Opens the targets' writers. Raises StopRun engine.compile_failed."""
    schema = pa.schema([pa.field(DOCUMENT, pa.uint64(), nullable=False), *profile])
    shapes, _ = compile_steps(steps, schema, context, None)
    first = next((index for index, shape in enumerate(shapes) if shape.effect), len(shapes))
    transform, deliver = list(shapes[:first]), list(shapes[first:])
    if deliver and isinstance(deliver[0], Try):
        # What a try does before its first target runs ahead, like everything else that touches no target.
        head, rest = split(deliver[0])
        if head is not None:
            transform.append(head)
            deliver[0] = rest
    return Plan(transform, deliver, context.targets, context.queries)


def compile_steps(
    steps: Sequence[Step], schema: pa.Schema, context: Context, retry: RetrySettings | None
) -> tuple[list[Shape], pa.Schema | None]:
    """The steps' shapes and the columns of what flows out; None when the last of them ends every document."""
    shapes: list[Shape] = []
    current: pa.Schema | None = schema
    for step in steps:
        if current is None:
            break
        shape = _compile(step, current, context, retry)
        shapes.append(shape)
        current = shape.schema
    return shapes, current


@dataclass(frozen=True)
class _Arrival:
    """A step that is compiled, and the columns of the documents that reach it. retry: its own or that of the try around."""

    step: Step
    schema: pa.Schema
    context: Context
    retry: RetrySettings | None


def _compile(step: Step, schema: pa.Schema, context: Context, retry: RetrySettings | None) -> Shape:
    compiler = _COMPILERS.get(type(step.settings))
    if compiler is None:
        raise StopRun(f"step {step.id}: {step.verb} runs nowhere", code=codes.COMPILE_FAILED, where=f"step {step.id}")
    try:
        return compiler(_Arrival(step, schema, context, step.retry or retry))
    except duckdb.Error as error:
        # Binder errors name fields and types of the process, never a value: there is no row yet.
        raise StopRun(
            f"step {step.id} does not fit its documents: {str(error).splitlines()[0]}",
            code=codes.COMPILE_FAILED,
            where=f"step {step.id}",
        ) from error


def _map(at: _Arrival) -> Shape:
    return compile_map(StepId(at.step.id), _settings(at.step, MapSettings), at.schema, at.context)


def _mask(at: _Arrival) -> Shape:
    return compile_mask(StepId(at.step.id), _settings(at.step, MaskSettings), at.schema, at.context)


def _stop(at: _Arrival) -> Shape:
    return Stop(StepId(at.step.id))


def _dead_letter(at: _Arrival) -> Shape:
    settings = _settings(at.step, DeadLetterSettings)
    return DeadLetter(StepId(at.step.id), settings.queue, settings.keep.total_seconds())


def _decide(at: _Arrival) -> Shape:
    settings = _settings(at.step, DecideSettings)
    query = at.context.query([("condition", settings.condition)], f"step {at.step.id}")
    types = query.types(at.context.session, _none(at.schema))
    if not (pa.types.is_boolean(types[0]) or pa.types.is_null(types[0])):
        raise StopRun(
            f"step {at.step.id}: the condition is no boolean", code=codes.COMPILE_FAILED, where=f"step {at.step.id}"
        )
    then, then_schema = compile_steps(settings.then, at.schema, at.context, at.retry)
    otherwise, otherwise_schema = compile_steps(settings.otherwise, at.schema, at.context, at.retry)
    out = _together(at.step, then_schema, otherwise_schema)
    effect = any(shape.effect for shape in (*then, *otherwise))
    return Decide(StepId(at.step.id), query, then, otherwise, out, effect)


def _try(at: _Arrival) -> Shape:
    settings = _settings(at.step, TrySettings)
    steps, through = compile_steps(settings.steps, at.schema, at.context, at.retry)
    catch, caught = compile_steps(settings.catch, catch_schema(at.schema), at.context, at.retry)
    rescued = without_errors(_none(caught)).schema if caught is not None and settings.catch else None  # type: ignore[union-attr]
    effect = any(shape.effect for shape in (*steps, *catch))
    return Try(StepId(at.step.id), steps, catch, _together(at.step, through, rescued), effect)


def _operation(at: _Arrival) -> Shape:
    settings = _settings(at.step, OperationSettings)
    documents = pa.schema([at.schema.field(name) for name in payload_fields(at.schema)])
    writer = at.context.open_writer(at.step, settings, documents)
    at.context.targets.append(Target(StepId(at.step.id), writer, documents))
    timeout_s = at.step.timeout.total_seconds() if at.step.timeout else None
    link = _link(at.step, pa.schema([*at.schema, *writer.result_fields]), at.context)
    return TargetShape(StepId(at.step.id), at.step.verb, writer, policy_of(at.retry, timeout_s), link, at.schema)


def _link(step: Step, schema: pa.Schema, context: Context) -> Link | None:
    if step.link is None:
        return None
    columns = tuple(step.link.columns)
    query = context.query(list(step.link.columns.items()), f"step {step.id}, link")
    query.types(context.session, _none(schema))
    return Link(step.link.xref, columns, context.unique.get(step.link.xref, ()), query)


def _together(step: Step, first: pa.Schema | None, second: pa.Schema | None) -> pa.Schema | None:
    """The columns of documents from two arms that flow on together."""
    if first is None or second is None:
        return first if second is None else second
    if first.equals(second):
        return first
    try:
        return pa.unify_schemas([first, second], promote_options="permissive")
    except pa.ArrowException as error:
        raise StopRun(
            f"step {step.id}: its arms give a field different types: {str(error).splitlines()[0]}",
            code=codes.COMPILE_FAILED,
            where=f"step {step.id}",
        ) from error


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in schema], schema=schema)


def _settings(step: Step, kind: type[Any]) -> Any:
    if not isinstance(step.settings, kind):
        raise StopRun(f"step {step.id}: {step.verb} carries other settings", code=codes.PROCESS_UNREADABLE)
    return step.settings


_COMPILERS: Final[Mapping[type[Any], Callable[[_Arrival], Shape]]] = {
    MapSettings: _map,
    DecideSettings: _decide,
    MaskSettings: _mask,
    TrySettings: _try,
    DeadLetterSettings: _dead_letter,
    StopSettings: _stop,
    OperationSettings: _operation,
}
