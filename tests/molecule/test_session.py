"""A session ends for its owner before its lease can end for the others, whatever the network, etcd or the process does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dative.errors import ConfigError
from dative_atom.molecule.coordination import Put, Unavailable
from dative_atom.molecule.memory import MemoryCoordination
from dative_atom.molecule.session import Session, check_times, margin_of

TTL_S = 5.0
MARGIN_S = margin_of(TTL_S)


@asynccontextmanager
async def opened(client, clock) -> AsyncIterator[tuple[Session, list[float]]]:
    published: list[float] = []
    async with Session(client, TTL_S, clock, MARGIN_S, published.append) as session:
        yield session, published


async def test_a_renewed_session_stays_valid_and_publishes_each_deadline(client, clock, pass_time):
    async with opened(client, clock) as (session, published):
        assert session.valid
        assert published == [TTL_S - MARGIN_S]
        await pass_time(60.0)
        assert session.valid
        assert not session.lost.is_set()
        assert published == sorted(published)
        assert len(published) >= 60 / (TTL_S / 3 + 0.25)  # the clock moves in quarters
        assert session.deadline_s == published[-1] > 60.0


async def test_a_partitioned_session_is_lost_before_the_others_see_its_keys_go(client, cluster, clock, pass_time):
    async with opened(client, clock) as (session, published):
        await client.transact([], [Put("/mine", b"", lease=session.lease_id)])
        await pass_time(7.0)
        client.partition()
        while cluster.item("/mine") is not None:
            there_with_session = session.valid
            await pass_time(0.05, step_s=0.05)
        assert not there_with_session
        assert session.lost.is_set()
        assert published[-1] == 0.0


async def test_a_session_outlives_a_short_partition(client, clock, pass_time):
    async with opened(client, clock) as (session, _):
        await pass_time(4.0)
        client.partition()
        await pass_time(2.0)
        client.heal()
        await pass_time(2.0)
        assert session.valid
        assert session.why == ""


async def test_a_lease_that_etcd_ended_is_lost_at_the_next_renewal(client, cluster, clock, pass_time):
    async with opened(client, clock) as (session, published):
        cluster.end_lease(session.lease_id)
        await pass_time(TTL_S / 3 + 0.1)
        assert session.lost.is_set()
        assert not session.valid
        assert published[-1] == 0.0


async def test_a_process_that_slept_beyond_its_deadline_is_invalid_at_once(client, clock):
    async with opened(client, clock) as (session, _):
        # The clock went on and no task has run yet: this is the first instruction after SIGCONT.
        clock.advance(TTL_S)
        assert not session.valid


async def test_a_renewal_answered_after_the_deadline_brings_nothing_back(client, cluster, clock, pass_time):
    async with opened(client, clock) as (session, published):
        await pass_time(1.0)
        client.pause()
        await pass_time(TTL_S - MARGIN_S)  # the renewal hangs over the deadline
        assert session.lost.is_set()
        client.resume()
        await pass_time(3.0)
        assert not session.valid
        assert published[-1] == 0.0
        assert published.count(0.0) == 1


async def test_an_answer_read_first_thing_after_a_sleep_brings_nothing_back(cluster, clock, pass_time):
    class Asleep(MemoryCoordination):
        """The process stops between the arrival of an answer and the line that reads it."""

        async def keep_alive(self, lease_id: int) -> float:
            holds_s = await super().keep_alive(lease_id)
            clock.advance(TTL_S)
            return holds_s

    async with opened(Asleep(cluster, "asleep"), clock) as (session, published):
        await pass_time(2.0)
        assert not session.valid
        assert published == [TTL_S - MARGIN_S, 0.0]


async def test_the_deadline_is_counted_from_before_the_request_was_sent(client, clock, pass_time):
    async with opened(client, clock) as (session, _):
        client.pause()
        await pass_time(2.5)  # sent at ttl / 3, answered at 2.5
        client.resume()
        await pass_time(0.0)
        assert session.deadline_s == pytest.approx(1.75 + TTL_S - MARGIN_S)


async def test_a_closed_session_gives_its_keys_back_at_once(client, cluster, clock, pass_time):
    async with opened(client, clock) as (session, published):
        await client.transact([], [Put("/mine", b"", lease=session.lease_id)])
    assert cluster.item("/mine") is None
    assert not session.valid
    assert session.lost.is_set()
    assert published[-1] == 0.0
    await session.close()


async def test_closing_without_an_answer_is_no_error(client, clock):
    async with opened(client, clock) as (session, _):
        client.partition()
    assert not session.valid


async def test_nothing_runs_on_after_closing(client, clock):
    before = asyncio.all_tasks()
    async with opened(client, clock):
        pass
    assert asyncio.all_tasks() == before


async def test_a_session_that_gets_no_lease_does_not_begin(client, clock):
    client.partition()
    session = Session(client, TTL_S, clock, MARGIN_S, lambda _: None)
    with pytest.raises(Unavailable):
        await session.open()
    assert not session.valid
    await session.close()


@pytest.mark.parametrize(
    ("ttl_s", "margin_s", "timeout_s", "named"),
    [
        (1.0, 0.1, 0.2, "lease_ttl_s"),
        (5.0, 0.7, 2.0, "timeout_s"),
        (5.0, 0.7, 0.0, "timeout_s"),
        (5.0, 1.7, 1.0, "margin_s"),
        (5.0, -0.1, 1.0, "margin_s"),
    ],
)
def test_times_that_do_not_go_together_are_refused_before_anything_starts(ttl_s, margin_s, timeout_s, named):
    with pytest.raises(ConfigError, match=named):
        check_times(ttl_s, margin_s, timeout_s)


@pytest.mark.parametrize("ttl_s", [3.0, 5.0, 10.0, 60.0])
def test_the_defaults_go_together(ttl_s):
    check_times(ttl_s, margin_of(ttl_s), 1.0)
