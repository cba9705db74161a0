"""notify: what people are told about documents, kept with their batch and told when it settles."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from dative.ids import StepId
from dative.process.shapes import NotifySettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.books.notices import Notices
from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.routing import Flow, without


@dataclass(frozen=True)
class Notify:
    """Documents whose title or text can not be computed take the catch route, and nothing is told of them."""

    step: StepId
    level: str
    query: Query
    schema: pa.Schema
    verb: str = "notify"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        told = pa.RecordBatch.from_arrays(
            [batch.column(DOCUMENT), *(column.cast(pa.string()) for column in evaluation.columns)],
            names=[DOCUMENT, "title", "text"],
        )
        if evaluation.failures:
            told = without(told, pa.array([failure.row for failure in evaluation.failures], pa.int64()))
        if told.num_rows:
            flow.notices.append(Notices(self.step, self.level, told))
        return flow.failures(self.step, batch, evaluation.failures)


def compile_notify(at: Arrival) -> Notify:
    settings = at.settings(NotifySettings)
    query, _ = at.query([("title", settings.title), ("text", settings.text)])
    return Notify(at.id, settings.level, query, at.schema)
