"""split: makes several documents of each one, one for every part of a field."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import ANY, INTEGER, TEXT
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

PARTS_MAX = 1_000_000
VALUE_BYTES_MAX = 256 << 20
JSON_PATH = r"^\$(\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{1,6}\])*$"
XML_PATH = r"^[A-Za-z_][\w.-]*(/[A-Za-z_][\w.-]*)*$"
XML_FIELD = r"^(\.|([A-Za-z_][\w.-]*/)*(@?[A-Za-z_][\w.-]*))$"

By = Literal["list", "lines", "text", "json", "xml", "csv", "fixed"]
_OWN: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "list": (frozenset(), frozenset(("into", "fields"))),
    "lines": (frozenset(("into",)), frozenset()),
    "text": (frozenset(("into", "separator")), frozenset()),
    "json": (frozenset(("path",)), frozenset(("into", "fields"))),
    "xml": (frozenset(("path",)), frozenset(("into", "fields"))),
    "csv": (frozenset(("columns",)), frozenset(("separator", "header"))),
    "fixed": (frozenset(("widths",)), frozenset()),
}
"""Of each form: the keys that it needs, and those that it may have."""


class SplitSettings(ShapeSettings):
    """Makes several documents of each one: one for every part of a field, with the other fields beside it.

    `list`: a list of the document's profile. `lines`: lines of text; empty ones are left out. `text`: between
    separators. `json`: the elements of an array. `xml`: elements; a document type or entities are refused. `csv`,
    `fixed`: lines as fields. The document itself goes no further; its fate is the gravest of its parts'. A value that
    can not be read whole fails its document, with none of its parts. JSON, XML and CSV are read row by row, the other
    forms as columns.
    """

    shape: Literal["split"] = "split"
    field: FieldName = Field(description="The field that holds the parts; it goes no further.")
    by: By = Field(description="What its value is.")
    into: FieldName | None = Field(default=None, description="Field that takes the part as it is: text, JSON or XML.")
    fields: dict[FieldName, str] = Field(
        default_factory=dict,
        max_length=500,
        description="Field: where it is in the part. `list`: a name. `json`: `$.item.sku`. `xml`: `Item/Sku`, `@no`, `.`.",
    )
    path: str | None = Field(
        default=None, max_length=500, description="`json`: where the array is, `$.orders`. `xml`: `Orders/Order`."
    )
    separator: str | None = Field(
        default=None, min_length=1, max_length=20, description="Of `text`, and of `csv`: `,`."
    )
    columns: tuple[FieldName, ...] = Field(default=(), max_length=1000, description="`csv`: its fields.")
    header: bool = Field(True, description="`csv`: the first line names the columns, in any order.")
    widths: dict[FieldName, int] = Field(
        default_factory=dict, max_length=1000, description="`fixed`: field: characters, in the order of the line."
    )
    number: FieldName | None = Field(default=None, description="Field that takes the number of the part, from 1.")
    keep: Literal["rest", "none"] = Field("rest", description="Whether the document's other fields go with each part.")
    empty: Literal["filter", "keep", "fail"] = Field(
        "filter", description="A document without parts is filtered, kept as one with NULLs, or fails."
    )
    parts_max: int = Field(10_000, ge=1, le=PARTS_MAX, description="Parts of one document; one more and it fails.")
    bytes_max: int = Field(16 << 20, ge=1, le=VALUE_BYTES_MAX, description="Of the value; a longer one fails.")

    @model_validator(mode="after")
    def _own_keys(self) -> Self:
        needed, allowed = _OWN[self.by]
        given = {name for name in ("into", "fields", "path", "separator", "columns", "widths") if getattr(self, name)}
        if missing := sorted(needed - given):
            raise ValueError(f"by {self.by} needs {', '.join(missing)}")
        if foreign := sorted(given - needed - allowed):
            raise ValueError(f"{', '.join(foreign)} means nothing by {self.by}")
        if self.by in ("list", "json", "xml") and not (self.into or self.fields):
            raise ValueError(f"by {self.by} needs into or fields")
        if self.by == "csv" and len(self.separator or ",") != 1:
            raise ValueError("the separator of csv is one character")
        if not all(1 <= width <= 10_000 for width in self.widths.values()):
            raise ValueError("a width is 1 to 10000 characters")
        self._paths()
        return self

    def _paths(self) -> None:
        forms = {"json": (JSON_PATH, JSON_PATH), "xml": (XML_PATH, XML_FIELD)}
        if self.by not in forms:
            return
        whole, inner = forms[self.by]
        if not re.fullmatch(whole, self.path or ""):
            raise ValueError(
                "path is like $.orders or $.data.items" if self.by == "json" else "path is like Orders/Order"
            )
        if wrong := next((text for text in self.fields.values() if not re.fullmatch(inner, text)), None):
            raise ValueError(f"{wrong[:60]} leads nowhere in {self.by}")

    @property
    def made(self) -> tuple[str, ...]:
        """The fields that a part brings, without its number."""
        return (*((self.into,) if self.into else ()), *self.fields, *self.columns, *self.widths)

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        check.known(self.field, fields, (*here, "field"))
        state = check.reads(self.field, fields) or FieldState()
        kept = {name: one for name, one in fields.fields.items() if name != self.field} if self.keep == "rest" else {}
        names = (*self.made, *((self.number,) if self.number else ()))
        for name in names:
            if name.startswith("_"):
                check.report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', here)
        if len({name.lower() for name in names}) < len(names):
            check.report.key(codes.FIELD_TWICE, "two fields of a part have one name", here)
        kind = ANY if self.by == "list" else TEXT
        made = {name: replace(state, type=kind, dropped=False) for name in self.made}
        # A number says nothing of the value.
        numbers = {self.number: FieldState(INTEGER, state.sources)} if self.number else {}
        gone = {name.lower() for name in names}
        kept = {name: one for name, one in kept.items() if name.lower() not in gone}
        return Fields({**kept, **made, **numbers}, open=fields.open and self.keep == "rest")
