"""documents, nothing: where a process starts that no connector feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from dative.process.datatypes import parse_type
from dative.process.scalars import FieldName
from dative.process.shapes.base import Form, ShapeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dative.process.datatypes import DataType

FIELDS_MAX = 1000


def _checked_type(value: Any) -> str:
    return str(parse_type(str(value)))


TypeText = Annotated[str, BeforeValidator(_checked_type)]
"""The type of a field, as `datatypes.parse_type` reads it."""


class DocumentsSettings(ShapeSettings):
    """Starts with documents that somebody gives: the process that calls this one, or a test.

    Only the declared fields come in, each as its type; a document with a value that does not fit fails in the caller.
    """

    shape: Literal["documents"] = "documents"
    fields: dict[FieldName, TypeText] = Field(
        min_length=1, max_length=FIELDS_MAX, description="Field: type. What the caller must bring."
    )

    @property
    def types(self) -> Mapping[str, DataType]:
        return {name: parse_type(text) for name, text in self.fields.items()}


class NothingSettings(ShapeSettings):
    """Starts with one empty document: for a process that a schedule or a person starts and nothing feeds."""

    FORM: ClassVar[Form] = Form(empty=True)

    shape: Literal["nothing"] = "nothing"
