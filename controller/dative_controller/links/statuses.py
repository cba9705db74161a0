"""What members say of their molecules: the newest kept in memory, written when it changed in kind or once a minute.

Load and counts move with every heartbeat and are not worth a transaction each; who leads, who is there, whether there
is a quorum and who is quarantined are written at once.
"""

from __future__ import annotations

from dative.v1 import types_pb2
from sqlalchemy import Connection

from dative_controller.store.molecules import Said, put_status

MEMBERS_MAX = 1000
HISTORY_MAX = 10


class Statuses:
    """By molecule. One per controller process; bounded by the molecules there are."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Said] = {}
        self._unwritten: set[tuple[str, str]] = set()

    def newest(self, environment_id: str, name: str) -> types_pb2.MoleculeStatus | None:
        said = self._newest.get((environment_id, name))
        return said.status if said else None

    def hear(self, environment_id: str, name: str, observer: str, status: types_pb2.MoleculeStatus) -> bool:
        """Take it when it is the newest: of the higher term, then the later. True: write now.

        A member without a leader reports the last term it knows, so that it never pushes out what the leader says.
        """
        kept = types_pb2.MoleculeStatus()
        kept.CopyFrom(status)
        kept.observer = observer
        del kept.members[MEMBERS_MAX:], kept.history[HISTORY_MAX:], kept.quarantined[MEMBERS_MAX:]
        said, place = Said(environment_id, name, kept), (environment_id, name)
        known = self._newest.get(place)
        if known is not None and said.order < known.order:
            return False
        self._newest[place] = said
        self._unwritten.add(place)
        return known is None or _kind(known.status) != _kind(kept)

    def take_unwritten(self) -> list[Said]:
        """What the store does not have yet; from now on it counts as written."""
        said = [self._newest[place] for place in self._unwritten]
        self._unwritten.clear()
        return said

    def forget(self, environment_id: str, name: str) -> None:
        self._newest.pop((environment_id, name), None)
        self._unwritten.discard((environment_id, name))


def write(sql: Connection, said: list[Said]) -> None:
    for one in said:
        put_status(sql, one)


def _kind(status: types_pb2.MoleculeStatus) -> tuple[object, ...]:
    """What of a status is worth a transaction when it changes."""
    etcd = status.etcd
    return (
        status.term,
        status.leader,
        status.failures_tolerated,
        tuple(sorted((one.atom_id, one.version, one.draining, one.ready) for one in status.members)),
        tuple(sorted((one.atom_id, one.reason) for one in status.quarantined)),
        (etcd.quorum, etcd.members, etcd.answering, tuple(etcd.alarms)),
    )
