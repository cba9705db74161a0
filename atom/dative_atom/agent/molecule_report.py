"""What a member says of its molecule to the controller: a plain struct in, the wire's message out, and how often.

Knows neither etcd nor the protocol: whoever runs the member fills `MoleculeView`. The leader speaks with every
heartbeat, the others with every fourth and whenever who leads or who is there has changed, so that a controller which
hears only one of them knows enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from dative.v1 import types_pb2

OTHERS_EVERY = 4
HISTORY_MAX = 10


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """One member as its molecule sees it. assigned: executions it has, the running ones among them."""

    atom_id: str
    host: str = ""
    version: str = ""
    slots: int = 0
    assigned: int = 0
    running: int = 0
    draining: bool = False
    ready: bool = True
    name: str = ""


class LeaderView(msgspec.Struct, frozen=True, kw_only=True):
    """A term: who led, since when."""

    term: int
    atom_id: str
    since: datetime
    name: str = ""


class EtcdView(msgspec.Struct, frozen=True, kw_only=True):
    """members: how many the cluster has; versions: endpoint -> version of those that answered."""

    cluster_id: str
    members: int
    answering: int
    leader: bool
    versions: Mapping[str, str] = {}
    database_bytes: int = 0
    database_bytes_max: int = 0
    alarms: tuple[str, ...] = ()

    @property
    def quorum(self) -> bool:
        """A leader is known, which etcd has only with more than half of its members."""
        return self.leader


class QuarantineView(msgspec.Struct, frozen=True, kw_only=True):
    atom_id: str
    reason: str
    since: datetime
    name: str = ""


class MoleculeView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment. leader: "" when there is none; term: of the newest leader known.

    history: newest first. etcd: None when it was not asked or does not answer.
    """

    observed_at: datetime
    term: int
    leader: str
    members: tuple[MemberView, ...]
    history: tuple[LeaderView, ...] = ()
    etcd: EtcdView | None = None
    pending: int = 0
    assigned: int = 0
    running: int = 0
    quarantined: tuple[QuarantineView, ...] = ()

    @property
    def failures_tolerated(self) -> int:
        """Losses after which executions still go on: of members while one is left, of etcd while it keeps its quorum.

        Members and etcd often share hosts, so that the smaller of the two counts; without a quorum it is none.
        """
        ready = sum(one.ready and not one.draining for one in self.members)
        if self.etcd is None or not self.etcd.quorum:
            return 0
        spare = self.etcd.answering - (self.etcd.members // 2 + 1)
        return max(0, min(ready - 1, spare))


def message(view: MoleculeView) -> types_pb2.MoleculeStatus:
    """As it travels. `observer` is left to the controller, which knows it from the certificate."""
    said = types_pb2.MoleculeStatus(
        term=view.term,
        leader=view.leader,
        failures_tolerated=view.failures_tolerated,
        pending=view.pending,
        assigned=view.assigned,
        running=view.running,
    )
    said.observed_at.FromDatetime(view.observed_at)
    for member in view.members:
        said.members.add(**msgspec.structs.asdict(member))
    for term in view.history[:HISTORY_MAX]:
        said.history.add(term=term.term, atom_id=term.atom_id, name=term.name).since.FromDatetime(term.since)
    for apart in view.quarantined:
        said.quarantined.add(atom_id=apart.atom_id, name=apart.name, reason=apart.reason).since.FromDatetime(
            apart.since
        )
    if view.etcd is not None:
        said.etcd.CopyFrom(_etcd(view.etcd))
    return said


def _etcd(view: EtcdView) -> types_pb2.EtcdStatus:
    return types_pb2.EtcdStatus(
        cluster_id=view.cluster_id,
        members=view.members,
        answering=view.answering,
        quorum=view.quorum,
        versions=dict(view.versions),
        database_bytes=view.database_bytes,
        database_bytes_max=view.database_bytes_max,
        alarms=view.alarms,
    )


class MoleculeReport:
    """Decides with each heartbeat whether something is said. view: None, this atom is no member now."""

    def __init__(self, atom_id: str, view: Callable[[], MoleculeView | None]) -> None:
        self._atom_id = atom_id
        self._view = view
        self._beats = 0
        self._said: object = None

    def next(self) -> types_pb2.MoleculeStatus | None:
        """To send beside this heartbeat; None: nothing."""
        view = self._view()
        if view is None:
            return None
        seen = (view.term, view.leader, tuple((one.atom_id, one.draining, one.ready) for one in view.members))
        changed, self._said = seen != self._said, seen
        self._beats = 0 if changed else self._beats + 1
        if view.leader == self._atom_id or self._beats % OTHERS_EVERY == 0:
            return message(view)
        return None
