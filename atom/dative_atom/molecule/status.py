"""A molecule as a person sees it: members, leader and those before, load, and what may still be lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dative_atom.molecule.assignment import takes_work
from dative_atom.molecule.claim import fencing_token
from dative_atom.molecule.coordination import ClusterStatus
from dative_atom.molecule.values import Term
from dative_atom.molecule.view import View


@dataclass(frozen=True, slots=True)
class Node:
    """running: executions assigned to it. takes_work: ready, neither draining nor quarantined, of a version that fits."""

    atom: str
    address: str
    version: str
    slots: int
    running: int
    load: float
    takes_work: bool
    draining: bool
    quarantined: bool
    leader: bool


@dataclass(frozen=True, slots=True)
class MoleculeStatus:
    """nodes: by name. term: the leader's, 0 without one. history: the last leaders, the newest last.

    waiting, active: executions. fresh: whether this member's view is in order. etcd: None, it does not answer.
    member_losses: how many members may go and the others go on; etcd_losses: the same of etcd's.
    why: what keeps this member out, empty when it takes part.
    """

    nodes: tuple[Node, ...]
    leader: str
    term: int
    history: tuple[Term, ...]
    waiting: int
    active: int
    revision: int
    fresh: bool
    etcd: ClusterStatus | None
    member_losses: int
    etcd_losses: int
    unreadable: int
    why: str


def describe(
    view: View, epoch: int, etcd: ClusterStatus | None, *, fresh: bool = True, why: str = ""
) -> MoleculeStatus:
    leader = view.leader
    nodes = tuple(
        Node(
            atom=member.atom,
            address=member.value.address,
            version=member.value.version,
            slots=member.value.slots,
            running=view.load.get(member.atom, 0),
            load=member.value.load,
            takes_work=takes_work(view, member),
            draining=member.value.draining,
            quarantined=member.atom in view.quarantined,
            leader=leader is not None and leader.atom == member.atom,
        )
        for _, member in sorted(view.members.items())
    )
    return MoleculeStatus(
        nodes=nodes,
        leader=leader.atom if leader else "",
        term=fencing_token(epoch, leader.item.create_revision) if leader else 0,
        history=view.terms,
        waiting=sum(len(one) for one in view.waiting.values()),
        active=sum(len(one) for one in view.active.values()),
        revision=view.revision,
        fresh=fresh,
        etcd=etcd,
        member_losses=max(len(nodes) - 1, 0),
        etcd_losses=(etcd.members - 1) // 2 if etcd else 0,
        unreadable=len(view.unreadable),
        why=why,
    )
