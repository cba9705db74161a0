"""A source and targets in memory, through the real connector contract: for process tests and the engine's own.

They are as strict as a real system: a position that is honoured, a target that upserts by key, transactions with marks.
`Faults` makes them misbehave on purpose.
"""

# ruff: noqa: ARG002 - the contract names what a system in memory has no use for

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from dative.clock import Clock
from dative.errors.base import StopRun
from dative.errors.connector import FENCED, Unavailable, UnknownOutcome

from dative_atom.connectors.base import (
    PREVIEW_FIELDS,
    UNFENCED,
    Checked,
    ConnectionConfig,
    Fence,
    Foresight,
    Mark,
    Operation,
    Outcomes,
    Position,
    Preview,
    Read,
    RunContext,
    Ticket,
)
from dative_atom.connectors.outcomes import RESULT_ID, Tally
from dative_atom.documents.json import to_json

Hook = Callable[[pa.RecordBatch], None]


@dataclass
class Faults:
    """What goes wrong, in order of calls.

    write: one entry a write call, an error to raise or None. commit: likewise; "lost" commits and loses the answer,
    "undone" loses the answer without having committed. reject: row -> (code, reason) or None. lost: for each write call
    after how many probes it shows, its answer having been lost: 0 at once, None never; writes beyond the list answer.
    probe: raised by the next probes.
    """

    write: list[BaseException | None] = field(default_factory=list)
    commit: list[str | BaseException | None] = field(default_factory=list)
    reject: Callable[[dict[str, Any]], tuple[str, str] | None] | None = None
    lost: list[int | None] = field(default_factory=list)
    probe: list[BaseException] = field(default_factory=list)


@dataclass
class MemoryTarget:
    """What one target step has. key: fields that find a document; empty means that every write appends.

    silent: how often the target does not say what it committed last. request_rows: how many documents one request of a
    target without transactions takes; requested: called after each. idempotent: a key that was seen is not applied again.
    rows: key -> document. effects: how many documents were applied, over all writes. outcomes: of each write.
    """

    key: tuple[str, ...] = ()
    transactional: bool = False
    faults: Faults = field(default_factory=Faults)
    silent: int = 0
    rows: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    effects: int = 0
    writes: int = 0
    mark: dict[str, Mark] = field(default_factory=dict)
    probes: int = 0
    late: list[tuple[int, list[dict[str, Any]]]] = field(default_factory=list)
    request_rows: int = 0
    requested: Callable[[], None] = lambda: None
    idempotent: bool = False
    keys: set[str] = field(default_factory=set)

    def apply(self, rows: list[dict[str, Any]]) -> None:
        """Every application counts, also of a document that is there already."""
        for row in rows:
            self.rows[tuple(row.get(name) for name in self.key) if self.key else (self.effects,)] = row
            self.effects += 1

    def arrive(self) -> None:
        """Apply the writes whose answers were lost and that have become visible by now."""
        for due, rows in [item for item in self.late if item[0] <= self.probes]:
            self.apply(rows)
            self.late.remove((due, rows))


class MemoryWriter:
    """`connectors.base.Writer` over a `MemoryTarget`."""

    def __init__(self, target: MemoryTarget, documents: pa.Schema, fence: Fence = UNFENCED) -> None:
        self._target = target
        self._documents = documents
        self._fence = fence
        self._open: list[dict[str, Any]] = []

    @property
    def transactional(self) -> bool:
        return self._target.transactional

    @property
    def result_fields(self) -> pa.Schema:
        return pa.schema([RESULT_ID])

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        target = self._target
        target.writes += 1
        if target.faults.write and (fault := target.faults.write.pop(0)) is not None:
            raise fault
        tally, rows, ids = Tally(documents.num_rows), to_json(documents), []
        for index, row in enumerate(rows):
            refused = target.faults.reject(row) if target.faults.reject else None
            if refused is not None:
                tally.reject(index, *refused)
            else:
                self._open.append(row)
            ids.append(":".join(str(row.get(name)) for name in target.key) if target.key else str(index))
        if target.faults.lost:
            self._lose(target.faults.lost.pop(0))
        if not target.transactional:
            self._request(ticket)
        return tally.outcomes({RESULT_ID.name: pa.array(ids, pa.string())})

    def _request(self, ticket: Ticket) -> None:
        """As over HTTP: one request after the other, each for good."""
        target, rows, self._open = self._target, self._open, []
        size = target.request_rows or max(len(rows), 1)
        keys = [ticket.idempotency_key(json.dumps(row, default=str).encode(), index) for index, row in enumerate(rows)]
        for start in range(0, len(rows), size):
            self._fence.check()
            some = range(start, min(start + size, len(rows)))
            target.apply([rows[index] for index in some if not (target.idempotent and keys[index] in target.keys)])
            target.keys.update(keys[index] for index in some)
            target.requested()

    def _apply(self) -> None:
        self._target.apply(self._open)
        self._open = []

    def _lose(self, shows_after: int | None) -> None:
        target, rows, self._open = self._target, self._open, []
        if shows_after is not None:
            target.late.append((target.probes + shows_after, rows))
            target.arrive()
        raise UnknownOutcome("the answer was lost")

    def probe(self, documents: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
        """As `connectors.base.Prober.probe`."""
        target = self._target
        target.probes += 1
        if target.faults.probe:
            raise target.faults.probe.pop(0)
        target.arrive()
        there = {tuple(row.get(name) for name in key) for row in target.rows.values()}
        asked = to_json(documents)
        found = [tuple(row.get(name) for name in key) in there for row in asked]
        ids = [":".join(str(row.get(name)) for name in key) for row in asked]
        return pa.record_batch({"found": pa.array(found, pa.bool_()), RESULT_ID.name: pa.array(ids, pa.string())})

    def commit(self, ticket: Ticket) -> None:
        mark = self._target.mark.get(ticket.stream)
        if mark is not None and mark.fencing_token > ticket.fencing_token:
            raise StopRun(f"the mark has fencing token {mark.fencing_token}", code=FENCED)
        faults = self._target.faults.commit
        fault = faults.pop(0) if faults else None
        if isinstance(fault, BaseException):
            raise fault
        if fault != "undone":
            self._apply()
            self._target.mark[ticket.stream] = Mark(ticket.execution_id, ticket.batch, ticket.fencing_token)
        if fault is not None:
            raise UnknownOutcome("the answer to the commit was lost")

    def rollback(self) -> None:
        self._open = []

    def committed(self, stream: str) -> Mark | None:
        if self._target.silent:
            self._target.silent -= 1
            raise Unavailable("the target does not answer")
        return self._target.mark.get(stream)

    def close(self) -> None:
        """Nothing is held."""


class MemoryPreviewer:
    """`connectors.base.Previewer` over a `MemoryTarget`."""

    def __init__(self, target: MemoryTarget) -> None:
        self._target = target
        self._seen: set[tuple[Any, ...]] = set()

    @property
    def result_fields(self) -> pa.Schema:
        return pa.schema([RESULT_ID])

    def preview(self, documents: pa.RecordBatch) -> Preview:
        rows = [self._foreseen(row) for row in to_json(documents)]
        return Preview(pa.RecordBatch.from_pylist(rows, PREVIEW_FIELDS))

    def _foreseen(self, row: dict[str, Any]) -> dict[str, Any]:
        key = tuple(row.get(name) for name in self._target.key)
        again, there = bool(key) and key in self._seen, self._target.rows.get(key)
        self._seen.add(key)
        if again:
            return {"outcome": Foresight.CANNOT_KNOW.value, "reason": "an earlier document has the same key"}
        if not key or there is None:
            return {"outcome": Foresight.CHANGE.value}
        changed = [name for name in row if row[name] != there.get(name)]
        if not changed:
            return {"outcome": Foresight.NO_CHANGE.value}
        texts = [json.dumps({name: _text(one.get(name)) for name in changed}) for one in (there, row)]
        return {
            "outcome": Foresight.CHANGE.value,
            "changed": json.dumps(changed),
            "before": texts[0],
            "after": texts[1],
        }

    def close(self) -> None:
        """Nothing is held."""


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


class MemoryReader:
    """`connectors.base.Reader` over a table. The position is the number of rows before it."""

    def __init__(self, rows: pa.Table, delivered: list[int]) -> None:
        self._rows = rows
        self._delivered = delivered

    @property
    def profile(self) -> pa.Schema:
        return self._rows.schema

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        start = int(after["row"]) if after else 0
        for first in range(start, self._rows.num_rows, rows_max):
            rows = self._rows.slice(first, rows_max).combine_chunks()
            self._delivered.append(rows.num_rows)
            yield Read(rows.to_batches()[0], {"row": first + rows.num_rows})

    def acknowledge(self, position: Position) -> None:
        """A table needs not be told."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class MemorySystem:
    """One system in memory. rows: what its source reads. targets: by step. delivered: rows of each read batch."""

    rows: pa.Table = field(default_factory=lambda: pa.table({}))
    targets: dict[str, MemoryTarget] = field(default_factory=dict)
    delivered: list[int] = field(default_factory=list)

    def connect(self, connection: ConnectionConfig) -> MemoryConnector:
        """To be passed as `Surroundings.connect`."""
        return MemoryConnector(connection, self)


class MemoryConnector:
    """`connectors.base.Connector` over a `MemorySystem`; any operation reads or upserts by its `key` option."""

    def __init__(self, connection: ConnectionConfig, system: MemorySystem | None = None) -> None:
        self._system = system or MemorySystem()

    def reader(self, operation: Operation, context: RunContext) -> MemoryReader:
        return MemoryReader(self._system.rows, self._system.delivered)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> MemoryWriter:
        key = operation.options.get("key") or ()
        target = self._system.targets.setdefault(operation.step, MemoryTarget(tuple(key)))
        return MemoryWriter(target, documents, context.fence)

    def previewer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> MemoryPreviewer:
        key = operation.options.get("key") or ()
        return MemoryPreviewer(self._system.targets.setdefault(operation.step, MemoryTarget(tuple(key))))

    def check(self, clock: Clock) -> Iterator[Checked]:
        yield Checked("memory", True, "always there")

    def close(self) -> None:
        """Nothing is held."""
