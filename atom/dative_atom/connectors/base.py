"""What a connector's author writes: a `Connector` that opens `Reader`s and `Writer`s, and nothing else.

Retries, rate limits, deadlines, redaction, spans and metrics are written once, in `connection.py`, around these. The
engine knows only this file. Readers and writers are synchronous: they run in threads of a worker process, one thread
each. This file imports no library of any system.

The order on any batch is the house's law (Invariants 1 and 8):

    writer.write(batch, ticket)      effects, or for a transactional target effects inside its open transaction
    journal.prepare(…)               outcomes on disk, not yet valid      (transactional targets only)
    writer.commit(ticket)            the target's own commit, together with the mark of this batch
    journal.settle(…)                position, counts, dead letters, tracking become valid
    reader.acknowledge(position)     the source is told last
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
from dative.clock import Clock
from dative.ids import ConnectionName, ExecutionId, StepId

from dative_atom.connectors.wire import Wire

Position = Mapping[str, Any]
"""Where a source stands: a JSON object of at most 4 kB when written canonically; only its connector reads it."""

POSITION_BYTES_MAX = 4096


class CallLog(Protocol):
    """Where a connector says what it called; the engine makes a span of it under the running step."""

    def traceparent(self) -> str:
        """W3C header value for the call that is about to be made; a new span id each time it is asked."""
        ...

    def called(
        self,
        name: str,
        *,
        traceparent: str,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, str | int | float | bool],
        error: str = "",
    ) -> None:
        """One finished call. name: "GET /services/data/…/query" with no literal in it; times: time.time_ns().

        attributes: OpenTelemetry's names (http.response.status_code, db.operation.name, server.address, …), never a
        body, a header's value, a query's literal or a document's value. error: error.type, empty when it went well.
        """
        ...


@dataclass(frozen=True)
class ConnectionConfig:
    """One connection as the environment binds it, secrets already resolved by the agent.

    secrets: setting name -> value. Held in memory only; `repr` leaves it out. wire: what every exchange with the system
    goes through, for a test that records or replays it; None in production (see `wire.py`).
    """

    name: ConnectionName
    connector: str
    settings: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    wire: Wire | None = field(default=None, repr=False, compare=False)


class Fence(Protocol):
    """Whether this member may still act (Invariant 4): a look of less than a microsecond, from any thread."""

    def check(self) -> None:
        """StopRun molecule.fenced when its lease is over: nothing may be done outside any more."""
        ...


class Unfenced:
    """The `Fence` of an atom that works alone."""

    def check(self) -> None:
        """It always may."""


UNFENCED = Unfenced()


@dataclass(frozen=True)
class RunContext:
    """What one execution lends to its readers and writers.

    binds: :lastRunDate, :lastSuccessDate, :watermark (aware datetimes) and :param… (str); what `where` may name. In the
    sql of a table also :keys (a list). :watermark is the `lower` of the source's position; a text where its field holds
    no time with a zone.
    seen: the source's ledger of the overlap window, see `Ledger`.
    cancelled: set when the execution must stop; long waits wait on it, long loops look at it.
    fence: a target without transactions asks it before every request that changes something; the engine itself asks
    before each write and each commit.
    """

    execution_id: ExecutionId
    clock: Clock
    calls: CallLog
    cancelled: threading.Event
    binds: Mapping[str, datetime | str | Sequence[str]]
    ledger: Ledger
    fencing_token: int = 0  # of a molecule's assignment; 0 where one atom works alone
    fence: Fence = UNFENCED


class Ledger(Protocol):
    """What a source has already delivered in its overlap window: key -> version, kept beside the position.

    Additions become valid when the batch that carries them settles, together with its position.
    """

    def known(self, keys: pa.Array) -> pa.Array:
        """For each key (string) the version last delivered and settled or under way, null when there is none."""
        ...

    def add(self, keys: pa.Array, versions: pa.Array) -> None:
        """These keys (string) are delivered with these versions (string) in the batch that is being read."""
        ...

    def forget_before(self, version: str) -> None:
        """Versions that sort before this one can not come again: the window has moved past them."""
        ...


@dataclass(frozen=True)
class Read:
    """Some documents and where the source stands after them.

    batch: columns = the reader's profile, 0..rows_max rows. position: just after its last row.
    An empty batch moves the position only (a window that held nothing).
    """

    batch: pa.RecordBatch
    position: Position


class Reader(Protocol):
    """One source operation of one execution."""

    @property
    def profile(self) -> pa.Schema:
        """The columns of every batch, known before the first row. Field metadata b"dative.type" may refine a type."""
        ...

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        """Read everything there is now, in batches.

        after: where the last settled batch ended; None reads from the beginning. rows_max: 1..100_000.
        Yields reads in order; ends when the source has nothing more for now. Repeats are allowed after a resume, skips
        never. Raises RetryLater (the wrapper retries the call, not the whole read), StopRun, RejectDocument never.
        """
        ...

    def acknowledge(self, position: Position) -> None:
        """Everything up to here has settled: tell the source, if it wants to know. Called in order, may be repeated."""
        ...

    def close(self) -> None:
        """Give back what was taken. May be called at any time, twice too."""
        ...


PART_BYTES_MAX = 4096
PART_ROWS_MIN = 1_000
"""Less is not worth an execution of its own."""


@dataclass(frozen=True)
class Division:
    """What there is to read, in parts that have no document in common.

    parts: canonical JSON, at most PART_BYTES_MAX each; only the connector reads them. Empty: it is read whole, and `reason`
    says why. end: the position once every part has been read to its end; None without parts.
    """

    parts: Sequence[bytes] = ()
    end: Position | None = None
    reason: str = ""


@runtime_checkable
class Divisible(Protocol):
    """A `Reader` that can divide what there is to read, so that several read it at the same time."""

    def divide(self, after: Position | None, parts_max: int) -> Division:
        """Divide what `read(after, …)` would give now, up to the division's `end`, into 2..parts_max parts, or none.

        The parts together are that, and no document twice. Which documents belong to which part is fixed by their keys, so
        that one that changes while parts are read stays with its part, or with what is read after the end. Reads little:
        bounds and counts. Raises RetryLater, StopRun. May tell the ledger what can not come again.
        """
        ...

    def read_part(self, part: bytes, after: Position | None, rows_max: int) -> Iterator[Read]:
        """As `read`, of one part. after: where the last settled batch of this part ended, in whichever execution."""
        ...


class Outcome(StrEnum):
    """What became of one document at a target."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"  # the target already had it so
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # sent, no answer: probed, never blindly repeated (Invariant 8)


@dataclass(frozen=True)
class Outcomes:
    """One row per row of the batch that was written, in its order.

    results: columns outcome (string, of `Outcome`), code (string, null unless rejected or unknown), reason (string, no
    values in it), and result.* columns of the operation (result.id …).
    """

    results: pa.RecordBatch


@dataclass(frozen=True)
class Ticket:
    """Which batch of which execution is written, as the target's mark says it.

    stream: "<environment id>/<process>/<step>", one mark each in a transactional target. first_document: of the batch.
    numbers: of the documents that are written, uint64, in their order.
    """

    stream: str
    execution_id: ExecutionId
    batch: int  # from 0, +1 a batch, never reused within an execution, also after a resume
    position: Position
    fencing_token: int
    first_document: int = 0
    numbers: pa.Array | None = field(default=None, compare=False)

    def idempotency_key(self, body: bytes, row: int | None = None) -> str:
        """What tells a target that it was sent the same before: 32 hex digits. The third line of Invariant 4.

        body: what is sent, of the document in that row of the written batch, or of the batch as a whole. The same in every
        attempt, on whatever member, as long as the source gives the same documents; other content never has the key of
        what was sent before, so nothing that is new is taken for a repetition.
        """
        numbers = self.numbers if row is None or self.numbers is None else self.numbers[row : row + 1]
        where = "" if numbers is None else ",".join(str(number) for number in numbers.to_pylist())
        head = "\x1f".join((self.stream, self.execution_id, str(self.first_document), where)).encode()
        return hashlib.sha256(len(head).to_bytes(4, "big") + head + body).hexdigest()[:32]


@dataclass(frozen=True)
class Mark:
    """What a transactional target says it committed last for a stream."""

    execution_id: ExecutionId
    batch: int
    fencing_token: int


class Writer(Protocol):
    """One target operation of one execution."""

    @property
    def transactional(self) -> bool:
        """True: effects become visible in `commit`, together with the mark."""
        ...

    @property
    def result_fields(self) -> pa.Schema:
        """The result.* columns of Outcomes, known before the first row."""
        ...

    def write(self, documents: pa.RecordBatch, ticket: Ticket) -> Outcomes:
        """Write these documents (payload columns only). A bad one is an outcome, never an exception.

        Raises RetryLater when nothing of the batch was applied and it may be tried again, StopRun when it can not.
        """
        ...

    def commit(self, ticket: Ticket) -> None:
        """Make the written batch durable with its mark. Raises UnknownOutcome when the answer was lost."""
        ...

    def rollback(self) -> None:
        """Forget what was written and not committed. Never raises."""
        ...

    def committed(self, stream: str) -> Mark | None:
        """What the target itself says: asked at a resume and after a lost answer, on a fresh connection."""
        ...

    def close(self) -> None: ...


class Foresight(StrEnum):
    """What a write would do to one document's place at the target."""

    CHANGE = "change"
    NO_CHANGE = "no_change"
    CANNOT_KNOW = "cannot_know"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Preview:
    """What a write would do, one row per document of the batch, in its order.

    rows: columns outcome (string, of `Foresight`); code (string, of a rejection) and reason (string, no values in it),
    null where there is nothing to say; changed (string, a JSON list of field names), before and after (strings, JSON
    objects of those fields, values as text), null unless a document changes what is there already.
    notes: sentences that hold for the target as a whole, as that its triggers may change more.
    """

    rows: pa.RecordBatch
    notes: Sequence[str] = ()


PREVIEW_FIELDS = pa.schema(
    [pa.field(name, pa.string()) for name in ("outcome", "code", "reason", "changed", "before", "after")]
)


class Previewer(Protocol):
    """One target operation that looks and writes nothing: neither rows, nor marks, nor tables of its own that stay."""

    @property
    def result_fields(self) -> pa.Schema:
        """As `Writer.result_fields`."""
        ...

    def preview(self, documents: pa.RecordBatch) -> Preview:
        """What `Writer.write` would do with these documents, after those that were asked about before."""
        ...

    def close(self) -> None: ...


class Previewing(Protocol):
    """A `Connector` that can look. It is another door than `writer`, because opening a writer may already write."""

    def previewer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Previewer: ...


@runtime_checkable
class Ahead(Protocol):
    """A `Writer` that makes use of knowing a batch before its turn."""

    def ahead(self, batch: int, documents: pa.RecordBatch) -> None:
        """These documents will probably be written as this batch. Called by another thread than `write`, in the order
        of batches; it may do nothing, takes part in no outcome, and never raises."""
        ...


class Profiling(Protocol):
    """A `Connector` that can say the fields of an operation before anything runs: names and types, no document."""

    def profile(self, operation: Operation, clock: Clock) -> Mapping[str, str] | None:
        """Field -> type as profiles write it (see `dative.process.targets`), in the system's order.

        Of a source, what its documents will have; of a target, what it has, with "!" where a field is needed and
        "read_only" where nobody may write it. None where the system has no fields of its own (a folder of files).
        Reads no document, writes nothing. Raises RetryLater, StopRun.
        """
        ...


@runtime_checkable
class Prober(Protocol):
    """A `Writer` that can look up what became of documents whose answer was lost (Invariant 8)."""

    def probe(self, documents: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
        """Whether the target has each of these documents, on a fresh connection, writing nothing.

        key: fields that find a document; all of them must be equal. Returns one row per document, in order: found
        (bool, not null), and those result.* columns that the target shows. Raises RetryLater when it can not be asked.
        """
        ...


@dataclass(frozen=True)
class Operation:
    """One operation of a process: source or target, its checked options and the step it belongs to."""

    step: StepId
    connector: str
    operation: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """One line of `connection test`."""

    name: str
    passed: bool
    detail: str


class Connector(Protocol):
    """A system: made once per connection and execution, opened per operation."""

    def __init__(self, connection: ConnectionConfig) -> None:
        """Check the settings whole; raise ConfigError before anything is opened."""
        ...

    def reader(self, operation: Operation, context: RunContext) -> Reader: ...

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:
        """documents: the payload columns every written batch will have."""
        ...

    def check(self, clock: Clock) -> Iterator[Checked]:
        """Reach the system step by step (dns, tls, login, read), reading only; stops at the first that fails."""
        ...

    def close(self) -> None: ...
