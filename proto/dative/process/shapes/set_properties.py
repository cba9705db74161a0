"""set_properties: values that travel beside the documents, or stay with the execution, or with the process."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.functions import PROPERTIES
from dative.process.scalars import Sql
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

PROPERTIES_MAX = 50
VALUE_CHARACTERS_MAX = 10_000
PROPERTY_NAME = r"^(document|process|persisted)\.[a-z0-9][a-z0-9_-]{0,63}$"
PropertyName = Annotated[str, Field(pattern=PROPERTY_NAME)]
_KEPT = ("text", "integer", "decimal", "double", "boolean", "date", "timestamp")


class SetPropertiesSettings(ShapeSettings):
    """Sets properties; the fields stay as they are. `property('document.region')` reads one in any later expression.

    `document.`: travels with its document, through maps too; targets, tracking and dead letters do not see it.
    `process.`: one value of the execution, that of the last document in order: a document reads what it set itself, or
    else what the last document before it set; how documents are cut into batches makes no difference. A step that reads
    it stands after all that set it. `persisted.`: the same, and kept for the next execution of the process in its
    environment, from the moment on at which the position moves past the document that set it; a step before the one
    that sets it reads what the former executions left. A NULL sets nothing. An execution that retries dead letters
    reads persisted properties and keeps none.
    """

    FORM: ClassVar[Form] = Form(value="properties")

    shape: Literal["set_properties"] = "set_properties"
    properties: dict[PropertyName, Sql] = Field(
        min_length=1,
        max_length=PROPERTIES_MAX,
        description="Property: SQL expression. A text has at most 10,000 characters, a longer one fails its document.",
    )

    def whole(self) -> str:
        kept = [name for name in self.properties if not name.startswith("document.")]
        return f"sets {', '.join(kept)} for the documents after it" if kept else ""

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        travelling = dict(fields.properties)
        # All are evaluated over the document as it came, so that their order does not matter.
        for name, sql in self.properties.items():
            here = (*path, step.verb, name)
            state = check.value(sql, here, fields)
            if name in PROPERTIES:
                check.report.key(
                    codes.RESERVED_PROPERTY, f'"{name}" tells about the execution, it can not be set', here
                )
            elif state.type.kind not in ("any", *_KEPT):
                message = f"a property is a text, number, boolean, date or timestamp; this is {state.type}"
                check.report.value(codes.WRONG_VALUE, message, here)
            elif name.startswith("document."):
                travelling[name] = state
            else:
                check.properties.set(name, state, here, check.report)
        return replace(fields, properties=travelling)

    def running(self) -> bool:
        """Whether it sets a property that other documents read."""
        return any(not name.startswith("document.") for name in self.properties)


def is_own_property(name: str) -> bool:
    """Whether a name is one that a process sets, and not one that tells about the execution."""
    return name not in PROPERTIES and re.match(PROPERTY_NAME, name) is not None
