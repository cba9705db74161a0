"""split: makes several documents of each one, one for every part of a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import SplitSettings

from dative_atom.documents.batch import DOCUMENT, ERROR_COLUMNS, payload_fields
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.making.parts import (
    Parser,
    Parts,
    csv_parser,
    failure,
    fixed_parser,
    json_parser,
    list_parser,
    text_parser,
)
from dative_atom.engine.making.xml_parts import xml_parser
from dative_atom.engine.routing import Flow

COPIED_BYTES_MAX = 256 << 20
"""What the other fields of one document may weigh in all its parts together: each part has them."""


@dataclass(frozen=True)
class Split:
    """kept: fields of the document that go with each part. schema: lineage, kept, made, number."""

    step: StepId
    settings: SplitSettings
    parser: Parser
    kept: Sequence[str]
    schema: pa.Schema
    verb: str = "split"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        batch = flow.failures(self.step, batch, self._too_long(batch))
        parts = self.parser(batch.column(self.settings.field), flow.session)
        parts = self._not_copied_too_often(batch, parts)
        whole = flow.failures(self.step, batch, sorted(parts.failures, key=lambda item: item.row))
        parts = self._with_empty(batch, whole, parts, flow)
        numbers = flow.lineage.derive(batch.column(DOCUMENT).take(parts.owners))
        return self._documents(batch, parts, numbers)

    def _too_long(self, batch: pa.RecordBatch) -> list[Failure]:
        """Values over the bound are not even looked at."""
        values = batch.column(self.settings.field)
        if pa.types.is_nested(values.type):
            return []
        sizes = pc.binary_length(values)
        rows = pc.indices_nonzero(pc.fill_null(pc.greater(sizes, self.settings.bytes_max), False)).to_pylist()
        most = self.settings.bytes_max
        return [
            failure(row, codes.TOO_LARGE, f"{sizes[row]} bytes, at most {most} are allowed", self.settings.field)
            for row in rows
        ]

    def _not_copied_too_often(self, batch: pa.RecordBatch, parts: Parts) -> Parts:
        texts = [batch.column(name) for name in self.kept if _has_length(batch.schema.field(name).type)]
        if not texts or not len(parts.owners):
            return parts
        weight = pc.fill_null(pc.binary_length(texts[0]), 0).cast(pa.int64())
        for column in texts[1:]:
            weight = pc.add(weight, pc.fill_null(pc.binary_length(column), 0).cast(pa.int64()))
        if pc.max(weight).as_py() * self.settings.parts_max <= COPIED_BYTES_MAX:
            return parts
        counts = pa.table({"row": parts.owners, "one": parts.owners}).group_by("row").aggregate([("one", "count")])
        rows = counts.column("row").combine_chunks()
        total = pc.multiply(weight.take(rows), counts.column("one_count").combine_chunks())
        over = rows.filter(pc.greater(total, COPIED_BYTES_MAX))
        if not len(over):
            return parts
        reason = f"its other fields would be copied to more than {COPIED_BYTES_MAX} bytes; leave them out: keep none"
        found = [failure(row, codes.TOO_LARGE, reason, self.settings.field) for row in over.to_pylist()]
        kept = pc.invert(pc.is_in(parts.owners, value_set=over))
        columns = [column.filter(kept) for column in parts.columns]
        return Parts(parts.owners.filter(kept), columns, [*parts.failures, *found])

    def _with_empty(self, batch: pa.RecordBatch, whole: pa.RecordBatch, parts: Parts, flow: Flow) -> Parts:
        """Let the documents without parts rest or fail, or give each of them one part of NULLs."""
        split = batch.column(DOCUMENT).take(pc.unique(parts.owners))
        empty = whole.filter(pc.invert(pc.is_in(whole.column(DOCUMENT), value_set=split)))
        if not empty.num_rows:
            return parts
        if self.settings.empty == "keep":
            rows = pc.index_in(empty.column(DOCUMENT), value_set=batch.column(DOCUMENT)).cast(pa.int64())
            return _joined(parts, rows)
        if self.settings.empty == "fail":
            reasons = [failure(row, codes.NO_PARTS, "no part", self.settings.field) for row in range(empty.num_rows)]
            flow.failures(self.step, empty, reasons)
        else:
            flow.filtered.append((self.step, empty.column(DOCUMENT)))
        return parts

    def _documents(self, batch: pa.RecordBatch, parts: Parts, numbers: pa.Array) -> pa.RecordBatch:
        rest = batch.select(list(self.kept)).take(parts.owners).columns if self.kept else []
        columns = [numbers, *rest, *parts.columns]
        if self.settings.number:
            columns.append(_numbers(parts.owners, parts.made))
        cast = [
            column if column.type == item.type else column.cast(item.type)
            for column, item in zip(columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(cast, schema=self.schema)


def _joined(parts: Parts, empty: pa.Array) -> Parts:
    """These parts, and one of NULLs for each of the rows that have none, owners rising."""
    count = len(parts.owners)
    owners = pa.concat_arrays([parts.owners, empty])
    order = pc.sort_indices(owners)
    places = pc.if_else(pc.less(order, count), order, None)
    return Parts(owners.take(order), [column.take(places) for column in parts.columns], made=pc.is_valid(places))


def _numbers(owners: pa.Array, made: pa.Array | None) -> pa.Array:
    """1, 2, … for the parts of each owner. owners: rising. made: NULL for what is no part."""
    first = pc.index_in(owners, value_set=owners)  # the first place of the same owner
    numbers = pc.add(pc.subtract(pa.arange(0, len(owners)), first.cast(pa.int64())), 1)
    return numbers if made is None else pc.if_else(made, numbers, None)


def _has_length(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind))


def compile_split(at: Arrival) -> Split:
    settings = at.settings(SplitSettings)
    if settings.field not in at.schema.names:
        raise at.refused(f"there is no field {settings.field}")
    kind = at.schema.field(settings.field).type
    parser, types = _parser(at, settings, kind)
    made = [*settings.made, *([settings.number] if settings.number else [])]
    types = [*types, *([pa.int64()] if settings.number else [])]
    gone = {name.lower() for name in made}
    rest = payload_fields(at.schema) if settings.keep == "rest" else []
    kept = [name for name in rest if name != settings.field and name.lower() not in gone]
    kept = [*(name for name in at.schema.names if name in ERROR_COLUMNS), *kept]
    lineage = [at.schema.field(DOCUMENT)]
    fields = [pa.field(name, type_) for name, type_ in zip(made, types, strict=True)]
    return Split(
        at.id, settings, parser, kept, pa.schema([*lineage, *(at.schema.field(name) for name in kept), *fields])
    )


def _parser(at: Arrival, settings: SplitSettings, kind: pa.DataType) -> tuple[Parser, list[pa.DataType]]:
    if settings.by == "list":
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            raise at.refused(f"{settings.field} is no list but {kind}")
        return list_parser(settings), _element_types(at, settings, kind.value_type)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise at.refused(f"{settings.field} is no text but {kind}")
    parsers = {"lines": text_parser, "text": text_parser, "json": json_parser, "xml": xml_parser, "csv": csv_parser}
    return parsers.get(settings.by, fixed_parser)(settings), [pa.string()] * len(settings.made)


def _element_types(at: Arrival, settings: SplitSettings, kind: pa.DataType) -> list[pa.DataType]:
    types = [kind] if settings.into else []
    for name in settings.fields.values():
        index = kind.get_field_index(name) if pa.types.is_struct(kind) else -1
        if index < 0:
            raise at.refused(f"the elements of {settings.field} have no {name}")
        types.append(kind.field(index).type)
    return types
