"""return_documents: hands the documents that reach it to the process that called this one."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from dative.ids import StepId

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class ReturnDocuments:
    """call: the step that called this process, empty where nobody did: then the documents come to rest here."""

    step: StepId
    call: StepId
    schema: pa.Schema | None = None
    verb: str = "return_documents"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> None:
        if not batch.num_rows:
            return
        if self.call:
            flow.handed_back.append((self.call, batch))
        else:
            flow.returned.append((self.step, batch.column(DOCUMENT)))


def compile_return_documents(at: Arrival) -> ReturnDocuments:
    calling = at.context.calling
    if calling is not None:
        calling.returns.append(at.schema)
    return ReturnDocuments(at.id, calling.step if calling is not None else StepId(""))
