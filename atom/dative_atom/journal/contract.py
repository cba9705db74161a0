"""The journal: what an atom must still know after it was killed.

Executions and their attempts, positions, the batch that is being settled, dead letters, cross-references written at run
time, the ledger of overlap windows, and the outbox of records for the controller. One contract, several stores
(`sqlite.py`, `postgres.py`); all of them pass `tests/journal`. The journal imports neither pyarrow nor duckdb, because
the agent reads it too. Every method is one transaction: a crash at any byte leaves the old state or the new one (Invariant 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from dative.ids import DeadLetterId, ExecutionId, StepId

from dative_atom.journal.execution_types import Attempt, Counts, Execution, ExecutionState, Partition, PartitionState
from dative_atom.journal.letters import DeadLetter, Letters, ParkedDocument, Profile
from dative_atom.journal.molecular import Molecular

__all__ = [
    "Attempt",
    "Counts",
    "DeadLetter",
    "Execution",
    "ExecutionState",
    "Journal",
    "LinkRows",
    "OutboxRecord",
    "ParkedDocument",
    "Partition",
    "PartitionState",
    "Profile",
    "Receipts",
    "Resume",
    "Settlement",
]


POSITION_BYTES_MAX: Final = 4096


@dataclass(frozen=True)
class LinkRows:
    """Rows for one cross-reference table. columns: column -> values, all of one length, text, none of them null.

    unique: the columns whose values stand once in the table; empty means all of them (unique both ways), None none of
    them. conflict: what a row does to an older one that has one of its values in a unique column and others beside it:
    "replace" takes its place, "error" leaves it, and the new row is not written; an event tells either.
    """

    table: str
    columns: Mapping[str, Sequence[str]]
    unique: Sequence[str] | None = ()
    conflict: str = "replace"


@dataclass(frozen=True)
class XrefSummary:
    """A cross-reference table as it stands. unique: the columns in which a value stands once."""

    name: str
    columns: Sequence[str]
    unique: Sequence[str]
    rows: int


@dataclass(frozen=True)
class SharedRows:
    """Rows that a settlement holds once: the last `arrow` bytes of its tracked record number `tracked`."""

    tracked: int
    arrow: int


@dataclass(frozen=True)
class Receipts:
    """What one target has of the documents of one batch, or where they were parked before any target had seen them.

    part: index of its first row among the step's receipts of the batch. body: Arrow IPC stream, lz4, one row a document:
    document uint64; made uint64, of what steps made of it (only where they made any); outcome, code dictionary<string>;
    target string; "key.<field>" string, "hash.<field>" binary(16). Or the rows of the batch's tracked documents, which
    then have `effect` and `code` beside their `outcome` and `step`: a row without an effect is no receipt.
    shared: on their way into the journal, in the place of such a body.
    """

    step: StepId
    part: int
    rows: int
    body: bytes
    shared: SharedRows | None = None


@dataclass(frozen=True)
class ReceiptRecord:
    """Receipts as they are kept. sequence: rises in the order of settling. attempt: the one that had the effect."""

    sequence: int
    execution_id: ExecutionId
    batch: int
    attempt: int
    fencing_token: int
    at: datetime
    receipts: Receipts


@dataclass(frozen=True)
class SnapshotChanges:
    """What a batch changes of the snapshot that find_changes compares with. owner: "<stream>/<step>".

    put: (hash of the key, hash of the document, fields that its deletion needs, as JSON). gone: hashes of keys.
    """

    owner: str
    put: Sequence[tuple[bytes, bytes, bytes]] = ()
    gone: Sequence[bytes] = ()


@dataclass(frozen=True)
class Settlement:
    """Everything that becomes valid when one batch has come to rest.

    position: canonical JSON, or None where this batch moves none (a retry of dead letters).
    documents_end: the next unused document number. resolved: dead letters whose documents were written now.
    receipts: kept for receipts_keep_s; attempt and fencing_token: of whoever had these effects; at: when it had them.
    tracked: serialized dative.v1.TrackedDocuments messages. seen: the ledger's additions, key -> version, and the
    version before which it forgets. profile: of the documents in dead_letters, for whoever edits them.
    remembered: properties of the execution, gone at its end; persisted: of the stream.
    events: serialized dative.v1.Record messages, each with an Event. cached: what happened to caches, in order.
    sent: by step, rows that transactional targets take with this batch, for a resume that finds only some committed.
    halfway: (stream of marks, what `Journal.halfway` says of it from now on); None leaves it as it is.
    """

    execution_id: ExecutionId
    stream: str
    batch: int
    position: bytes | None
    documents_end: int
    counts: Counts
    dead_letters: Sequence[ParkedDocument] = ()
    resolved: Sequence[DeadLetterId] = ()
    links: Sequence[LinkRows] = ()
    tracked: Sequence[bytes] = ()
    seen: Sequence[tuple[str, str]] = ()
    forget_before: str | None = None
    receipts: Sequence[Receipts] = ()
    receipts_keep_s: float = 0.0
    attempt: int = 0
    fencing_token: int = 0
    at: datetime | None = None
    profile: Profile | None = None
    events: Sequence[bytes] = ()
    remembered: Mapping[str, bytes] = field(default_factory=dict)
    persisted: Mapping[str, bytes] = field(default_factory=dict)
    snapshot: SnapshotChanges | None = None
    cached: Sequence[bytes] = ()
    sent: Mapping[str, bytes] = field(default_factory=dict)
    halfway: tuple[str, bytes] | None = None


@dataclass(frozen=True)
class Resume:
    """Where an execution goes on. batch: the next batch number; document: the next document number."""

    position: bytes | None
    batch: int
    document: int
    counts: Counts


@dataclass(frozen=True)
class OutboxRecord:
    """One record for the controller: sequence rises without holes within a spool epoch; body: dative.v1.Record."""

    sequence: int
    kind: str  # the oneof's name: "execution", "spans", …
    body: bytes


class Journal(Letters, Molecular, Protocol):
    """See the module; dead letters are in `letters.Letters`, what only molecules need in `molecular.Molecular`.

    Methods may be called from any thread of several processes at once, and where the journal is shared, of several hosts.

    fencing_token: of the caller's assignment in a molecule, 0 without one. Whatever changes an execution is refused for
    a token lower than the one that began it last, in the transaction of the change (Invariant 4): molecule.fenced.
    """

    # executions
    def plan(self, execution: Execution) -> bool:
        """Write down a new execution, PENDING. False: its id is known already (a schedule fires once)."""
        ...

    def begin(
        self,
        execution_id: ExecutionId,
        at: datetime,
        trace_id: str = "",
        fencing_token: int = 0,
        *,
        atom_id: str = "",
        former: str = "lost",
    ) -> Execution:
        """RUNNING, attempt + 1; `started_at` stays that of the first attempt. trace_id: of this attempt, 32 hex.

        The token becomes the execution's. former: why the attempt before, if it has not ended, did: the next one's root
        span links to its trace. Errors: molecule.fenced, journal.already_finished, journal.unknown_execution.
        """
        ...

    def finish(
        self,
        execution_id: ExecutionId,
        state: ExecutionState,
        at: datetime,
        failure: Mapping[str, str] | None,
        fencing_token: int = 0,
    ) -> Execution:
        """Its end. Counts are those of its settled batches. Final states never change again."""
        ...

    def execution(self, execution_id: ExecutionId) -> Execution | None: ...

    def unfinished(self) -> list[Execution]:
        """PENDING and RUNNING ones, oldest first: what an agent that starts must run or resume."""
        ...

    def last_times(self, stream: str) -> tuple[datetime | None, datetime | None]:
        """Start of the stream's last execution that read to its end, and of the last one without a dead letter.

        For :lastRunDate and :lastSuccessDate. Failed and cancelled ones do not count, or what they had not read would
        be skipped for ever; nor do retries of dead letters.
        """
        ...

    # settling
    def resume(self, execution_id: ExecutionId) -> Resume:
        """Where it stands. The first attempt starts from the stream's position, batch 0 and document 0."""
        ...

    def prepare(self, settlement: Settlement) -> None:
        """On disk, not valid yet. Replaces a former preparation of the same execution."""
        ...

    def prepared(self, execution_id: ExecutionId) -> Settlement | None: ...

    def settle(
        self,
        settlement: Settlement | None = None,
        *,
        execution_id: ExecutionId | None = None,
        fencing_token: int | None = None,
    ) -> Counts:
        """Make a settlement valid: the one given, or the prepared one of `execution_id`. Returns its counts.

        Settling the same (execution, batch) twice changes nothing the second time. fencing_token: of the caller, who may
        settle what a lost attempt prepared; None: that of the settlement.
        """
        ...

    def discard(
        self, execution_id: ExecutionId, halfway: tuple[str, bytes] | None = None, fencing_token: int = 0
    ) -> None:
        """Not every target committed: forget the preparation. halfway: as of a settlement, in the same transaction."""
        ...

    def halfway(self, stream: str) -> bytes:
        """What targets have of documents that did not settle, of a stream of marks; empty when there is nothing."""
        ...

    def remembered(self, execution_id: ExecutionId, stream: str) -> dict[str, bytes]:
        """Properties as of the last settled batch: those of its stream, and over them its own."""
        ...

    def cached(self, execution_id: ExecutionId) -> list[bytes]:
        """What settled batches did to the caches of the execution, in the order in which they did it."""
        ...

    def position(self, stream: str) -> bytes | None: ...

    def ledger(self, stream: str, keys: Iterable[str]) -> dict[str, str]:
        """The versions last settled of those keys."""
        ...

    # receipts
    def receipts(self, execution_id: ExecutionId, after: int = 0, *, limit: int = 100) -> list[ReceiptRecord]:
        """Of its settled batches in the order of settling, those beyond sequence `after`."""
        ...

    # snapshots, of find_changes
    def snapshot_count(self, owner: str) -> int:
        """How many documents the last settled snapshot has."""
        ...

    def snapshot_hashes(self, owner: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Hash of the key -> hash of the document, of those that are there."""
        ...

    def snapshot_keys(self, owner: str, rows_max: int) -> Iterator[list[bytes]]:
        """All hashes of keys, in order, at most so many at a time."""
        ...

    def snapshot_bodies(self, owner: str, keys: Sequence[bytes]) -> list[bytes]:
        """What was kept for the deletion of each of these, which are there."""
        ...

    # cross-references written at run time
    def xref_lookup(self, table: str, column: Sequence[str], want: str, keys: Sequence[str]) -> dict[str, str]:
        """What these keys stand beside. column: one or several; a key of several is joined by "\\x1f"."""
        ...

    def xref_rows(self, table: str) -> int: ...

    def xref_all(self, table: str, column: Sequence[str], want: str) -> list[tuple[str, str]]:
        """Every (key, value) in the order in which the rows were written."""
        ...

    def xref_load_all(self, rows: Sequence[LinkRows]) -> int:
        """`xref_load` of several, all or none."""
        ...

    def now_ms(self) -> int:
        """The journal's clock, as records carry it."""
        ...

    def xref_conflicts(self, rows: LinkRows) -> list[int]:
        """Which of the rows would meet another one that does not agree with them, in the table or among themselves."""
        ...

    def xref_tables(self) -> list[XrefSummary]: ...

    def xref_page(self, table: str, after: int = 0, limit: int = 1000) -> list[tuple[int, dict[str, str | None]]]:
        """(place, row) in the order of writing; after: the place of the last one known."""
        ...

    def xref_remove(self, table: str, column: str, keys: Sequence[str]) -> int:
        """Remove the rows with these values; returns how many."""
        ...

    def xref_load(self, rows: LinkRows) -> int:
        """Seed or replace rows, as a settlement's links do; returns how many rows are new or changed."""
        ...

    # sequences: of the environment; a molecule's members share them through its journal
    def sequence_take(self, sequence: str, count: int, start: int, step: int) -> int:
        """The first of `count` numbers, each `step` from the next, that nobody was given or ever will be again.

        On disk before this returns. start: of a sequence that gave none yet, or the least it may give from now on.
        """
        ...

    def sequence_given(self, sequence: str, keys: Sequence[str], start: int, step: int) -> dict[str, int]:
        """A number for every key: the one it was given before, or a new one."""
        ...

    def sequence_peek(self, sequence: str, keys: Sequence[str]) -> tuple[int | None, dict[str, int]]:
        """What would come next, None of a sequence that gave none yet, and the numbers of those keys that have one."""
        ...

    # the vault: which value a token stands for
    def unknown_tokens(self, tokens: Sequence[str]) -> list[str]:
        """Those of them that the vault does not hold yet, in their order."""
        ...

    def keep_tokens(self, tokens: Sequence[str], key_version: int, body: bytes) -> None:
        """One block of values, sealed by the caller under that version of the mask key. A token known by then keeps
        its former block."""
        ...

    def token_block(self, token: str) -> tuple[int, bytes] | None:
        """(key version, sealed body) of the block that holds the token's value."""
        ...

    # outbox
    def spool_epoch(self) -> str: ...

    def report(self, kind: str, body: bytes) -> None:
        """One more record for the controller. At the spool's bound, spans of successes go first, results never."""
        ...

    def outbox(self, after: int, *, rows_max: int = 500, bytes_max: int = 900_000) -> list[OutboxRecord]: ...

    def acknowledge(self, sequence: int) -> None:
        """The controller has everything up to here. Kept for the backup horizon all the same."""
        ...

    def acknowledged(self) -> int: ...

    def spooled(self) -> tuple[int, int]:
        """(records, bytes) not yet acknowledged."""
        ...

    def close(self) -> None: ...
