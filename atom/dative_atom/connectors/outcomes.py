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
        self._rows = rows
        self._unchanged: set[int] = set()
        self._code: dict[int, str] = {}
        self._reason: dict[int, str] = {}

    def reject(self, row: int, code: str, reason: str) -> None:
        """reason: a sentence without any value of the document (Invariant 6)."""
        self._code[row], self._reason[row] = code, reason

    def unchanged(self, row: int) -> None:
        self._unchanged.add(row)

    def rejected(self, row: int) -> bool:
        return row in self._code

    @property
    def rejected_rows(self) -> Sequence[int]:
        return sorted(self._code)

    @property
    def standing_rows(self) -> list[int]:
        """The rows that nobody rejected, rising."""
        rows = range(self._rows)
        return [row for row in rows if row not in self._code] if self._code else list(rows)

    def outcomes(self, results: Mapping[str, pa.Array]) -> Outcomes:
        """results: result.* columns, one value per row; a rejected row's are made null."""
        columns = [self._outcomes(), self._told(self._code), self._told(self._reason)]
        fields = list(OUTCOME_FIELDS)
        for name, values in results.items():
            fields.append(pa.field(name, values.type))
            columns.append(self._without_rejected(values))
        return Outcomes(pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)))

    # A batch without exceptions is the usual one: it costs no step per row.

    def _outcomes(self) -> pa.Array:
        if not self._code and not self._unchanged:
            return pa.repeat(pa.scalar(Outcome.APPLIED.value, pa.string()), self._rows)
        found = [Outcome.APPLIED.value] * self._rows
        for row in self._unchanged:
            found[row] = Outcome.UNCHANGED.value
        for row in self._code:
            found[row] = Outcome.REJECTED.value
        return pa.array(found, pa.string())

    def _told(self, by_row: Mapping[int, str]) -> pa.Array:
        return (
            pa.array(map(by_row.get, range(self._rows)), pa.string()) if by_row else pa.nulls(self._rows, pa.string())
        )

    def _without_rejected(self, values: pa.Array) -> pa.Array:
        if not self._code:
            return values
        keep = pa.array([row not in self._code for row in range(len(values))])
        return pc.if_else(keep, values, pa.scalar(None, values.type))
