"""Which source fields a process protects: names, nested names and patterns, each with its class and identifier.

A pattern has * or ?. A name covers what is nested in it, and a name inside a field covers that field whole, because what
is read out of a JSON value can not be told from the rest. Letter case is passed over: a field that is protected twice
does no harm, one that slips through does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dative.process.identifiers import BY_KIND, Identifier, IdentifierKind

if TYPE_CHECKING:
    from dative.process.model import ClassifiedField, ClassKey, FieldClass, Spec


@dataclass(frozen=True)
class Entry:
    """One line of `classify`. kind: its class, or "none"; place: its index in the list of that class."""

    kind: str
    place: int
    field: str
    identifier: IdentifierKind | None

    @property
    def pattern(self) -> bool:
        return "*" in self.field or "?" in self.field

    def covers(self, name: str) -> bool:
        mine, other = self.field.lower(), name.lower()
        if self.pattern:
            return fnmatchcase(other, mine)
        return other == mine or other.startswith(f"{mine}.") or mine.startswith(f"{other}.")


class Classification:
    """What `classify` says, asked by field name. `name in classification`: the field is protected."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._known: dict[str, frozenset[FieldClass]] = {}

    @classmethod
    def of(cls, spec: Spec) -> Classification:
        return cls(_entries(spec.classify))

    def classes(self, name: str) -> frozenset[FieldClass]:
        """phi, pii, both or none of them."""
        found = self._known.get(name)
        if found is None:
            kinds = {entry.kind for entry in self.entries if entry.covers(name)} - {"none"}
            found = self._known[name] = frozenset(kinds)  # type: ignore[arg-type]
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.classes(name))

    def looked_at(self, name: str) -> bool:
        """Whether anything was said of the field, `none` included."""
        return any(entry.covers(name) for entry in self.entries)

    def identifier(self, name: str) -> Identifier | None:
        """What the process says that the field holds."""
        kinds = (entry.identifier for entry in self.entries if entry.identifier and entry.covers(name))
        kind = next(kinds, None)
        return BY_KIND[kind] if kind is not None else None

    def patterns(self) -> list[str]:
        """Protected fields that are named by pattern only: which ones, is known where the source's fields are."""
        return [entry.field for entry in self.entries if entry.pattern and entry.kind != "none"]

    def plain_names(self) -> list[str]:
        """Protected fields that are named, nested ones as they are written."""
        return list(dict.fromkeys(one.field for one in self.entries if not one.pattern and one.kind != "none"))


def _entries(classify: Mapping[ClassKey, Iterable[str | ClassifiedField]]) -> Iterator[Entry]:
    for kind, items in classify.items():
        for place, item in enumerate(items):
            if isinstance(item, str):
                yield Entry(kind, place, item, None)
            else:
                yield Entry(kind, place, item.field, item.identifier)
