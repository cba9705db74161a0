"""The worker's transactions: each applied once, whatever happens to its answer, and never by whoever lost the execution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_FULL
from dative_atom.molecule.claim import Claim, Claims, FencedOff, fencing_token
from dative_atom.molecule.coordination import Delete, Put, Unavailable
from dative_atom.molecule.keys import Keys
from dative_atom.molecule.memory import Fault, MemoryCluster, MemoryCoordination
from dative_atom.molecule.submit import Submission, cancel, submit
from dative_atom.molecule.values import VERSION, AssignmentValue, ExecutionValue, decode, encode
from dative_atom.molecule.view import View

KEYS = Keys("env-1", "hq")
EPOCH = 2


@dataclass
class Session:
    valid: bool = True


class Desk:
    """One member's claims, and a leader that assigns `e` to it."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self.client: MemoryCoordination = cluster.client()
        self.session = Session()
        self.claims = Claims(self.client, KEYS, "a", self.session, EPOCH)

    async def assign(self, atom: str = "a") -> None:
        lease = await self.cluster.client().grant(5.0)
        value = ExecutionValue(v=VERSION, state="A", stream="s", at_ms=0, owner=atom)
        body = encode(AssignmentValue(v=VERSION, attempt=1))
        puts = [Put(KEYS.execution("e"), encode(value)), Put(KEYS.assigned(atom, "e"), body, lease.lease_id)]
        await self.cluster.client().transact([], puts)

    async def claim(self) -> Claim:
        view = View.of(KEYS, self.cluster.snapshot())
        return await self.claims.claim(view.assigned["e"]["a"], view.executions["e"])

    async def lose(self) -> None:
        """The lease ended; the leader gave the execution to b."""
        await self.cluster.client().transact([], [Delete(KEYS.assigned("a", "e"))])
        await self.assign("b")

    def execution(self) -> ExecutionValue | None:
        item = self.cluster.item(KEYS.execution("e"))
        return decode(ExecutionValue, item.value) if item else None


@pytest.fixture
def desk(cluster: MemoryCluster) -> Desk:
    return Desk(cluster)


Write = Callable[[Desk, Claim], Awaitable[object]]
WRITES: dict[str, Write] = {
    "checkpoint": lambda desk, claim: desk.claims.checkpoint(claim, 1, "journal:1", {"read": 1}),
    "finish": lambda desk, claim: desk.claims.finish(claim),
    "hand over": lambda desk, claim: desk.claims.hand_over(claim),
}


async def test_the_token_is_the_assignments_revision_below_the_epoch(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    assigned = desk.cluster.item(KEYS.assigned("a", "e"))
    assert assigned is not None
    assert claim.token == fencing_token(EPOCH, assigned.create_revision) == (2 << 44) + assigned.create_revision
    await desk.lose()
    await desk.cluster.client().transact([], [Delete(KEYS.assigned("b", "e"))])
    await desk.assign()
    assert (await desk.claim()).token > claim.token


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DELAYED])
async def test_a_lost_answer_is_read_back_and_the_claim_goes_on(desk: Desk, fault: Fault, times: int) -> None:
    await desk.assign()
    desk.client.lose_next(fault, times)
    claim = await desk.claim()
    desk.client.deliver()
    for batches in (1, 2):
        desk.client.lose_next(fault, times)
        await desk.claims.checkpoint(claim, batches, f"journal:{batches}", {"read": batches})
        desk.client.deliver()
    assert desk.execution().state == "R"
    item = desk.cluster.item(KEYS.checkpoint("e"))
    assert b'"batches":2' in item.value
    desk.client.lose_next(fault, times)
    await desk.claims.finish(claim)
    desk.client.deliver()
    assert desk.cluster.items() == ()


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DELAYED])
@pytest.mark.parametrize("refused", [False, True])
async def test_a_hand_over_counts_an_attempt_once_and_only_where_it_was_refused(
    desk: Desk, fault: Fault, refused: bool
) -> None:
    await desk.assign()
    claim = await desk.claim()
    await desk.claims.checkpoint(claim, 1, "journal:1", {})
    desk.client.lose_next(fault, 2)
    await desk.claims.hand_over(claim, refused=refused)
    desk.client.deliver()
    execution = desk.execution()
    assert (execution.state, execution.owner, execution.attempt, execution.avoid) == ("P", "", 1 + refused, "a")
    assert desk.cluster.item(KEYS.checkpoint("e")) is not None
    assert desk.cluster.item(KEYS.assigned("a", "e")) is None


@pytest.mark.parametrize("what", ["checkpoint", "finish"])
async def test_who_lost_it_is_fenced_off_and_changes_nothing(desk: Desk, what: str) -> None:
    await desk.assign()
    claim = await desk.claim()
    await desk.lose()
    before = desk.cluster.revision
    with pytest.raises(FencedOff):
        await WRITES[what](desk, claim)
    assert desk.cluster.revision == before


async def test_a_hand_over_of_what_was_taken_away_changes_nothing(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    await desk.lose()
    before = desk.cluster.revision
    await desk.claims.hand_over(claim)
    assert desk.cluster.revision == before


@pytest.mark.parametrize("what", list(WRITES))
async def test_nothing_is_sent_after_the_deadline(desk: Desk, what: str) -> None:
    await desk.assign()
    claim = await desk.claim()
    desk.session.valid = False
    with pytest.raises(FencedOff):
        await WRITES[what](desk, claim)
    assert desk.execution().state == "R"


async def test_a_claim_of_what_was_given_to_another_is_fenced_off(desk: Desk) -> None:
    await desk.assign()
    view = View.of(KEYS, desk.cluster.snapshot())
    await desk.lose()
    with pytest.raises(FencedOff):
        await desk.claims.claim(view.assigned["e"]["a"], view.executions["e"])
    assert desk.execution().owner == "b"


async def test_a_finish_of_what_is_gone_already_is_fine(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    await desk.claims.finish(claim)
    await desk.claims.finish(claim)


async def test_a_checkpoint_goes_on_from_the_one_before_it_and_never_back(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    await desk.claims.checkpoint(claim, 4, "journal:4", {"read": 9})
    await desk.claims.hand_over(claim)
    await desk.cluster.client().transact([], [Delete(KEYS.execution("e"))])
    await desk.assign()
    again = await desk.claim()
    assert again.checkpoint.batches == 4
    assert again.checkpoint.counts == {"read": 9}
    with pytest.raises(ValueError, match="3 after 4"):
        await desk.claims.checkpoint(again, 3, "journal:3", {})
    await desk.claims.checkpoint(again, 5, "journal:5", {})


async def test_a_cancel_between_survives_claim_and_hand_over(desk: Desk) -> None:
    await desk.assign()
    view = View.of(KEYS, desk.cluster.snapshot())
    assert await cancel(desk.client, KEYS, "e")
    claim = await desk.claims.claim(view.assigned["e"]["a"], view.executions["e"])
    assert claim.value.cancel
    await desk.claims.hand_over(claim)
    assert desk.execution().cancel


async def test_a_full_database_takes_no_checkpoint_and_the_end_all_the_same(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    desk.cluster.full = True
    with pytest.raises(DativeError) as full:
        await desk.claims.checkpoint(claim, 1, "journal:1", {})
    assert full.value.code is COORDINATION_FULL
    await desk.claims.finish(claim)
    assert desk.cluster.items() == ()


async def test_an_answer_that_stays_lost_ends_in_unavailable_and_may_be_tried_again(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    desk.client.lose_next(Fault.LOST_BEFORE, 8)
    with pytest.raises(Unavailable):
        await desk.claims.checkpoint(claim, 1, "journal:1", {})
    await desk.claims.checkpoint(claim, 1, "journal:1", {})


@pytest.mark.parametrize("fault", [None, Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DELAYED])
async def test_what_is_submitted_again_is_there_once(desk: Desk, fault: Fault | None) -> None:
    one = Submission(execution_id="e", stream="s", at_ms=1)
    if fault is not None:
        desk.client.lose_next(fault)
    assert await submit(desk.client, KEYS, one)
    desk.client.deliver()
    assert not await submit(desk.client, KEYS, one)
    assert len(desk.cluster.items()) == 1


async def test_what_was_applied_is_not_written_again(desk: Desk) -> None:
    await desk.assign()
    claim = await desk.claim()
    before = desk.cluster.revision
    desk.client.lose_next(Fault.LOST_AFTER)
    await desk.claims.checkpoint(claim, 1, "journal:1", {})
    assert desk.cluster.revision == before + 1
