"""nest: documents that belong together become one document with a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.process.datatypes import list_of, struct_of
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.map import made_fields
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class NestSettings(ShapeSettings):
    """Groups the documents of a unit: those that are alike in all `by` fields become one document.

    It has the fields that are no items, as the first of them has them, and a list `into` with an item for each, in the
    order of the documents. Documents are together when they are in one batch: where an order's lines may be parted
    between two, `flow_control` says which documents make a unit. NULLs are alike.
    """

    shape: Literal["nest"] = "nest"
    by: tuple[FieldName, ...] = Field(min_length=1, max_length=16, description="Fields that say what belongs together.")
    into: FieldName = Field(description="The list field that is made.")
    items: tuple[FieldName, ...] = Field(min_length=1, max_length=500, description="Fields that go into the items.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        for option, names in (("by", self.by), ("items", self.items)):
            for index, name in enumerate(names):
                check.known(name, fields, (*here, option, index))
        made_fields({self.into: "NULL"}, here, fields, check)
        states = {name: check.reads(name, fields) or FieldState() for name in self.items}
        inside = FieldState(
            list_of(struct_of({name: state.type for name, state in states.items()})),
            frozenset().union(*(state.sources for state in states.values())),
            frozenset().union(*(state.classes for state in states.values())),
            functions=frozenset().union(*(state.functions for state in states.values())),
            masks=frozenset().union(*(state.masks for state in states.values())),
            carried=frozenset().union(*(state.carried for state in states.values())),
        )
        kept = {name: state for name, state in fields.fields.items() if name not in self.items or name in self.by}
        return Fields({**kept, self.into: inside}, open=fields.open, properties=fields.properties)
