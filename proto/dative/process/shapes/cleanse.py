"""cleanse: repairs the fields of a document, or rejects it, by what each field must be."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import TEXT, DataType, parse_type
from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import Form, Settings, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

VALUES_MAX = 500
LENGTH_MAX = 100_000
TYPES = ("text", "integer", "decimal", "double", "boolean", "date", "timestamp")
_Value = Annotated[str, Field(max_length=1_000)]


class PadSettings(Settings):
    """Fills a shorter text up."""

    length: int = Field(ge=1, le=1_000, description="Characters that it has then.")
    fill: Annotated[str, Field(min_length=1, max_length=1)] = Field(" ", description="With which character.")
    side: Literal["left", "right"] = Field("left", description="Where.")


class FieldRules(Settings):
    """What one field must be, in the order in which it is looked at: first repairs of the text, then the type, then the
    rest. What is not said is not looked at.
    """

    trim: bool = Field(False, description="Without spaces at both ends; a text of nothing is missing then.")
    default: _Value | None = Field(None, description="The value of a missing one.")
    pad: PadSettings | None = Field(None, description="Fill a shorter text up.")
    truncate: int | None = Field(None, ge=1, le=LENGTH_MAX, description="Cut a longer text to so many characters.")
    values: tuple[_Value, ...] = Field((), max_length=VALUES_MAX, description="The texts that it may be.")
    otherwise: _Value | None = Field(
        None, description="What another text becomes; without it the document is rejected."
    )
    length_min: int | None = Field(None, ge=0, le=LENGTH_MAX, description="Fewer characters are rejected.")
    length_max: int | None = Field(None, ge=0, le=LENGTH_MAX, description="More characters are rejected.")
    pattern: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="A regular expression (RE2) that the whole text must match, or it is rejected."
    )
    type: str | None = Field(
        None, description="text, integer, decimal(p,s), double, boolean, date or timestamp: read as that, or rejected."
    )
    clamp_min: Decimal | None = Field(None, description="A smaller number becomes this one.")
    clamp_max: Decimal | None = Field(None, description="A larger number becomes this one.")
    min: Decimal | None = Field(None, description="A smaller number is rejected.")
    max: Decimal | None = Field(None, description="A larger number is rejected.")
    required: bool = Field(False, description="A value that is missing in the end is rejected.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for low, high in (("length_min", "length_max"), ("clamp_min", "clamp_max"), ("min", "max")):
            first, second = getattr(self, low), getattr(self, high)
            if first is not None and second is not None and first > second:
                raise ValueError(f"{low} must not be above {high}")
        if self.otherwise is not None and not self.values:
            raise ValueError("`otherwise` belongs to `values`")
        if self.type is not None and parse_type(self.type).kind not in TYPES:
            raise ValueError(f"a field can be read as {', '.join(TYPES)}")
        if not self.data_type.is_number and any(getattr(self, name) is not None for name in _OF_NUMBERS):
            raise ValueError("clamp_min, clamp_max, min and max are of numbers: say the type")
        return self

    @property
    def data_type(self) -> DataType:
        """What the field is read as."""
        return parse_type(self.type) if self.type is not None else TEXT


_OF_NUMBERS = ("clamp_min", "clamp_max", "min", "max")


class CleanseSettings(ShapeSettings):
    """Repairs fields by rules, or rejects the document; the other fields stay as they are.

    A rejected document fails with everything that is wrong with it in one reason, `field: rule; field: rule`, without its
    values. A field without `type` is read as text, and is one afterwards. How often each rule has repaired or rejected is
    counted in the execution's report.
    """

    FORM: ClassVar[Form] = Form(value="fields")

    shape: Literal["cleanse"] = "cleanse"
    fields: dict[FieldName, FieldRules] = Field(min_length=1, max_length=300, description="Field: its rules.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        after: dict[str, Any] = dict(fields.fields)
        for name, rules in self.fields.items():
            here = (*path, step.verb, name)
            if not check.known(name, fields, here, key=True):
                continue
            if rules.pattern is not None and (problem := _pattern_problem(rules.pattern)):
                check.report.value(codes.WRONG_VALUE, f"pattern: {problem}", (*here, "pattern"))
            state = fields.reads(name)
            if state is not None:
                after[name] = replace(state, type=rules.data_type)
        return replace(fields, fields=after)


def _pattern_problem(pattern: str) -> str | None:
    """What is wrong with a regular expression, as far as RE2 and Python's agree; the engine's compiler says the rest."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None
