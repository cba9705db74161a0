"""Dead letters as the journal keeps them: a document that waits for a person, everything that happened to it, and what
may be done with it. The words of `contract.Journal` about them stand here too, in `Letters`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dative.ids import DeadLetterId, ExecutionId, ProcessName, StepId

if TYPE_CHECKING:
    from dative_atom.journal.contract import Execution

FINAL_STATES = ("resolved", "discarded", "expired")
NOBODY = "-"
"""`Selection.assignee`: those that nobody looks after."""


@dataclass(frozen=True)
class Profile:
    """What the source said its documents look like.

    types: field -> type, as `documents.json.described` writes it: the text of an Arrow type, {"list": type} or
    {"struct": {field: type}}. arrow: the serialized Arrow schema, for whoever has Arrow.
    """

    types: Mapping[str, Any]
    arrow: bytes


@dataclass(frozen=True)
class ParkedDocument:
    """A document on its way to a dead-letter queue.

    payload: the document as the source gave it, field -> JSON value (decimals, dates and times as text, bytes base64).
    classified: fields of it that are PHI or PII; shown masked, kept sealed. keys: tracked, unclassified values.
    origin: the dead letter it was retried from, so that a retried document keeps its identity.
    """

    document: int
    queue: str
    step: StepId
    code: str
    reason: str
    field: str
    payload: Mapping[str, Any]
    classified: Sequence[str]
    keys: Mapping[str, str]
    keep_s: float
    origin: DeadLetterId | None = None


@dataclass(frozen=True)
class LetterEvent:
    """Something that happened to a dead letter; never a value of its document.

    kind: "failed" | "retried" | "released" | "resolved" | "edited" | "assigned" | "discarded" | "kept_until" |
    "expired" | "revealed". actor: who; empty is the atom by itself. fields: of an edit, which.
    """

    kind: str
    at: datetime
    actor: str = ""
    execution_id: str = ""
    step: str = ""
    code: str = ""
    reason: str = ""
    field: str = ""
    trace_id: str = ""
    fields: Sequence[str] = ()
    assignee: str = ""


@dataclass(frozen=True)
class DeadLetter:
    """A parked document as it is kept. state: "waiting" | "retrying" | "resolved" | "discarded" | "expired".

    revision: +1 at every change. note: why it was discarded. history: oldest first, at most HISTORY_MAX.
    payload_bytes: as kept; 0 when the payload was destroyed, and `parked.payload` is empty then.
    """

    dead_letter_id: DeadLetterId
    execution_id: ExecutionId
    process: ProcessName
    created_at: datetime
    expires_at: datetime
    attempts: int
    state: str
    parked: ParkedDocument
    trace_id: str = ""
    revision: int = 0
    assignee: str = ""
    note: str = ""
    history: Sequence[LetterEvent] = ()
    payload_bytes: int = 0


@dataclass(frozen=True)
class Selection:
    """Which waiting dead letters: the named ones, or every one that fits all of what is given; empty is every one."""

    ids: Sequence[DeadLetterId] = ()
    queue: str = ""
    process: str = ""
    code: str = ""
    assignee: str = ""
    execution_id: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class LetterChange:
    """What a person does to waiting dead letters. reason: of a discard. keep_s: of "keep", from now on."""

    kind: Literal["discard", "assign", "expire", "keep"]
    actor: str
    reason: str = ""
    assignee: str = ""
    keep_s: float = 0.0


@dataclass(frozen=True)
class Retry:
    """A retry of many dead letters of one process, in chunks of one execution each.

    after: the last letter that was taken, so that none is taken twice however it ends. execution_id: of the newest
    chunk. state: "running" | "done" | "stopped" | "cancelled". rate_per_s: 0 is as fast as they go.
    """

    retry_id: str
    process: ProcessName
    selection: Selection
    actor: str
    created_at: datetime
    command_id: str = ""
    traceparent: str = ""
    rate_per_s: float = 0.0
    chunk: int = 1000
    state: str = "running"
    after: str = ""
    taken: int = 0
    executions: int = 0
    execution_id: str = ""
    failure: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Housekeeping:
    """What one pass over the dead letters did; all zero when there is nothing left to do."""

    announced: int = 0
    expired: int = 0
    destroyed: int = 0
    forgotten: int = 0

    @property
    def idle(self) -> bool:
        return not (self.announced or self.expired or self.destroyed or self.forgotten)


class Letters(Protocol):
    """The part of the journal that keeps dead letters. Errors of every change: journal.unknown_dead_letter,
    journal.dead_letter_not_waiting."""

    def dead_letters(
        self, *, state: str | None = "waiting", queue: str | None = None, limit: int = 100
    ) -> list[DeadLetter]: ...

    def dead_letter(self, dead_letter_id: DeadLetterId) -> DeadLetter | None: ...

    def letter_profile(self, dead_letter_id: DeadLetterId) -> Profile | None:
        """What its source said of its documents; None for one that an older version parked."""
        ...

    def repair(
        self, dead_letter_id: DeadLetterId, fields: Mapping[str, Any], *, actor: str = "", expected_revision: int = 0
    ) -> DeadLetter:
        """Replace fields of a waiting dead letter's payload, after every one of them was found to fit.

        expected_revision: 0 does not look. Errors: dead_letters.unknown_field, .wrong_type, .changed.
        """
        ...

    def check_repair(
        self, dead_letter_id: DeadLetterId, fields: Mapping[str, Any], *, expected_revision: int = 0
    ) -> DeadLetter:
        """The letter as `repair` would leave it; stores nothing. Errors: those of `repair`."""
        ...

    def revealed(self, dead_letter_id: DeadLetterId, actor: str) -> None:
        """Write down that somebody was shown its classified fields."""
        ...

    def count_letters(self, selection: Selection) -> dict[ProcessName, int]:
        """How many waiting ones are selected, by process. A named one that does not wait is an error."""
        ...

    def change_letters(
        self, selection: Selection, change: LetterChange, *, after: str = "", limit: int = 500
    ) -> tuple[int, str]:
        """Change the next `limit` selected ones, in the order of their ids, beginning after that id.

        Returns how many were changed and where to go on, "" at the end. Named ones are changed all or not at all.
        """
        ...

    def keep_house(self, limit: int = 500) -> Housekeeping:
        """Announce, expire, destroy and forget what is due, at most `limit` of each."""
        ...

    def retry(self, dead_letter_ids: Sequence[DeadLetterId], execution: Execution, actor: str = "") -> None:
        """Plan `execution` over these; all become "retrying". Only waiting ones can be."""
        ...

    def start_retry(self, retry: Retry) -> bool:
        """Write down a new one. False: its id is known already."""
        ...

    def retries(self, state: str = "running") -> list[Retry]:
        """Oldest first."""
        ...

    def next_chunk(self, retry_id: str, execution: Execution) -> Execution | None:
        """Take the retry's next letters and plan `execution` over them, in one transaction.

        Returns the planned execution with its `retry_of`; None when nothing is left, and the retry is "done" then.
        """
        ...

    def end_retry(self, retry_id: str, state: str, failure: Mapping[str, str] | None = None) -> Retry | None:
        """ "stopped" or "cancelled". None: it was not running any more."""
        ...
