"""stop: ends the documents that reach it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class StopSettings(ShapeSettings):
    """Ends the documents that reach it; they count as filtered."""

    FORM: ClassVar[Form] = Form(empty=True)

    shape: Literal["stop"] = "stop"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        return replace(fields, ended=True)
