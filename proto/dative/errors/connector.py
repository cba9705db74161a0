"""Codes and exceptions of connectors: what any system can do to a call.

The class says what the engine does: RetryLater, RejectDocument, StopRun or UnknownOutcome; `error_class` is the word that
a step's `retry: {on: […]}` uses. What one system adds stands in `salesforce.py`, `database.py`, `disk.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dative.errors.base import Code, DativeError, RetryLater, StopRun

TIMEOUT = Code(
    "connector.timeout",
    "DEADLINE_EXCEEDED",
    "The system did not answer within the connection's timeout.",
    "Look at the system's load; raise the connection's timeout when long answers are normal.",
)
RATE_LIMITED = Code(
    "connector.rate_limited",
    "RESOURCE_EXHAUSTED",
    "The system asked to be called less often.",
    "It is called again after the pause it asked for; lower the schedule's frequency when this stays.",
)
UNAVAILABLE = Code(
    "connector.unavailable",
    "UNAVAILABLE",
    "The system could not be reached, or said that it is not able to answer now.",
    "Try the connection: dative atom test NAME.",
)
CONFLICT = Code(
    "connector.conflict",
    "ABORTED",
    "Another writer held the same records; nothing of this batch was applied.",
    "It is tried again; when it stays, look for the other writer.",
)
UNKNOWN_OUTCOME = Code(
    "connector.unknown_outcome",
    "DATA_LOSS",
    "The answer to a write was lost, so whether it was applied is unknown; the system itself is asked before anything is repeated.",
    "Nothing to do when the system can be asked; otherwise compare the records named by the execution.",
)
TLS_FAILED = Code(
    "connector.tls_failed",
    "UNAUTHENTICATED",
    "The system's certificate is not one that this connection trusts.",
    "Compare the host's name with the certificate, or name the right authority in the connection's ca_file.",
)
LOGIN_FAILED = Code(
    "connector.login_failed",
    "UNAUTHENTICATED",
    "The system refused the connection's credentials.",
    "Set the secret again: dative env secret set NAME, then deploy.",
)
DENIED = Code(
    "connector.denied",
    "PERMISSION_DENIED",
    "The connection's user may not do what the operation needs.",
    "Grant the right that the message names to the connection's user.",
)
NOT_FOUND = Code(
    "connector.not_found",
    "NOT_FOUND",
    "What the operation names is not in the system, or the connection's user may not see it.",
    "Correct the name in the process, or grant the user access.",
)
BAD_ANSWER = Code(
    "connector.bad_answer",
    "UNAVAILABLE",
    "The system's answer was cut off or was not what its interface says; nothing of it was used.",
    "Look for a proxy or login page between the atom and the system.",
)
CANCELLED = Code(
    "connector.cancelled",
    "CANCELLED",
    "The execution was told to stop while it waited for the system.",
    "Nothing to do; its position stands at the last settled batch.",
)
UNEXPECTED = Code(
    "connector.unexpected",
    "INTERNAL",
    "A connector failed in a way that it does not know; this is a defect of the connector.",
    "Report the code and the message; the execution's position stands at the last settled batch.",
)
FENCED = Code(
    "connector.fenced",
    "ABORTED",
    "Another member of the molecule has taken this work over, so this one's batch was not applied.",
    "Nothing to do: the other member goes on from the last settled batch.",
)
BATCH_REPEATED = Code(
    "connector.batch_repeated",
    "FAILED_PRECONDITION",
    "The target has this batch, or a later one of the same execution, already; it was not applied a second time.",
    "Nothing to do: the execution settles it from the target's own mark when it resumes.",
)
POSITION_UNREADABLE = Code(
    "connector.position_unreadable",
    "FAILED_PRECONDITION",
    "The saved position is not one that this operation wrote: the operation was changed, or a newer version ran before.",
    "Undo the change, or reset the position to read from the beginning.",
)
BIND_MISSING = Code(
    "connector.bind_missing",
    "INVALID_ARGUMENT",
    "A condition names a bind that this execution does not have.",
    "Use :lastRunDate, :lastSuccessDate, :watermark or a parameter of the process.",
)
CONTRACT_BROKEN = Code(
    "connector.contract_broken",
    "INTERNAL",
    "A connector broke the contract of connectors/base.py; nothing of its answer was used.",
    "Report the message; it names the connector and the rule.",
)


@dataclass(eq=False)
class Timeout(RetryLater):
    """No answer in time, to a call that is safe to repeat."""

    default_code: ClassVar[Code] = TIMEOUT
    error_class: ClassVar[str] = "timeout"


@dataclass(eq=False)
class RateLimited(RetryLater):
    """Too many calls; `retry_after_s` says for how long when the system did."""

    default_code: ClassVar[Code] = RATE_LIMITED
    error_class: ClassVar[str] = "rate_limited"


@dataclass(eq=False)
class Unavailable(RetryLater):
    """Not reachable, or not able to answer now."""

    default_code: ClassVar[Code] = UNAVAILABLE
    error_class: ClassVar[str] = "unavailable"


@dataclass(eq=False)
class Conflict(RetryLater):
    """Locks, deadlocks, serialization: all of the batch was undone."""

    default_code: ClassVar[Code] = CONFLICT
    error_class: ClassVar[str] = "conflict"


@dataclass(eq=False)
class UnknownOutcome(DativeError):
    """A write was sent and its answer is lost. Invariant 8: `Writer.committed` is asked, nothing is repeated blindly."""

    default_code: ClassVar[Code] = UNKNOWN_OUTCOME


@dataclass(eq=False)
class Cancelled(StopRun):
    """The execution's `cancelled` event was set."""

    default_code: ClassVar[Code] = CANCELLED
