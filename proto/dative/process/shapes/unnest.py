"""unnest: a document with a list becomes a document for every item of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dative.process.datatypes import ANY
from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.map import ITEM_NAME, items_of
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

ITEMS_MAX = 100_000


class UnnestSettings(ShapeSettings):
    """A document with a list becomes a document for every item: the fields of the document, but the list, and those of
    the item under their dotted names (`line.Sku`). What becomes of the items is what becomes of the document.
    """

    shape: Literal["unnest"] = "unnest"
    list: FieldName = Field(description="The list, a field of the document.")
    item: Annotated[str, Field(pattern=ITEM_NAME)] = Field(
        default="item",
        alias="as",
        description="What an item is called: its fields are `line.Sku`, a plain value `line`.",
    )
    empty: Literal["filter", "keep"] = Field(
        default="filter", description="A document without items: it ends here as filtered, or goes on with NULLs."
    )
    items_max: int = Field(
        default=10_000, ge=1, le=ITEMS_MAX, description="Items of one document; one with more fails, nothing is cut."
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        inside = items_of(self.list, self.item, (*path, step.verb, "list"), fields, check)
        found = {name: state for name, state in inside.fields.items() if name not in (self.list, self.item)}
        item = inside.fields.get(self.item)
        if item is None:
            return replace(inside, fields=found, open=True)
        if item.type.kind == "struct":
            found |= {f"{self.item}.{name}": replace(item, type=kind) for name, kind in item.type.fields}
        else:
            found[self.item] = item
        return replace(inside, fields=found, open=inside.open or item.type == ANY)
