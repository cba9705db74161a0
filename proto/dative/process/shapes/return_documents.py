"""return_documents: ends a called process for the documents that reach it and hands them to its caller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class ReturnDocumentsSettings(ShapeSettings):
    """Ends the documents that reach it and hands them to the process that called this one, where they go on.

    In a process that nobody called they count as returned, or as written where a target had them before.
    """

    FORM: ClassVar[Form] = Form(empty=True)

    shape: Literal["return_documents"] = "return_documents"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        check.returned(fields)
        return replace(fields, ended=True)
