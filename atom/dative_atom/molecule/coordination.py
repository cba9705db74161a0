"""The contract with whatever coordinates a molecule: keys with revisions, transactions, leases and watches.

What lives here knows no vendor: `etcd.py` speaks it to a real cluster, `memory.py` to itself with faults on demand, and
both pass `tests/molecule/contract`. It must not know what the keys mean.
Source of the semantics: etcd v3.5, "API guarantees" and "etcd API".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dative.errors import DativeError, RetryLater
from dative.errors.molecule import AMBIGUOUS, COMPACTED, COORDINATION_UNAVAILABLE, LEASE_GONE

__all__ = [
    "Ambiguous",
    "Answer",
    "Change",
    "Changes",
    "ClusterStatus",
    "Compacted",
    "Compare",
    "Coordination",
    "Delete",
    "Get",
    "KeyValue",
    "Lease",
    "LeaseGone",
    "Put",
    "Snapshot",
    "Unavailable",
]


class Ambiguous(DativeError):
    """The write was sent and its answer lost. Read back before acting (Invariant 8)."""

    default_code = AMBIGUOUS


class Unavailable(RetryLater):
    """Not applied for certain, or a read: the same call may succeed later."""

    default_code = COORDINATION_UNAVAILABLE


class LeaseGone(DativeError):
    """The lease ended or was revoked: nothing may be done under it any more."""

    default_code = LEASE_GONE


class Compacted(DativeError):
    """The history after that revision is gone: load the state again."""

    default_code = COMPACTED


@dataclass(frozen=True, slots=True)
class KeyValue:
    """create_revision: of the put that made it, unique in the cluster's life; mod_revision: of the last put.

    lease: 0 where it has none. value: at most 1 MiB, and small by rule (`keys.py`).
    """

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction: the key's create or mod revision is this one. 0: there is no such key."""

    key: str
    what: Literal["create", "mod"]
    revision: int

    @classmethod
    def absent(cls, key: str) -> Compare:
        return cls(key, "create", 0)

    @classmethod
    def created(cls, key: str, revision: int) -> Compare:
        return cls(key, "create", revision)

    @classmethod
    def unchanged(cls, key: str, revision: int) -> Compare:
        return cls(key, "mod", revision)


@dataclass(frozen=True, slots=True)
class Put:
    """lease: the key dies with it; 0: it stays."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """prefix: every key that begins so."""

    key: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    """prefix: every key that begins so, in order."""

    key: str
    prefix: bool = False


Operation = Put | Delete | Get


@dataclass(frozen=True, slots=True)
class Answer:
    """held: every compare did, so `then` was carried out, else `otherwise`. reads: one tuple for each Get, in order.

    revision: of the cluster after the transaction; the create_revision of what it made.
    """

    held: bool
    revision: int
    reads: tuple[tuple[KeyValue, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything below a prefix, at one revision, in the order of the keys."""

    revision: int
    items: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """now: None, the key was deleted or its lease ended. revision: of the change."""

    key: str
    revision: int
    now: KeyValue | None


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes up to `revision`, none left out, in order; empty: none until then."""

    revision: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """ttl_s: what was granted, which may be more than was asked for."""

    lease_id: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """cluster_id: made with the cluster, hex. versions: endpoint -> server version of those that answered.

    members: how many the cluster has. leader: whether one of them knows one. alarms: "nospace", "corrupt".
    database_bytes_max: 0 where the server does not say (before 3.6).
    """

    cluster_id: str
    members: int
    versions: dict[str, str]
    leader: bool
    database_bytes: int
    database_bytes_max: int
    alarms: tuple[str, ...] = ()


class Coordination(Protocol):
    """Every call ends within its own timeout (at most a third of a lease); all may be called at once from one loop.

    Errors of every call: Unavailable; DativeError with molecule.coordination_refused, molecule.coordination_invalid (etcd
    takes no such request) or molecule.coordination_full; of a write that is an Ambiguous with this code, for the one that
    crosses the quota is applied.
    """

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        """All of it or nothing, at one revision; at most 128 operations. No key is put twice.

        Errors: Ambiguous, where it has a Put or Delete and the answer was lost; LeaseGone, a Put under a lease that ended.
        """
        ...

    async def load(self, prefix: str) -> Snapshot:
        """Read in pages, all at one revision, linearizable."""
        ...

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Changes, None]:
        """What changes below prefix after that revision, whole, in order, until the caller stops.

        It goes on by itself over lost connections and restarted members, at the first change not told yet. An empty
        Changes comes at least every ten seconds while the cluster has a quorum. Errors: Compacted; Unavailable where it
        heard nothing for longer than that. Close it (`aclosing`).
        """
        ...

    async def grant(self, ttl_s: float) -> Lease: ...

    async def keep_alive(self, lease_id: int) -> float:
        """Seconds from the moment the request was sent, for which it certainly holds. Errors: LeaseGone."""
        ...

    async def revoke(self, lease_id: int) -> None:
        """Its keys are gone. Of a lease that ended already: nothing happens."""
        ...

    async def status(self) -> ClusterStatus: ...

    async def close(self) -> None: ...
