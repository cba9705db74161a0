"""combine: makes one document of several of a unit, in one query over its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import CombineSettings, parse_total

from dative_atom.documents.batch import DOCUMENT, payload_fields
from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.evaluation.database import literal, quoted
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.making.parts import failure
from dative_atom.engine.routing import Flow

_MEMBERS = "_members"
_WEIGHT = "_weight"
_NOT_XML = r"[\x01-\x08\x0B\x0C\x0E-\x1F]"
_GROWTH = {"json": 6, "xml": 6, "csv": 2}
"""How many times longer a text can become by the escapes of a form."""


@dataclass(frozen=True)
class Combine:
    """sql: one row a group, in the order of its first document. weigh: SQL of each group's bytes before it is made."""

    step: StepId
    settings: CombineSettings
    sql: str
    weigh: str
    too_long: str | None
    schema: pa.Schema
    verb: str = "combine"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        if not batch.num_rows:
            return no_rows(self.schema)
        batch = flow.failures(self.step, batch, self._lossy(batch, flow))
        batch = flow.failures(self.step, batch, self._unbounded(batch, flow))
        made = flow.session.query(self.sql, batch)
        members = made.column(_MEMBERS)
        groups, parents = pc.list_parent_indices(members), pc.list_flatten(members)
        numbers = flow.lineage.join(groups, parents, made.num_rows)
        columns = [numbers]
        for item in list(self.schema)[1:]:
            column = made.column(item.name)
            columns.append(column if column.type == item.type else column.cast(item.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _lossy(self, batch: pa.RecordBatch, flow: Flow) -> list[Failure]:
        """Values that their width would cut."""
        if self.too_long is None:
            return []
        rows = flow.session.query(self.too_long, batch).column(DOCUMENT)
        found = pc.index_in(rows, value_set=batch.column(DOCUMENT)).to_pylist()
        reason = "a value is longer than its width"
        return [failure(row, codes.TOO_LARGE, reason, self.settings.into or "") for row in sorted(found)]

    def _unbounded(self, batch: pa.RecordBatch, flow: Flow) -> list[Failure]:
        """Every document of a group that would become too large: known before anything is put together."""
        groups = flow.session.query(self.weigh, batch)
        most = self.settings
        sizes, weights = pc.list_value_length(groups.column(_MEMBERS)), groups.column(_WEIGHT)
        over = pc.or_(pc.greater(sizes, most.documents_max), pc.greater(pc.fill_null(weights, 0), most.bytes_max))
        if not pc.any(over, min_count=0).as_py():
            return []
        numbers = pc.list_flatten(groups.column(_MEMBERS).filter(over))
        rows = pc.index_in(numbers, value_set=batch.column(DOCUMENT)).to_pylist()
        reason = f"together they are more than {most.documents_max} documents or {most.bytes_max} bytes"
        return [failure(row, codes.TOO_LARGE, reason, most.into or next(iter(most.totals))) for row in sorted(rows)]


def compile_combine(at: Arrival) -> Combine:
    settings, document = at.settings(CombineSettings), f"b.{quoted(DOCUMENT)}"
    names = payload_fields(at.schema)
    for name in (*settings.by, *settings.fields, *settings.widths):
        if name not in names:
            raise at.refused(f"there is no field {name}")
    inside = settings.fields or tuple(settings.widths) or tuple(name for name in names if name not in settings.by)
    keys = [f"b.{quoted(name)}" for name in settings.by]
    members = f"list({document} ORDER BY {document}) AS {_MEMBERS}"
    values = [*zip(settings.by, keys, strict=True), *_totals(settings, document)]
    if settings.into:
        values.append((settings.into, _whole(settings, inside, document)))
    selected = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in values)
    # Without keys there is one group of all documents; a constant would be read as a column's place.
    group = f"GROUP BY {', '.join(keys)}" if keys else "HAVING count(*) > 0"
    end = f"FROM batch b {group} ORDER BY min({document})"
    sql = f"SELECT {members}, {selected} {end}"
    weigh = f"SELECT {members}, CAST(sum({_weight(settings, inside)}) AS BIGINT) AS {_WEIGHT} {end}"
    too_long = _too_long(settings) if settings.widths else None
    typed = at.context.session.query(sql, no_rows(at.schema))
    at.context.session.query(weigh, no_rows(at.schema))
    fields = [typed.schema.field(name).with_nullable(True) for name, _ in values]
    return Combine(at.id, settings, sql, weigh, too_long, pa.schema([at.schema.field(DOCUMENT), *fields]))


def _weight(settings: CombineSettings, inside: Sequence[str]) -> str:
    """SQL of the bytes that a document can take in its group's value."""
    if not settings.into:
        return "0"
    if settings.widths:
        return str(4 * sum(settings.widths.values()) + 1)
    growth = _GROWTH.get(settings.form, 1)
    each = (
        f"{growth} * coalesce(strlen(CAST(b.{quoted(name)} AS VARCHAR)), 0) + {2 * len(name) + 8}" for name in inside
    )
    return " + ".join(each) or "0"


def _totals(settings: CombineSettings, document: str) -> list[tuple[str, str]]:
    found = []
    for name, text in settings.totals.items():
        total = parse_total(text)
        field = f"b.{quoted(total.field)}"
        if total.kind == "count":
            sql = "count(*)"
        elif total.kind in ("first", "last"):
            # Of the first document, not the first value that is there.
            order = "ASC" if total.kind == "first" else "DESC"
            sql = f"list({field} ORDER BY {document} {order})[1]"
        else:
            sql = f"{total.kind}({field})"
        found.append((name, sql))
    return found


def _whole(settings: CombineSettings, inside: Sequence[str], document: str) -> str:
    """SQL of the documents of a group as one value."""
    each = ", ".join(f"{quoted(name)} := b.{quoted(name)}" for name in inside)
    if settings.form == "list":
        return f"list(struct_pack({each}) ORDER BY {document})"
    if settings.form == "json":
        return f"CAST(to_json(list(struct_pack({each}) ORDER BY {document})) AS VARCHAR)"
    between = literal((settings.separator or "\n") if settings.form == "text" else "\n")
    lines = f"string_agg({_line(settings, inside)}, {between} ORDER BY {document})"
    if settings.form == "csv" and settings.header:
        head = (settings.separator or ",").join(_csv_name(name, settings.separator or ",") for name in inside)
        return f"{literal(head)} || chr(10) || {lines} || chr(10)"
    if settings.form == "xml":
        return f"{literal(f'<{settings.root}>')} || chr(10) || {lines} || chr(10) || {literal(f'</{settings.root}>')}"
    return lines if settings.form == "text" else f"{lines} || chr(10)"


def _line(settings: CombineSettings, inside: Sequence[str]) -> str:
    """SQL of one document."""
    texts = {name: f"coalesce(CAST(b.{quoted(name)} AS VARCHAR), '')" for name in inside}
    if settings.form == "text":
        return texts[inside[0]]
    if settings.form == "fixed":
        return " || ".join(f"rpad({text}, {settings.widths[name]}, ' ')" for name, text in texts.items())
    if settings.form == "csv":
        separator = settings.separator or ","
        return f" || {literal(separator)} || ".join(_csv_value(text, separator) for text in texts.values())
    parts = []
    for name, text in texts.items():
        element = _xml_name(name)
        parts.append(f"{literal(f'<{element}>')} || {_escaped(text)} || {literal(f'</{element}>')}")
    return f"{literal(f'<{settings.element}>')} || {' || '.join(parts)} || {literal(f'</{settings.element}>')}"


def _csv_value(text: str, separator: str) -> str:
    signs = (literal('"'), "chr(10)", "chr(13)", literal(separator))
    special = " OR ".join(f"contains({text}, {sign})" for sign in signs)
    quote, twice = literal('"'), literal('""')
    return f"CASE WHEN {special} THEN {quote} || replace({text}, {quote}, {twice}) || {quote} ELSE {text} END"


def _csv_name(name: str, separator: str) -> str:
    plain = not any(sign in name for sign in ('"', "\n", "\r", separator))
    return name if plain else '"' + name.replace('"', '""') + '"'


def _xml_name(name: str) -> str:
    """The field's name as an element's: signs that none may have become _."""
    clean = "".join(sign if sign.isalnum() or sign in "_-." else "_" for sign in name)
    return clean if clean[:1].isalpha() or clean[:1] == "_" else f"_{clean}"


def _escaped(text: str) -> str:
    # Control characters have no form in XML 1.0, escaped neither; the replacement character says that one was there.
    clean = f"regexp_replace({text}, {literal(_NOT_XML)}, chr(65533), 'g')"
    return f"replace(replace(replace({clean}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"


def _too_long(settings: CombineSettings) -> str:
    over = " OR ".join(
        f"length(CAST(b.{quoted(name)} AS VARCHAR)) > {width} OR contains(CAST(b.{quoted(name)} AS VARCHAR), chr(10))"
        for name, width in settings.widths.items()
    )
    return f"SELECT b.{quoted(DOCUMENT)} FROM batch b WHERE {over}"
