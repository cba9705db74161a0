"""combine: makes one document of several that are together in a unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from dative.errors import process as codes
from dative.process.datatypes import ANY, INTEGER, TEXT, DataType, decimal
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.split import VALUE_BYTES_MAX
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

DOCUMENTS_MAX = 1_000_000
_TOTAL = re.compile(r"(count)\(\)|(sum|min|max|first|last)\(\s*(.+?)\s*\)")


@dataclass(frozen=True, slots=True)
class Total:
    """One number or value of a group. field: empty for count()."""

    kind: Literal["count", "sum", "min", "max", "first", "last"]
    field: str = ""


def parse_total(text: str) -> Total:
    """ "sum(Amount)", "count()". Raises ValueError."""
    found = _TOTAL.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a total is count(), or sum, min, max, first or last of a field: sum(Amount)")
    return Total("count") if found[1] else Total(found[2], found[3])  # type: ignore[arg-type]


def _checked_total(value: Any) -> str:
    parse_total(value)
    return str(value).strip()


TotalText = Annotated[
    str, BeforeValidator(_checked_total), WithJsonSchema({"type": "string", "pattern": _TOTAL.pattern})
]


class CombineSettings(ShapeSettings):
    """Makes one document of all documents of a unit that have equal values in some fields, in their order.

    The new document has those fields, the totals, and the documents as one value: a list of them, a JSON array, lines of
    text, CSV or fixed width, or XML. Its fate is that of every document in it. What a unit is, `flow_control` says; to
    have all documents of one execution in it, say `unit: all`.
    """

    shape: Literal["combine"] = "combine"
    by: tuple[FieldName, ...] = Field(
        default=(),
        max_length=20,
        description="Fields: one new document for each of their values. None: one for the unit.",
    )
    into: FieldName | None = Field(default=None, description="Field that takes the documents.")
    form: Literal["list", "json", "text", "csv", "fixed", "xml"] = Field("list", description="What it takes them as.")
    fields: tuple[FieldName, ...] = Field(
        default=(),
        max_length=500,
        description="What of the documents; all fields but those of `by`. `text`: one field.",
    )
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Between texts, a line break; between fields of CSV, `,`.",
    )
    header: bool = Field(True, description="`csv`: a first line with the names of the fields.")
    widths: dict[FieldName, int] = Field(
        default_factory=dict,
        max_length=500,
        description="`fixed`: field: characters; a longer value fails its document.",
    )
    root: str = Field(
        "Documents", pattern=r"^[A-Za-z_][\w.-]{0,99}$", description="`xml`: the element round all documents."
    )
    element: str = Field("Document", pattern=r"^[A-Za-z_][\w.-]{0,99}$", description="`xml`: of each document.")
    totals: dict[FieldName, TotalText] = Field(
        default_factory=dict,
        max_length=100,
        description="Field: `count()`, `sum(f)`, `min(f)`, `max(f)`, `first(f)`, `last(f)` of the documents.",
    )
    documents_max: int = Field(
        100_000, ge=1, le=DOCUMENTS_MAX, description="Documents in one; with more they all fail."
    )
    bytes_max: int = Field(
        16 << 20, ge=1, le=VALUE_BYTES_MAX, description="Of the combined value; longer, they all fail."
    )

    @model_validator(mode="after")
    def _fits_its_form(self) -> Self:
        if not self.into and not self.totals:
            raise ValueError("combine needs into, totals, or both")
        if self.form == "text" and self.into and len(self.fields) != 1:
            raise ValueError("form text combines one field: fields: [line]")
        if (self.form == "fixed" and self.into is not None) != bool(self.widths):
            raise ValueError("widths belong to form fixed, which needs them")
        if self.widths and self.fields:
            raise ValueError("widths name the fields already")
        if self.form == "csv" and len(self.separator or ",") != 1:
            raise ValueError("the separator of csv is one character")
        if not all(1 <= width <= 10_000 for width in self.widths.values()):
            raise ValueError("a width is 1 to 10000 characters")
        return self

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        for key in ("by", "fields"):
            for index, name in enumerate(getattr(self, key)):
                check.known(name, fields, (*here, key, index))
        for name in self.widths:
            check.known(name, fields, (*here, "widths", name), key=True)
        made = {name: check.reads(name, fields) or FieldState() for name in self.by}
        for name, text in self.totals.items():
            made[name] = _total(parse_total(text), (*here, "totals", name), fields, check)
        if self.into:
            names = self.fields or tuple(self.widths) or tuple(one for one in fields.names() if one not in self.by)
            made[self.into] = _whole([check.reads(name, fields) or FieldState() for name in names], self.form)
        for name in made:
            if name.startswith("_"):
                check.report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', here)
        wanted = [*self.by, *self.totals, *([self.into] if self.into else [])]
        if len({name.lower() for name in wanted}) < len(wanted):
            check.report.key(codes.FIELD_TWICE, "two fields of the new document have one name", here)
        return Fields(made)


def _total(total: Total, path: Path, fields: Fields, check: FlowCheck) -> FieldState:
    if total.kind == "count":
        return FieldState(INTEGER)
    check.known(total.field, fields, path)
    state = check.reads(total.field, fields) or FieldState()
    kind = state.type
    if total.kind == "sum":
        if kind.known and not kind.is_number:
            message = f"sum() adds numbers, {total.field} is {kind}"
            check.report.value(codes.WRONG_VALUE, message, path)
        kind = _summed(kind)
    return FieldState(
        kind, state.sources, state.classes, functions=state.functions, masks=state.masks, carried=state.carried
    )


def _summed(kind: DataType) -> DataType:
    if kind.kind == "decimal":
        return decimal(38, kind.scale)
    return decimal(38, 0) if kind.kind == "integer" else kind


def _whole(states: list[FieldState], form: str) -> FieldState:
    """A value that holds all of these: it is as protected as the most protected of them."""
    whole = FieldState(ANY if form == "list" else TEXT)
    return reduce(
        lambda one, other: FieldState(
            whole.type,
            one.sources | other.sources,
            one.classes | other.classes,
            functions=one.functions | other.functions,
            masks=one.masks | other.masks,
            carried=one.carried | other.carried,
        ),
        states,
        whole,
    )
