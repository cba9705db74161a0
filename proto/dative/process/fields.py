"""The fields that documents have at one place of a process: their types, where they come from, their classes.

Plain data, so that a shape can say what it makes of them without knowing how expressions are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING

from dative.process.datatypes import ANY, DataType, joined

if TYPE_CHECKING:
    from dative.process.model import FieldClass

ERROR_FIELDS = ("_error_code", "_error_reason", "_error_field", "_error_step")


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field at one place.

    sources: source fields it was made of. classes: those that no mask has dealt with. functions: what computed it, in
    any step before. masks: "step: mask" of all on its way. carried: every class it ever had, masked or not.
    """

    type: DataType = ANY
    sources: frozenset[str] = frozenset()
    classes: frozenset[FieldClass] = frozenset()
    dropped: bool = False  # by a mask: it can not be read any more, and its class went with it
    functions: frozenset[str] = frozenset()
    masks: frozenset[str] = frozenset()
    carried: frozenset[FieldClass] = frozenset()


@dataclass(frozen=True)
class Fields:
    """The documents at one place. open: they may have more fields than are known here. ended: none come here.

    properties: "document.region" -> what travels with them beside their fields.
    """

    fields: Mapping[str, FieldState]
    open: bool = False
    ended: bool = False
    properties: Mapping[str, FieldState] = field(default_factory=dict)

    def names(self) -> list[str]:
        return [name for name, state in self.fields.items() if not state.dropped]

    def reads(self, name: str) -> FieldState | None:
        """The field of that name; an open flow has every field that was not dropped."""
        state = self.fields.get(name) or self._inside(name)
        if state is None:
            return FieldState(sources=frozenset((name,))) if self.open else None
        return None if state.dropped else state

    def _inside(self, name: str) -> FieldState | None:
        """A field inside a struct, Owner.Name; of a struct that is not known, any."""
        head, _, rest = name.rpartition(".")
        outer = (self.fields.get(head) or self._inside(head)) if rest and head else None
        if outer is None or outer.type.kind not in ("struct", "any"):
            return None
        inner = dict(outer.type.fields).get(rest) if outer.type.kind == "struct" else ANY
        return None if inner is None else replace(outer, type=inner)

    def types(self) -> dict[str, DataType]:
        """The type of every field, those inside structs under their dotted names too."""
        found = {name: state.type for name, state in self.fields.items()}
        for name, state in self.fields.items():
            found = {**_dotted(name, state.type), **found}
        return found


def _dotted(name: str, kind: DataType) -> dict[str, DataType]:
    found: dict[str, DataType] = {}
    for key, inner in kind.fields:
        found[f"{name}.{key}"] = inner
        found.update(_dotted(f"{name}.{key}", inner))
    return found


NOWHERE = Fields({}, ended=True)
"""Where no document comes."""


def together(arms: Iterable[Fields]) -> Fields:
    """The documents of several arms after they have come together; an arm that ended brings none."""
    return reduce(_two_together, arms, NOWHERE)


def _two_together(first: Fields, second: Fields) -> Fields:
    if first.ended or second.ended:
        return first if second.ended and not first.ended else second
    return Fields(
        _either(first.fields, second.fields),
        open=first.open or second.open,
        properties=_either(first.properties, second.properties),
    )


def _either(first: Mapping[str, FieldState], second: Mapping[str, FieldState]) -> dict[str, FieldState]:
    found = {**second, **first}
    return {
        name: _one_of(first[name], second[name]) if name in first and name in second else state
        for name, state in ((name, found[name]) for name in (*first, *(item for item in second if item not in first)))
    }


def _one_of(one: FieldState, other: FieldState) -> FieldState:
    # A mask on either arm is a decision that somebody took about this value: the class is dealt with.
    return FieldState(
        joined(one.type, other.type) or ANY,
        one.sources | other.sources,
        one.classes & other.classes,
        one.dropped and other.dropped,
        one.functions | other.functions,
        one.masks | other.masks,
        one.carried | other.carried,
    )
