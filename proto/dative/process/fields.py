"""The fields that documents have at one place of a process: their types, where they come from, their classes.

Plain data, so that a shape can say what it makes of them without knowing how expressions are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
        state = self.fields.get(name)
        if state is None:
            return FieldState(sources=frozenset((name,))) if self.open else None
        return None if state.dropped else state


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
