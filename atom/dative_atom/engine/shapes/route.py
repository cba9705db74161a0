"""route: sends each document along the way that the value of an expression names; all flow on together after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId
from dative.process.shapes import RouteSettings

from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.plan import Shape
from dative_atom.engine.routing import Flow, merged, run_steps


@dataclass(frozen=True)
class Route:
    """values: typed as the expression is. of: the way of each value. otherwise: of every other value, and of NULL."""

    step: StepId
    query: Query
    values: pa.Array
    of: pa.Array
    ways: Sequence[Sequence[Shape]]
    otherwise: Sequence[Shape]
    schema: pa.Schema | None
    effect: bool
    verb: str = "route"
    composite: bool = True
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        evaluation = self.query.evaluate(flow.session, batch)
        way = self.of.take(pc.index_in(evaluation.columns[0], value_set=self.values))
        going = flow.failures(self.step, batch, evaluation.failures)
        if going is not batch:
            way = way.take(pc.index_in(going.column(0), value_set=batch.column(0)))
        out = [run_steps(self.otherwise, going.filter(pc.is_null(way)), flow)]
        # Only ways that a document takes are gone, in the order in which they are written.
        for index in sorted(pc.unique(way.drop_null()).to_pylist()):
            taken = going.filter(pc.fill_null(pc.equal(way, index), False))
            out.append(run_steps(self.ways[index], taken, flow))
        return None if self.schema is None else merged(out, self.schema)


def compile_route(at: Arrival) -> Route:
    settings = at.settings(RouteSettings)
    query, (kind,) = at.query([("value", settings.value)])
    values = typed_values(at, settings.routes, kind)
    compiled = [at.steps(steps) for steps in settings.routes.values()]
    otherwise, otherwise_schema = at.steps(settings.default)
    effect = any(shape.effect for steps in (*(steps for steps, _ in compiled), otherwise) for shape in steps)
    schema = at.together(*(schema for _, schema in compiled), otherwise_schema)
    of = pa.arange(0, len(compiled)).cast(pa.int32())
    return Route(at.id, query, values, of, [steps for steps, _ in compiled], otherwise, schema, effect)


def typed_values(at: Arrival, values: Iterable[str], kind: pa.DataType) -> pa.Array:
    """The values as the expression gives them. StopRun when one can not be, or when two are the same."""
    try:
        typed = pa.array(list(values), pa.string()).cast(kind)
    except pa.ArrowException as error:
        raise at.refused(f"one of its values is no {kind}, which the expression gives") from error
    if len(pc.unique(typed)) != len(typed):
        raise at.refused("two of its values are the same value")
    return typed
