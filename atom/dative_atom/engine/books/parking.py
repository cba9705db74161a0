"""Documents on their way to a dead-letter queue: as the source gave them, with why they could not go on."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from dative.ids import DeadLetterId, StepId

from dative_atom.documents.batch import DOCUMENT, ERROR_CODE, ERROR_FIELD, ERROR_REASON, ERROR_STEP, payload
from dative_atom.documents.json import described, to_json
from dative_atom.engine.routing import Flow, Parked, rows_of
from dative_atom.journal.contract import ParkedDocument, Profile

_ERRORS = (DOCUMENT, ERROR_STEP, ERROR_CODE, ERROR_REASON, ERROR_FIELD)


def parked_documents(
    flow: Flow, classified: Container[str], tracked: Sequence[str], origins: Sequence[DeadLetterId]
) -> list[ParkedDocument]:
    """What the journal keeps of the flow's parked documents. origins: of a retry, one per source row."""
    first = flow.source.column(DOCUMENT)[0].as_py() if flow.source.num_rows else 0
    secret = [name for name in flow.source.schema.names if name in classified]
    documents = []
    for parked in _of_sources(flow):
        numbers, *errors = (parked.errors.column(name).to_pylist() for name in _ERRORS)
        rows = to_json(payload(rows_of(flow.source, parked.errors.column(DOCUMENT))))
        for number, step, code, reason, named, row in zip(numbers, *errors, rows, strict=True):
            documents.append(
                ParkedDocument(
                    document=number,
                    queue=parked.queue,
                    step=StepId(step),
                    code=code,
                    reason=reason,
                    field=named,
                    payload=row,
                    classified=[name for name in secret if name in row],
                    keys={name: str(row[name]) for name in tracked if row.get(name) is not None},
                    keep_s=parked.keep_s,
                    origin=origins[number - first] if origins else None,
                )
            )
    return documents


def _of_sources(flow: Flow) -> list[Parked]:
    """What is parked, by documents of the source: what was made of one waits as the one document it was made of.

    A document of which several parts are parked waits once, for the first of the reasons.
    """
    if not flow.lineage.derivations:
        return flow.parked
    waiting = pa.concat_arrays(
        [parked.errors.column(DOCUMENT) for parked in flow.parked] or [pa.array([], pa.uint64())]
    )
    children, ancestors = flow.lineage.ancestry(flow.source.column(DOCUMENT))
    asked = pc.is_in(children, value_set=waiting)
    children, ancestors = children.filter(asked), ancestors.filter(asked)
    origins_of: dict[int, list[int]] = {}
    for child, origin in zip(children.to_pylist(), ancestors.to_pylist(), strict=True):
        origins_of.setdefault(child, []).append(origin)
    told: set[int] = set()
    found = []
    for parked in flow.parked:
        rows = []
        for row, number in enumerate(parked.errors.column(DOCUMENT).to_pylist()):
            for origin in origins_of.get(number, (number,)):
                if origin not in told:
                    told.add(origin)
                    rows.append((row, origin))
        found.append(_renumbered(parked, rows))
    return found


def _renumbered(parked: Parked, rows: Sequence[tuple[int, int]]) -> Parked:
    errors = parked.errors.take(pa.array([row for row, _ in rows], pa.int64()))
    numbers = pa.array([number for _, number in rows], pa.uint64())
    renumbered = errors.set_column(0, errors.schema.field(0), numbers)
    return replace(parked, errors=renumbered)


def profile_of(documents: pa.RecordBatch) -> Profile:
    """What the source says of its documents, kept beside the parked ones so that an edit of one can be checked."""
    schema = payload(documents).schema.remove_metadata()
    return Profile({item.name: described(item.type) for item in schema}, schema.serialize().to_pybytes())
