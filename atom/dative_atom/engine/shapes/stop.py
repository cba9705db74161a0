"""stop: ends the documents that reach it; they count as filtered, or as written when a target had them before."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from dative.ids import StepId
from dative.process.shapes import StopSettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class Stop:
    """The end of an arm. ends: of the execution too, once this batch has settled."""

    step: StepId
    ends: bool = False
    schema: pa.Schema | None = None
    verb: str = "stop"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> None:
        if batch.num_rows:
            flow.filtered.append((self.step, batch.column(DOCUMENT)))
            flow.running.ends = flow.running.ends or self.ends


def compile_stop(at: Arrival) -> Stop:
    return Stop(at.id, at.settings(StopSettings).scope == "execution")
