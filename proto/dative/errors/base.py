"""The coded error: `Code`, `DativeError`, and what the engine does with each kind.

What lives here must not know any area's codes; `code_named` imports them all, on demand, because the CLI's start must
not pay for it.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import ClassVar, Literal

GrpcStatus = Literal[
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "DATA_LOSS",
    "CANCELLED",
    "INTERNAL",
]

# Exit codes of both command lines, by the gRPC status of the error that ended them. 2 is click's own: usage.
EXIT_CODES: dict[GrpcStatus, int] = {
    "INVALID_ARGUMENT": 1,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 1,
    "PERMISSION_DENIED": 6,
    "UNAUTHENTICATED": 4,
    "RESOURCE_EXHAUSTED": 7,
    "FAILED_PRECONDITION": 6,
    "ABORTED": 6,
    "UNAVAILABLE": 7,
    "DEADLINE_EXCEEDED": 7,
    "DATA_LOSS": 1,
    "CANCELLED": 130,
    "INTERNAL": 1,
}

CODES: dict[str, Code] = {}
"""Every code of the areas imported so far, by name."""


@dataclass(frozen=True, slots=True)
class Code:
    """A stable name for one thing that goes wrong. Making one registers it; a name made twice is a ValueError.

    name: "area.what_happened", lower_snake_case, never renamed once released.
    grpc: the status it travels under; the exit code of the command lines follows from it.
    means: one sentence for a person who meets it the first time.
    next: the next step, a command where there is one.
    """

    name: str
    grpc: GrpcStatus
    means: str
    next: str

    def __post_init__(self) -> None:
        if self.name in CODES:
            raise ValueError(f"error code {self.name} is defined twice")
        CODES[self.name] = self

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.grpc]


INTERNAL = Code(
    "internal.unexpected",
    "INTERNAL",
    "Something failed that nobody foresaw; this is a defect of Dative.",
    "Run again with --debug and report the trace id with what it prints.",
)


@dataclass
class DativeError(Exception):
    """An error with a code. Subclasses fix `default_code`; `code=` overrides it for one raise.

    message: what was tried, on what, and what would help. Never holds a secret or a document's value.
    where: what it is about: "process.yaml:14", "step upsert", "atom hq-1"; empty when the message says it all.
    next: the next step; by default the code's own.
    """

    message: str
    code: Code = field(default=None, kw_only=True)  # type: ignore[assignment]
    where: str = field(default="", kw_only=True)
    next: str = field(default="", kw_only=True)

    default_code: ClassVar[Code] = INTERNAL

    def __post_init__(self) -> None:
        if self.code is None:
            self.code = self.default_code
        if not self.next:
            self.next = self.code.next
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.code.name})"

    # Errors are compared by identity and hashable, like every other exception.
    __hash__ = Exception.__hash__
    __eq__ = Exception.__eq__


@dataclass(eq=False)
class RetryLater(DativeError):
    """The same call may succeed later. retry_after_s: what the other side asked for, None when it did not say."""

    retry_after_s: float | None = field(default=None, kw_only=True)


@dataclass(eq=False)
class RejectDocument(DativeError):
    """These documents can not go on; their neighbours can. They take the catch path."""


@dataclass(eq=False)
class StopRun(DativeError):
    """The execution can not go on. Its position stands at the last settled batch, nothing is lost."""


CONFIG_INVALID = Code(
    "config.invalid",
    "INVALID_ARGUMENT",
    "A setting is unknown, missing or does not fit another one; nothing was started.",
    "Correct the setting that the message names.",
)


@dataclass(eq=False)
class ConfigError(DativeError):
    """The configuration does not hold together; raised before anything starts."""

    default_code: ClassVar[Code] = CONFIG_INVALID


def load_all_codes() -> dict[str, Code]:
    """Import every area of `dative.errors` and return CODES, whole."""
    package = importlib.import_module("dative.errors")
    for module in pkgutil.iter_modules(package.__path__, "dative.errors."):
        importlib.import_module(module.name)
    return CODES


def code_named(name: str) -> Code | None:
    """The code of that name from any area, or None."""
    return CODES.get(name) or load_all_codes().get(name)


def from_status(code: str, message: str, where: str = "", next_step: str = "") -> DativeError:
    """The error that the other side raised, from the fields of a `dative.v1.Status`.

    A code unknown here (the other side is newer) becomes `internal.unexpected` with the code in the message.
    """
    known = code_named(code)
    if known is None:
        return DativeError(f"{message} [{code}]", where=where, next=next_step)
    return DativeError(message, code=known, where=where, next=next_step)
