"""data_process: operations on the value of a field; `replace` on the column, the others value by value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.datatypes import TEXT
from dative.process.shapes import DataOperation, DataProcessSettings

from dative_atom.documents.packing import Bounds, NotDone, compressed, decoded, decompressed, encoded
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.making.parts import failure
from dative_atom.engine.routing import Flow


@dataclass(frozen=True)
class DataProcess:
    """place: of the result's column."""

    step: StepId
    settings: DataProcessSettings
    schema: pa.Schema
    place: int
    verb: str = "data_process"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        values = batch.column(self.settings.field)
        failed: dict[int, Failure] = {}
        for operation in self.settings.do:
            values = self._done(operation, self._taken(operation, values, failed), failed)
        values = self._bounded(values, failed)
        columns = list(batch.columns)
        if self.place < len(columns):
            columns[self.place] = values
        else:
            columns.append(values)
        made = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        return flow.failures(self.step, made, [failed[row] for row in sorted(failed)])

    def _taken(self, operation: DataOperation, values: pa.Array, failed: dict[int, Failure]) -> pa.Array:
        """The values as the operation takes them, with NULL for those over the bound."""
        values = self._bounded(values, failed)
        kind = pa.string() if operation.takes == TEXT else pa.binary()
        return values if values.type == kind else values.cast(kind)

    def _bounded(self, values: pa.Array, failed: dict[int, Failure]) -> pa.Array:
        over = pc.fill_null(pc.greater(pc.binary_length(values), self.settings.bytes_max), False)
        if not pc.any(over, min_count=0).as_py():
            return values
        for row in pc.indices_nonzero(over).to_pylist():
            self._fail(row, NotDone(codes.TOO_LARGE, f"more than {self.settings.bytes_max} bytes"), failed)
        return pc.if_else(over, pa.scalar(None, values.type), values)

    def _done(self, operation: DataOperation, values: pa.Array, failed: dict[int, Failure]) -> pa.Array:
        if operation.replace is not None:
            return self._replaced(operation, values, failed)
        work = _work(operation, Bounds(self.settings.bytes_max, self.settings.ratio_max))
        made: list[str | bytes | None] = []
        for row, value in enumerate(values.to_pylist()):
            try:
                made.append(None if value is None else work(value))
            except NotDone as wrong:
                self._fail(row, wrong, failed)
                made.append(None)
        return pa.array(made, pa.string() if operation.gives == TEXT else pa.binary())

    def _replaced(self, operation: DataOperation, values: pa.Array, failed: dict[int, Failure]) -> pa.Array:
        wanted = operation.replace
        assert wanted is not None  # noqa: S101  (asked just before)
        # The result's size is known before anything is made: no pattern can blow a value up beyond the bound.
        if wanted.text is not None:
            count = pc.count_substring(values, wanted.text)
        else:
            count = pc.count_substring_regex(values, wanted.pattern)
        groups = wanted.by.count("\\")
        length = pc.binary_length(values).cast(pa.int64())
        most = pc.add(pc.multiply(length, 1 + groups), pc.multiply(count.cast(pa.int64()), len(wanted.by.encode())))
        over = pc.fill_null(pc.greater(most, self.settings.bytes_max * (1 + groups)), False)
        for row in pc.indices_nonzero(over).to_pylist():
            reason = f"replaced, it could be more than {self.settings.bytes_max} bytes"
            self._fail(row, NotDone(codes.TOO_LARGE, reason), failed)
        values = pc.if_else(over, pa.scalar(None, values.type), values)
        if wanted.text is not None:
            return pc.replace_substring(values, wanted.text, wanted.by)
        return pc.replace_substring_regex(values, wanted.pattern, wanted.by)

    def _fail(self, row: int, wrong: NotDone, failed: dict[int, Failure]) -> None:
        failed.setdefault(row, failure(row, wrong.code, wrong.reason, self.settings.field))


def _work(operation: DataOperation, bounds: Bounds) -> Callable[..., str | bytes]:
    """What is done to one value. Raises NotDone."""
    if operation.decode:
        return partial(decoded, operation.decode)
    if operation.encode:
        return partial(encoded, operation.encode)
    if operation.decompress:
        return partial(decompressed, operation.decompress, bounds)
    if operation.compress:
        return partial(compressed, operation.compress)
    charset, errors = (
        operation.to_text or operation.to_bytes or "",
        "strict" if operation.invalid == "error" else "replace",
    )
    return partial(_to_text if operation.to_text else _to_bytes, charset, errors)


def _to_text(charset: str, errors: str, value: bytes) -> str:
    try:
        return value.decode(charset, errors)
    except UnicodeError as error:
        raise NotDone(codes.UNREADABLE, f"these bytes are no {charset}") from error


def _to_bytes(charset: str, errors: str, value: str) -> bytes:
    try:
        return value.encode(charset, errors)
    except UnicodeError as error:
        raise NotDone(codes.UNREADABLE, f"{charset} has no such character") from error


def compile_data_process(at: Arrival) -> DataProcess:
    settings = at.settings(DataProcessSettings)
    index = at.schema.get_field_index(settings.field)
    if index < 0:
        raise at.refused(f"there is no field {settings.field}")
    kind = at.schema.field(index).type
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        raise at.refused(f"{settings.field} is neither text nor bytes but {kind}")
    if pa.types.is_binary(kind) and settings.do[0].takes == TEXT:
        raise at.refused(f"{settings.field} holds bytes: say their character set first, to_text")
    _check_order(at, settings.do)
    _check_patterns(at, settings.do)
    name = settings.into or settings.field
    place = at.schema.get_field_index(name)
    field = pa.field(name, pa.string() if settings.do[-1].gives == TEXT else pa.binary())
    schema = at.schema.set(place, field) if place >= 0 else at.schema.append(field)
    return DataProcess(at.id, settings, schema, place if place >= 0 else len(at.schema))


def _check_order(at: Arrival, operations: Sequence[DataOperation]) -> None:
    for before, after in pairwise(operations):
        if after.takes == TEXT and before.gives != TEXT:
            raise at.refused(f"{after.named[0]} needs text, {before.named[0]} gives bytes")


def _check_patterns(at: Arrival, operations: Sequence[DataOperation]) -> None:
    for operation in operations:
        if operation.replace is not None and operation.replace.pattern is not None:
            try:
                pc.replace_substring_regex(pa.array([""]), operation.replace.pattern, operation.replace.by)
            except pa.ArrowException as error:
                raise at.refused(f"its pattern is no regular expression of RE2: {error}") from error
