"""program_command: runs a program of the atom's machine, where the atom allows it."""

from __future__ import annotations

import os.path
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import DataType
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import Duration, FieldName
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.operation import disclosed
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

HOLE = re.compile(r"\{([^{}]+)\}")
TIMEOUT_MAX = timedelta(minutes=10)
OUTPUT_MAX = 16 << 20


class ProgramCommandSettings(ShapeSettings):
    """Runs a program of the atom's machine, where the environment and the atom (`allow_commands`) name its path.

    No shell reads the arguments: each stays one argument, whatever a value holds. It has an empty environment, the
    folder /, a process group of its own, and is killed with it at its timeout. It is an effect that nothing can look
    up: documents that a killed execution may have handed to it are parked as unknown, if it is not `repeatable`.
    A document each is slow: a process is started for it.
    """

    shape: Literal["program_command"] = "program_command"
    command: tuple[Annotated[str, Field(max_length=4096)], ...] = Field(
        min_length=1,
        max_length=100,
        description="Absolute path and arguments; {field} in an argument is that field's value as text.",
    )
    per: Literal["document", "batch"] = Field(
        "document", description="batch: once for all, which stand on standard input as JSON lines of `fields`."
    )
    stdin: FieldName | None = Field(None, description="Per document: the field that it reads on standard input.")
    fields: tuple[FieldName, ...] = Field((), max_length=500, description="Per batch: what it reads of each document.")
    into: FieldName | None = Field(None, description="Field for what it writes to standard output, as text.")
    timeout: Duration = Field(default="30s", validate_default=True, description="For one run; at most 10m.")
    output_max: int = Field(65_536, ge=0, le=OUTPUT_MAX, description="Bytes that it may write; then it is killed.")
    reject_on: tuple[Annotated[int, Field(ge=1, le=255)], ...] = Field(
        (), description="Exit codes that mean: not this document. Any other but 0 is a failure of the program."
    )
    repeatable: bool = Field(False, description="Running it twice with a document leaves the world as once.")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if not timedelta(milliseconds=50) <= self.timeout <= TIMEOUT_MAX:
            raise ValueError("timeout is 50ms to 10m")
        path = self.command[0]
        if not path.startswith("/") or os.path.normpath(path) != path or HOLE.search(path):
            raise ValueError("the program is an absolute path without .. or {field}")
        if any("\0" in argument for argument in self.command):
            raise ValueError("an argument holds no NUL")
        if self.per == "batch" and (not self.fields or self.stdin or self.holes):
            raise ValueError("per batch has fields, and neither stdin nor {field}: it gets all documents at once")
        if self.per == "document" and self.fields:
            raise ValueError("fields goes with per: batch; hand a document over as stdin or {field}")
        return self

    @property
    def holes(self) -> tuple[str, ...]:
        """The fields that stand in arguments, in their order."""
        return tuple(name for argument in self.command for name in HOLE.findall(argument))

    @property
    def used(self) -> tuple[str, ...]:
        """Every field that the program gets to see."""
        return tuple(dict.fromkeys((*self.holes, *((self.stdin,) if self.stdin else ()), *self.fields)))

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        seen = {}
        for name in self.used:
            check.known(name, fields, here)
            seen[name] = check.reads(name, fields) or FieldState()
        disclosed(step, path, Fields(seen), check)
        if self.into is None:
            return fields
        if self.into.startswith("_"):
            check.report.key(codes.RESERVED_FIELD, f'"{self.into}" can not be a field: it begins with _', here)
        # Nobody knows what a program says: its output is as protected as all that it has seen.
        made = FieldState(
            DataType("text"),
            frozenset().union(*(state.sources for state in seen.values())),
            frozenset().union(*(state.classes for state in seen.values())),
            functions=frozenset(("program_command",)).union(*(state.functions for state in seen.values())),
            masks=frozenset().union(*(state.masks for state in seen.values())),
            carried=frozenset().union(*(state.carried for state in seen.values())),
        )
        return replace(fields, fields={**fields.fields, self.into: made})
