"""map: makes a new document out of the fields of the one that comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from dative.errors import process as codes
from dative.process.datatypes import ANY, list_of, struct_of
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName, Sql
from dative.process.shapes.base import Settings, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

NESTED_DEPTH_MAX = 4
ITEM_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"


def _form_of(value: Any) -> str:
    return "nested" if isinstance(value, dict | NestedField) else "sql"


class NestedField(Settings):
    """A field that holds other fields: a struct, or with `each` a list with one struct for every item of a list."""

    each: FieldName | None = Field(default=None, description="The list whose items are mapped, by its field or path.")
    item: Annotated[str, Field(pattern=ITEM_NAME)] = Field(
        default="item", alias="as", description="What an item is called: `line.Sku` reads a field of it."
    )
    fields: dict[FieldName, MapField] = Field(
        min_length=1,
        description="Fields of the struct. Those of an `each` read the fields of the document too; line_number(), "
        "running_total() and the like go over the items of one document there.",
    )

    @model_validator(mode="after")
    def _not_too_deep(self) -> Self:
        if _depth(self) > NESTED_DEPTH_MAX:
            raise ValueError(f"fields are nested at most {NESTED_DEPTH_MAX} deep")
        return self


MapField = Annotated[Annotated[Sql, Tag("sql")] | Annotated[NestedField, Tag("nested")], Discriminator(_form_of)]
"""An expression, or fields inside a field."""


def _depth(nested: NestedField) -> int:
    return 1 + max((_depth(inner) for inner in nested.fields.values() if isinstance(inner, NestedField)), default=0)


class MapSettings(ShapeSettings):
    """Makes a new document out of the fields of the one that comes.

    A target field is an expression, or holds fields itself: `address: {fields: {city: City}}` makes a struct, `lines:
    {each: Lines, as: line, fields: {sku: line.Sku, order: Id}}` a list with an item for each of the list `Lines`.
    """

    shape: Literal["map"] = "map"
    fields: dict[FieldName, MapField] = Field(
        min_length=1, description="Target field: SQL expression over the source fields, or nested fields."
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


NestedField.model_rebuild()
MapSettings.model_rebuild()


def made_fields(
    wanted: Mapping[str, str | NestedField], path: Path, fields: Fields, check: FlowCheck
) -> dict[str, FieldState]:
    """The fields that these expressions make, names checked. path: of the mapping that holds them."""
    made: dict[str, FieldState] = {}
    spelled: dict[str, str] = {}
    for name, written in wanted.items():
        here = (*path, name)
        if name.startswith("_"):
            check.report.key(codes.RESERVED_FIELD, f'"{name}" can not be a field: it begins with _', here)
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            check.report.key(codes.FIELD_TWICE, f'"{name}" and "{other}" are one field to most targets', here)
        made[name] = (
            check.value(written, here, fields) if isinstance(written, str) else _nested(written, here, fields, check)
        )
    return made


def _nested(nested: NestedField, path: Path, fields: Fields, check: FlowCheck) -> FieldState:
    """A struct or a list of them: of all sources and classes of what stands in it."""
    inside = fields if nested.each is None else items_of(nested.each, nested.item, (*path, "each"), fields, check)
    made = made_fields(nested.fields, (*path, "fields"), inside, check)
    states = list(made.values())
    kind = struct_of({name: state.type for name, state in made.items()})
    return FieldState(
        kind if nested.each is None else list_of(kind),
        frozenset().union(*(state.sources for state in states)),
        frozenset().union(*(state.classes for state in states)),
        functions=frozenset().union(*(state.functions for state in states)),
        masks=frozenset().union(*(state.masks for state in states)),
        carried=frozenset().union(*(state.carried for state in states)),
    )


def items_of(name: str, item: str, path: Path, fields: Fields, check: FlowCheck) -> Fields:
    """The fields that an expression over the items of a list reads: those of the document, and those of an item."""
    if not check.known(name, fields, path):
        return replace(fields, open=True)
    state = check.reads(name, fields) or FieldState()
    if state.type.kind not in ("list", "any"):
        check.report.value(codes.NO_LIST, f'"{name}" is no list, it is {state.type}', path)
        return replace(fields, open=True)
    inner = replace(state, type=state.type.item or ANY)
    return replace(fields, fields={**fields.fields, item: inner})
