"""dead_letter: parks the documents that reach it for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import Duration, Name
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class DeadLetterSettings(ShapeSettings):
    """Parks the documents that reach it for a person, sealed, with reason, step and history."""

    shape: Literal["dead_letter"] = "dead_letter"
    queue: Name = Field(description="The queue; usually the process' name.")
    keep: Duration = Field(
        default="30d", validate_default=True, description="How long a document waits for a person before it expires."
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        return replace(fields, ended=True)
