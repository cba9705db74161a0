"""Builds the answer of a write: one outcome per document, in the batch's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dative_atom.connectors.base import Outcome, Outcomes

OUTCOME_FIELDS = (
    pa.field("outcome", pa.string(), nullable=False),
    pa.field("code", pa.string()),
    pa.field("reason", pa.string()),
)
RESULT_ID = pa.field("result.id", pa.string())


class Tally:
    """Outcomes while a batch is written. Rows are counted from 0; what nobody spoke of was applied."""

    def __init__(self, rows: int) -> None:
        self._outcome = [Outcome.APPLIED.value] * rows
        self._code: dict[int, str] = {}
        self._reason: dict[int, str] = {}

    def reject(self, row: int, code: str, reason: str) -> None:
        """reason: a sentence without any value of the document (Invariant 6)."""
        self._outcome[row] = Outcome.REJECTED.value
        self._code[row], self._reason[row] = code, reason

    def unchanged(self, row: int) -> None:
        self._outcome[row] = Outcome.UNCHANGED.value

    def rejected(self, row: int) -> bool:
        return self._outcome[row] == Outcome.REJECTED.value

    @property
    def rejected_rows(self) -> Sequence[int]:
        return sorted(self._code)

    def outcomes(self, results: Mapping[str, pa.Array]) -> Outcomes:
        """results: result.* columns, one value per row; a rejected row's are made null."""
        rows = range(len(self._outcome))
        columns = [
            pa.array(self._outcome, pa.string()),
            pa.array([self._code.get(row) for row in rows] if self._code else [None] * len(rows), pa.string()),
            pa.array([self._reason.get(row) for row in rows] if self._code else [None] * len(rows), pa.string()),
        ]
        fields = list(OUTCOME_FIELDS)
        for name, values in results.items():
            fields.append(pa.field(name, values.type))
            columns.append(self._without_rejected(values))
        return Outcomes(pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)))

    def _without_rejected(self, values: pa.Array) -> pa.Array:
        if not self._code:
            return values
        keep = pa.array([row not in self._code for row in range(len(values))])
        return pc.if_else(keep, values, pa.scalar(None, values.type))
