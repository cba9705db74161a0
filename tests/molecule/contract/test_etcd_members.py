"""What only a real cluster can do to its client: members that die, sleep, lose their quorum or run full."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import aclosing

import pytest
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_FULL
from dative.waiting import SystemWaitingClock
from dative_atom.molecule.coordination import Ambiguous, Put, Unavailable
from dative_atom.molecule.embedded import EmbeddedEtcd
from dative_atom.molecule.etcd import EtcdCoordination
from dative_atom.molecule.session import Session, margin_of


async def in_thread(call, *arguments):
    await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


async def put_for_sure(client, key: str, value: bytes) -> None:
    """Again until it was answered: the same value at the same key, so that a double one does no harm here."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(Ambiguous, Unavailable):
                await client.transact([], [Put(key, value)])
                return


async def test_a_watch_goes_on_over_the_kill_of_every_member_in_turn(three, prefix):
    client = three.client()
    begin = (await client.load(prefix)).revision
    told: list[bytes] = []

    async def follow() -> None:
        async with aclosing(client.watch(prefix, begin)) as watch:
            async for changes in watch:
                told.extend(one.now.value for one in changes.changes)
                if told[-1:] == [b"last"]:
                    return

    following = asyncio.create_task(follow())
    wanted = []
    for member in three.cluster.members:
        await in_thread(member.kill)
        for n in range(5):
            wanted.append(f"{member.name}-{n}".encode())
            await put_for_sure(client, prefix + "a", wanted[-1])
        member.start()
        await in_thread(three.cluster.wait_ready, [member])
    await put_for_sure(client, prefix + "a", b"last")
    async with asyncio.timeout(20):
        await following
    # None skipped, in order; a put that was ambiguous may be there twice, one after the other.
    assert list(dict.fromkeys(told)) == [*wanted, b"last"]
    revisions = (await client.load(prefix)).items[0]
    assert revisions.mod_revision - begin == len(told)


async def test_with_one_member_dead_no_call_fails(three, prefix):
    client = three.client()
    await client.load(prefix)
    await in_thread(three.cluster.members[1].kill)
    await put_for_sure(client, prefix + "a", b"")  # the first calls may meet an election
    lease = await client.grant(10.0)
    for n in range(30):
        assert (await client.transact([], [Put(f"{prefix}{n}", b"")])).held
        await client.keep_alive(lease.lease_id)
    status = await client.status()
    assert (len(status.versions), status.members, status.leader) == (2, 3, True)


async def test_a_member_that_sleeps_costs_no_keepalive(three, prefix):
    client = three.client()
    lease = await client.grant(10.0)
    for _ in range(6):
        await client.keep_alive(lease.lease_id)  # all three connections stand
    follower = await _a_follower(three)
    follower.pause()
    begin = time.monotonic()
    for _ in range(6):
        await client.keep_alive(lease.lease_id)
    assert time.monotonic() - begin < 4.0


async def _a_follower(three):
    """A member that is not the leader: the leader's own id and the one it names are the same."""
    from dative_atom.molecule.etcd import STATUS
    from dative_atom.molecule.wire import etcd_pb2 as pb

    client = three.client()
    await client.load("/")
    for endpoint, member in zip(client._endpoints.all, three.cluster.members, strict=True):
        status = await client._calls.at(endpoint, STATUS, pb.StatusRequest())
        if status.leader != status.header.member_id:
            return member
    raise AssertionError("every member leads")


async def test_without_a_quorum_every_call_ends_in_time_and_the_watch_says_so(three, prefix):
    client = three.client()
    lease = await client.grant(30.0)
    begin = (await client.load(prefix)).revision
    for member in three.cluster.members[:2]:
        await in_thread(member.kill)
    lost = time.monotonic()

    async def follow() -> None:
        async with aclosing(client.watch(prefix, begin)) as watch:
            async for changes in watch:
                assert not changes.changes

    watching = asyncio.create_task(follow())
    calls = {
        "transact": (lambda: client.transact([], [Put(prefix + "a", b"")])),
        "load": (lambda: client.load(prefix)),
        "keep_alive": (lambda: client.keep_alive(lease.lease_id)),
        "grant": (lambda: client.grant(5.0)),
        "revoke": (lambda: client.revoke(lease.lease_id)),
    }
    for name, call in calls.items():
        since = time.monotonic()
        with pytest.raises((Unavailable, Ambiguous) if name == "transact" else Unavailable):
            await call()
        assert time.monotonic() - since < 1.5, name
    with pytest.raises(Unavailable):
        await watching
    assert time.monotonic() - lost < 16
    status = await client.status()
    assert (status.leader, len(status.versions), status.members) == (False, 1, 3)
    for member in three.cluster.members[:2]:
        member.start()
    await in_thread(three.cluster.wait_ready)
    await put_for_sure(client, prefix + "b", b"")


async def test_a_full_database_is_told_and_leases_live_on(tmp_path, prefix):
    with EmbeddedEtcd(tmp_path, flags=("--quota-backend-bytes=2000000", "--unsafe-no-fsync")) as cluster:
        client = EtcdCoordination(cluster.addresses)
        lease = await client.grant(10.0)

        async def fill() -> None:
            # More than the quota: etcd counts what it has written down, a tenth of a second or more behind what it takes.
            for n in range(1000):
                await client.transact([], [Put(f"{prefix}{n}", bytes(100_000))])

        with pytest.raises(DativeError) as full:
            await fill()
        assert full.value.code is COORDINATION_FULL
        assert isinstance(full.value, Ambiguous)  # the one that crossed the quota may hold
        with pytest.raises(DativeError) as refused:
            await client.grant(10.0)
        assert refused.value.code is COORDINATION_FULL
        assert await client.keep_alive(lease.lease_id) == lease.ttl_s
        assert (await client.status()).alarms == ("nospace",)
        await client.close()


async def test_a_session_on_an_etcd_that_sleeps_is_lost_before_the_lease_can_end(tmp_path):
    with EmbeddedEtcd(tmp_path, flags=("--unsafe-no-fsync",)) as cluster:
        client, clock = EtcdCoordination(cluster.addresses, timeout_s=0.6), SystemWaitingClock()
        published: list[float] = []
        async with Session(client, 2.0, clock, margin_of(2.0), published.append, timeout_s=0.6) as session:
            while len(published) < 3:
                await asyncio.wait([asyncio.ensure_future(session.lost.wait())], timeout=0.1)
            last_renewed_s = published[-1] + margin_of(2.0) - 2.0
            cluster.members[0].pause()
            async with asyncio.timeout(5):
                await session.lost.wait()
            assert clock.elapsed_s() < last_renewed_s + 4.0
            assert not session.valid
            assert published[-1] == 0.0
            # The last deadline that anybody was told came before the lease's end, however late the renewal was answered.
            assert max(published) <= clock.elapsed_s() + 0.05
            cluster.members[0].resume()
        await client.close()
