"""message: makes a text out of a template with the document's fields in it, each escaped for where it stands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal
from xml.parsers import expat

from pydantic import Field

from dative.errors import process as codes
from dative.process.datatypes import TEXT
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName, Sql
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step
from dative.process.template import FORMATS, Format, Hole, TemplateError, read_template

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

TEMPLATE_CHARACTERS_MAX = 20_000
MESSAGE_CHARACTERS_MAX = 1_000_000
VALUES_MAX = 50


class MessageSettings(ShapeSettings):
    """Makes a text out of a template: `{Name}` stands for the field, or for the value of that name in `values`.

    A value is escaped for the place where it stands: in JSON, a hole between quotes becomes the inside of a text and a
    bare one a whole JSON value (number, text, `true`, `null`); in CSV, a bare one is quoted where it must be; in XML,
    `< > & " '` are escaped and characters that XML has not become `\\uFFFD`. A NULL is nothing, or `null` in bare JSON.
    `{{Name}}` is the text `{Name}`; every other brace is itself. There is nothing else in a template: conditions and
    loops belong into expressions and `split`.
    """

    shape: Literal["message"] = "message"
    into: FieldName = Field(description="The field that gets the text.")
    template: Annotated[str, Field(min_length=1, max_length=TEMPLATE_CHARACTERS_MAX)] = Field(
        description="The text with its holes; at most 20,000 characters. The result has at most 1,000,000."
    )
    format: Format = Field("text", description="How values are escaped.")
    values: dict[FieldName, Sql] = Field(
        default_factory=dict, max_length=VALUES_MAX, description="Name: SQL expression, for holes that are no field."
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        made = {name: check.value(sql, (*here, "values", name), fields) for name, sql in self.values.items()}
        if self.into.startswith("_"):
            message = f'"{self.into}" can not be a field: it begins with _'
            check.report.value(codes.RESERVED_FIELD, message, (*here, "into"))
        try:
            parts = read_template(self.template, self.format)
        except TemplateError as error:
            check.report.value(codes.BAD_TEMPLATE, str(error), (*here, "template"))
            return replace(fields, fields={**fields.fields, self.into: FieldState(TEXT)})
        states = list(made.values())
        for hole in (part for part in parts if isinstance(part, Hole)):
            if hole.name not in made and check.known(hole.name, fields, (*here, "template"), offset=None):
                states.append(check.reads(hole.name, fields) or FieldState())
        if problem := _problem(parts, self.format):
            check.report.value(codes.BAD_TEMPLATE, problem, (*here, "template"))
        return replace(fields, fields={**fields.fields, self.into: _together(states)})


def _together(states: list[FieldState]) -> FieldState:
    """One text of several values: whatever class any of them carries."""
    together = replace(states[0], type=TEXT, dropped=False) if states else FieldState(TEXT)
    for state in states[1:]:
        together = replace(
            together,
            sources=together.sources | state.sources,
            classes=together.classes | state.classes,
            functions=together.functions | state.functions,
            masks=together.masks | state.masks,
            carried=together.carried | state.carried,
        )
    return together


def _problem(parts: list[str | Hole], format_: str) -> str | None:
    """What is wrong with the template itself, seen with a value in every hole."""
    filled = "".join(part if isinstance(part, str) else FORMATS[format_].example(quoted=part.quoted) for part in parts)
    if format_ == "json":
        try:
            json.loads(filled)
        except ValueError as error:
            return f"no JSON with values in its holes: {error}"
    if format_ == "xml":
        return _xml_problem(filled)
    return None


def _xml_problem(filled: str) -> str | None:
    parser = expat.ParserCreate()
    found: list[str] = []
    # Entities of its own could multiply; no receiver needs them from here.
    parser.StartDoctypeDeclHandler = lambda *_: found.append("a DOCTYPE can not stand in a template")
    try:
        parser.Parse(filled if filled.lstrip().startswith("<?xml") else f"<m>{filled}</m>", True)
    except expat.ExpatError as error:
        found.append(f"no XML with values in its holes: {error}")
    return found[0] if found else None
