"""The same members on a real etcd: from submit to the end, over the loss of one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from dative.waiting import SystemWaitingClock
from dative_atom.molecule.embedded import EmbeddedEtcd
from dative_atom.molecule.etcd import EtcdCoordination

pytestmark = pytest.mark.server
WITHIN_S = 20.0


async def test_executions_end_once_over_a_leader_that_is_cut_off(tmp_path: Path, cluster, new_molecule) -> None:
    clock = SystemWaitingClock()
    clients: list[EtcdCoordination] = []
    with EmbeddedEtcd(tmp_path, flags=("--unsafe-no-fsync",)) as etcd:

        def connect(_atom: str) -> EtcdCoordination:
            clients.append(EtcdCoordination(etcd.addresses))
            return clients[-1]

        async def pass_time(seconds: float) -> None:
            await clock.sleep(min(seconds, 0.02))

        molecule = new_molecule(cluster, clock, pass_time, connect)
        hosts = [molecule.host(f"hq-{number}", slots=4, opened=number != 1) for number in (1, 2, 3)]
        await molecule.start(*hosts)
        for number in range(60):
            await molecule.submit(f"e{number}", batches=2, stream=f"s{number % 20}", at_ms=number)
        await molecule.until(lambda: len(hosts[0].runs) == 4, WITHIN_S)
        # Its connections are gone, its lease is not given back: the others go on when that has ended.
        await clients[0].close()
        await molecule.until(lambda: len(molecule.books.ends) == 60, WITHIN_S)
        assert set(molecule.books.effects.values()) == {1}
        assert all(ends == ["succeeded"] for ends in molecule.books.ends.values())
        lost = {run.lost_from for host in hosts[1:] for run in host.runs if run.attempt == 2}
        assert lost == {"hq-1"}
        await molecule.until(lambda: not hosts[1].member.follow.view.executions, WITHIN_S)
        status = await hosts[1].member.status()
        assert (status.leader, [one.atom for one in status.history]) == ("hq-2", ["hq-1", "hq-2"])
        assert (status.member_losses, status.etcd_losses, len(status.nodes)) == (1, 0, 2)
        await asyncio.gather(*(host.member.close() for host in hosts))
        for client in clients:
            await client.close()
