"""try: catches the documents that fail in its steps; their neighbours go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.process.datatypes import TEXT
from dative.process.fields import ERROR_FIELDS, Fields, FieldState, together
from dative.process.findings import Path
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class TrySettings(ShapeSettings):
    """Catches the documents that fail in its steps; their neighbours go on."""

    FORM: ClassVar[Form] = Form(value="steps", beside={"catch": "catch"}, nested={"steps": "steps", "catch": "steps"})

    shape: Literal["try"] = "try"
    steps: tuple[Step, ...] = Field(min_length=1, description="Steps whose failed documents are caught.")
    catch: tuple[Step, ...] = Field(
        default=(),
        description="Steps of the failed documents: as they came to the `try`, with _error_code, _error_reason, "
        "_error_field and _error_step. Without any, they are dead-lettered.",
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        after = check.steps(self.steps, (*path, "try"), fields)
        if not self.catch:
            return after
        # The original document and the reason reach the catch path, whatever the steps had made of it.
        reasons = {name: FieldState(TEXT) for name in ERROR_FIELDS}
        left = check.steps(self.catch, (*path, "catch"), replace(fields, fields={**fields.fields, **reasons}))
        # Documents that leave the catch route are documents like others again.
        plain = {name: state for name, state in left.fields.items() if name not in ERROR_FIELDS}
        return together((after, replace(left, fields=plain)))
