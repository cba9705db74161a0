"""message: a template filled with the document's values, as one SQL expression over the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.ids import StepId
from dative.process.shapes import MessageSettings
from dative.process.shapes.message import MESSAGE_CHARACTERS_MAX
from dative.process.template import Hole, TemplateError, read_template

from dative_atom.engine.arrival import Arrival, no_rows
from dative_atom.engine.evaluation.database import literal, quoted
from dative_atom.engine.evaluation.expression import Expression, Fallible, Scope
from dative_atom.engine.evaluation.query import Failure, Query
from dative_atom.engine.routing import Flow

_XML_SIGNS: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;"), ("\r", "&#13;"))
_XML_SPACES: Final = (("\n", "&#10;"), ("\t", "&#9;"))
"""An attribute's line ends become spaces for whoever reads it, unless they are written so."""
_NO_XML: Final = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"


@dataclass(frozen=True)
class Message:
    """Puts the text into its field."""

    step: StepId
    query: Query
    into: str
    schema: pa.Schema
    verb: str = "message"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        evaluation = self.query.evaluate(flow.session, batch)
        text = evaluation.columns[0].cast(pa.string())
        failures = {failure.row: failure for failure in evaluation.failures}
        long = pc.fill_null(pc.greater(pc.utf8_length(text), MESSAGE_CHARACTERS_MAX), False)
        reason = f"the text would have more than {MESSAGE_CHARACTERS_MAX:,} characters"
        for row in pc.indices_nonzero(long).to_pylist():
            failures.setdefault(row, Failure(row, codes.MESSAGE_TOO_LONG.name, reason, self.into))
        columns = [text if name == self.into else batch.column(name) for name in self.schema.names]
        made = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        return flow.failures(self.step, made, [failures[row] for row in sorted(failures)])


def compile_message(at: Arrival) -> Message:
    settings, context = at.settings(MessageSettings), at.context
    scope = context.scope()
    try:
        parts = read_template(settings.template, settings.format)
    except TemplateError as error:
        raise at.refused(str(error)) from error
    query = Query([(settings.into, _filled(parts, settings, scope, at.where))], scope, context.tables)
    context.queries.append(query)
    query.types(context.session, no_rows(at.schema))
    made = pa.field(settings.into, pa.string())
    index = at.schema.get_field_index(settings.into)
    return Message(at.id, query, settings.into, at.schema.append(made) if index < 0 else at.schema.set(index, made))


def _filled(parts: Sequence[str | Hole], settings: MessageSettings, scope: Scope, where: str) -> Expression:
    """The whole text as one expression; what can fail in a value can fail in the text."""
    escape = _ESCAPES[settings.format]
    fast, strict = list[str](), list[str]()
    fallibles: list[Fallible] = []
    for part in parts:
        if isinstance(part, str):
            fast.append(literal(part))
            strict.append(literal(part))
            continue
        sql = settings.values.get(part.name) or ".".join(quoted(name) for name in part.name.split("."))
        value = scope.compile(sql, f"{where}, {{{part.name}}}")
        fast.append(escape(value.fast, part.quoted))
        strict.append(escape(value.strict, part.quoted))
        fallibles += value.fallibles
    return Expression(_joined(fast), _joined(strict), tuple(fallibles))


def _joined(texts: Sequence[str]) -> str:
    return f"concat({', '.join(texts)})"


def _text(value: str, _: bool = False) -> str:
    return f"coalesce(CAST({value} AS VARCHAR), '')"


def _json(value: str, inside: bool) -> str:
    if not inside:
        return f"coalesce(CAST(to_json({value}) AS VARCHAR), 'null')"
    text = f"CAST(to_json(CAST({value} AS VARCHAR)) AS VARCHAR)"
    return f"coalesce(substring({text}, 2, length({text}) - 2), '')"


def _csv(value: str, inside: bool) -> str:
    text = _text(value)
    doubled = f"replace({text}, '\"', '\"\"')"
    if inside:
        return doubled
    needs = f"regexp_matches({text}, '[\",;\\t\\r\\n]|^ | $')"
    return f"CASE WHEN {needs} THEN concat('\"', {doubled}, '\"') ELSE {text} END"


def _xml(value: str, inside: bool) -> str:
    text = f"regexp_replace({_text(value)}, {literal(_NO_XML)}, '\ufffd', 'g')"
    for sign, escaped in (*_XML_SIGNS, *(_XML_SPACES if inside else ())):
        text = f"replace({text}, {literal(sign)}, {literal(escaped)})"
    return text


_ESCAPES: Final[dict[str, Callable[[str, bool], str]]] = {"text": _text, "json": _json, "csv": _csv, "xml": _xml}
