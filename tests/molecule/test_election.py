"""The oldest candidate leads; a term is the revision of its key; what a former leader sends changes nothing."""

from __future__ import annotations

import pytest
from dative_atom.molecule.coordination import Compare, LeaseGone, Put
from dative_atom.molecule.election import Candidacy, resign, stand
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.memory import Fault, MemoryCluster
from dative_atom.molecule.view import View

KEYS = Keys("env-1", "hq")


def leads(cluster: MemoryCluster, candidacy: Candidacy) -> bool:
    return candidacy.leads(View.of(KEYS, cluster.snapshot()))


async def candidate(cluster: MemoryCluster, atom: str) -> tuple[Candidacy, int]:
    client = cluster.client(atom)
    lease = await client.grant(5.0)
    return await stand(client, KEYS, atom, lease.lease_id), lease.lease_id


async def test_terms_rise_from_leader_to_leader(cluster: MemoryCluster) -> None:
    line = [await candidate(cluster, f"hq-{number}") for number in range(3)]
    for number, (candidacy, lease_id) in enumerate(line):
        assert [leads(cluster, one) for one, _ in line] == [place == number for place in range(3)]
        cluster.end_lease(lease_id)
        assert not leads(cluster, candidacy)
    assert [one.revision for one, _ in line] == sorted(one.revision for one, _ in line)


async def test_who_resigns_goes_to_the_end_of_the_line(cluster: MemoryCluster) -> None:
    first, lease_id = await candidate(cluster, "hq-1")
    second, _ = await candidate(cluster, "hq-2")
    await resign(cluster.client(), first)
    assert leads(cluster, second)
    again = await stand(cluster.client(), KEYS, "hq-1", lease_id)
    assert again.revision > second.revision
    assert leads(cluster, second)
    await resign(cluster.client(), first)  # of the candidacy before: nothing happens
    assert cluster.item(again.key) is not None


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DELAYED])
async def test_a_lost_answer_makes_no_second_candidacy(cluster: MemoryCluster, fault: Fault) -> None:
    client = cluster.client()
    lease = await client.grant(5.0)
    client.lose_next(fault)
    candidacy = await stand(client, KEYS, "hq-1", lease.lease_id)
    client.deliver()
    assert [item.create_revision for item in cluster.items(KEYS.prefix + "leader/")] == [candidacy.revision]


async def test_under_a_lease_that_ended_nobody_stands(cluster: MemoryCluster) -> None:
    with pytest.raises(LeaseGone):
        await stand(cluster.client(), KEYS, "hq-1", 4711)


async def test_what_a_former_leader_sends_changes_nothing(cluster: MemoryCluster) -> None:
    first, lease_id = await candidate(cluster, "hq-1")
    cluster.end_lease(lease_id)
    answer = await cluster.client().transact([first.compare, Compare.absent("x")], [Put("x", b"1")])
    assert not answer.held
    assert cluster.item("x") is None
