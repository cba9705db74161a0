"""Lanes: documents parted by key that go through the same steps at the same time, each lane in a thread of its own.

The lane of a document follows from its key alone, the same on every machine and in every version (`lane_sql`), so that
lanes may later be spread over a molecule: whoever runs lane n gets the same documents. Documents of one key keep their
order, because a lane is led through one unit after the other. Lanes end where the first step writes into a target's
transaction: two transactions of one unit could wait for each other for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId
from dative.process.flow_control import Partitions
from dative.process.shapes import Step, renamed

from dative_atom.engine.arrival import no_rows
from dative_atom.engine.evaluation.database import Session, quoted
from dative_atom.engine.evaluation.expression import Expression
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.plan import Context, Shape
from dative_atom.engine.routing import Flow, merged, run_steps

LANES: Final = StepId("lanes")
CompileStep = Callable[[Step, pa.Schema], Shape]


@dataclass(frozen=True)
class Lane:
    """One lane. Its steps are compiled for it alone; its session belongs to its thread."""

    steps: Sequence[Shape]
    session: Session


@dataclass(frozen=True)
class Lanes:
    """Parts the documents, leads every lane through its steps, and puts together what flows out."""

    query: Query
    lanes: Sequence[Lane]
    schema: pa.Schema | None
    effect: bool
    step: StepId = LANES
    verb: str = "flow_control"
    composite: bool = True
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        lane_of = self.query.evaluate(flow.session, batch).columns[0]
        parts = [batch.filter(pc.equal(lane_of, index)) for index in range(len(self.lanes))]
        flows = [flow.apart(lane.session) for lane in self.lanes]
        span = flow.recorder.current

        def lead(lane: Lane, documents: pa.RecordBatch, own: Flow) -> pa.RecordBatch | None:
            with own.recorder.under(span):
                return run_steps(lane.steps, documents, own)

        with ThreadPoolExecutor(len(self.lanes), thread_name_prefix="dative-lane") as pool:
            out = list(pool.map(lead, self.lanes, parts, flows))
        for own in flows:
            flow.take_in(own)
        return None if self.schema is None else merged(out, self.schema)


def lane_sql(partitions: Partitions) -> str:
    """SQL of the lane, from 0: the MD5 of the key's text, whatever its type, modulo the lanes; NULL is a key as well."""
    texts = (f"coalesce(CAST(b.{quoted(name)} AS VARCHAR), chr(0))" for name in partitions.by)
    key = " || chr(31) || ".join(texts)
    return f"CAST(md5_number_lower({key}) % {partitions.count} AS INTEGER)"


def compile_lanes(
    steps: Sequence[Step], schema: pa.Schema, context: Context, partitions: Partitions, compile_step: CompileStep
) -> tuple[list[Shape], int, pa.Schema | None]:
    """The lanes, how many of the steps they hold, and the columns that flow out of them.

    Further lanes report their steps as `<step>~2`, `<step>~3`; a step that is found to write into a transaction stands
    behind the lanes as the second shape.
    """
    sql = lane_sql(partitions)
    query = Query([("lane", Expression(sql, sql))], context.scope(), context.tables)
    query.types(context.session, no_rows(schema))
    held: list[list[Shape]] = [[] for _ in range(partitions.count)]
    behind: list[Shape] = []
    current: pa.Schema | None = schema
    for step in steps:
        if current is None:
            break
        opened = len(context.targets)
        shape = compile_step(step, current)
        if any(target.writer.transactional for target in context.targets[opened:]):
            behind = [shape]
            break
        for index, lane in enumerate(held):
            lane.append(compile_step(renamed((step,), "", f"~{index + 1}")[0], current) if index else shape)
        current = shape.schema
    if not held[0]:
        return behind, len(behind), behind[0].schema if behind else current
    lanes = [Lane(lane, context.new_session()) for lane in held]
    effect = any(shape.effect for shape in held[0])
    out = [Lanes(query, lanes, current, effect), *behind]
    return out, len(held[0]) + len(behind), behind[0].schema if behind else current
