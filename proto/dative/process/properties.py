"""Which properties of the execution are set and read where, in the order in which documents meet the steps.

That order is what makes them independent of how documents are cut into batches: a step that reads a process property
stands after every step that sets it. Knows no step; the shapes and the pass over the fields tell it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dative.errors import process as codes
from dative.process.datatypes import joined
from dative.process.fields import FieldState
from dative.process.findings import Path, Report, nearest


@dataclass
class RunningProperties:
    """The `process.` and `persisted.` properties. known: set so far. reads: where each was read first."""

    known: dict[str, FieldState] = field(default_factory=dict)
    reads: dict[str, Path] = field(default_factory=dict)

    def read(self, name: str, path: Path) -> None:
        self.reads.setdefault(name, path)

    def set(self, name: str, state: FieldState, path: Path, report: Report) -> None:
        """A step sets it; findings about the value at `path` go to the report."""
        # The digits of the integer that one step writes out say nothing of what another one sets.
        state = replace(state, type=state.type.unsized)
        before = self.known.get(name)
        if name.startswith("persisted.") and state.classes:
            kinds = ", ".join(sorted(state.classes))
            report.value(codes.PROPERTY_CLASSIFIED, f'"{name}" would keep a value that is classified {kinds}', path)
        if name in self.reads and name.startswith("process."):
            report.key(codes.PROPERTY_READ_BEFORE, f'"{name}" is read by a step before this one', path)
        if before is None:
            self.known[name] = state
            return
        if joined(before.type, state.type) is None or (
            before.type.known and state.type.known and before.type != state.type
        ):
            message = f'"{name}" was {before.type} before, here it is {state.type}: CAST it'
            report.value(codes.PROPERTY_TYPES, message, path)
        self.known[name] = FieldState(before.type, before.sources | state.sources, before.classes | state.classes)

    def never_set(self, report: Report) -> None:
        """Persisted properties that are read and that no step of the process sets."""
        for name, path in self.reads.items():
            if name.startswith("persisted.") and name not in self.known:
                report.value(codes.PROPERTY_UNSET, f'no step sets "{name}"{nearest(name, self.known)}', path)
