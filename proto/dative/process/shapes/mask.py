"""mask: makes classified values unreadable before they go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.datatypes import ANY, TEXT, parse_type
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName, Mask, MaskText, parse_mask
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class MaskSettings(ShapeSettings):
    """Makes classified values unreadable before they go on."""

    FORM: ClassVar[Form] = Form(value="fields")

    shape: Literal["mask"] = "mask"
    fields: dict[FieldName, MaskText] = Field(min_length=1, description="Field: mask.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        after = dict(fields.fields)
        for name, text in self.fields.items():
            here = (*path, step.verb, name)
            state = fields.reads(name)
            if not check.known(name, fields, here, key=True) or state is None:
                continue
            mask = parse_mask(text)
            if mask.subject:
                check.known(mask.subject, fields, here)
            if not _fits(mask, state):
                message = f'{mask.kind} can not mask "{name}": it is {state.type}'
                check.report.value(codes.BAD_MASK, message, here)
            after[name] = replace(_masked(mask, state), masks=state.masks | {f"{step.id}: {text}"})
        return replace(fields, fields=after)


def _fits(mask: Mask, state: FieldState) -> bool:
    if mask.kind == "date_shift":
        return state.type.kind in ("any", "date", "timestamp")
    if mask.kind in _ALSO:
        return state.type.kind in ("any", "text", *_ALSO[mask.kind])
    if mask.kind in ("hash", "token"):
        return state.type.kind not in ("binary", "json")
    return state.type.kind in ("any", "text") or mask.kind in ("drop", "redact")


_ALSO = {
    "zip3": ("integer",),
    "year": ("date", "timestamp"),
    "age": ("integer", "decimal", "double"),
}
"""Types beside text that a mask generalises."""


def _masked(mask: Mask, state: FieldState) -> FieldState:
    kept = mask.kind == "date_shift" or (mask.kind == "redact" and state.type.kind != "text")
    numbers = mask.kind in ("year", "age")
    kind = state.type if kept else ANY if mask.kind == "drop" else parse_type("integer") if numbers else TEXT
    return replace(state, type=kind, classes=frozenset(), dropped=mask.kind == "drop")
