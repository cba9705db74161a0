"""Fields inside fields: lists taken apart into items, computed as any batch is, and put together again.

The items of a batch's lists are a batch themselves: one row an item, the fields of its document beside its own. So an
expression over items is the same query, with the same lookups and the same care for bad values, at the same speed; an
item that fails fails its document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.process.shapes import NestedField

from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.evaluation.query import Evaluation, Failure, Query
from dative_atom.engine.evaluation.sets import PARENT


class MakeQuery(Protocol):
    """A query of (field, SQL) pairs over documents of these columns. each: they are the items of lists."""

    def __call__(self, outputs: Sequence[tuple[str, str]], schema: pa.Schema, *, each: bool) -> Query: ...


@dataclass(frozen=True)
class Made:
    """Named fields over one kind of batch. plain: those that are expressions, computed together by the query."""

    names: tuple[str, ...]
    plain: tuple[str, ...]
    query: Query | None
    nested: Mapping[str, Nested]

    def evaluate(self, session: Session, batch: pa.RecordBatch) -> Evaluation:
        """One column a name, in order; at most one failure a row, rows rising."""
        columns: dict[str, pa.Array] = {}
        failures: dict[int, Failure] = {}
        if self.query is not None:
            found = self.query.evaluate(session, batch)
            columns = dict(zip(self.plain, found.columns, strict=True))
            failures = {failure.row: failure for failure in found.failures}
        for name, nested in self.nested.items():
            columns[name], more = nested.evaluate(session, batch)
            for failure in more:
                told = Failure(failure.row, failure.code, failure.reason, f"{name}.{failure.field}")
                failures.setdefault(failure.row, told)
        return Evaluation([columns[name] for name in self.names], [failures[row] for row in sorted(failures)])


@dataclass(frozen=True)
class Nested:
    """A struct of fields, or with `each` a list of them."""

    fields: Made
    each: Items | None

    def evaluate(self, session: Session, batch: pa.RecordBatch) -> tuple[pa.Array, list[Failure]]:
        if self.each is None:
            found = self.fields.evaluate(session, batch)
            return _struct(self.fields.names, found.columns, batch.num_rows), found.failures
        lists = self.each.lists(batch)
        items, parents = self.each.items(batch, lists)
        found = self.fields.evaluate(session, items)
        offsets, missing = _offsets(lists)
        made = pa.ListArray.from_arrays(
            offsets,
            _struct(self.fields.names, found.columns, items.num_rows),
            mask=missing if lists.null_count else None,
        )
        places = [(failure, parents[failure.row].as_py()) for failure in found.failures]
        first = [(parent, failure.row - offsets[parent].as_py() + 1, failure) for failure, parent in places]
        return made, [
            Failure(parent, failure.code, f"item {number}: {failure.reason}", failure.field)
            for parent, number, failure in first
        ]


@dataclass(frozen=True)
class Items:
    """The items of a list as a batch. path: where the list stands. name: what an item is called. schema: of the items."""

    path: tuple[str, ...]
    name: str
    schema: pa.Schema

    def lists(self, batch: pa.RecordBatch) -> pa.ListArray:
        column = batch.column(self.path[0])
        for part in self.path[1:]:
            column = pc.struct_field(column, part)
        return column if pa.types.is_list(column.type) else column.cast(pa.list_(column.type.value_type))

    def items(self, batch: pa.RecordBatch, lists: pa.ListArray) -> tuple[pa.RecordBatch, pa.Array]:
        """The items, and for each the row of its document."""
        parents = pc.list_parent_indices(lists)
        values = pc.list_flatten(lists)
        # What a query does not read is not copied: DuckDB is shown the columns that it needs.
        columns: dict[str, pa.Array] = {DOCUMENT: pa.arange(0, len(values)).cast(pa.uint64())}
        columns[PARENT] = parents.cast(pa.int64())
        columns.update(item_columns(self.name, values))
        for name in self.schema.names:
            if name not in columns:
                columns[name] = batch.column(name).take(parents)
        arrays = [columns[item.name].cast(item.type) for item in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), parents


def item_columns(name: str, values: pa.Array) -> dict[str, pa.Array]:
    """The columns of items: their fields under dotted names, and a list or struct or plain value as it is."""
    if not pa.types.is_struct(values.type):
        return {name: values}
    return {f"{name}.{field_.name}": pc.struct_field(values, field_.name) for field_ in values.type}


def compile_fields(
    wanted: Mapping[str, str | NestedField], schema: pa.Schema, make: MakeQuery, *, each: bool = False, where: str
) -> Made:
    """The fields as they can be computed. schema: of the documents, or of the items. StopRun engine.compile_failed."""
    plain = {name: written for name, written in wanted.items() if isinstance(written, str)}
    nested = {
        name: _nested(written, schema, make, each=each, where=f"{where}, field {name}")
        for name, written in wanted.items()
        if isinstance(written, NestedField)
    }
    query = make(list(plain.items()), schema, each=each) if plain else None
    return Made(tuple(wanted), tuple(plain), query, nested)


def _nested(written: NestedField, schema: pa.Schema, make: MakeQuery, *, each: bool, where: str) -> Nested:
    if written.each is None:
        return Nested(compile_fields(written.fields, schema, make, each=each, where=where), None)
    path, kind = list_at(written.each, schema, where)
    made = compile_items(written, schema, kind)
    items = Items(path, written.item, made)
    return Nested(compile_fields(written.fields, made, make, each=True, where=where), items)


def compile_items(written: NestedField, schema: pa.Schema, kind: pa.DataType) -> pa.Schema:
    """The columns of the items: those that the expressions below read."""
    own = {name: column.type for name, column in item_columns(written.item, pa.array([], kind.value_type)).items()}
    read = frozenset(_names(written))
    found = [pa.field(DOCUMENT, pa.uint64(), nullable=False), pa.field(PARENT, pa.int64())]
    found += [pa.field(name, type_) for name, type_ in own.items()]
    # Names are compared as the database does, and a path names the column it begins with.
    return pa.schema(
        [
            *found,
            *(
                item
                for item in schema
                if item.name not in (DOCUMENT, PARENT, *own) and _is_read(item.name.lower(), read)
            ),
        ]
    )


def _names(written: NestedField) -> list[str]:
    """Every text below: what is not named in any of them is not read."""
    texts: list[str] = []
    for inner in written.fields.values():
        if isinstance(inner, str):
            texts.append(inner.lower())
        else:
            texts += [*_names(inner), (inner.each or "").lower()]
    return texts


def _is_read(name: str, texts: frozenset[str]) -> bool:
    return any(name in text for text in texts)


def list_at(name: str, schema: pa.Schema, where: str) -> tuple[tuple[str, ...], pa.DataType]:
    """Where a list stands, as the path into a column, and its type. StopRun engine.compile_failed when there is none."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        column = schema.get_field_index(".".join(parts[:length]))
        if column < 0:
            continue
        kind, path = schema.field(column).type, (schema.field(column).name, *parts[length:])
        for part in parts[length:]:
            index = kind.get_field_index(part) if pa.types.is_struct(kind) else -1
            kind = kind.field(index).type if index >= 0 else pa.null()
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return path, kind
    raise StopRun(f"{where}: the documents have no list {name}", code=codes.COMPILE_FAILED, where=where)


def _struct(names: Sequence[str], columns: Sequence[pa.Array], rows: int) -> pa.StructArray:
    if not rows:
        return pa.array(
            [], pa.struct([pa.field(name, column.type) for name, column in zip(names, columns, strict=True)])
        )
    return pa.StructArray.from_arrays(list(columns), names=list(names))


def _offsets(lists: pa.ListArray) -> tuple[pa.Array, pa.Array]:
    """Where the items of each list begin among those of all, and which lists are none."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).cast(pa.int32())
    ends = pc.cumulative_sum(lengths) if len(lengths) else lengths
    return pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())]), pc.is_null(lists)
