"""exception: makes the documents that reach it fail, or ends the whole execution, with a message."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import Sql
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

MESSAGE_CHARACTERS_MAX = 1_000


class ExceptionSettings(ShapeSettings):
    """Makes each document that reaches it fail with a message of its own, or ends the execution at the first one.

    A failed document takes the catch route of the `try` around it, or waits as a dead letter. With `scope: execution` the
    execution fails: batches that have settled stay settled, the others are read again by the next execution.
    """

    FORM: ClassVar[Form] = Form()

    shape: Literal["exception"] = "exception"
    message: Sql = Field(
        description="SQL expression of a text; at most 1,000 characters of it are told. It is shown where errors are, so "
        "it may hold no classified value."
    )
    scope: Literal["document", "execution"] = Field("document", description="What ends.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        told(self.message, (*path, step.verb, "message"), fields, check)
        return replace(fields, ended=True)


def told(sql: str, path: Path, fields: Fields, check: FlowCheck) -> None:
    """An expression whose value people read outside the documents: a finding when it is classified."""
    state = check.value(sql, path, fields)
    if state.classes:
        kinds = ", ".join(sorted(state.classes))
        check.report.value(codes.CLASSIFIED_TOLD, f"this text would show a value that is classified {kinds}", path)
