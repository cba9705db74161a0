"""decide: sends each document through one of two arms."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.process.fields import Fields, together
from dative.process.findings import Path
from dative.process.scalars import Sql
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class DecideSettings(ShapeSettings):
    """Sends each document through one of two arms; both come together again after it, in no promised order."""

    FORM: ClassVar[Form] = Form(
        value="condition",
        beside={"then": "then", "else": "otherwise"},
        nested={"then": "steps", "otherwise": "steps"},
    )

    shape: Literal["decide"] = "decide"
    condition: Sql = Field(description="A condition; NULL counts as false.")
    then: tuple[Step, ...] = Field(default=(), description="Steps of the documents for which it is true.")
    otherwise: tuple[Step, ...] = Field(default=(), alias="else", description="Steps of the others.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        check.condition(self.condition, (*path, step.verb), fields)
        return together(check.steps(steps, (*path, *place), fields) for place, steps in self.arms(step.verb))
