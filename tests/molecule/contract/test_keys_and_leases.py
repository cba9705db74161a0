"""Transactions, loading and leases: what every coordination promises."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_INVALID
from dative_atom.molecule.coordination import (
    Ambiguous,
    Compare,
    Delete,
    Get,
    LeaseGone,
    Put,
    Unavailable,
)


async def test_a_transaction_that_holds_does_all_of_then_at_one_revision(stand, prefix):
    client = stand.client()
    a, b = prefix + "a", prefix + "b"
    made = await client.transact([Compare.absent(a)], [Put(a, b"1"), Put(b, b"2"), Get(prefix, prefix=True)])
    assert made.held
    (read,) = made.reads
    assert [(one.key, one.value, one.create_revision, one.mod_revision) for one in read] == [
        (a, b"1", made.revision, made.revision),
        (b, b"2", made.revision, made.revision),
    ]


async def test_a_transaction_that_does_not_hold_does_otherwise_and_nothing_of_then(stand, prefix):
    client = stand.client()
    a = prefix + "a"
    made = await client.transact([], [Put(a, b"1")])
    again = await client.transact(
        [Compare.absent(a)], [Put(a, b"2")], [Get(a), Put(prefix + "seen", b""), Get(prefix + "none")]
    )
    assert not again.held
    assert again.revision == made.revision + 1
    assert [[one.value for one in read] for read in again.reads] == [[b"1"], []]
    assert [(one.key, one.value) for one in (await client.load(prefix)).items] == [(a, b"1"), (prefix + "seen", b"")]


@pytest.mark.parametrize(
    ("compare", "held"),
    [
        (lambda key, made, put: Compare.created(key, made), True),
        (lambda key, made, put: Compare.created(key, put), False),
        (lambda key, made, put: Compare.unchanged(key, put), True),
        (lambda key, made, put: Compare.unchanged(key, made), False),
        (lambda key, made, put: Compare.absent(key), False),
        (lambda key, made, put: Compare.absent(key + "x"), True),
        (lambda key, made, put: Compare.unchanged(key + "x", 0), True),
    ],
)
async def test_each_compare_looks_at_its_revision(stand, prefix, compare, held):
    client, key = stand.client(), prefix + "a"
    made = (await client.transact([], [Put(key, b"1")])).revision
    put = (await client.transact([], [Put(key, b"2")])).revision
    assert (await client.transact([compare(key, made, put)], [])).held is held


async def test_a_prefix_ends_where_the_next_one_begins(stand, prefix):
    client = stand.client()
    await client.transact([], [Put(prefix + name, b"") for name in ("a", "a/1", "a/2", "a0", "b")])
    await client.transact([], [Delete(prefix + "a/", prefix=True)])
    assert [one.key.removeprefix(prefix) for one in (await client.load(prefix)).items] == ["a", "a0", "b"]
    assert [one.key.removeprefix(prefix) for one in (await client.load(prefix + "a")).items] == ["a", "a0"]


@pytest.mark.parametrize(
    "then",
    [
        [Put(f"/refused/{n}", b"") for n in range(129)],
        [Put("/refused/a", b"1"), Put("/refused/a", b"2")],
        [Put("/refused/a", b"1"), Delete("/refused/", prefix=True)],
        [Put("/refused/a", bytes(2 << 20))],
    ],
    ids=["too many", "put twice", "put and deleted", "too large"],
)
async def test_what_etcd_takes_from_nobody_is_refused_and_nothing_of_it_holds(stand, then):
    client = stand.client()
    with pytest.raises(DativeError) as refused:
        await client.transact([], then)
    assert refused.value.code is COORDINATION_INVALID
    assert not (await client.load("/refused/")).items


async def test_a_load_of_many_pages_is_of_one_revision_while_others_write(stand, prefix):
    client = stand.client()
    keys = [f"{prefix}{n:04}" for n in range(600)]
    for begin in range(0, len(keys), 100):
        await client.transact([], [Put(key, b"0") for key in keys[begin : begin + 100]])

    async def write() -> None:
        for n in range(60):
            await client.transact([], [Put(keys[0], b"%d" % n), Put(keys[-1], b"%d" % n)])

    writing = asyncio.create_task(write())
    seen = set()
    while not writing.done():
        found = await client.load(prefix)
        assert [one.key for one in found.items] == keys
        assert found.items[0].value == found.items[-1].value
        assert max(one.mod_revision for one in found.items) <= found.revision
        seen.add(found.items[0].value)
    await writing
    assert len(seen) > 1


async def test_keys_die_with_their_lease_at_one_revision(stand, prefix):
    client = stand.client()
    lease = await client.grant(2.0)
    assert lease.ttl_s >= 2.0
    put = await client.transact([], [Put(prefix + name, b"", lease=lease.lease_id) for name in "ab"])
    async with aclosing(client.watch(prefix, put.revision)) as watch, asyncio.timeout(10):
        changes = await anext(changes async for changes in watch if changes.changes)
    assert [(one.key, one.now) for one in changes.changes] == [(prefix + "a", None), (prefix + "b", None)]
    assert len({one.revision for one in changes.changes}) == 1
    with pytest.raises(LeaseGone):
        await client.keep_alive(lease.lease_id)


async def test_a_lease_that_is_kept_alive_outlives_its_time(stand, prefix):
    client = stand.client()
    lease = await client.grant(2.0)
    put = await client.transact([], [Put(prefix + "a", b"", lease=lease.lease_id)])
    begin = asyncio.get_running_loop().time()
    async with aclosing(client.watch(prefix, put.revision)) as watch:
        following = asyncio.create_task(anext(changes async for changes in watch if changes.changes))
        while asyncio.get_running_loop().time() < begin + 2.7:
            assert await client.keep_alive(lease.lease_id) == lease.ttl_s
            await asyncio.wait([following], timeout=0.5)
        assert not following.done()
        await client.revoke(lease.lease_id)
        assert [one.now for one in (await following).changes] == [None]


async def test_a_revoked_lease_takes_its_keys_at_once_and_may_be_revoked_again(stand, prefix):
    client = stand.client()
    lease = await client.grant(30.0)
    await client.transact([], [Put(prefix + "a", b"", lease=lease.lease_id), Put(prefix + "b", b"")])
    assert {one.key: one.lease for one in (await client.load(prefix)).items} == {
        prefix + "a": lease.lease_id,
        prefix + "b": 0,
    }
    await client.revoke(lease.lease_id)
    await client.revoke(lease.lease_id)
    assert [one.key for one in (await client.load(prefix)).items] == [prefix + "b"]


async def test_nothing_is_put_under_a_lease_that_ended(stand, prefix):
    client = stand.client()
    lease = await client.grant(30.0)
    await client.revoke(lease.lease_id)
    with pytest.raises(LeaseGone):
        await client.transact([], [Put(prefix + "a", b""), Put(prefix + "b", b"", lease=lease.lease_id)])
    assert not (await client.load(prefix)).items


KINDS = {
    "submit": (lambda p, made, lease: ([Compare.absent(p + "new")], [Put(p + "new", b"x")])),
    "assign": (
        lambda p, made, lease: (
            [Compare.unchanged(p + "old", made)],
            [Put(p + "old", b"x"), Put(p + "new", b"x", lease=lease)],
        )
    ),
    "checkpoint": (lambda p, made, lease: ([Compare.created(p + "old", made)], [Put(p + "old", b"x")])),
    "finish": (
        lambda p, made, lease: (
            [Compare.created(p + "old", made)],
            [Delete(p + "old"), Delete(p + "sub/", prefix=True)],
        )
    ),
    "otherwise": (lambda p, made, lease: ([Compare.absent(p + "old")], [Get(p + "old")])),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["requests", "answers", "cut"])
async def test_a_write_whose_answer_was_lost_is_ambiguous_whether_it_was_applied_or_not(stand, prefix, kind, what):
    client = stand.client()
    lease = await client.grant(30.0)
    made = await client.transact([], [Put(prefix + "old", b"1"), Put(prefix + "sub/1", b"")])
    compares, then = KINDS[kind](prefix, made.revision, lease.lease_id)
    otherwise = [Put(prefix + "other", b"")] if kind == "otherwise" else []
    async with stand.losing(what) as losing:
        with pytest.raises(Ambiguous):
            await losing.transact(compares, then, otherwise)
        changed = (await client.transact([], [])).revision > made.revision
    # Where the connection breaks at the first byte that comes back, nobody knows: that is the point.
    assert what == "cut" or changed is (what == "answers")


@pytest.mark.parametrize("what", ["requests", "answers"])
async def test_a_transaction_of_reads_alone_is_never_ambiguous(stand, prefix, what):
    async with stand.losing(what) as losing:
        with pytest.raises(Unavailable):
            await losing.transact([Compare.absent(prefix)], [Get(prefix, prefix=True)])


async def test_status_says_what_the_cluster_is(stand):
    client = stand.client()
    first, second = await client.status(), await stand.client().status()
    assert first.cluster_id == second.cluster_id
    assert (first.members, first.leader, first.alarms) == (1, True, ())
    assert next(iter(first.versions.values())).startswith("3.")


async def test_a_closed_client_says_so(stand, prefix):
    client = stand.client()
    await client.load(prefix)
    await client.close()
    await client.close()
    with pytest.raises(Unavailable):
        await client.transact([], [Put(prefix + "a", b"")])
