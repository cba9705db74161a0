"""stop: ends the documents that reach it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class StopSettings(ShapeSettings):
    """Ends the documents that reach it; they count as filtered.

    With `scope: execution` a document that reaches it also ends the execution, in good order: the documents that were
    read together with it go their way and settle, nothing more is read, and the next execution goes on from there.
    """

    FORM: ClassVar[Form] = Form(empty=True)

    shape: Literal["stop"] = "stop"
    scope: Literal["arm", "execution"] = Field("arm", description="What ends.")

    def whole(self) -> str:
        return "ends the reading, and parts are read beside one another" if self.scope == "execution" else ""

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        return replace(fields, ended=True)
