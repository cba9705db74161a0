"""A coordination in memory: etcd's semantics for one process, and its faults on demand.

`MemoryCluster` is the cluster, `MemoryCoordination` one member's way to it; both are for tests, models and a molecule of
one. Strict: what etcd refuses is refused here. It knows nothing of what the keys mean.
Source of the semantics: etcd v3.5, "API guarantees"; `server/etcdserver/apply.go` for what a full database refuses.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_FULL, COORDINATION_INVALID
from dative.waiting import WaitingClock, either

from dative_atom.molecule.coordination import (
    Ambiguous,
    Answer,
    Change,
    Changes,
    ClusterStatus,
    Compacted,
    Compare,
    Delete,
    Get,
    KeyValue,
    Lease,
    LeaseGone,
    Operation,
    Put,
    Snapshot,
    Unavailable,
)

OPERATIONS_MAX = 128
"""etcd's `--max-txn-ops`, for the compares and for each branch."""
VALUE_BYTES_MAX = 1024 * 1024
HISTORY_MAX = 200_000
"""Revisions kept; older ones are compacted, as a cluster that compacts by itself does."""
PROGRESS_EVERY_S = 5.0
SILENCE_MAX_S = 10.0
DATABASE_BYTES_MAX = 2 * 1024**3


class Fault(Enum):
    """What happens to one transaction: Ambiguous to the caller, but for the last, which is Unavailable."""

    LOST_BEFORE = "the request was lost on its way"
    LOST_AFTER = "it was applied, its answer was lost"
    DELAYED = "no answer came; it is applied later, by `deliver`"
    REFUSED = "nobody answered, and nothing was sent"


@dataclass
class _Lease:
    ttl_s: float
    expires_s: float
    keys: set[str] = field(default_factory=set)


class MemoryCluster:
    """The keys, their revisions and leases. Leases end by `clock`: looked at in every call, in `expire` and by watches.

    full: puts and grants are refused, deletes and keepalives answered. quorum: False, nobody is answered and no lease
    ends; when it returns, each lease begins anew, as with a new raft leader.
    """

    def __init__(self, clock: WaitingClock, *, cluster_id: str = "cafe", members: int = 1) -> None:
        self.clock = clock
        self.members = members
        self.full = False
        self._quorum = True
        self._lease_ids = itertools.count(0x7000_0001)
        self._moved = asyncio.Event()
        self._begin(cluster_id)

    def _begin(self, cluster_id: str) -> None:
        self.cluster_id = cluster_id
        self.revision = 1
        self._keys: dict[str, KeyValue] = {}
        self._order: list[str] = []
        self._history: list[Changes] = []
        self._compacted = 0
        self._leases: dict[int, _Lease] = {}

    # ---- what a test asks and does -------------------------------------------------------------------------------

    def client(self, name: str = "client") -> MemoryCoordination:
        return MemoryCoordination(self, name)

    def item(self, key: str) -> KeyValue | None:
        """As it stands, past every fault."""
        self.expire()
        return self._keys.get(key)

    def items(self, prefix: str = "") -> tuple[KeyValue, ...]:
        """As they stand, past every fault, in order."""
        self.expire()
        return tuple(self._keys[key] for key in self._below(prefix))

    def snapshot(self, prefix: str = "") -> Snapshot:
        self.expire()
        return Snapshot(self.revision, self.items(prefix))

    @property
    def history(self) -> tuple[Changes, ...]:
        """Each revision that is not compacted, oldest first: what an oracle reads."""
        return tuple(self._history)

    @property
    def leases(self) -> tuple[int, ...]:
        self.expire()
        return tuple(self._leases)

    @property
    def quorum(self) -> bool:
        return self._quorum

    @quorum.setter
    def quorum(self, there: bool) -> None:
        if there and not self._quorum:
            for lease in self._leases.values():
                lease.expires_s = self.clock.elapsed_s() + lease.ttl_s
        self._quorum = there
        self.wake()

    def expire(self) -> None:
        """End every lease whose time is over."""
        now_s = self.clock.elapsed_s()
        if self._quorum:
            for lease_id in [one for one, lease in self._leases.items() if lease.expires_s <= now_s]:
                self.end_lease(lease_id)

    def end_lease(self, lease_id: int) -> None:
        """As if it had expired just now: its keys go at one revision."""
        lease = self._leases.pop(lease_id, None)
        if lease is not None and lease.keys:
            self._commit(dict.fromkeys(sorted(lease.keys)))

    def compact(self, revision: int | None = None) -> None:
        """Forget the history before `revision`; None: all before the current one."""
        self._compacted = max(self._compacted, self.revision if revision is None else revision)
        self._history = [one for one in self._history if one.revision >= self._compacted]
        self.wake()

    def wipe(self, cluster_id: str) -> None:
        """Another, empty cluster answers at the same address: what a new start without a backup leaves."""
        self._begin(cluster_id)
        self.wake()

    def wake(self) -> None:
        """Whoever watches looks again."""
        self._moved.set()
        self._moved = asyncio.Event()

    @property
    def moved(self) -> asyncio.Event:
        """Set at the next change, whatever it is; then another one takes its place."""
        return self._moved

    def next_expiry_s(self) -> float:
        """Seconds until the next lease ends; PROGRESS_EVERY_S at most."""
        if not self._quorum or not self._leases:
            return PROGRESS_EVERY_S
        soonest = min(lease.expires_s for lease in self._leases.values()) - self.clock.elapsed_s()
        return min(max(soonest, 0.001), PROGRESS_EVERY_S)

    # ---- etcd ----------------------------------------------------------------------------------------------------

    def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]
    ) -> Answer:
        self.expire()
        self._check(compares, then, otherwise)
        held = all(self._holds(compare) for compare in compares)
        branch = then if held else otherwise
        for operation in branch:
            if isinstance(operation, Put) and operation.lease and operation.lease not in self._leases:
                raise LeaseGone(f"put {operation.key} under lease {operation.lease:x}: it ended", where=operation.key)
        reads: list[tuple[KeyValue, ...]] = []
        written: dict[str, KeyValue | None] = {}
        for operation in branch:
            match operation:
                case Put(key, value, lease):
                    before = self._keys.get(key)
                    created = before.create_revision if before else self.revision + 1
                    written[key] = KeyValue(key, value, created, self.revision + 1, lease)
                case Delete(key, prefix):
                    gone = self._below(key) if prefix else [key]
                    written.update({name: None for name in gone if name in self._keys})
                case Get(key, prefix):
                    reads.append(self._read(key, prefix, written))
        if written:
            self._commit(written)
        return Answer(held, self.revision, tuple(reads))

    def _check(self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation]) -> None:
        if max(len(compares), len(then), len(otherwise)) > OPERATIONS_MAX:
            raise DativeError(f"more than {OPERATIONS_MAX} operations in one transaction", code=COORDINATION_INVALID)
        for branch in (then, otherwise):
            _check_branch(branch)
        if self.full and any(isinstance(one, Put) for one in (*then, *otherwise)):
            raise DativeError("put: the database is full", code=COORDINATION_FULL)

    def _holds(self, compare: Compare) -> bool:
        item = self._keys.get(compare.key)
        if item is None:
            return compare.revision == 0
        return compare.revision == (item.create_revision if compare.what == "create" else item.mod_revision)

    def _read(self, key: str, prefix: bool, written: dict[str, KeyValue | None]) -> tuple[KeyValue, ...]:
        names = set(self._below(key)) if prefix else {key}
        names |= {name for name in written if prefix and name.startswith(key)}
        found = (written[name] if name in written else self._keys.get(name) for name in sorted(names))
        return tuple(item for item in found if item is not None)

    def _below(self, prefix: str) -> list[str]:
        start = bisect.bisect_left(self._order, prefix)
        end = bisect.bisect_left(self._order, prefix + "\U0010ffff")
        return self._order[start:end]

    def _commit(self, written: dict[str, KeyValue | None]) -> None:
        self.revision += 1
        for key, item in written.items():
            before = self._keys.pop(key, None)
            if before is not None and before.lease in self._leases:
                self._leases[before.lease].keys.discard(key)
            if item is None:
                self._order.pop(bisect.bisect_left(self._order, key))
                continue
            if before is None:
                bisect.insort(self._order, key)
            self._keys[key] = item
            if item.lease:
                self._leases[item.lease].keys.add(key)
        changes = tuple(Change(key, self.revision, item) for key, item in written.items())
        self._history.append(Changes(self.revision, changes))
        if len(self._history) > HISTORY_MAX:
            self.compact(self._history[len(self._history) // 2].revision)
        self.wake()

    def changes(self, prefix: str, after: int, until: int) -> Changes:
        """What changed below prefix in the revisions after..until. Errors: Compacted."""
        if after + 1 < self._compacted:
            raise Compacted(f"watch {prefix} after revision {after}: compacted at {self._compacted}", where=prefix)
        start = bisect.bisect_right(self._history, after, key=lambda one: one.revision)
        found: list[Change] = []
        for one in itertools.islice(self._history, start, None):
            if one.revision > until:
                break
            found.extend(change for change in one.changes if change.key.startswith(prefix))
        return Changes(max(until, after), tuple(found))

    def grant(self, ttl_s: float) -> Lease:
        if self.full:
            raise DativeError("grant a lease: the database is full", code=COORDINATION_FULL)
        lease_id = next(self._lease_ids)
        self._leases[lease_id] = _Lease(ttl_s, self.clock.elapsed_s() + ttl_s)
        return Lease(lease_id, ttl_s)

    def keep_alive(self, lease_id: int) -> float:
        self.expire()
        lease = self._leases.get(lease_id)
        if lease is None:
            raise LeaseGone(f"keep lease {lease_id:x} alive: it ended")
        lease.expires_s = self.clock.elapsed_s() + lease.ttl_s
        return lease.ttl_s


def _check_branch(branch: Sequence[Operation]) -> None:
    """Refused as by etcd: a key put twice, or put and deleted, in one transaction; a value that is too long."""
    put: set[str] = set()
    for operation in branch:
        if isinstance(operation, Put):
            if operation.key in put:
                raise DativeError(f"{operation.key} is put twice in one transaction", code=COORDINATION_INVALID)
            if len(operation.value) > VALUE_BYTES_MAX:
                raise DativeError(
                    f"{operation.key}: a value of {len(operation.value)} bytes", code=COORDINATION_INVALID
                )
            put.add(operation.key)
    for operation in branch:
        if isinstance(operation, Delete):
            both = [key for key in put if key == operation.key or (operation.prefix and key.startswith(operation.key))]
            if both:
                raise DativeError(f"{both[0]} is put and deleted in one transaction", code=COORDINATION_INVALID)


class MemoryCoordination:
    """One member's way to the cluster, as `coordination.Coordination`. Faults are this member's only.

    partitioned: no call gets through, watches are silent. fault: asked before each transaction; `lose_next` is the
    simple way. hold: watches tell nothing newer than that revision; `hold_watches` and `release_watches` set it.
    paused: calls wait at the door, both ways, as in a stopped process; `pause` and `resume` set it.
    """

    def __init__(self, cluster: MemoryCluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.partitioned = False
        self.fault: Callable[[Sequence[Operation]], Fault | None] = lambda _then: None
        self._next: list[Fault] = []
        self._delayed: list[tuple[Sequence[Compare], Sequence[Operation], Sequence[Operation]]] = []
        self._hold: int | None = None
        self._awake = asyncio.Event()
        self._awake.set()
        self._closed = False

    # ---- faults --------------------------------------------------------------------------------------------------

    def lose_next(self, fault: Fault, times: int = 1) -> None:
        """The next transactions that write anything suffer it; up to `times`, one each."""
        self._next.extend([fault] * times)

    def deliver(self) -> int:
        """What was delayed arrives now, in its order; nobody hears the answers. Returns how many."""
        delayed, self._delayed = self._delayed, []
        for request in delayed:
            with contextlib.suppress(DativeError):
                self.cluster.transact(*request)
        return len(delayed)

    def hold_watches(self) -> None:
        self._hold = self.cluster.revision

    def release_watches(self, until: int | None = None) -> None:
        """until: still nothing newer than this revision."""
        self._hold = until
        self.cluster.wake()

    def partition(self) -> None:
        self.partitioned = True

    def heal(self) -> None:
        self.partitioned = False
        self.cluster.wake()

    def pause(self) -> None:
        self._awake.clear()

    def resume(self) -> None:
        self._awake.set()

    # ---- Coordination --------------------------------------------------------------------------------------------

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        await self._reach("transact")
        writes = any(not isinstance(one, Get) for one in (*then, *otherwise))
        fault = self.fault(then) or (self._next.pop(0) if writes and self._next else None)
        if fault is Fault.REFUSED or (fault in (Fault.LOST_BEFORE, Fault.DELAYED) and not writes):
            raise Unavailable(f"transact: {fault.value}")
        if fault is Fault.DELAYED and writes:
            self._delayed.append((compares, then, otherwise))
        if fault in (Fault.LOST_BEFORE, Fault.DELAYED):
            raise Ambiguous(f"transact: {fault.value}")
        answer = self.cluster.transact(compares, then, otherwise)
        await self._answered()
        if fault is Fault.LOST_AFTER or self._cut_off():
            if writes:
                raise Ambiguous(f"transact: {Fault.LOST_AFTER.value}")
            raise Unavailable("transact: the answer was lost")
        return answer

    async def load(self, prefix: str) -> Snapshot:
        await self._reach(f"load {prefix}")
        return self.cluster.snapshot(prefix)

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Changes, None]:
        clock = self.cluster.clock
        heard_s = clock.elapsed_s()
        while True:
            await self._awake.wait()
            moved = self.cluster.moved
            self.cluster.expire()
            silent = self._cut_off()
            now_s = clock.elapsed_s()
            if not silent:
                until = self.cluster.revision if self._hold is None else min(self._hold, self.cluster.revision)
                changes = self.cluster.changes(prefix, after, until)
                if changes.changes or (self._hold is None and now_s - heard_s >= PROGRESS_EVERY_S):
                    heard_s, after = now_s, changes.revision
                    yield changes
                    continue
            if now_s - heard_s > SILENCE_MAX_S:
                raise Unavailable(f"watch {prefix}: heard nothing for {SILENCE_MAX_S:g} s")
            if not moved.is_set():
                await either(clock, moved, self.cluster.next_expiry_s())

    async def grant(self, ttl_s: float) -> Lease:
        await self._reach("grant a lease")
        return self.cluster.grant(ttl_s)

    async def keep_alive(self, lease_id: int) -> float:
        await self._reach("keep alive")
        holds_s = self.cluster.keep_alive(lease_id)
        await self._answered()
        if self._cut_off():
            raise Unavailable("keep alive: the answer was lost")
        return holds_s

    async def revoke(self, lease_id: int) -> None:
        await self._reach("revoke a lease")
        self.cluster.expire()
        self.cluster.end_lease(lease_id)

    async def status(self) -> ClusterStatus:
        await self._reach("status")
        return ClusterStatus(
            cluster_id=self.cluster.cluster_id,
            members=self.cluster.members,
            versions={"memory": "3.6.14"},
            leader=True,
            database_bytes=sum(len(item.key) + len(item.value) for item in self.cluster.items()),
            database_bytes_max=DATABASE_BYTES_MAX,
            alarms=("nospace",) if self.cluster.full else (),
        )

    async def close(self) -> None:
        self._closed = True
        self.cluster.wake()

    # ---- the way -------------------------------------------------------------------------------------------------

    def _cut_off(self) -> bool:
        return self.partitioned or not self.cluster.quorum or self._closed

    async def _reach(self, what: str) -> None:
        """Other tasks run in between, as with a network. Errors: Unavailable."""
        await asyncio.sleep(0)
        await self._awake.wait()
        if self._cut_off():
            raise Unavailable(f"{what}: {self.name} does not reach the cluster")

    async def _answered(self) -> None:
        await asyncio.sleep(0)
        await self._awake.wait()
