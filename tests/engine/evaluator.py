"""Leads given documents through a process in the calling thread, with systems in memory: for properties and expressions.

The same compiler, shapes and accounting as a real execution, without its stages and its journal; the tests beside a
process run on the whole engine (`dative_atom.testing`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from dative.clock import Clock
from dative.errors import DativeError, StopRun
from dative.errors import engine as codes
from dative.ids import ExecutionId, StepId
from dative.process.chains import read_chains
from dative.process.model import Process
from dative.process.shapes import OperationSettings, Step
from dative_atom.connectors.base import Writer
from dative_atom.documents.batch import number_documents, payload
from dative_atom.documents.json import to_json
from dative_atom.engine.books.accounting import balance
from dative_atom.engine.books.parking import parked_documents
from dative_atom.engine.books.tracking import classified_fields, tracked_fields
from dative_atom.engine.compile import compile_process
from dative_atom.engine.effects.effects import Effects
from dative_atom.engine.effects.retry import Waits
from dative_atom.engine.evaluation.database import Database, literal
from dative_atom.engine.evaluation.rows import CrossReferences, HeldRows
from dative_atom.engine.evaluation.seeds import unique_columns
from dative_atom.engine.evaluation.tables import Origin, open_tables
from dative_atom.engine.making.called import parameters_of
from dative_atom.engine.memory import MemoryTarget, MemoryWriter
from dative_atom.engine.plan import Context
from dative_atom.engine.routing import Flow, run_steps
from dative_atom.journal.contract import Counts, LinkRows, ParkedDocument
from dative_atom.journal.xref_merge import among
from dative_atom.telemetry.recorder import Recorder
from dative_atom.testing.stage import TEST_KEYS

ENVIRONMENT: Final = "test"
MEMORY_BYTES: Final = 512 * 1024**2


@dataclass(frozen=True)
class CaseResult:
    """What became of the documents. steps: what flowed out of each step; targets: what each target step was given.

    failure: code, message, where, next of what kept the process from running; everything else is empty then.
    """

    counts: Counts = field(default_factory=Counts)
    steps: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    targets: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    dead_letters: Sequence[ParkedDocument] = ()
    links: Sequence[LinkRows] = ()
    failure: Mapping[str, str] | None = None


class MemoryTables:
    """Cross-references of one case, in memory: `lookup.CrossReferences`."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, list[str]]] = {}
        self._next: dict[str, int] = {}
        self._given: dict[str, dict[str, int]] = {}

    def xref_load(self, rows: LinkRows) -> int:
        self._rows[rows.table] = {name: list(values) for name, values in rows.columns.items()}
        return self.xref_rows(rows.table)

    def xref_rows(self, table: str) -> int:
        return max((len(values) for values in self._rows.get(table, {}).values()), default=0)

    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        columns = self._rows.get(table, {})
        return HeldRows(columns).all(column, want) if {*column, want} <= columns.keys() else []

    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        wanted = set(keys)
        return {key: value for key, value in self.xref_all(table, column, want) if key in wanted}

    def xref_conflicts(self, rows: LinkRows) -> list[int]:
        return list(among(rows, () if rows.unique is None else rows.unique or tuple(rows.columns)))

    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int:
        first = max(self._next.get(sequence, start), start)
        self._next[sequence] = first + count * step
        return first

    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]:
        given = self._given.setdefault(sequence, {})
        for key in keys:
            if key not in given:
                given[key] = self.sequence_take(sequence, 1, start, step)
        return {key: given[key] for key in keys}


def run_case(
    process: Process,
    tables: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]] | pa.Table,
    *,
    clock: Clock,
    parameters: Mapping[str, str] | None = None,
) -> CaseResult:
    """Lead the rows through the process. tables: name -> CSV text. rows: documents as the source would give them.

    Plain rows get the types that they show; a table keeps its own. Never raises for what is wrong with the process.
    """
    database = Database(MEMORY_BYTES)
    try:
        return Case(process, database, clock).run(tables, _batch(rows), parameters or {})
    except DativeError as error:
        failure = {"code": error.code.name, "message": error.message, "where": error.where, "next": error.next}
        return CaseResult(failure=failure)
    finally:
        database.close()


def _batch(rows: Sequence[Mapping[str, Any]] | pa.Table) -> pa.RecordBatch:
    """All fields of all rows; one that never has a value is a text."""
    if not isinstance(rows, pa.Table):
        names = list(dict.fromkeys(name for row in rows for name in row))
        try:
            columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
        except pa.ArrowException as error:
            raise StopRun(f"the rows of the case do not share types: {error}", code=codes.READ_INVALID) from error
        texts = {
            name: column.cast(pa.string()) if pa.types.is_null(column.type) else column
            for name, column in columns.items()
        }
        rows = pa.table(texts)
    whole = rows.combine_chunks().to_batches()
    return (
        whole[0]
        if whole
        else pa.RecordBatch.from_arrays([pa.array([], item.type) for item in rows.schema], schema=rows.schema)
    )


class Case:
    """One process under test."""

    def __init__(self, process: Process, database: Database, clock: Clock) -> None:
        self.process = process
        self.database = database
        self.clock = clock
        self.given: dict[str, MemoryTarget] = {}
        self.steps: dict[str, list[dict[str, Any]]] = {}

    def run(self, tables: Mapping[str, str], rows: pa.RecordBatch, parameters: Mapping[str, str]) -> CaseResult:
        now = self.clock.now()
        session = self.database.session()
        context = self._context(tables, MemoryTables(), parameters_of(self.process, parameters), now)
        plan = compile_process(self.process.spec.steps, rows.schema, context)
        source = number_documents(rows, 0)
        effects = Effects("test", ExecutionId("test"), 0, {}, 0, Waits(self.clock, lambda _: True))
        flow = Flow(0, source, session, Recorder(), self.process.name, effects, self._observe)
        out = run_steps([*plan.transform, *plan.deliver], source, flow)
        spec = self.process.spec
        fates = balance(flow, out, spec.steps[-1].id if spec.steps else spec.source.id)
        return CaseResult(
            counts=fates.counts,
            steps=self.steps,
            # Nothing is refused here, so what flows out of a target is what it was given, in the order of the input.
            targets={step: self.steps.get(step, []) for step in self.given},
            dead_letters=parked_documents(flow, classified_fields(spec), tracked_fields(spec), ()),
            links=flow.links,
        )

    def _context(
        self, tables: Mapping[str, str], xrefs: CrossReferences, parameters: Mapping[str, str], now: datetime
    ) -> Context:
        spec = self.process.spec
        with tempfile.TemporaryDirectory() as directory:
            artifacts = {}
            for name, text in tables.items():
                path = Path(directory) / f"{name}.csv"
                path.write_text(text, encoding="utf-8")
                artifacts[f"{self.process.name}/{name}.csv"] = path
            opened = open_tables(spec, self.process.name, Origin(artifacts, xrefs, now.date()))
        return Context(
            process=self.process.name,
            environment_id=ENVIRONMENT,
            session=self.database.session(),
            tables=opened,
            parameters=parameters,
            properties={
                "execution.id": literal("test"),
                "execution.started_at": f"CAST({literal(now.isoformat())} AS TIMESTAMPTZ)",
                "process.name": literal(self.process.name),
                "environment.name": literal(ENVIRONMENT),
            },
            rates=spec.rates_table,
            unique={name: unique_columns(table) for name, table in spec.tables.items() if table.kind == "xref"},
            mask_keys=TEST_KEYS,
            started_at=now,
            chains=read_chains(spec.functions),
            open_writer=self._writer,
            new_session=self.database.session,
            # There is no vault without an atom: tokens of a case are looked at and thrown away.
            keep_tokens=lambda _tokens, _values: None,
        )

    def _writer(self, step: Step, settings: OperationSettings, documents: pa.Schema) -> Writer:
        key = settings.options.get("key")
        target = MemoryTarget(tuple(str(name) for name in key) if isinstance(key, list) else ())
        self.given[step.id] = target
        return MemoryWriter(target, documents)

    def _observe(self, step: StepId, out: pa.RecordBatch) -> None:
        self.steps.setdefault(step, []).extend(to_json(payload(out)))
