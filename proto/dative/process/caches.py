"""Which document caches are filled, emptied and read where, in the order in which documents meet the steps.

As with properties, that order is what makes a cache independent of how documents are cut into batches: a step that
reads a cache stands after every step that changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dative.errors import process as codes
from dative.process.expression import OwnCall
from dative.process.fields import FieldState
from dative.process.findings import Path, Report, nearest
from dative.process.problems import literal_text


@dataclass
class Caches:
    """The caches of a process. known: cache -> what its documents have. keys: cache -> the fields that find them."""

    known: dict[str, dict[str, FieldState]] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)

    def filled(
        self, name: str, key: tuple[str, ...], fields: Mapping[str, FieldState], path: Path, report: Report
    ) -> None:
        """A step adds documents with these fields."""
        self.changed(name, path, report)
        if self.keys.setdefault(name, key) != key:
            first = ", ".join(self.keys[name])
            report.value(codes.CACHE_MISMATCH, f'cache "{name}" is found by {first} where it is filled first', path)
        before = self.known.setdefault(name, dict(fields))
        if set(before) != set(fields):
            report.value(codes.CACHE_MISMATCH, f'cache "{name}" has other fields where it is filled first', path)

    def changed(self, name: str, path: Path, report: Report) -> None:
        """A step adds or removes documents."""
        if name in self._read:
            report.key(codes.CACHE_READ_BEFORE, f'cache "{name}" is read by a step before this one', path)

    def found(self, name: str, path: Path, report: Report) -> dict[str, FieldState] | None:
        """A step reads it: its fields, or None and a finding where no step before fills it."""
        if name not in self.known:
            note = nearest(name, self.known)
            report.value(codes.CACHE_EMPTY, f'no step before this one fills a cache "{name}"{note}', path)
            return None
        self._read.add(name)
        return self.known[name]

    def looked_up(self, call: OwnCall, path: Path, report: Report) -> None:
        """An expression reads it with cache()."""
        name, want = literal_text(call.arguments[0]) if call.arguments else None, literal_text(call.named.get("want"))
        held = self.found(name, path, report) if name is not None else None
        if held is None or name is None:
            return
        if len(self.keys[name]) != 1:
            message = f'cache "{name}" is found by several fields, cache() by one: cache_get joins it'
            report.value(codes.CACHE_MISMATCH, message, path)
        if want is not None and want not in held:
            report.value(codes.UNKNOWN_FIELD, f'cache "{name}" keeps no "{want}"{nearest(want, held)}', path)

    def keyed(self, name: str, key: Mapping[str, str], path: Path, report: Report) -> None:
        """The fields by which a step looks are those by which the cache is found."""
        if name in self.keys and set(key) != set(self.keys[name]):
            wanted = ", ".join(self.keys[name])
            report.value(codes.CACHE_MISMATCH, f'cache "{name}" is found by {wanted}', path)
