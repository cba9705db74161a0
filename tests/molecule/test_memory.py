"""The faults of the coordination in memory do what they say; that it is etcd otherwise is `contract`'s to show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_FULL, COORDINATION_INVALID
from dative.waiting import HandClock
from dative_atom.molecule.coordination import Ambiguous, Compacted, Compare, Delete, Get, LeaseGone, Put, Unavailable
from dative_atom.molecule.memory import Fault, MemoryCluster, MemoryCoordination


async def put(client: MemoryCoordination, key: str, value: bytes = b"v", lease: int = 0) -> int:
    return (await client.transact([], [Put(key, value, lease)])).revision


async def test_revisions_are_those_of_etcd(cluster: MemoryCluster, client: MemoryCoordination) -> None:
    first = await put(client, "a", b"1")
    await put(client, "b")
    last = await put(client, "a", b"2")
    item = cluster.item("a")
    assert item is not None
    assert (item.create_revision, item.mod_revision, first + 2) == (first, last, last)
    await client.transact([], [Delete("a")])
    assert (await client.transact([], [Delete("a")])).revision == last + 1  # what deletes nothing is no revision
    again = await put(client, "a")
    made = cluster.item("a")
    assert made is not None
    assert made.create_revision == again > first


async def test_a_transaction_reads_what_it_wrote_before(client: MemoryCoordination) -> None:
    await put(client, "p/2", b"old")
    answer = await client.transact(
        [], [Put("p/1", b"new"), Get("p/", prefix=True), Delete("p/2"), Get("p/", prefix=True)]
    )
    assert [[item.key for item in read] for read in answer.reads] == [["p/1", "p/2"], ["p/1"]]


async def test_what_does_not_hold_takes_the_other_branch(client: MemoryCoordination) -> None:
    await put(client, "a", b"there")
    answer = await client.transact([Compare.absent("a")], [Put("a", b"mine")], [Get("a")])
    assert not answer.held
    assert answer.reads[0][0].value == b"there"


@pytest.mark.parametrize(
    "operations",
    [
        [Put("a", b"1"), Put("a", b"2")],
        [Put("a", b"1"), Delete("a")],
        [Put("p/1", b"1"), Delete("p/", prefix=True)],
        [Get(f"k{number}") for number in range(129)],
        [Put("a", bytes(1024 * 1024 + 1))],
    ],
    ids=["put twice", "put and deleted", "deleted by prefix", "129 operations", "too long"],
)
async def test_what_etcd_refuses_is_refused(
    cluster: MemoryCluster, client: MemoryCoordination, operations: list[Put | Delete | Get]
) -> None:
    with pytest.raises(DativeError) as refused:
        await client.transact([], operations)
    assert refused.value.code is COORDINATION_INVALID
    assert cluster.items() == ()


async def test_a_lease_takes_its_keys_with_it_at_one_revision(
    cluster: MemoryCluster, client: MemoryCoordination, clock: HandClock
) -> None:
    lease = await client.grant(5.0)
    await put(client, "a", lease=lease.lease_id)
    before = await put(client, "b", lease=lease.lease_id)
    clock.advance(4.0)
    assert await client.keep_alive(lease.lease_id) == 5.0
    clock.advance(4.9)
    assert len(cluster.items()) == 2
    clock.advance(0.1)
    assert cluster.items() == ()
    assert cluster.revision == before + 1
    with pytest.raises(LeaseGone):
        await client.keep_alive(lease.lease_id)
    with pytest.raises(LeaseGone):
        await put(client, "a", lease=lease.lease_id)
    await client.revoke(lease.lease_id)


async def test_a_key_put_without_its_lease_outlives_it(cluster: MemoryCluster, client: MemoryCoordination) -> None:
    lease = await client.grant(5.0)
    await put(client, "a", lease=lease.lease_id)
    await put(client, "a")
    await client.revoke(lease.lease_id)
    assert cluster.item("a") is not None


async def test_a_watch_tells_all_in_order_after_its_revision(client: MemoryCoordination) -> None:
    after = await put(client, "p/1")
    await put(client, "q/1")
    await client.transact([], [Delete("p/1"), Put("p/2", b"v")])
    async with aclosing(client.watch("p/", after)) as watching:
        changes = await anext(watching)
        assert [(change.key, change.now is None) for change in changes.changes] == [("p/1", True), ("p/2", False)]
        following = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        revision = await put(client, "p/3")
        assert (await following).revision == revision


async def test_a_watch_across_compaction_says_so(cluster: MemoryCluster, client: MemoryCoordination) -> None:
    after = await put(client, "a")
    await put(client, "a")
    await put(client, "a")
    cluster.compact()
    async with aclosing(client.watch("a", after)) as watching:
        with pytest.raises(Compacted):
            await anext(watching)
    async with aclosing(client.watch("a", cluster.revision - 1)) as watching:
        assert len((await anext(watching)).changes) == 1


async def test_a_quiet_watch_says_that_it_lives_and_a_silent_one_ends(
    client: MemoryCoordination, pass_time: Callable[[float], Awaitable[None]]
) -> None:
    async with aclosing(client.watch("a", 1)) as watching:
        quiet = asyncio.ensure_future(anext(watching))
        await pass_time(6.0)
        assert (await quiet).changes == ()
        client.partition()
        silent = asyncio.ensure_future(anext(watching))
        await pass_time(16.0)
        with pytest.raises(Unavailable):
            await silent


async def test_a_held_watch_tells_everything_when_it_is_let_go(client: MemoryCoordination) -> None:
    client.hold_watches()
    first = await put(client, "a", b"1")
    last = await put(client, "a", b"2")
    async with aclosing(client.watch("a", first - 1)) as watching:
        held = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        assert not held.done()
        client.release_watches(until=first)
        assert (await held).revision == first
        client.release_watches()
        assert (await anext(watching)).revision == last


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [(Fault.LOST_BEFORE, Ambiguous, False), (Fault.LOST_AFTER, Ambiguous, True), (Fault.REFUSED, Unavailable, False)],
)
async def test_a_lost_answer(
    cluster: MemoryCluster, client: MemoryCoordination, fault: Fault, error: type[Exception], applied: bool
) -> None:
    client.lose_next(fault)
    with pytest.raises(error):
        await put(client, "a")
    assert (cluster.item("a") is not None) is applied
    await put(client, "a")


async def test_a_partition_is_one_members_only(cluster: MemoryCluster, client: MemoryCoordination) -> None:
    client.partition()
    for call in (client.load(""), client.grant(5.0), client.keep_alive(1), client.status(), put(client, "a")):
        with pytest.raises(Unavailable):
            await call
    await put(cluster.client("other"), "a")
    client.heal()
    assert len((await client.load("")).items) == 1


async def test_without_a_quorum_no_lease_ends_and_each_begins_anew(
    cluster: MemoryCluster, client: MemoryCoordination, clock: HandClock
) -> None:
    lease = await client.grant(5.0)
    await put(client, "a", lease=lease.lease_id)
    cluster.quorum = False
    clock.advance(60.0)
    with pytest.raises(Unavailable):
        await client.load("")
    cluster.quorum = True
    clock.advance(4.9)
    assert cluster.item("a") is not None
    clock.advance(0.1)
    assert cluster.item("a") is None


async def test_a_full_database_still_deletes_and_renews(cluster: MemoryCluster, client: MemoryCoordination) -> None:
    lease = await client.grant(5.0)
    await put(client, "a")
    cluster.full = True
    for call in (put(client, "b"), client.grant(5.0), client.transact([Compare.absent("a")], [Put("a", b"")], [])):
        with pytest.raises(DativeError) as full:
            await call
        assert full.value.code is COORDINATION_FULL
    await client.keep_alive(lease.lease_id)
    await client.transact([], [Delete("a")])
    assert (await client.status()).alarms == ("nospace",)


async def test_a_paused_member_sends_nothing_until_it_wakes(cluster: MemoryCluster, client: MemoryCoordination) -> None:
    client.pause()
    waiting = asyncio.ensure_future(put(client, "a"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert cluster.item("a") is None
    client.resume()
    await waiting
    assert cluster.item("a") is not None
