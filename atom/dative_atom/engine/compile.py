"""From a process to a plan, once per execution: schemas led from step to step.

A step that does not fit the documents that reach it is found here, before anything is read. How a step is compiled
stands in its shape's own file.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.process.flow_control import Partitions
from dative.process.shapes import RetrySettings, Step

from dative_atom.connectors.base import Ahead
from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.fuse import fuse
from dative_atom.engine.plan import Context, Plan, Shape
from dative_atom.engine.shapes.registry import COMPILERS
from dative_atom.engine.shapes.target import TargetShape
from dative_atom.engine.shapes.try_catch import Try, split
from dative_atom.engine.sources.lanes import compile_lanes


def compile_process(
    steps: Sequence[Step], profile: pa.Schema, context: Context, partitions: Partitions | None = None
) -> Plan:
    """profile: the source's columns. Opens the targets' writers. Raises StopRun engine.compile_failed."""
    schema = pa.schema([pa.field(DOCUMENT, pa.uint64(), nullable=False), *profile])
    shapes = (
        _lanes(steps, schema, context, partitions) if partitions else compile_steps(steps, schema, context, None)[0]
    )
    first = next((index for index, shape in enumerate(shapes) if shape.effect), len(shapes))
    transform, deliver = list(shapes[:first]), list(shapes[first:])
    if deliver and isinstance(deliver[0], Try):
        # What a try does before its first target runs ahead, like everything else that touches no target.
        head, rest = split(deliver[0])
        if head is not None:
            transform.append(head)
            deliver[0] = rest
    return Plan(transform, deliver, context.targets, context.queries, context.running, _ahead(deliver))


def _ahead(deliver: Sequence[Shape]) -> Ahead | None:
    """The writer of the deliver stage's first step, inside its try if it has one."""
    first = deliver[0] if deliver else None
    if isinstance(first, Try) and first.steps:
        first = first.steps[0]
    return first.writer if isinstance(first, TargetShape) and isinstance(first.writer, Ahead) else None


def _lanes(steps: Sequence[Step], schema: pa.Schema, context: Context, partitions: Partitions) -> list[Shape]:
    """Lanes as far as they reach, and the steps behind them."""
    try:
        shapes, count, out = compile_lanes(
            steps, schema, context, partitions, lambda step, arriving: _compile(step, arriving, context, None)
        )
    except duckdb.Error as error:
        why = f"the lanes do not fit the source's documents: {str(error).splitlines()[0]}"
        raise StopRun(why, code=codes.COMPILE_FAILED, where="flow_control") from error
    if out is None:
        return shapes
    return [*shapes, *compile_steps(steps[count:], out, context, None)[0]]


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
    fuse(shapes)
    return shapes, current


def _compile(step: Step, schema: pa.Schema, context: Context, retry: RetrySettings | None) -> Shape:
    compiler = COMPILERS.get(type(step.settings))
    if compiler is None:
        raise StopRun(f"step {step.id}: {step.verb} runs nowhere", code=codes.COMPILE_FAILED, where=f"step {step.id}")
    try:
        return compiler(Arrival(step, schema, context, step.retry or retry, compile_steps))
    except duckdb.Error as error:
        # Binder errors name fields and types of the process, never a value: there is no row yet.
        raise StopRun(
            f"step {step.id} does not fit its documents: {str(error).splitlines()[0]}",
            code=codes.COMPILE_FAILED,
            where=f"step {step.id}",
        ) from error
