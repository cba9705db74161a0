"""Watches: whole, in order, or an error that says what is missing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from dative_atom.molecule.coordination import Compacted, Delete, Put


async def test_a_watch_tells_every_change_in_order_and_never_splits_a_revision(stand, prefix):
    client = stand.client()
    begin = (await client.load(prefix)).revision
    expected = []

    async def write() -> None:
        for n in range(40):
            keys = [f"{prefix}{n % 5}/{part}" for part in "abc"]
            answer = await client.transact([], [Put(key, b"%d" % n) for key in keys])
            expected.append((answer.revision, sorted(keys), False))
            if n % 3 == 2:
                answer = await client.transact([], [Delete(f"{prefix}{n % 5}/", prefix=True)])
                expected.append((answer.revision, sorted(keys), True))

    writing = asyncio.create_task(write())
    told: list[tuple[int, list[str], bool]] = []
    async with aclosing(client.watch(prefix, begin)) as watch, asyncio.timeout(20):
        async for changes in watch:
            for revision in dict.fromkeys(one.revision for one in changes.changes):
                of_it = [one for one in changes.changes if one.revision == revision]
                told.append((revision, sorted(one.key for one in of_it), of_it[0].now is None))
                assert revision <= changes.revision
            if writing.done() and len(told) >= len(expected):
                break
    assert told == expected


async def test_a_watch_from_the_past_tells_what_happened_since(stand, prefix):
    client = stand.client()
    revisions = [(await client.transact([], [Put(prefix + "a", b"%d" % n)])).revision for n in range(5)]
    async with aclosing(client.watch(prefix, revisions[1])) as watch, asyncio.timeout(10):
        found = []
        async for changes in watch:
            found += changes.changes
            if len(found) >= 3:
                break
    assert [(one.revision, one.now.value) for one in found] == list(zip(revisions[2:], (b"2", b"3", b"4"), strict=True))
    assert {(one.now.create_revision, one.now.mod_revision - one.revision) for one in found} == {(revisions[0], 0)}


async def test_a_watch_knows_nothing_of_other_prefixes(stand, prefix):
    client = stand.client()
    begin = (await client.load(prefix)).revision
    await client.transact([], [Put(prefix[:-1] + "0", b""), Put(prefix[:-1], b""), Put(prefix + "mine", b"")])
    async with aclosing(client.watch(prefix, begin)) as watch, asyncio.timeout(10):
        changes = await anext(changes async for changes in watch if changes.changes)
    assert [one.key for one in changes.changes] == [prefix + "mine"]


async def test_a_quiet_watch_is_told_that_nothing_happened(stand, prefix):
    client = stand.client()
    begin = (await client.load(prefix)).revision
    async with aclosing(client.watch(prefix, begin)) as watch, asyncio.timeout(10):
        changes = await anext(watch)
    assert changes.changes == ()
    assert changes.revision >= begin


async def test_a_history_that_was_compacted_is_told_and_the_rest_of_it_is_still_there(stand, prefix):
    client = stand.client()
    revisions = [(await client.transact([], [Put(prefix + "a", b"%d" % n)])).revision for n in range(4)]
    await stand.compact(revisions[2])
    async with asyncio.timeout(10):
        async with aclosing(client.watch(prefix, revisions[0])) as watch:
            with pytest.raises(Compacted):
                await anext(watch)
        # The first change not told yet is the one compacted at: it is still known.
        async with aclosing(client.watch(prefix, revisions[1])) as watch:
            changes = await anext(changes async for changes in watch if changes.changes)
    assert changes.changes[0].revision == revisions[2]


async def test_a_watch_that_is_closed_leaves_nothing_running(stand, prefix):
    client = stand.client()
    before = asyncio.all_tasks()
    watch = client.watch(
        prefix, 0 if (await client.load(prefix)).revision < 2 else (await client.load(prefix)).revision
    )
    waiting = asyncio.create_task(anext(watch))
    await asyncio.wait([waiting], timeout=0.2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await watch.aclose()
    assert {task for task in asyncio.all_tasks() - before if "grpc" not in repr(task)} == set()
