"""find_changes: lets what is new, changed or gone go on; which is which, `engine.changes` knows, the source."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import changes as codes
from dative.ids import StepId
from dative.process.shapes import FindChangesSettings

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.making.changes import DUPLICATE, UNCHANGED
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class FindChanges:
    """into: the field that says what a document is."""

    step: StepId
    into: str
    key: str
    schema: pa.Schema
    verb: str = "find_changes"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        change = batch.column(self.into)
        wrong = pc.or_(pc.is_null(change), pc.fill_null(pc.equal(change, DUPLICATE), False))
        failures = [self._failure(row, change[row].as_py()) for row in pc.indices_nonzero(wrong).to_pylist()]
        batch = flow.failures(self.step, batch, failures)
        same = pc.equal(batch.column(self.into), UNCHANGED)
        if pc.any(same, min_count=0).as_py():
            flow.filtered.append((self.step, batch.column(DOCUMENT).filter(same)))
            batch = batch.filter(pc.invert(same))
        return batch

    def _failure(self, row: int, change: str | None) -> Failure:
        if change == DUPLICATE:
            return Failure(row, codes.DUPLICATE_KEY.name, f"{self.key} stands already in this snapshot", self.key)
        return Failure(row, codes.NO_KEY.name, f"{self.key} has no value", self.key)


def compile_find_changes(at: Arrival) -> FindChanges:
    settings = at.settings(FindChangesSettings)
    if settings.into not in at.schema.names or at.context.calling is not None:
        raise at.refused("find_changes is the first step of a process whose source is an operation")
    return FindChanges(at.id, settings.into, ", ".join(settings.key), at.schema)
