"""decide: sends each document through one of two arms; both flow on together after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import StepId
from dative.process.shapes import DecideSettings

from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.plan import Shape
from dative_atom.engine.routing import Flow, merged, run_steps


@dataclass(frozen=True)
class Decide:
    """Evaluates its condition; NULL counts as false. An arm without steps lets documents pass as they are."""

    step: StepId
    query: Query
    then: Sequence[Shape]
    otherwise: Sequence[Shape]
    schema: pa.Schema | None
    effect: bool
    verb: str = "decide"
    composite: bool = True
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch | None:
        evaluation = self.query.evaluate(flow.session, batch)
        answers = pc.fill_null(evaluation.columns[0], False)
        going = flow.failures(self.step, batch, evaluation.failures)
        if going is not batch:
            answers = answers.take(pc.index_in(going.column(0), value_set=batch.column(0)))
        yes = run_steps(self.then, going.filter(answers), flow)
        no = run_steps(self.otherwise, going.filter(pc.invert(answers)), flow)
        # Arms come together again in the order of the documents, so that which arm ran first shows nowhere.
        return None if self.schema is None else merged((yes, no), self.schema)


def compile_decide(at: Arrival) -> Decide:
    settings = at.settings(DecideSettings)
    query = at.condition(settings.condition)
    then, then_schema = at.steps(settings.then)
    otherwise, otherwise_schema = at.steps(settings.otherwise)
    effect = any(shape.effect for shape in (*then, *otherwise))
    return Decide(at.id, query, then, otherwise, at.together(then_schema, otherwise_schema), effect)
