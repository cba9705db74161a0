"""Opens everything one execution needs: its process, database, tables, connections, source; and closes it again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
from dative.errors import StopRun
from dative.errors import engine as codes
from dative.ids import ConnectionName, StepId
from dative.process.chains import read_chains
from dative.process.model import Process
from dative.process.scalars import parse_duration
from dative.process.shapes import DocumentsSettings, FindChangesSettings, NothingSettings, OperationSettings, Step
from dative.process.tables import XrefTable
from dative.secrets import MaskKeys

from dative_atom.connectors.base import ConnectionConfig, Connector, Operation, Reader, RunContext, Writer
from dative_atom.engine.books.ledger import JournalLedger
from dative_atom.engine.books.tracking import Tracking, classified_fields, tracking_of
from dative_atom.engine.books.vault import Vault
from dative_atom.engine.compile import compile_process
from dative_atom.engine.dry.dry_journal import DryJournal
from dative_atom.engine.evaluation.database import Database, literal
from dative_atom.engine.evaluation.lookup import Tables
from dative_atom.engine.evaluation.seeds import unique_columns
from dative_atom.engine.evaluation.table_reader import table_reader
from dative_atom.engine.evaluation.tables import Origin, open_tables
from dative_atom.engine.making.called import open_called, parameters_of, read_called, read_process
from dative_atom.engine.making.changes import ChangesSource, with_change
from dative_atom.engine.making.running import Running, restored
from dative_atom.engine.message import Message
from dative_atom.engine.plan import Called, Context, Plan
from dative_atom.engine.sources.source import DeadLetterSource, ReaderSource, Source
from dative_atom.engine.sources.starts import CALLER, CallerSource, NothingSource
from dative_atom.engine.sources.units import units_of
from dative_atom.journal.address import folder_of
from dative_atom.journal.contract import Execution, Journal

BATCH_ROWS_PARAMETER: Final = "batch_rows"
BATCH_ROWS_MAX: Final = 100_000
RECEIPTS_KEEP_PARAMETER: Final = "receipts_keep"
RECEIPTS_KEEP_S: Final = 30 * 86400.0
POOL_SHARE: Final = 2
"""DuckDB's own pool is this part of the worker's memory: batches on their way need the rest."""
UNIT_SHARE: Final = 8
"""A unit of `flow_control` weighs at most this part of the worker's memory: it is held whole, and copied on its way."""

Connect = Callable[[ConnectionConfig], Connector]


class Connections:
    """The execution's connections: each opened once, all closed at the end."""

    def __init__(self, process: Process, called: Sequence[Process], message: Message, connect: Connect) -> None:
        self._processes = (process, *called)
        self._bindings = {binding.name: binding for binding in message.bindings}
        self._connect = connect
        self._open: dict[str, Connector] = {}
        self._writers: list[Writer] = []
        self._guard = threading.Lock()

    def bound(self, name: str) -> bool:
        return name in self._bindings

    def get(self, name: str) -> Connector:
        """The connector of that logical connection. StopRun engine.binding_missing."""
        with self._guard:
            if name not in self._open:
                self._open[name] = self._connect(self._config(name))
            return self._open[name]

    def _config(self, name: str) -> ConnectionConfig:
        binding = self._bindings.get(name)
        if binding is None:
            raise StopRun(
                f"connection {name} of process {self._processes[0].name} is not bound in this environment",
                code=codes.BINDING_MISSING,
                where=f"connection {name}",
            )
        for process in self._processes:
            wanted = process.spec.connections.get(name, binding.connector)
            if binding.connector != wanted:
                raise StopRun(
                    f"connection {name} is bound to a {binding.connector}, process {process.name} needs a {wanted}",
                    code=codes.BINDING_MISSING,
                    where=f"connection {name}",
                )
        return ConnectionConfig(ConnectionName(name), binding.connector, binding.settings, binding.secrets)

    def keep(self, writer: Writer) -> Writer:
        self._writers.append(writer)
        return writer

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        for connector in self._open.values():
            connector.close()


@dataclass
class Opened:
    """An execution's belongings. parameters: defaults, under the environment's values, under the execution's own."""

    process: Process
    parameters: Mapping[str, str]
    database: Database
    tables: Tables
    source: Source
    connections: Connections
    context: RunContext
    message: Message
    execution: Execution
    journal: Journal
    mask_keys: MaskKeys
    tracking: Tracking
    classified: Container[str] = ()
    called: Mapping[str, Called] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def receipts_keep_s(self) -> float:
        """How long receipts are kept: the environment's <process>.receipts_keep, else RECEIPTS_KEEP_S."""
        asked = self.message.parameters.get(RECEIPTS_KEEP_PARAMETER)
        if not asked:
            return RECEIPTS_KEEP_S
        try:
            return parse_duration(asked).total_seconds()
        except ValueError as error:
            raise StopRun(
                f"{self.process.name}.{RECEIPTS_KEEP_PARAMETER} is {asked!r}: {error}", code=codes.PARAMETER_INVALID
            ) from error

    @property
    def batch_rows(self) -> int:
        """The execution's own, else the process', else the worker's; 1..BATCH_ROWS_MAX."""
        return _batch_rows(self.message, self.process)

    def remembered(self) -> Running:
        """What former executions and the settled batches of this one have left."""
        execution_id = self.execution.execution_id
        values = self.journal.remembered(execution_id, self.execution.stream)
        return restored(values, self.journal.cached(execution_id), self.database.session())

    def compile(self, profile: pa.Schema) -> Plan:
        """The plan for documents of this profile; opens the targets' writers in the calling thread."""
        started_at = self.execution.started_at or self.execution.planned_at
        spec = self.process.spec
        context = Context(
            process=self.process.name,
            environment_id=self.message.environment_id,
            session=self.database.session(),
            tables=self.tables,
            parameters=self.parameters,
            properties=_properties(self.message, self.process, started_at),
            rates=spec.rates_table,
            unique={name: unique_columns(table) for name, table in spec.tables.items() if isinstance(table, XrefTable)},
            mask_keys=self.mask_keys,
            started_at=started_at,
            open_writer=self._writer,
            new_session=self.database.session,
            keep_tokens=Vault(self.journal, self.mask_keys, self.message.environment_id).keep,
            processes=self.called,
            allows=frozenset(self.message.allows),
            dry=isinstance(self.journal, DryJournal),
            closing=self.closing,
            running=self.remembered().types(),
            conflicts={name: table.conflict for name, table in spec.tables.items() if isinstance(table, XrefTable)},
            chains=read_chains(spec.functions),
        )
        partitions = spec.flow_control.partitions if spec.flow_control is not None else None
        return compile_process(spec.steps, profile, context, partitions)

    def _writer(self, step: Step, settings: OperationSettings, documents: pa.Schema) -> Writer:
        operation = _operation(step, settings)
        self.context.fence.check()  # Invariant 4: opening one may make its mark table or its folder
        return self.connections.keep(
            self.connections.get(settings.connection).writer(operation, self.context, documents)
        )

    def close(self) -> None:
        for close in self.closing:
            close()
        self.connections.close()
        self.database.close()


def _batch_rows(message: Message, process: Process) -> int:
    asked = message.parameters.get(BATCH_ROWS_PARAMETER)
    rows = int(asked) if asked and asked.isdigit() else process.spec.batch_rows
    return min(max(rows or message.limits.batch_rows, 1), BATCH_ROWS_MAX)


def open_execution(
    message: Message,
    execution: Execution,
    journal: Journal,
    connect: Connect,
    context: RunContext,
    ledger: JournalLedger,
) -> Opened:
    """Everything but the source, which its own thread opens. Raises StopRun."""
    artifacts = {name: Path(path) for name, path in message.artifacts.items()}
    if message.process not in artifacts:
        raise StopRun(f"the bundle holds no process {message.process}", code=codes.PROCESS_UNREADABLE)
    process = read_process(artifacts[message.process])
    parameters = parameters_of(process, {**message.parameters, **execution.parameters})
    mask_keys = MaskKeys.from_hex(message.keys.mask)
    database = Database(message.limits.memory_bytes // POOL_SHARE)
    today = (execution.started_at or execution.planned_at).date()
    called = read_called(process, artifacts)
    given = {**message.parameters, **execution.parameters}
    connections = Connections(process, list(called.values()), message, connect)
    origin = Origin(artifacts, journal, today, message.environment, table_reader(connections.get, context))
    tables = open_tables(process.spec, process.name, origin)
    source = _source(process, execution, journal, connections, context, ledger)
    changes = changes_step(process)
    if changes is not None and not execution.retry_of:
        owner, folder = f"{execution.stream}/{changes.id}", folder_of(message.journal, message.journal_key)
        source = ChangesSource(source, changes_of(changes), owner, journal, database.session(), folder)
    if not execution.retry_of:
        # Retried documents have no neighbours any more that they could be kept together with.
        unit_bytes = message.limits.memory_bytes // UNIT_SHARE
        source = units_of(source, process.spec.flow_control, _batch_rows(message, process), unit_bytes)
    return Opened(
        process=process,
        parameters=parameters,
        database=database,
        tables=tables,
        source=source,
        connections=connections,
        context=context,
        message=message,
        execution=execution,
        journal=journal,
        mask_keys=mask_keys,
        tracking=tracking_of(process.spec, mask_keys),
        classified=classified_fields(process.spec),
        called=open_called(called, origin, given),
    )


def _source(
    process: Process,
    execution: Execution,
    journal: Journal,
    connections: Connections,
    context: RunContext,
    ledger: JournalLedger,
) -> Source:
    step = process.spec.source
    settings = step.settings
    given = isinstance(settings, DocumentsSettings) and connections.bound(CALLER)
    if isinstance(settings, DocumentsSettings) and not given:
        return CallerSource(process.name)
    if isinstance(settings, NothingSettings) and not execution.retry_of:
        return NothingSource()

    def profile() -> pa.Schema:
        if isinstance(settings, NothingSettings):
            return pa.schema([])
        reader = open_reader()
        try:
            changes = changes_step(process)
            return reader.profile if changes is None else with_change(reader.profile, changes_of(changes))
        finally:
            reader.close()

    def open_reader() -> Reader:
        if given:
            return connections.get(CALLER).reader(Operation(StepId(step.id), "documents", "give", {}), context)
        if not isinstance(settings, OperationSettings):
            raise StopRun(f"the source of {process.name} is no operation", code=codes.PROCESS_UNREADABLE)
        return connections.get(settings.connection).reader(_operation(step, settings), context)

    if not execution.retry_of:
        return ReaderSource(open_reader, ledger, context.fence)
    letters = [journal.dead_letter(letter_id) for letter_id in execution.retry_of]
    kept = {found.arrow: found for one in execution.retry_of if (found := journal.letter_profile(one))}
    return DeadLetterSource([letter for letter in letters if letter is not None], list(kept.values()), profile)


def changes_step(process: Process) -> Step | None:
    """The step that finds changes, which only the first one can be."""
    steps = process.spec.steps
    return steps[0] if steps and isinstance(steps[0].settings, FindChangesSettings) else None


def changes_of(step: Step) -> FindChangesSettings:
    assert isinstance(step.settings, FindChangesSettings)  # noqa: S101  (as `changes_step` found it)
    return step.settings


def _operation(step: Step, settings: OperationSettings) -> Operation:
    return Operation(StepId(step.id), settings.connector, settings.operation, settings.options)


def _properties(message: Message, process: Process, started_at: datetime) -> dict[str, str]:
    """SQL of what property() reads; see dative.process.functions.PROPERTIES."""
    return {
        "execution.id": literal(message.execution_id),
        "execution.started_at": f"CAST({literal(started_at.isoformat())} AS TIMESTAMPTZ)",
        "process.name": literal(process.name),
        "environment.name": literal(message.environment),
    }
