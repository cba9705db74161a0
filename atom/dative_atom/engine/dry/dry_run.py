"""A dry run: a real execution from the real source against the real targets, which writes nothing.

The engine runs as ever; its connections' targets are looked at instead of written to, its source is not told what was
read, and its journal is one in memory over the atom's own. What comes out is, document by document, a change, no change,
or that nobody can know, and why.
"""

# ruff: noqa: ARG002 - the contract names what a dry run has no use for

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import RetryLater, StopRun
from dative.errors import engine as codes
from dative.ids import ExecutionId, ProcessName
from dative.process.classes import Classification
from dative.process.lineage import follow
from dative.process.model import Process

from dative_atom.connectors.base import (
    ConnectionConfig,
    Connector,
    Foresight,
    Mark,
    Operation,
    Outcome,
    Outcomes,
    Position,
    Preview,
    Previewer,
    Read,
    Reader,
    RunContext,
    Ticket,
    Writer,
)
from dative_atom.connectors.connection import GuardedConnector
from dative_atom.connectors.outcomes import OUTCOME_FIELDS
from dative_atom.connectors.previews import all_of
from dative_atom.documents.json import to_json
from dative_atom.engine.dry.dry_journal import DryJournal
from dative_atom.engine.making.called import read_process
from dative_atom.engine.message import Message
from dative_atom.engine.run import Connect, Surroundings, run_execution
from dative_atom.journal.contract import Execution, Journal, ParkedDocument

SHOWN_MAX: Final = 100
HIDDEN: Final = "•••"
"""What stands for a classified value."""
CAN_NOT_LOOK: Final = "the connector can not look at what its system has"
STALE_FIELDS: Final = b"dative.stale_fields"
"""A profile's metadata: fields of an incremental read that may change unseen, with commas between."""
PLACEHOLDER: Final = "(dry run)"


@dataclass(frozen=True)
class Shown:
    """One document at one target. before, after: of the changed fields; of a new document, all of it is after."""

    step: str
    outcome: str
    changed: Sequence[str] = ()
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    code: str | None = None
    reason: str | None = None


@dataclass
class Foreseen:
    """What would become of the documents of one target. reasons: of what is rejected or can not be known."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class DryRun:
    """execution: its counts and how it would end; in no journal. documents: the first of each outcome and target.

    cut: the source had more documents than were asked for. notes: what its reads can not see.
    """

    execution: Execution
    steps: Mapping[str, Foreseen]
    documents: Sequence[Shown]
    dead_letters: Sequence[ParkedDocument]
    links: int
    cut: bool = False
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """JSON values; of a dead letter only where and why, never its document."""
        counts = self.execution.counts
        return {
            "state": self.execution.state.value,
            "failure": dict(self.execution.failure) if self.execution.failure else None,
            "counts": {name: getattr(counts, name) for name in counts.__dataclass_fields__},
            "cut": self.cut,
            "links": self.links,
            "notes": list(self.notes),
            "targets": {
                step: {"counts": dict(one.counts), "reasons": dict(one.reasons), "notes": list(one.notes)}
                for step, one in self.steps.items()
            },
            "documents": [dataclasses.asdict(one) for one in self.documents],
            "dead_letters": [
                {"step": one.step, "code": one.code, "field": one.field, "reason": one.reason}
                for one in self.dead_letters[:SHOWN_MAX]
            ],
        }


def dry_run(
    message: Message,
    journal: Journal,
    surroundings: Surroundings,
    shown_max: int = SHOWN_MAX,
    documents_max: int | None = None,
) -> DryRun:
    """Run it without writing anything anywhere.

    shown_max: documents shown per target and outcome. documents_max: of the source; None reads everything there is.
    The execution of the message needs no plan and is not known afterwards. Errors: as `run_execution`.
    """
    process = read_process(Path(message.artifacts[message.process]))
    notes = _Notes(process, shown_max, documents_max)
    dry = DryJournal(journal, _execution(message, process, surroundings), lambda: notes.cut)
    looking = replace(surroundings, connect=notes.connect(surroundings.connect))
    # The engine's own journal is the contract; a dry one keeps it as far as an execution asks.
    ended = run_execution(message, cast(Journal, dry), looking)
    return DryRun(ended, notes.steps, notes.shown, dry.letters, dry.links, notes.cut, notes.source)


def _execution(message: Message, process: Process, surroundings: Surroundings) -> Execution:
    return Execution(
        execution_id=ExecutionId(message.execution_id),
        process=ProcessName(process.name),
        process_version=0,
        stream=f"{message.environment_id}/{process.name}",
        trigger="dry-run",
        planned_at=surroundings.clock.now(),
        manifest_digest="",
    )


class _Notes:
    """What the previews of one run said."""

    def __init__(self, process: Process, shown_max: int, documents_max: int | None) -> None:
        self.steps: dict[str, Foreseen] = {}
        self.cut = False
        self.source: list[str] = []
        self.documents_max = documents_max
        self.shown: list[Shown] = []
        self._shown_max = shown_max
        self._lineage = follow(process)
        self._classified = Classification.of(process.spec)

    def connect(self, connect: Connect) -> Connect:
        return lambda config: cast(Connector, _LookingConnector(connect(config), config, self))

    def note_source(self, profile: pa.Schema) -> None:
        stale = (profile.metadata or {}).get(STALE_FIELDS)
        if stale:
            self.source.append(
                f"{stale.decode()}: formulas and fields of parents change without their record's stamp; "
                "an incremental read does not see such a change alone"
            )

    def note(self, step: str, documents: pa.RecordBatch, preview: Preview) -> None:
        """Count columns; only what is shown is looked at one by one."""
        foreseen = self.steps.setdefault(step, Foreseen())
        for item in pc.value_counts(preview.rows.column("outcome")).to_pylist():
            foreseen.counts[item["values"]] += item["counts"]
        for item in pc.value_counts(pc.drop_null(preview.rows.column("reason"))).to_pylist():
            foreseen.reasons[item["values"]] += item["counts"]
        foreseen.notes.update(dict.fromkeys(preview.notes))
        for outcome in Foresight:
            self._show(step, outcome, documents, preview.rows)

    def _show(self, step: str, outcome: Foresight, documents: pa.RecordBatch, rows: pa.RecordBatch) -> None:
        already = sum(one.step == step and one.outcome == outcome for one in self.shown)
        places = pc.indices_nonzero(pc.equal(rows.column("outcome"), outcome.value))[: self._shown_max - already]
        for row, document in zip(rows.take(places).to_pylist(), to_json(documents.take(places)), strict=True):
            after = json.loads(row["after"]) if row["after"] else document
            before = json.loads(row["before"]) if row["before"] else None
            changed = json.loads(row["changed"]) if row["changed"] else ()
            self.shown.append(
                Shown(
                    step,
                    outcome.value,
                    changed,
                    self._masked(step, before),
                    self._masked(step, after),
                    row["code"],
                    row["reason"],
                )
            )

    def _masked(self, step: str, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Invariant 6: no classified value leaves the atom, whatever it was made into on the way."""
        if values is None:
            return None
        classes = self._lineage.classes.get(step, {})
        return {
            name: HIDDEN
            if value is not None and (classes.get(name) or (name not in classes and name in self._classified))
            else value
            for name, value in values.items()
        }


class _LookingConnector:
    """A `Connector` whose source is not told anything and whose targets are looked at."""

    def __init__(self, inner: Connector, config: ConnectionConfig, notes: _Notes) -> None:
        self._inner, self._config, self._notes = inner, config, notes

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        reader = self._inner.reader(operation, context)
        self._notes.note_source(reader.profile)
        return _UntoldReader(reader, self._notes)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:
        """Never opens the inner writer: opening one may already write."""
        look = getattr(self._inner, "previewer", None)
        previewer = look(operation, context, documents) if look is not None else None
        names = self._inner.result_names(operation) if isinstance(self._inner, GuardedConnector) else []
        return _LookingWriter(str(operation.step), previewer, names, self._notes)

    def check(self, clock: Any) -> Iterator[Any]:
        return self._inner.check(clock)

    def close(self) -> None:
        self._inner.close()


class _UntoldReader:
    """A `Reader` that reads and is never acknowledged: the source stands where it stood."""

    def __init__(self, inner: Reader, notes: _Notes) -> None:
        self._inner, self._notes = inner, notes

    @property
    def profile(self) -> pa.Schema:
        return self._inner.profile

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        """At `documents_max` it ends, and the run says that it was cut."""
        left = self._notes.documents_max
        for read in self._inner.read(after, rows_max):
            if left is None or read.batch.num_rows <= left:
                left = None if left is None else left - read.batch.num_rows
                yield read
                continue
            self._notes.cut = True
            if left:
                yield replace(read, batch=read.batch.slice(0, left))
            return

    def acknowledge(self, position: Position) -> None:
        """Not told."""

    def close(self) -> None:
        self._inner.close()


class _LookingWriter:
    """A `Writer` that asks a previewer. What it would write counts as applied, so that later steps see it as they will."""

    transactional = False

    def __init__(self, step: str, previewer: Previewer | None, results: Sequence[str], notes: _Notes) -> None:
        self._step, self._previewer, self._notes = step, previewer, notes
        self._results = pa.schema([pa.field(name, pa.string()) for name in results])
        if previewer is not None:
            self._results = previewer.result_fields

    @property
    def result_fields(self) -> pa.Schema:
        return self._results

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        try:
            preview = self._preview(documents)
        except RetryLater as error:
            # A look is over when it breaks off: what it knew of earlier documents went with it.
            raise StopRun(error.message, code=error.code, where=error.where) from error
        self._notes.note(self._step, documents, preview)
        rows = preview.rows
        refused = pc.equal(rows.column("outcome"), Foresight.REJECTED.value)
        same = pc.equal(rows.column("outcome"), Foresight.NO_CHANGE.value)
        outcome = pc.if_else(
            refused, Outcome.REJECTED.value, pc.if_else(same, Outcome.UNCHANGED.value, Outcome.APPLIED.value)
        )
        nothing = pa.scalar(None, pa.string())
        told = [pc.if_else(refused, rows.column(name), nothing) for name in ("code", "reason")]
        values = [_placeholder(item.type, documents.num_rows) for item in self._results]
        schema = pa.schema([*OUTCOME_FIELDS, *self._results])
        return Outcomes(pa.RecordBatch.from_arrays([outcome, *told, *values], schema=schema))

    def _preview(self, documents: pa.RecordBatch) -> Preview:
        if self._previewer is None:
            return all_of(documents.num_rows, Foresight.CANNOT_KNOW, CAN_NOT_LOOK)
        return self._previewer.preview(documents)

    def commit(self, ticket: Ticket) -> None:
        raise StopRun("a dry run has nothing to commit", code=codes.READ_INVALID)

    def rollback(self) -> None:
        """Nothing was written."""

    def committed(self, stream: str) -> Mark | None:
        return None

    def close(self) -> None:
        if self._previewer is not None:
            self._previewer.close()


def _placeholder(kind: pa.DataType, rows: int) -> pa.Array:
    """A result that nobody knows before the write; links of a dry run go nowhere, but they must be whole."""
    if pa.types.is_string(kind):
        return pa.repeat(pa.scalar(PLACEHOLDER, kind), rows)
    try:
        return pa.repeat(pa.scalar(0).cast(kind), rows)
    except pa.ArrowException:
        return pa.nulls(rows, kind)
