"""Executions as the journal knows them: their state, counts, attempts and parts. Part of `contract`, which names them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from dative.ids import DeadLetterId, ExecutionId, ProcessName

ATTEMPTS_KEPT: Final = 20
"""Of one execution. At the bound the second oldest goes: the first attempt always stays (Invariant 7)."""
PARTITIONS_MAX: Final = 1000
"""Of one execution; more are refused. At the bound each part is larger (Invariant 7)."""


class ExecutionState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (ExecutionState.PENDING, ExecutionState.RUNNING)


@dataclass(frozen=True)
class Counts:
    """Documents of an execution. Invariant 2, at its end: read = written + filtered + returned + dead_lettered."""

    read: int = 0
    written: int = 0
    filtered: int = 0
    returned: int = 0
    dead_lettered: int = 0
    masked: int = 0
    batches: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def unexplained(self) -> int:
        return self.read - self.written - self.filtered - self.returned - self.dead_lettered


@dataclass(frozen=True)
class Attempt:
    """One time that an execution was begun. atom_id: who did; empty where one atom works alone.

    fencing_token: of its assignment, 0 without a molecule. ended_at, reason: None and empty while it lasts; the reason is
    the state that the execution ended in, or what whoever began it again said of the one before ("lost").
    """

    attempt: int
    atom_id: str
    fencing_token: int
    started_at: datetime
    ended_at: datetime | None = None
    reason: str = ""
    trace_id: str = ""


@dataclass(frozen=True)
class Execution:
    """One execution as the journal knows it.

    stream: "<environment id>/<process>", the key of its position; a partition's has "#<index>" behind it.
    manifest_digest: it finishes on this version. attempt: 1, +1 each time it is begun again. retry_of: the dead letters
    whose documents are its source. fencing_token: the highest that began it. attempts: oldest first, the first and the
    newest, ATTEMPTS_KEPT at most. parent_id, partition: of a part of another execution.
    """

    execution_id: ExecutionId
    process: ProcessName
    process_version: int
    stream: str
    trigger: str
    planned_at: datetime
    manifest_digest: str
    traceparent: str = ""
    keep_trace: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    retry_of: Sequence[DeadLetterId] = ()
    state: ExecutionState = ExecutionState.PENDING
    attempt: int = 0
    counts: Counts = Counts()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Mapping[str, str] | None = None  # code, message, where, next
    command_id: str = ""
    trace_id: str = ""
    fencing_token: int = 0
    attempts: Sequence[Attempt] = ()
    parent_id: ExecutionId | None = None
    partition: int | None = None


@dataclass(frozen=True)
class Partition:
    """A part of an execution's documents. body: what its source needs to read just these; sealed where it is kept."""

    index: int
    body: bytes


@dataclass(frozen=True)
class PartitionState:
    """A part as it stands. done_before: an earlier execution had it to its end, so this one does not repeat it."""

    partition: Partition
    execution: Execution
    done_before: bool = False


def whole_stream(stream: str) -> str:
    """The stream of the execution that this one's is a part of, or the stream itself."""
    return stream.partition("#")[0]
