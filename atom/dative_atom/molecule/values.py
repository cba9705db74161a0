"""What stands in a molecule's keys: JSON, at most 4 kB each, one canonical writer and one strict reader.

`v` is the form's version. A field that is added with a default keeps it, so that members of two releases work together;
a change of meaning raises it, and what is not of this version is refused, never guessed.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec
from dative.errors import DativeError
from dative.errors.molecule import VALUE_TOO_LARGE, VALUE_UNREADABLE, VALUE_VERSION

VERSION = 1
VALUE_BYTES_MAX = 4096
PROTOCOL = 1
"""What members say to each other through these keys. A member works with those that speak PROTOCOL_MIN..PROTOCOL."""
PROTOCOL_MIN = 1
DIGESTS_MAX = 24
BROKEN_MAX = 24
TERMS_MAX = 16
ATTEMPTS_MAX = 20
"""An execution with which so many members were lost, or that they gave back, is ended as failed."""

State = Literal["P", "A", "R"]
ExecutionKind = Literal["job", "listener"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """v: always written first."""

    v: int


class CandidateValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    atom: str


class MemberValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    """slots: executions at once, 0: none at the moment. load: of its machine beside them, 0..1, in tenths.

    ready: it may be given work. digests: manifests it holds, `short_digest`; broken: processes that can not run here.
    boot: made anew by each start of the agent; host and data_dir tell a restart from a copied disk.
    """

    slots: int
    boot: str
    host: str
    data_dir: str
    protocol: int = PROTOCOL
    protocol_min: int = PROTOCOL_MIN
    version: str = ""
    address: str = ""
    load: float = 0.0
    ready: bool = True
    draining: bool = False
    digests: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


class ExecutionValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    """An execution that is not over: P(ending), A(ssigned), R(unning).

    stream: one execution of it at a time. at_ms: planned, since 1970; the oldest goes first. digest: `short_digest` of
    its manifest, "": any member. of: the execution it is a partition of, partition: which. owner: of A and R.
    revision: of R, the assignment it was claimed with. attempt: 1 at first; lost: who had the attempt before, where
    that member was lost with it. avoid: another member is preferred. cancel: somebody wants its end.
    """

    state: State
    stream: str
    at_ms: int
    digest: str = ""
    process: str = ""
    kind: ExecutionKind = "job"
    of: str = ""
    partition: str = ""
    attempt: int = 1
    owner: str = ""
    revision: int = 0
    lost: str = ""
    avoid: str = ""
    cancel: bool = False


class AssignmentValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    attempt: int


class CheckpointValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    """token: whose it is. batches: settled since the execution's beginning, only ever more. position: a reference into the
    journal, where the position itself is."""

    token: int
    attempt: int
    batches: int
    position: str = ""
    counts: dict[str, int] = {}


class QuarantineValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    """hosts: where the two were seen. at_ms: since 1970, by the clock of who wrote it."""

    hosts: tuple[str, ...]
    boots: tuple[str, ...]
    at_ms: int


class Term(msgspec.Struct, frozen=True, omit_defaults=True):
    atom: str
    term: int
    at_ms: int


class TermsValue(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The last TERMS_MAX leaders, the newest last."""

    terms: tuple[Term, ...] = ()


V = TypeVar("V", bound=Value)


def encode(value: Value, where: str = "") -> bytes:
    """Errors: molecule.value_too_large."""
    body = msgspec.json.encode(value)
    if len(body) > VALUE_BYTES_MAX:
        raise DativeError(f"{len(body)} bytes for {type(value).__name__}", code=VALUE_TOO_LARGE, where=where)
    return body


def decode(kind: type[V], body: bytes, where: str = "") -> V:
    """Errors: molecule.value_version, molecule.value_unreadable; nothing else, whatever the bytes are."""
    if len(body) > VALUE_BYTES_MAX:
        raise _unreadable(where, f"{len(body)} bytes")
    try:
        version = msgspec.json.decode(body, type=Value).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise _unreadable(where, "not a value of a molecule") from wrong
    if version != VERSION:
        raise DativeError(f"version {version}, this atom knows {VERSION}", code=VALUE_VERSION, where=where)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        # msgspec names the field and the type, never the value.
        raise _unreadable(where, str(wrong)) from wrong


def _unreadable(where: str, why: str) -> DativeError:
    return DativeError(f"{where or 'a key'} can not be read: {why}", code=VALUE_UNREADABLE, where=where)


def short_digest(digest: str) -> str:
    """What stands for a digest here: enough to tell manifests apart. Nothing is verified by it (Invariant 3 is not its)."""
    return digest.removeprefix("sha256:")[:16]
