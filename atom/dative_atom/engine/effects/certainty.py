"""Unknown is a state: what is done when the answer to a write was lost (Invariant 8).

Wait, probe, decide. A document that the target shows was applied and is never sent again. One that the target does not
show within the time that `verify` allows it did not happen, and may be sent again as often as the step's retry says.
Whatever can not be told stays unknown and waits for a person. Nothing here sends anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.errors.base import RetryLater
from dative.errors.connector import UnknownOutcome

from dative_atom.connectors.base import Outcome, Prober
from dative_atom.connectors.outcomes import OUTCOME_FIELDS
from dative_atom.engine.effects.retry import Waits

FIRST_PAUSE_S: Final = 1.0
"""Before the first probe; each further pause is twice as long, to a quarter of the whole time."""
FOUND: Final = "found at the target after its answer was lost"


@dataclass(frozen=True)
class Verify:
    """A step's `verify:` as code. key: fields that find a document. within_s: how long a late commit may take."""

    key: Sequence[str]
    within_s: float


@dataclass(frozen=True)
class Certainty:
    """What a step allows when an answer was lost. repeatable: sending twice leaves the target as once."""

    verify: Verify | None = None
    repeatable: bool = False


UNCERTAIN: Final = Certainty()


class Verdict(NamedTuple):
    """results: outcomes with every document that was found made UNCHANGED. absent: rows that did not happen."""

    results: pa.RecordBatch
    absent: pa.Array


def unknown(rows: int, result_fields: pa.Schema, error: UnknownOutcome) -> pa.RecordBatch:
    """Outcomes of documents of which nobody knows what became."""
    said = (Outcome.UNKNOWN.value, error.code.name, "sent, and the answer was lost")
    columns = [pa.repeat(pa.scalar(value, pa.string()), rows) for value in said]
    columns.extend(pa.nulls(rows, item.type) for item in result_fields)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([*OUTCOME_FIELDS, *result_fields]))


def unknown_rows(results: pa.RecordBatch) -> pa.Array:
    """int64 indices of the documents whose outcome is unknown."""
    return pc.indices_nonzero(pc.equal(results.column("outcome"), Outcome.UNKNOWN.value)).cast(pa.int64())


def find_out(
    writer: Prober, verify: Verify, waits: Waits, documents: pa.RecordBatch, results: pa.RecordBatch
) -> Verdict:
    """Look the unknown documents up until each has been found or `within_s` has passed.

    A probe that fails for a passing reason is a probe that said nothing. StopRun when the execution was cancelled.
    """
    none = pa.array([], pa.int64())
    started_s, pause_s, answered = waits.clock.elapsed_s(), FIRST_PAUSE_S, False
    while True:
        left_s = started_s + verify.within_s - waits.clock.elapsed_s()
        last = left_s <= pause_s
        if waits.wait(max(min(pause_s, left_s), 0.0)):
            raise StopRun("cancelled while the outcome of a write was looked for", code=codes.CANCELLED)
        rows = unknown_rows(results)
        try:
            found = writer.probe(documents.take(rows), verify.key)
            results, answered = _noted(results, rows, found), True
        except RetryLater:
            answered = False
        rows = unknown_rows(results)
        if not len(rows) or last:
            # Only a target that was seen at the very end, when a late commit must have shown, can say "it did not happen".
            return Verdict(results, rows if answered else none)
        pause_s = min(pause_s * 2, max(verify.within_s / 4, FIRST_PAUSE_S))


def _noted(results: pa.RecordBatch, rows: pa.Array, found: pa.RecordBatch) -> pa.RecordBatch:
    """The results with what was found: outcome, no code, the result.* columns that the target shows."""
    seen = found.column("found")
    there = rows.filter(seen)
    if not len(there):
        return results
    shown = found.filter(seen)
    columns = []
    for item in results.schema:
        values = results.column(item.name)
        if item.name == "outcome":
            fresh = pa.repeat(pa.scalar(Outcome.UNCHANGED.value, pa.string()), len(there))
        elif item.name == "code":
            fresh = pa.nulls(len(there), pa.string())
        elif item.name == "reason":
            fresh = pa.repeat(pa.scalar(FOUND, pa.string()), len(there))
        elif item.name in shown.schema.names:
            fresh = shown.column(item.name).cast(item.type)
        else:
            fresh = values.take(there)
        columns.append(placed(values, there, fresh))
    return pa.RecordBatch.from_arrays(columns, schema=results.schema)


def placed(values: pa.Array, rows: pa.Array, fresh: pa.Array) -> pa.Array:
    """The values with those at `rows` replaced by `fresh`, in order."""
    place = pc.index_in(pa.arange(0, len(values)), value_set=rows)
    return pc.if_else(pc.is_valid(place), fresh.take(place), values)
