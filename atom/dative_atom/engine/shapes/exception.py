"""exception: documents that the process itself fails, or an execution that it ends."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import ExceptionSettings
from dative.process.shapes.exception import MESSAGE_CHARACTERS_MAX

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure, Query
from dative_atom.engine.routing import Flow, errors_of

_SILENT = "the process raised an exception"


@dataclass(frozen=True)
class Raised:
    """No document flows on. ends: the execution ends at the first one."""

    step: StepId
    query: Query
    ends: bool
    schema: pa.Schema | None = None
    verb: str = "exception"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> None:
        if batch.num_rows == 0:
            return
        if self.ends:
            first = self._failures(batch.slice(0, 1), flow)[0]
            raise StopRun(f"step {self.step}: {first.reason}", code=codes.RAISED, where=f"step {self.step}")
        flow.fail(errors_of(self.step, batch.column(DOCUMENT), self._failures(batch, flow)))

    def _failures(self, batch: pa.RecordBatch, flow: Flow) -> list[Failure]:
        """One for every document; a message that can not be computed fails its document in its own words."""
        evaluation = self.query.evaluate(flow.session, batch)
        texts = evaluation.columns[0].cast(pa.string()).to_pylist()
        failed = {failure.row: failure for failure in evaluation.failures}
        return [
            failed.get(row) or Failure(row, codes.RAISED.name, (text or _SILENT)[:MESSAGE_CHARACTERS_MAX], "")
            for row, text in enumerate(texts)
        ]


def compile_exception(at: Arrival) -> Raised:
    settings = at.settings(ExceptionSettings)
    query, _ = at.query([("message", settings.message)])
    return Raised(at.id, query, settings.scope == "execution")
