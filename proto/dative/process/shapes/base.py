"""What every settings model shares, and how a verb is written in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from dative.process.findings import Path

if TYPE_CHECKING:
    from dative.process.fields import Fields
    from dative.process.flow import FlowCheck
    from dative.process.shapes.step import Step

Nesting = Literal["steps", "routes", "arms"]
"""steps: a list of steps. routes: a mapping of such lists. arms: a list of mappings, each with a list under `steps`."""


class Settings(BaseModel):
    """The base of every model of the language: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)


@dataclass(frozen=True)
class Form:
    """How a verb is written.

    value: the field that stands directly behind the verb (`decide: <condition>`); None when a mapping of the fields
    does. beside: key beside the verb -> field. nested: field -> how it holds steps. empty: `stop:` without a value.
    """

    value: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    nested: Mapping[str, Nesting] = field(default_factory=dict)
    empty: bool = False

    def place(self, verb: str, name: str) -> Path:
        """Where a field stands in the YAML of its step."""
        for key, beside in self.beside.items():
            if beside == name:
                return (key,)
        return (verb,) if name == self.value else (verb, name)


class ShapeSettings(Settings):
    """The settings of one verb."""

    FORM: ClassVar[Form] = Form()

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        """What the documents have after this step; findings go to `check.report`. path: of the step in its file.

        The answer for a verb that changes no field.
        """
        return fields

    def whole(self) -> str:
        """Why the documents of an execution must come by this step together, or in their order: `spread` parts them.

        Empty, where each document, or each unit, is enough.
        """
        return ""

    def arms(self, verb: str) -> list[tuple[Path, tuple[Step, ...]]]:
        """The nested step lists, in file order, each with its place relative to the step."""
        found: list[tuple[Path, tuple[Step, ...]]] = []
        for name, nesting in self.FORM.nested.items():
            place, value = self.FORM.place(verb, name), getattr(self, name)
            found += [((*place, *rest), steps) for rest, steps in _lists(nesting, value)]
        return found


def _lists(nesting: Nesting, value: Any) -> list[tuple[Path, tuple[Step, ...]]]:
    if nesting == "steps":
        return [((), value)]
    if nesting == "routes":
        return [((key,), steps) for key, steps in value.items()]
    return [((index, "steps"), arm.steps) for index, arm in enumerate(value)]
