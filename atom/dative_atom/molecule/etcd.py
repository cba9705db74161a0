"""The coordination of a molecule in a real etcd: the contract's words in etcd's messages.

Attempts and retries live in `etcd_calls.py`, what an error proves in `etcd_failures.py`, watching in `etcd_watch.py`.
It must not know what the keys mean.
Source: etcd v3.5, "etcd API"; works with 3.4 to 3.6.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_INVALID
from dative.waiting import SystemWaitingClock, WaitingClock

from dative_atom.molecule.coordination import (
    Answer,
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
from dative_atom.molecule.etcd_calls import Calls, Method, Password
from dative_atom.molecule.etcd_endpoints import Endpoints, TlsFiles
from dative_atom.molecule.etcd_watch import Watch, key_value, prefix_end
from dative_atom.molecule.wire import etcd_pb2 as pb

__all__ = ["OPERATIONS_MAX", "PAGE_KEYS", "EtcdCoordination", "TlsFiles"]

OPERATIONS_MAX = 128
"""etcd's own limit of a transaction."""
PAGE_KEYS = 256
LOADS_MAX = 3
"""So often a load begins again when its revision is compacted meanwhile; then Unavailable."""

RANGE = Method("/etcdserverpb.KV/Range", pb.RangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", pb.TxnResponse)
GRANT = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse)
KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse)
STATUS = Method("/etcdserverpb.Maintenance/Status", pb.StatusResponse, leader=False)
MEMBERS = Method("/etcdserverpb.Cluster/MemberList", pb.MemberListResponse, leader=False)
_ALARMS = {"NOSPACE": "nospace", "CORRUPT": "corrupt"}


class EtcdCoordination:
    """A client of one cluster. All calls belong to the loop in which it was made.

    endpoints: "host:port" of the members. tls: None is plain text. timeout_s: of each call as a whole, at most a third
    of a lease. password: asked each time a token is fetched. Bound: one connection a member, one stream a watch.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: TlsFiles | None = None,
        user: str = "",
        password: Password | None = None,
        timeout_s: float = 1.0,
        clock: WaitingClock | None = None,
    ) -> None:
        self._clock = clock or SystemWaitingClock()
        self._endpoints = Endpoints(endpoints, tls, self._clock)
        self._calls = Calls(self._endpoints, self._clock, timeout_s, user, password)

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        """See Coordination.transact. A transaction of Gets alone is a read: asked again, never Ambiguous."""
        if max(len(compares), len(then), len(otherwise)) > OPERATIONS_MAX:
            raise DativeError(f"more than {OPERATIONS_MAX} operations in one transaction", code=COORDINATION_INVALID)
        request = pb.TxnRequest(
            compare=[_compare(one) for one in compares],
            success=[_operation(one) for one in then],
            failure=[_operation(one) for one in otherwise],
        )
        write = any(not isinstance(one, Get) for one in (*then, *otherwise))
        answer = await self._calls.unary(TXN, request, write=write)
        reads = tuple(
            tuple(map(key_value, one.response_range.kvs))
            for one in answer.responses
            if one.WhichOneof("response") == "response_range"
        )
        return Answer(answer.succeeded, answer.header.revision, reads)

    async def load(self, prefix: str) -> Snapshot:
        """See Coordination.load. Each page is a call with a timeout of its own."""
        for _ in range(LOADS_MAX):
            try:
                return await self._load(prefix)
            except Compacted as compacted:
                last = compacted
        raise Unavailable(f"load of {prefix}: compacted {LOADS_MAX} times while it was read") from last

    async def _load(self, prefix: str) -> Snapshot:
        items: list[KeyValue] = []
        begin, revision = prefix.encode() or b"\0", 0
        while True:
            request = pb.RangeRequest(key=begin, range_end=prefix_end(prefix), limit=PAGE_KEYS, revision=revision)
            page = await self._calls.unary(RANGE, request)
            # The first page is linearizable; the others are read at its revision.
            revision = revision or page.header.revision
            items.extend(map(key_value, page.kvs))
            if not page.more:
                return Snapshot(revision, tuple(items))
            begin = page.kvs[-1].key + b"\0"

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Changes, None]:
        """See Coordination.watch."""
        return Watch(self._calls, self._clock, prefix, after).changes()

    async def grant(self, ttl_s: float) -> Lease:
        """Whole seconds, and etcd's own least (2 s with its default election timeout).

        A lost answer leaves an empty lease behind, which ends by itself.
        """
        answer = await self._calls.unary(GRANT, pb.LeaseGrantRequest(TTL=math.ceil(ttl_s)))
        return Lease(answer.ID, float(answer.TTL))

    async def keep_alive(self, lease_id: int) -> float:
        """See Coordination.keep_alive. A stream of its own each time: there is never a second writer, nor an old answer."""
        answer = await self._calls.first_of_stream(KEEP_ALIVE, pb.LeaseKeepAliveRequest(ID=lease_id))
        if answer.TTL <= 0:
            raise LeaseGone(f"etcd no longer knows lease {lease_id:x}")
        return float(answer.TTL)

    async def revoke(self, lease_id: int) -> None:
        try:
            await self._calls.unary(REVOKE, pb.LeaseRevokeRequest(ID=lease_id))
        except LeaseGone:
            return

    async def status(self) -> ClusterStatus:
        """Ask every member. Errors: Unavailable, none answered; the refusals, where nobody says anything else."""
        asked = self._endpoints.all
        asking = (self._calls.at(endpoint, STATUS, pb.StatusRequest()) for endpoint in asked)
        found = await asyncio.gather(*asking, return_exceptions=True)
        failed = [one for one in found if isinstance(one, BaseException)]
        if len(failed) == len(asked):
            raise failed[0]
        statuses = [one for one in found if not isinstance(one, BaseException)]
        members = await self._calls.unary(MEMBERS, pb.MemberListRequest())
        return ClusterStatus(
            cluster_id=f"{statuses[0].header.cluster_id:x}",
            members=len(members.members),
            versions={
                endpoint.address: one.version
                for endpoint, one in zip(asked, found, strict=True)
                if not isinstance(one, BaseException)
            },
            leader=any(status.leader for status in statuses),
            database_bytes=max(status.dbSize for status in statuses),
            database_bytes_max=max(status.dbSizeQuota for status in statuses),
            alarms=tuple(sorted({name for status in statuses for name in _alarms(status.errors)})),
        )

    async def close(self) -> None:
        await self._endpoints.close()


def _compare(one: Compare) -> Any:
    target = pb.Compare.CREATE if one.what == "create" else pb.Compare.MOD
    revision = {"create_revision" if one.what == "create" else "mod_revision": one.revision}
    return pb.Compare(result=pb.Compare.EQUAL, target=target, key=one.key.encode(), **revision)


def _operation(one: Operation) -> Any:
    key = one.key.encode()
    if isinstance(one, Put):
        return pb.RequestOp(request_put=pb.PutRequest(key=key, value=one.value, lease=one.lease))
    end = prefix_end(one.key) if one.prefix else b""
    if isinstance(one, Delete):
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key or b"\0", range_end=end))
    return pb.RequestOp(request_range=pb.RangeRequest(key=key or b"\0", range_end=end))


def _alarms(errors: Sequence[str]) -> list[str]:
    """The alarms among what a member says of itself: "memberID:… alarm:NOSPACE "."""
    return [name for text in errors for word, name in _ALARMS.items() if f"alarm:{word}" in text]
