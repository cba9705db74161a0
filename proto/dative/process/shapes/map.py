"""map: makes a new document out of the fields of the one that comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName, Sql
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class MapSettings(ShapeSettings):
    """Makes a new document out of the fields of the one that comes."""

    shape: Literal["map"] = "map"
    fields: dict[FieldName, Sql] = Field(
        min_length=1, description="Target field: SQL expression over the source fields."
    )
    keep: Literal["none", "rest"] = Field(
        "none",
        description="`none`: only the mapped fields go on. `rest`: source fields that no expression replaces, too.",
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        made = made_fields(self.fields, (*path, step.verb, "fields"), fields, check)
        if self.keep == "none":
            return Fields(made)
        return Fields({**fields.fields, **made}, open=fields.open)


def made_fields(wanted: dict[str, str], path: Path, fields: Fields, check: FlowCheck) -> dict[str, FieldState]:
    """The fields that these expressions make, names checked. path: of the mapping that holds them."""
    made: dict[str, FieldState] = {}
    spelled: dict[str, str] = {}
    for name, sql in wanted.items():
        here = (*path, name)
        if name.startswith("_"):
            check.report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', here)
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            check.report.key(codes.FIELD_TWICE, f'"{name}" and "{other}" are one field to most targets', here)
        made[name] = check.value(sql, here, fields)
    return made
