"""find_changes: compares a whole snapshot with the one before, and lets additions, updates and deletions go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.datatypes import TEXT
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.operation import OperationSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

FIRST: Path = ("spec", "steps", 0)


class FindChangesSettings(ShapeSettings):
    """Compares everything that the source gives with what it gave before: what is new, changed or gone goes on.

    It is the first step. The source is read from its beginning in every execution, whole, before anything goes on. What
    is unchanged is filtered. For a document that is gone, one is made of the fields that were kept of it. What is
    compared with is kept in the journal, as hashes, and moves with each batch that settles: killed at any moment,
    nothing is told twice and nothing is left out. The first snapshot is all additions.
    """

    shape: Literal["find_changes"] = "find_changes"
    key: tuple[FieldName, ...] = Field(min_length=1, max_length=8, description="Fields that tell documents apart.")
    compare: tuple[FieldName, ...] = Field(
        default=(), max_length=500, description="Fields that make an update when they change; all of them."
    )
    keep: tuple[FieldName, ...] = Field(
        default=(), max_length=100, description="Fields that a deletion has beside the key; the others are NULL in it."
    )
    into: FieldName = Field("change", description="Field that says `add`, `update` or `delete`.")
    deletes: Literal["emit", "ignore"] = Field(
        "emit", description="`ignore`: what is gone stays in what is compared with, and nothing is said."
    )
    deletes_max_percent: int = Field(
        10,
        ge=0,
        le=100,
        description="More deletions than this, of all that was there, end the execution before anything is moved: a "
        "partial snapshot would read as deletions.",
    )

    def whole(self) -> str:
        return "compares everything that there is with everything that there was"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        source = check.spec.source.settings
        if path != FIRST or not isinstance(source, OperationSettings):
            message = "find_changes is the first step of a process whose source is an operation"
            check.report.key(codes.MISPLACED, message, here)
        control = check.spec.flow_control
        if control is not None and (control.unit or control.rows or control.by):
            message = (
                "find_changes reads everything first and makes batches of its own; flow_control has no unit beside it"
            )
            check.report.key(codes.MISPLACED, message, ("spec", "flow_control"))
        for option in ("key", "compare", "keep"):
            for index, name in enumerate(getattr(self, option)):
                check.known(name, fields, (*here, option, index))
        if self.into.startswith("_"):
            check.report.key(codes.RESERVED_FIELD, f'"{self.into}" can not be a field: it begins with _', here)
        if any(name.lower() == self.into.lower() for name in fields.names()):
            check.report.key(codes.FIELD_TWICE, f'the source has a field "{self.into}"; choose another `into`', here)
        return replace(fields, fields={**fields.fields, self.into: FieldState(TEXT)})
