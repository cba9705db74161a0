"""dead_letter: parks the documents that reach it for a person; they come to rest here."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import engine as codes
from dative.ids import StepId
from dative.process.shapes import DeadLetterSettings

from dative_atom.documents.batch import DOCUMENT, ERROR_CODE, ERROR_COLUMNS, ERROR_STEP
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.routing import ERRORS, Flow, Parked


@dataclass(frozen=True)
class DeadLetter:
    """queue: its name; keep_s: how long a document waits for a person before it expires."""

    step: StepId
    queue: str
    keep_s: float
    schema: pa.Schema | None = None
    verb: str = "dead_letter"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> None:
        if batch.num_rows:
            flow.parked.append(Parked(self.queue, self.keep_s, self._errors(batch)))

    def _errors(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if ERROR_CODE in batch.schema.names:
            return batch.select(ERRORS.names)
        # Outside a catch route the process itself sent them here.
        said = {ERROR_CODE: codes.SENT_TO_QUEUE.name, ERROR_STEP: self.step}
        columns = [pa.repeat(pa.scalar(said.get(name, ""), pa.string()), batch.num_rows) for name in ERROR_COLUMNS]
        return pa.RecordBatch.from_arrays([pc.cast(batch.column(DOCUMENT), pa.uint64()), *columns], schema=ERRORS)


def compile_dead_letter(at: Arrival) -> DeadLetter:
    settings = at.settings(DeadLetterSettings)
    return DeadLetter(at.id, settings.queue, settings.keep.total_seconds())
