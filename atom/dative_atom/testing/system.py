"""The systems of a case, in one folder: a source in a file, targets in another, through the real connector contract.

The targets' file counts its own effects: one row for every document that was applied, however often. It outlives a
worker that is killed, so that what a resume repeats shows. Faults make the systems misbehave on purpose.
"""

# ruff: noqa: ARG002 - the contract names what a file has no use for

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from dative.clock import Clock
from dative.errors.base import DativeError
from dative.errors.connector import Conflict, RateLimited, Timeout, Unavailable, UnknownOutcome
from dative.process.case_model import Fault

from dative_atom.connectors.base import (
    Checked,
    ConnectionConfig,
    Mark,
    Operation,
    Outcomes,
    Position,
    Read,
    RunContext,
    Ticket,
)
from dative_atom.connectors.outcomes import RESULT_ID, Tally
from dative_atom.connectors.registry import connector_spec
from dative_atom.documents.json import to_json

SOURCE: Final = "source.arrow"
TARGETS: Final = "targets.db"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS effect (id INTEGER PRIMARY KEY, step TEXT, key TEXT, document TEXT);
CREATE TABLE IF NOT EXISTS mark (
    stream TEXT PRIMARY KEY, execution_id TEXT, batch INTEGER, fencing_token INTEGER
);
"""


@dataclass(frozen=True)
class Effect:
    """One application of one document. key: its values of the step's `key` option, empty where there is none."""

    step: str
    key: str
    document: Mapping[str, Any]


def write_source(folder: Path, rows: pa.RecordBatch) -> None:
    """What the source of the case delivers."""
    with pa.OSFile(str(folder / SOURCE), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as file:
        file.write_batch(rows)


def effects(folder: Path) -> list[Effect]:
    """Everything that the targets applied, in the order in which they did."""
    with closing(_opened(folder)) as database:
        found = database.execute("SELECT step, key, document FROM effect ORDER BY id").fetchall()
    return [Effect(step, key, json.loads(document)) for step, key, document in found]


def _opened(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / TARGETS, isolation_level=None, check_same_thread=False)
    # A killed process loses nothing that the kernel has, and the machine is not what is tested here.
    database.execute("PRAGMA synchronous = OFF")
    database.executescript(_TABLES)
    return database


class CaseSystem:
    """Every connection of one case. connect: to be passed as `Surroundings.connect`."""

    def __init__(self, folder: Path, faults: Sequence[Fault] = ()) -> None:
        self.folder = folder
        self.faults = faults
        self._calls: Counter[tuple[str, str]] = Counter()

    def connect(self, connection: ConnectionConfig) -> CaseConnector:
        return CaseConnector(connection, self)

    def next_fault(self, what: str, connection: str, step: str) -> Fault | None:
        """The fault of this call, if it has one. what: "read", "write" or "commit"; each is counted for itself."""
        self._calls[what, step] += 1
        number = self._calls[what, step]
        for fault in self.faults:
            in_commit = fault.kind.startswith("commit_")
            if fault.kind == "reject" or in_commit != (what == "commit"):
                continue
            meant = fault.step == step or fault.connection == connection
            if meant and fault.call <= number < fault.call + fault.times:
                return fault
        return None


def error_of(fault: Fault) -> DativeError:
    """The error that a connector raises for such a fault."""
    asked = fault.retry_after.total_seconds() if fault.retry_after is not None else None
    said = f"{fault.kind.replace('_', ' ')}, as the case wants it"
    if fault.kind == "timeout":
        return Timeout(said)
    if fault.kind == "rate_limited":
        return RateLimited(said, retry_after_s=asked)
    if fault.kind == "conflict":
        return Conflict(said)
    if fault.kind == "unavailable":
        return Unavailable(said, retry_after_s=asked)
    return UnknownOutcome(said)


class CaseConnector:
    """`connectors.base.Connector`: any operation reads the source's file, or writes and is counted."""

    def __init__(self, connection: ConnectionConfig, system: CaseSystem) -> None:
        self._name, self._system = str(connection.name), system

    def reader(self, operation: Operation, context: RunContext) -> CaseReader:
        return CaseReader(self._system, self._name, operation)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> CaseWriter:
        return CaseWriter(self._system, self._name, operation)

    def check(self, clock: Clock) -> Iterator[Checked]:
        yield Checked("case", True, "always there")

    def close(self) -> None:
        """Readers and writers hold what there is."""


class CaseReader:
    """`connectors.base.Reader` over the source's file. The position is the number of rows before it."""

    def __init__(self, system: CaseSystem, connection: str, operation: Operation) -> None:
        self._system, self._connection, self._operation = system, connection, operation
        with pa.OSFile(str(system.folder / SOURCE), "rb") as file:
            self._rows = pa.ipc.open_file(file).read_all().combine_chunks()

    @property
    def profile(self) -> pa.Schema:
        return self._rows.schema

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        start = int(after["row"]) if after else 0
        for first in range(start, self._rows.num_rows, rows_max):
            fault = self._system.next_fault("read", self._connection, self._operation.step)
            if fault is not None:
                raise error_of(fault)
            rows = self._rows.slice(first, rows_max).combine_chunks()
            yield Read(rows.to_batches()[0], {"row": first + rows.num_rows})

    def acknowledge(self, position: Position) -> None:
        """A file needs not be told."""

    def close(self) -> None:
        """Nothing is held."""


class CaseWriter:
    """`connectors.base.Writer` into the targets' file, as transactional as the operation that it stands for."""

    def __init__(self, system: CaseSystem, connection: str, operation: Operation) -> None:
        self._system, self._connection, self._operation = system, connection, operation
        key = operation.options.get("key")
        self._key = tuple(str(name) for name in key) if isinstance(key, list | tuple) else ()
        spec = connector_spec(operation.connector).operations[operation.operation]
        self.transactional = spec.transactional
        self._results = pa.schema(
            [RESULT_ID, *(pa.field(f"result.{n}", pa.string()) for n in spec.results if n != "id")]
        )
        self._database = _opened(system.folder)

    @property
    def result_fields(self) -> pa.Schema:
        return self._results

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        self.rollback()
        fault = self._system.next_fault("write", self._connection, self._operation.step)
        if fault is not None:
            raise error_of(fault)
        rows, tally = to_json(documents), Tally(documents.num_rows)
        for index, row in enumerate(rows):
            self._refuse(index, row, tally)
        keys = [json.dumps([row.get(name) for name in self._key]) if self._key else "" for row in rows]
        step = self._operation.step
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(
            "INSERT INTO effect (step, key, document) VALUES (?, ?, ?)",
            [(step, keys[row], json.dumps(rows[row])) for row in tally.standing_rows],
        )
        if not self.transactional:
            self._database.execute("COMMIT")
        return tally.outcomes(self._result_columns(rows))

    def _refuse(self, index: int, row: Mapping[str, Any], tally: Tally) -> None:
        for fault in self._system.faults:
            if fault.kind == "reject" and fault.step == self._operation.step:
                hit = any(str(row.get(name)) in map(str, values) for name, values in fault.where.items())
                if hit and not tally.rejected(index):
                    tally.reject(index, fault.code, "refused, as the case wants it")

    def _result_columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
        ids = [
            ":".join(str(row.get(name)) for name in self._key) if self._key else str(index)
            for index, row in enumerate(rows)
        ]
        return {name: pa.array(ids, pa.string()) for name in self._results.names}

    def commit(self, ticket: Ticket) -> None:
        fault = self._system.next_fault("commit", self._connection, self._operation.step)
        if fault is not None and fault.kind == "commit_undone":
            self.rollback()
            raise UnknownOutcome("the connection broke in the commit, as the case wants it")
        if not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")  # nothing of the batch is here; its mark moves all the same
        self._database.execute(
            "INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)",
            (ticket.stream, ticket.execution_id, ticket.batch, ticket.fencing_token),
        )
        self._database.execute("COMMIT")
        if fault is not None:
            raise UnknownOutcome("the answer to the commit was lost, as the case wants it")

    def rollback(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def committed(self, stream: str) -> Mark | None:
        with closing(_opened(self._system.folder)) as fresh:
            found = fresh.execute(
                "SELECT execution_id, batch, fencing_token FROM mark WHERE stream = ?", (stream,)
            ).fetchone()
        return Mark(*found) if found else None

    def close(self) -> None:
        self._database.close()
