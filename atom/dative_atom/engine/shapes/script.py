"""script: computes fields in Python in a process of its own, row by row; off the columnar path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from dative.errors import script as codes
from dative.errors.base import Code, StopRun
from dative.ids import StepId
from dative.process.shapes import ScriptSettings

from dative_atom.documents.batch import DOCUMENT, ERROR_COLUMNS, payload_fields
from dative_atom.documents.json import from_json, to_json
from dative_atom.documents.profile import profile_of
from dative_atom.engine.arrival import Arrival
from dative_atom.engine.evaluation.query import Failure
from dative_atom.engine.routing import Flow
from dative_atom.engine.script.process import Died, ScriptProcess, ScriptSpec

ALLOWED: Final = "scripts"
DEATHS_MAX: Final = 10
"""How many documents a script may die at in one batch; the documents that are left then fail with `script.given_up`."""
_CODES: Final = {
    "memory": codes.OUT_OF_MEMORY,
    "forbidden": codes.FORBIDDEN,
    "output": codes.WRONG_OUTPUT,
    "failed": codes.ROW_FAILED,
}


@dataclass(frozen=True)
class Script:
    """process: of the execution's thread. made: the outputs' columns. kinds: inputs that are more than JSON says."""

    step: StepId
    settings: ScriptSettings
    process: ScriptProcess
    kinds: dict[str, str]
    kept: Sequence[str]
    made: pa.Schema
    schema: pa.Schema
    verb: str = "script"
    effect: bool = False
    composite: bool = False
    recorded: bool = True

    def apply(self, batch: pa.RecordBatch, flow: Flow) -> pa.RecordBatch:
        failed: dict[int, Failure] = {}
        rows = self._results(batch, failed) if batch.num_rows else []
        names = self.made.names
        values = [dict(zip(names, row or [None] * len(names), strict=True)) for row in rows]
        columns, unreadable = from_json(values, self.made)
        for wrong in unreadable:
            reason = f"{wrong.field} is no {wrong.type}"
            failed.setdefault(wrong.row, Failure(wrong.row, codes.WRONG_OUTPUT.name, reason, wrong.field))
        arrays = [*(batch.column(name) for name in self.kept), *columns.columns]
        out = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        return flow.failures(self.step, out, [failed[row] for row in sorted(failed)])

    def _results(self, batch: pa.RecordBatch, failed: dict[int, Failure]) -> list[list[Any] | None]:
        """A list of outputs for each row, None where it failed. A row at which the process died is left out the next time."""
        records = to_json(batch.select(list(self.settings.inputs)))
        found: list[list[Any] | None] = [None] * len(records)
        spans = [range(len(records))]
        deaths = 0
        while spans:
            span = spans.pop()
            if not span:
                continue
            if deaths >= DEATHS_MAX:
                for row in span:
                    self._fail(row, codes.GIVEN_UP, f"the script was stopped {deaths} times before", failed)
                continue
            columns = {name: [records[row][name] for row in span] for name in self.settings.inputs}
            try:
                answer = self.process.call(columns, self.kinds, len(span))
            except Died as died:
                if not died.exact and len(span) > 1:
                    # Nobody knows which one it was: halves find it, and its neighbours have their answers.
                    middle = (span.start + span.stop) // 2
                    spans += [range(middle, span.stop), range(span.start, middle)]
                    continue
                deaths += 1
                row = span[min(died.row, len(span) - 1)]
                self._fail(row, died.code, "the script was stopped here", failed)
                # What was before it is done again: it had answers that were lost with the process.
                spans += [range(row + 1, span.stop), range(span.start, row)]
                continue
            for row, values in zip(span, answer.rows, strict=True):
                found[row] = values if values is not None and len(values) == len(self.made) else None
            for place, kind, what in answer.errors:
                self._fail(span[place], _CODES.get(kind, codes.ROW_FAILED), what or kind, failed)
            for row in span:
                if found[row] is None and row not in failed:
                    self._fail(row, codes.WRONG_OUTPUT, "no result", failed)
        return found

    def _fail(self, row: int, code: Code, reason: str, failed: dict[int, Failure]) -> None:
        failed.setdefault(row, Failure(row, code.name, reason, ""))


def compile_script(at: Arrival) -> Script:
    """Starts its process, so that code that can not be loaded is found before anything is read."""
    settings = at.settings(ScriptSettings)
    if ALLOWED not in at.context.allows:
        raise StopRun(f"{at.where}: no scripts are allowed here", code=codes.NOT_ALLOWED, where=at.where)
    missing = [name for name in settings.inputs if name not in at.schema.names]
    if missing:
        raise at.refused(f"there is no field {', '.join(missing)}")
    memory_bytes = settings.memory << 20
    spec = ScriptSpec(settings.code, tuple(settings.outputs), settings.timeout.total_seconds(), memory_bytes)
    process = ScriptProcess(spec)
    at.context.closing.append(process.close)
    process.start()
    made = profile_of(settings.types)
    gone = {name.lower() for name in settings.outputs}
    rest = payload_fields(at.schema) if settings.keep == "rest" else []
    lineage = [name for name in at.schema.names if name == DOCUMENT or name in ERROR_COLUMNS]
    kept = [*lineage, *(name for name in rest if name.lower() not in gone)]
    kinds = {name: kind for name in settings.inputs if (kind := _kind(at.schema.field(name).type))}
    schema = pa.schema([*(at.schema.field(name) for name in kept), *made])
    return Script(at.id, settings, process, kinds, kept, made, schema)


def _kind(kind: pa.DataType) -> str:
    """How the other side reads a text of this column; empty where JSON says enough."""
    if pa.types.is_decimal(kind):
        return "decimal"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_time(kind):
        return "time"
    return "binary" if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else ""
