"""Documents on their way to a dead-letter queue: as the source gave them, with why they could not go on."""

from __future__ import annotations

from collections.abc import Sequence

from dative.ids import DeadLetterId, StepId

from dative_atom.documents.batch import DOCUMENT, ERROR_CODE, ERROR_FIELD, ERROR_REASON, ERROR_STEP, payload
from dative_atom.documents.json import to_json
from dative_atom.engine.routing import Flow, rows_of
from dative_atom.journal.contract import ParkedDocument


def parked_documents(
    flow: Flow, classified: frozenset[str], tracked: Sequence[str], origins: Sequence[DeadLetterId]
) -> list[ParkedDocument]:
    """What the journal keeps of the flow's parked documents. origins: of a retry, one per source row."""
    first = flow.source.column(DOCUMENT)[0].as_py() if flow.source.num_rows else 0
    documents = []
    for parked in flow.parked:
        rows = to_json(payload(rows_of(flow.source, parked.errors.column(DOCUMENT))))
        for error, row in zip(parked.errors.to_pylist(), rows, strict=True):
            number = error[DOCUMENT]
            documents.append(
                ParkedDocument(
                    document=number,
                    queue=parked.queue,
                    step=StepId(error[ERROR_STEP]),
                    code=error[ERROR_CODE],
                    reason=error[ERROR_REASON],
                    field=error[ERROR_FIELD],
                    payload=row,
                    classified=[name for name in row if name in classified],
                    keys={name: str(row[name]) for name in tracked if row.get(name) is not None},
                    keep_s=parked.keep_s,
                    origin=origins[number - first] if origins else None,
                )
            )
    return documents
