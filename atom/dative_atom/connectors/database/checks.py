"""What is wrong with a row before any database is asked: no key, or a number that its column would round.

Whole columns at a time; a row loop runs only over the rows that are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors.base import Code
from dative.errors.database import KEY_MISSING, VALUE_INEXACT, VALUE_INVALID

from dative_atom.connectors.database.session import TargetColumn
from dative_atom.connectors.outcomes import Tally


def reject_bad_rows(rows: pa.RecordBatch, key: Sequence[str], target: Mapping[str, TargetColumn], tally: Tally) -> None:
    """Marks rows with an empty key, and rows whose number has more places than its column keeps."""
    for name in key:
        _reject(rows.column(name).is_null(), KEY_MISSING, f"key column {name} has no value", tally)
    for name, column in target.items():
        scale, values = column.scale, rows.column(name)
        if scale is not None and _may_have_places(values.type, scale):
            changed = pc.not_equal(values, pc.round(values, ndigits=scale))
            _reject(pc.fill_null(changed, False), VALUE_INEXACT, f"column {name} keeps {scale} decimal places", tally)


def reject_unstorable(rows: pa.RecordBatch, tally: Tally) -> None:
    """Marks rows with a NUL character in a text: no database stores it, and a whole COPY fails for it."""
    for name, values in zip(rows.schema.names, rows.columns, strict=True):
        if pa.types.is_string(values.type):
            holds = pc.fill_null(pc.match_substring(values, "\0"), False)
            _reject(holds, VALUE_INVALID, f"column {name} holds a NUL character", tally)


def _may_have_places(kind: pa.DataType, scale: int) -> bool:
    return bool(pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > scale))


def _reject(wrong: pa.Array, code: Code, reason: str, tally: Tally) -> None:
    if pc.any(wrong).as_py():
        for row in pc.indices_nonzero(wrong).to_pylist():
            if not tally.rejected(row):
                tally.reject(row, code.name, reason)
