"""program_command: runs a program for each document, or once for a batch; a row loop, off the columnar path.

It is an effect of the deliver stage. Its outcomes are kept with the batch's effects, so that a batch that starts over
because another target did not commit does not run it again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import command as codes
from dative.errors import engine
from dative.errors.base import Code, StopRun
from dative.ids import StepId
from dative.process.shapes import ProgramCommandSettings
from dative.process.shapes.program_command import HOLE

from dative_atom.connectors.base import Fence
from dative_atom.documents.json import to_json
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.effects.program import Ended, run_program
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.routing import Flow

ALLOWED: Final = "command:"
"""Before each path in what an atom allows."""
_TOLD = pa.schema([pa.field(name, pa.string()) for name in ("output", "code", "reason")])


@dataclass(frozen=True)
class ProgramCommand:
    """dry: nothing is run, and nothing is known of what it would say."""

    step: StepId
    settings: ProgramCommandSettings
    schema: pa.Schema
    dry: bool = False
    verb: str = "program_command"
    effect: bool = True
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        told = self._told(batch, flow) if batch.num_rows else pa.RecordBatch.from_pylist([], schema=_TOLD)
        columns = [
            told.column("output") if item.name == self.settings.into else batch.column(item.name)
            for item in self.schema
        ]
        out = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        rows = pc.indices_nonzero(told.column("code").is_valid()).to_pylist()
        failures = [
            Failure(row, told.column("code")[row].as_py(), told.column("reason")[row].as_py(), "") for row in rows
        ]
        return flow.failures(self.step, out, failures)

    def _told(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        effects = flow.effects
        if effects is None:
            raise StopRun(f"step {self.step} runs a program in a stage that may not", code=engine.READ_INVALID)
        if self.step not in effects.applied:
            if self.dry:
                rows: list[_Row] = [(None, None, None)] * batch.num_rows
            elif effects.suspect and not self.settings.repeatable:
                # Invariant 8: nobody can ask a program whether it has run, so it is not run again.
                said = (None, engine.OUTCOME_UNKNOWN.name, "a killed attempt may have run the program for it")
                rows = [said] * batch.num_rows
            else:
                rows = self._run(batch, effects.fence)
            columns = zip(*rows, strict=True)
            arrays = [pa.array(values, pa.string()) for values in columns]
            effects.applied[self.step] = pa.RecordBatch.from_arrays(arrays, schema=_TOLD)
        return effects.applied[self.step]

    def _run(self, batch: pa.RecordBatch, fence: Fence) -> list[_Row]:
        settings = self.settings
        if settings.per == "batch":
            records = to_json(batch.select(list(settings.fields)))
            given = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
            return [self._once(settings.command, given, fence)] * batch.num_rows
        texts = {name: _texts(batch.column(name)) for name in settings.used}
        return [self._of(texts, row, fence) for row in range(batch.num_rows)]

    def _of(self, texts: dict[str, list[str | None]], row: int, fence: Fence) -> _Row:
        try:
            arguments = _filled(self.settings.command, {name: values[row] for name, values in texts.items()})
        except ValueError as error:
            return _failed(codes.ARGUMENT, str(error))
        given = (texts[self.settings.stdin][row] or "") if self.settings.stdin else ""
        return self._once(arguments, given.encode(), fence)

    def _once(self, arguments: Sequence[str], given: bytes, fence: Fence) -> _Row:
        settings = self.settings
        ended = run_program(arguments, given, settings.timeout.total_seconds(), settings.output_max, fence)
        return _row(ended, settings)


_Row = tuple[str | None, str | None, str | None]


def _row(ended: Ended, settings: ProgramCommandSettings) -> _Row:
    if ended.code is not None:
        return _failed(ended.code, "the program was stopped at a bound")
    if ended.status in settings.reject_on:
        return _failed(codes.REJECTED, f"the program ended with {ended.status}")
    if ended.status < 0:
        return _failed(codes.FAILED, f"the program was ended by signal {-ended.status}")
    if ended.status:
        return _failed(codes.FAILED, f"the program ended with {ended.status}")
    try:
        return ended.output.decode().removesuffix("\n"), None, None
    except UnicodeDecodeError:
        return _failed(codes.OUTPUT, "what the program wrote is no UTF-8 text")


def _failed(code: Code, reason: str) -> _Row:
    return None, code.name, reason


def _texts(column: pa.Array) -> list[str | None]:
    values: list[str | None] = column.cast(pa.string()).to_pylist()
    return values


def _filled(command: Sequence[str], values: dict[str, str | None]) -> list[str]:
    """The arguments with their values, as many as before. ValueError, without a value in it, for one that can be none."""
    filled, options_over = [], False
    for argument in command:
        text = HOLE.sub(lambda found: _value(values, found[1]), argument)
        if argument.startswith("{") and text.startswith("-") and not options_over:
            raise ValueError("a value begins with a dash and would be read as an option")
        options_over = options_over or argument == "--"
        filled.append(text)
    return filled


def _value(values: dict[str, str | None], name: str) -> str:
    text = values[name]
    if text is None:
        raise ValueError(f"field {name} has no value")
    if "\0" in text:
        raise ValueError(f"field {name} holds a NUL character")
    return text


def compile_program_command(at: Arrival) -> ProgramCommand:
    """Whether this atom allows the program and can execute it is found before anything is read."""
    settings = at.settings(ProgramCommandSettings)
    path = settings.command[0]
    if f"{ALLOWED}{path}" not in at.context.allows:
        raise StopRun(f"{at.where}: {path} is not allowed here", code=codes.NOT_ALLOWED, where=at.where)
    if not Path(path).is_file() or not os.access(path, os.X_OK):
        raise StopRun(f"{at.where}: {path} can not be executed", code=codes.UNUSABLE, where=at.where)
    missing = [name for name in settings.used if name not in at.schema.names]
    if missing:
        raise at.refused(f"there is no field {', '.join(missing)}")
    nested = [name for name in settings.holes if pa.types.is_nested(at.schema.field(name).type)]
    if nested:
        raise at.refused(f"{', '.join(nested)} is no single value")
    kept = [item for item in at.schema if item.name != settings.into]
    made = [pa.field(settings.into, pa.string())] if settings.into else []
    return ProgramCommand(at.id, settings, pa.schema([*kept, *made]), at.context.dry)
