"""A molecule of whole members: what is submitted ends once, whoever is lost on the way."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from dative.errors.molecule import ATTEMPTS_EXHAUSTED, CLONED, MIXED_VERSIONS
from dative_atom.molecule.coordination import Put, Unavailable
from dative_atom.molecule.leader import LeaderSettings
from dative_atom.molecule.membership import Facts, release
from dative_atom.molecule.memory import Fault
from dative_atom.molecule.values import ATTEMPTS_MAX, VERSION, MemberValue, encode

KEYS_PREFIX = "/dative/env-1/hq/"


async def test_what_is_submitted_is_placed_claimed_run_and_over(molecule) -> None:
    await molecule.start(molecule.host("hq-1"), molecule.host("hq-2"))
    for number in range(10):
        await molecule.submit(f"e{number}", batches=3)
    await molecule.until_over()
    assert all(ends == ["succeeded"] for ends in molecule.books.ends.values())
    assert set(molecule.books.effects.values()) == {1}
    left = [item.key.removeprefix(KEYS_PREFIX).split("/")[0] for item in molecule.cluster.items()]
    assert left == ["leader", "leader", "members", "members", "terms"]
    assert all(host.runs for host in molecule.hosts.values())


async def test_there_is_one_leader_and_the_next_one_in_line_follows(molecule) -> None:
    first, second, third = (molecule.host(f"hq-{number}") for number in (1, 2, 3))
    await molecule.start(first, second, third)
    await molecule.until(lambda: molecule.leaders == ["hq-1"])
    term = first.member.term
    first.client.partition()
    await molecule.until(lambda: molecule.leaders == ["hq-2"], within_s=TTL_AND_A_HALF)
    assert second.member.term > term
    first.client.heal()
    await molecule.until(first.member.joined.is_set)
    assert molecule.leaders == ["hq-2"]
    assert [term.atom for term in molecule.view().terms] == ["hq-1", "hq-2"]


TTL_AND_A_HALF = 5.5


async def test_executions_of_a_lost_member_go_on_elsewhere_from_their_checkpoint(molecule) -> None:
    first, second = molecule.host("hq-1", slots=4), molecule.host("hq-2", slots=4, opened=False)
    await molecule.start(first, second)
    first.facts = Facts(slots=0)
    first.member.facts_changed()
    await molecule.pass_time(0.5)
    for number in range(4):
        await molecule.submit(f"e{number}", batches=5)
    await molecule.until(lambda: len(second.runs) == 4)
    for claimed in second.runs:
        molecule.books.settle(claimed.execution_id, claimed.token, 0)
        await claimed.save(1, "journal:1", {"read": 1})
    second.client.partition()
    first.facts = Facts(slots=4)
    first.member.facts_changed()
    await molecule.until_over(within_s=8)
    assert [(run.attempt, run.lost_from, run.checkpoint.batches) for run in first.runs] == [(2, "hq-2", 1)] * 4
    assert all(run.ended.is_set() for run in second.runs)
    assert set(molecule.books.effects.values()) == {1}


async def test_a_member_stops_before_its_lease_ends_and_begins_again_only_when_all_has_ended(molecule) -> None:
    first = molecule.host("hq-1", opened=False)
    await molecule.start(first)
    await molecule.submit("e1")
    await molecule.until(lambda: first.runs)
    lease = molecule.cluster.leases[0]
    first.client.partition()
    await molecule.until(first.runs[0].ended.is_set)
    assert lease in molecule.cluster.leases
    first.client.heal()
    await molecule.until(lambda: len(first.runs) == 2)
    first.gate.set()
    await molecule.until_over()
    assert first.runs[1].token > first.runs[0].token


async def test_a_worker_blind_to_its_deadline_is_refused_by_token(molecule) -> None:
    first, second = molecule.host("hq-1", slots=0), molecule.host("hq-2", slots=1, opened=False)
    second.deaf = True
    await molecule.start(first, second)
    await molecule.submit("e1", batches=3)
    await molecule.until(lambda: second.runs)
    second.client.partition()
    first.facts = Facts(slots=1)
    first.member.facts_changed()
    await molecule.until_over(within_s=8)
    second.gate.set()
    await molecule.pass_time(1.0)
    assert molecule.books.refused == 1
    assert molecule.books.ends["e1"] == ["succeeded"]
    assert set(molecule.books.effects.values()) == {1}


async def test_a_drain_hands_over_what_runs_and_the_lead_at_once(molecule) -> None:
    first, second = molecule.host("hq-1", opened=False), molecule.host("hq-2", slots=2)
    await molecule.start(first)
    for name in ("e1", "e2", "e3"):
        await molecule.submit(name, batches=3)
    await molecule.until(lambda: len(first.runs) == 2)
    await molecule.start(second)
    draining = asyncio.ensure_future(first.member.drain(force=True))
    before_s = molecule.clock.elapsed_s()
    await molecule.until(draining.done)
    await draining
    await molecule.until_over()
    assert molecule.clock.elapsed_s() - before_s < 2.0
    assert {(run.attempt, run.lost_from) for run in second.runs} == {(1, "")}
    assert molecule.leaders == ["hq-2"]
    first.member.resume()
    await molecule.pass_time(1.0)
    first.gate.set()
    second.facts = Facts(slots=0)
    second.member.facts_changed()
    await molecule.pass_time(1.0)
    await molecule.submit("e4")
    await molecule.until_over("e4")
    assert first.runs[-1].execution_id == "e4"


async def test_an_unforced_drain_lets_what_runs_finish_and_gives_back_what_has_not_begun(molecule) -> None:
    first, second = molecule.host("hq-1", slots=1, opened=False), molecule.host("hq-2", slots=1, opened=False)
    await molecule.start(first, second)
    await molecule.submit("e1")
    await molecule.until(lambda: first.runs or second.runs)
    running = first if first.runs else second
    draining = asyncio.ensure_future(running.member.drain())
    await molecule.pass_time(2.0)
    assert not draining.done()
    running.gate.set()
    await molecule.until(draining.done)
    await molecule.until_over("e1")
    assert len(running.runs) == 1


async def test_an_assignment_that_a_member_does_not_claim_is_stolen(molecule) -> None:
    settings = LeaderSettings(claim_within_s=2.0)
    first, slow = molecule.host("hq-1", slots=1, settings=settings), molecule.host("hq-2", slots=8, settings=settings)
    await molecule.start(first, slow)
    slow.client.fault = lambda then: (
        Fault.REFUSED if any(isinstance(o, Put) and "/exec/" in o.key for o in then) else None
    )
    await molecule.submit("e1")
    await molecule.until_over("e1", within_s=4)
    assert [run.attempt for run in first.runs] == [1]
    assert slow.runs == []


async def test_one_that_waits_is_cancelled_without_running_and_one_that_runs_is_told(molecule) -> None:
    first = molecule.host("hq-1", slots=1, opened=False)
    await molecule.start(first)
    await molecule.submit("e1", at_ms=1)
    await molecule.until(lambda: first.runs)
    await molecule.submit("e2", at_ms=2)
    assert await first.member.cancel("e2")
    await molecule.until_over("e2")
    assert await first.member.cancel("e1")
    await molecule.until_over("e1")
    assert molecule.books.ends == {"e1": ["cancelled"], "e2": ["cancelled"]}
    assert not await first.member.cancel("e2")


async def test_what_every_member_gives_back_is_ended_with_the_reason(molecule) -> None:
    first = molecule.host("hq-1")
    first.refuses = True
    await molecule.start(first)
    await molecule.submit("e1")
    await molecule.until_over("e1")
    assert molecule.books.ends["e1"] == [ATTEMPTS_EXHAUSTED.name]
    assert len(first.runs) == ATTEMPTS_MAX


async def test_an_emptied_cluster_is_filled_again_from_the_journal(molecule) -> None:
    first, second = molecule.host("hq-1", slots=1, opened=False), molecule.host("hq-2", slots=1, opened=False)
    await molecule.start(first, second)
    for number in range(4):
        await molecule.submit(f"e{number}", batches=2)
    await molecule.until(lambda: first.runs and second.runs)
    molecule.cluster.wipe("beef")
    first.gate.set()
    second.gate.set()
    await molecule.until_over(within_s=90)
    assert all(ends == ["succeeded"] for ends in molecule.books.ends.values())
    assert set(molecule.books.effects.values()) == {1}


async def test_what_is_over_in_the_journal_and_waits_in_etcd_is_removed(molecule) -> None:
    await molecule.start(molecule.host("hq-0", slots=0))
    await molecule.submit("e1")
    molecule.books.ends["e1"] = ["succeeded"]
    await molecule.pass_time(61.0)
    assert molecule.cluster.item(KEYS_PREFIX + "exec/e1") is None


async def test_without_a_quorum_everything_stops_and_starts_again_by_itself(molecule) -> None:
    first, second = molecule.host("hq-1", opened=False), molecule.host("hq-2", opened=False)
    await molecule.start(first, second)
    for number in range(4):
        await molecule.submit(f"e{number}", batches=2)
    await molecule.until(lambda: len(first.runs) + len(second.runs) == 4)
    molecule.cluster.quorum = False
    await molecule.pass_time(15.0)
    assert all(run.ended.is_set() for run in first.runs + second.runs)
    assert molecule.leaders == []
    first.gate.set()
    second.gate.set()
    molecule.cluster.quorum = True
    await molecule.until_over()
    assert set(molecule.books.effects.values()) == {1}


async def test_a_compacted_watch_is_loaded_again(molecule) -> None:
    first, second = molecule.host("hq-1", slots=0), molecule.host("hq-2")
    await molecule.start(first, second)
    second.client.hold_watches()
    for number in range(4):
        await molecule.submit(f"e{number}")
    molecule.cluster.compact()
    second.client.release_watches()
    await molecule.until_over()
    assert second.member.follow.reloads > 1


async def test_two_running_atoms_with_one_identity_are_both_under_quarantine(molecule) -> None:
    first, copy, other = molecule.host("hq-1", opened=False), molecule.host("hq-1", boot="copy"), molecule.host("hq-2")
    await molecule.start(first)
    await molecule.submit("e1", batches=2)
    await molecule.until(lambda: first.runs)
    await molecule.start(other)
    copy.member.start()
    await molecule.until(lambda: copy.member.why is not None)
    assert copy.member.why.code is CLONED
    await molecule.until_over("e1")
    assert other.runs[0].execution_id == "e1"
    assert not copy.runs
    assert molecule.leaders == ["hq-2"]
    assert [node.quarantined for node in (await other.member.status()).nodes] == [True, False]
    await copy.member.close()
    await release(first.client, first.member._keys, "hq-1")
    first.gate.set()
    other.facts = Facts(slots=0)
    other.member.facts_changed()
    await molecule.pass_time(1.0)
    await molecule.submit("e2")
    await molecule.until_over("e2")
    assert first.runs[-1].execution_id == "e2"


async def test_a_restart_is_no_copy_and_waits_only_for_its_own_lease(molecule) -> None:
    first, again = molecule.host("hq-1"), molecule.host("hq-1", boot="again")
    await molecule.start(first)
    first.client.partition()
    again.member.start()
    await molecule.until(again.member.joined.is_set, within_s=TTL_AND_A_HALF)
    assert molecule.view().quarantined == {}


async def test_a_member_of_another_protocol_keeps_this_one_out_and_is_named(molecule) -> None:
    key = KEYS_PREFIX + "members/hq-9"
    newer = MemberValue(v=VERSION, slots=1, boot="b", host="h", data_dir="d", protocol=9, protocol_min=8, version="9.0")
    await molecule.cluster.client().transact([], [Put(key, encode(newer))])
    first = molecule.host("hq-1")
    first.member.start()
    await molecule.until(lambda: first.member.why is not None)
    assert first.member.why.code is MIXED_VERSIONS
    assert "hq-9 (9.0)" in str(first.member.why)
    assert not first.member.joined.is_set()


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_every_third_answer_lost_loses_and_doubles_nothing(molecule, fault: Fault) -> None:
    hosts = [molecule.host(f"hq-{number}") for number in (1, 2, 3)]
    await molecule.start(*hosts)
    asked = 0

    def every_third(_then: object) -> Fault | None:
        nonlocal asked
        asked += 1
        return fault if asked % 3 == 0 else None

    for host in hosts:
        host.client.fault = every_third
    for number in range(12):
        # Where the answer to it stays lost, the journal has it, and the leader finds it there.
        with contextlib.suppress(Unavailable):
            await molecule.submit(f"e{number}", batches=4)
    await molecule.until_over(within_s=150)
    assert all(ends == ["succeeded"] for ends in molecule.books.ends.values())
    assert set(molecule.books.effects.values()) == {1}


async def test_keys_of_a_foreign_hand_are_told_once_and_stop_nobody(molecule) -> None:
    first = molecule.host("hq-1")
    await molecule.start(first)
    intruder = molecule.cluster.client()
    for key, value in [
        ("exec/x1", b"\xff\xfe not json"),
        ("exec/x2", b'{"v":7}'),
        ("exec/x3", b"[" * 4000),
        ("exec/x4", b"x" * 5000),
        ("exec/x5/deep", b"{}"),
        ("members/hq-7", b'{"v":1,"slots":"many"}'),
        ("assigned/hq-1/x6", b"{}"),
        ("exec/x7", b'{"v":1,"state":"R","stream":"s","at_ms":0,"owner":"no/such atom"}'),
        ("ckpt/x8", b"null"),
        ("terms", b"0"),
        ("nonsense", b""),
    ]:
        await intruder.transact([], [Put(KEYS_PREFIX + key, value)])
    await molecule.submit("e1")
    await molecule.until_over("e1")
    await molecule.pass_time(5.0)
    told = sorted(error.where.removeprefix(KEYS_PREFIX) for error in first.failures)
    assert told == [
        "ckpt/x8",
        "exec/x1",
        "exec/x2",
        "exec/x3",
        "exec/x4",
        "exec/x5/deep",
        "exec/x7",
        "members/hq-7",
        "nonsense",
        "terms",
    ]
    assert molecule.cluster.item(KEYS_PREFIX + "exec/x1") is not None
    assert molecule.cluster.item(KEYS_PREFIX + "assigned/hq-1/x6") is None
