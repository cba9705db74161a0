"""An execution that moves between members keeps one row: the present owner's word counts, the attempts say the way."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from dative.ids import new_id
from dative.molecule_settings import MoleculeSettings
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import control_pb2_grpc, types_pb2
from dative_controller.store import reports
from dative_controller.store.database import Database
from dative_controller.store.reports import Reporter

RUNNING, FAILED, SUCCEEDED = (
    types_pb2.EXECUTION_STATE_RUNNING,
    types_pb2.EXECUTION_STATE_FAILED,
    types_pb2.EXECUTION_STATE_SUCCEEDED,
)
ONE, TWO = Reporter("A1", "env", "hq"), Reporter("A2", "env", "hq")


def said(token: int, attempt: int, state: int = RUNNING, read: int = 0, **more: Any) -> types_pb2.Execution:
    run = types_pb2.Execution(
        execution_id="X", process="orders", fencing_token=token, attempt=attempt, state=state, **more
    )
    run.counts.read = read
    run.started_at.FromDatetime(datetime(2026, 3, 1, 12, tzinfo=UTC))
    if state in (SUCCEEDED, FAILED):
        run.finished_at.FromDatetime(datetime(2026, 3, 1, 12, 1, tzinfo=UTC))
    return run


async def tell(database: Database, who: Reporter, run: types_pb2.Execution) -> None:
    await database.write(lambda sql: reports.put_execution(sql, who, run, 1))


# What two members say of one execution; the last of each is what must be kept, in whatever order they arrive.
MOVES = {
    "the former owner's last word comes late": [(ONE, said(10, 1, read=90)), (TWO, said(20, 2, read=40))],
    "the former owner wakes up and counts on": [(ONE, said(10, 5)), (ONE, said(10, 6)), (TWO, said(20, 2))],
    "the former owner says that it failed": [(ONE, said(10, 1, FAILED)), (TWO, said(20, 2))],
    "back to the first one": [(ONE, said(10, 1)), (TWO, said(20, 2)), (ONE, said(30, 3, SUCCEEDED))],
    "an etcd cluster was replaced": [(ONE, said(5_000, 1)), (TWO, said((1 << 44) | 7, 2))],
    "a worker crashed in between": [(ONE, said(10, 1)), (ONE, said(10, 2)), (TWO, said(20, 3))],
    "submitted before it was given to anybody": [(ONE, said(0, 0, 1)), (TWO, said(10, 1))],
}


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES.keys())
async def test_an_execution_that_moved_keeps_one_row_and_the_newest_owners_word(
    database: Database, moves: list[tuple[Reporter, types_pb2.Execution]]
) -> None:
    owner, last = moves[-1]
    for order in itertools.permutations(moves):
        for who, run in order:
            await tell(database, who, run)
        row = await database.read(lambda sql: reports.find_execution(sql, "X"))
        kept = types_pb2.Execution.FromString(row.body)
        found = (row.atom_id, kept.atom_id, kept.fencing_token, kept.attempt, kept.state, kept.counts.read)
        token, attempt, state, read = last.fencing_token, last.attempt, last.state, last.counts.read
        assert found == (owner.atom_id, owner.atom_id, token, attempt, state, read)


async def test_of_another_environments_execution_nothing_is_taken(database: Database) -> None:
    await tell(database, ONE, said(10, 1))
    await tell(database, Reporter("B1", "other", "hq"), said(99, 9, FAILED))
    from dative_controller.store import attempts

    row = await database.read(lambda sql: reports.find_execution(sql, "X"))
    assert row.fencing_token == 10
    assert [one.attempt for one in await database.read(lambda sql: attempts.of_execution(sql, row))] == [1]


async def test_the_attempts_are_put_together_from_what_both_owners_say(database: Database) -> None:
    from dative_controller.store import attempts

    lost = types_pb2.Attempt(attempt=1, atom_id="A1", fencing_token=10, reason="lost", trace_id="t")
    lost.ended_at.FromDatetime(datetime(2026, 3, 1, 12, 0, 9, tzinfo=UTC))
    took = types_pb2.Attempt(attempt=2, atom_id="A2", fencing_token=20)
    for who, run in (
        (TWO, said(20, 2, SUCCEEDED, attempts=[lost, took])),
        (ONE, said(10, 1)),  # late, and without a word of its end
    ):
        await tell(database, who, run)
    row = await database.read(lambda sql: reports.find_execution(sql, "X"))
    first, second = await database.read(lambda sql: attempts.of_execution(sql, row))
    assert (first.atom_id, first.reason, first.ended_at.seconds % 60, first.trace_id) == ("A1", "lost", 9, "t")
    assert first.started_at.seconds
    assert (second.atom_id, second.reason, second.HasField("ended_at")) == ("A2", "", True)
    await database.write(lambda sql: reports.forget(sql, executions_before_ms=2))
    assert await database.read(lambda sql: attempts.of_execution(sql, row)) == []


async def test_an_execution_of_one_attempt_costs_no_row_of_attempts(database: Database) -> None:
    from dative_controller.store import attempts

    await tell(database, ONE, said(0, 1, SUCCEEDED))
    row = await database.read(lambda sql: reports.find_execution(sql, "X"))
    assert await database.read(lambda sql: attempts.of_execution(sql, row)) == []


# ---- whom a command reaches -----------------------------------------------------------------------------------------


async def molecule(world: Any, *, shared: bool) -> list[Any]:
    """Two atoms of one molecule, with settings when they share a journal."""
    if shared:
        settings = MoleculeSettings(("https://e1:2379",), "postgresql://db/j").to_wire()
        request = c.CreateMoleculeRequest(environment="test", name="hq", settings=settings)
        stub = control_pb2_grpc.MoleculeServiceStub(world.admin.channel)
        await world.admin.call(stub.CreateMolecule, request)
    invitation = await world.admin.invite(molecule="hq", max_uses=2)
    return [await world.enrol(invitation, name) for name in ("hq-1", "hq-2")]


async def report(world: Any, atom: Any, identity: str) -> None:
    answer = atom.enrolled
    who = Reporter(answer.atom_id, answer.environment_id, answer.molecule_id)
    run = said(10, 1)
    run.execution_id = identity
    await world.controller.core.database.write(lambda sql: reports.put_execution(sql, who, run, 1))


async def answered(link: Any, call: Any) -> str:
    """The kind of the command that this link got, answered at once; the call is finished then."""
    waiting = asyncio.ensure_future(call)
    command = await link.next("command")
    await link.send(command_result=a.CommandResult(command_id=command.command_id))
    await asyncio.wait_for(waiting, 15)
    return str(command.WhichOneof("kind"))


@pytest.mark.parametrize("connected", [("hq-1", "hq-2"), ("hq-2",)])
async def test_cancel_reaches_the_owner_or_while_it_is_away_any_member(world: Any, connected: tuple[str, ...]) -> None:
    owner, other = await molecule(world, shared=True)
    identity = new_id(datetime.now(UTC))
    await report(world, owner, identity)
    request = c.ControlCancelExecutionRequest(execution_id=identity)
    cancel = world.admin.execution.CancelExecution
    async with other.connect() as second:
        if "hq-1" in connected:
            async with owner.connect() as first:
                assert await answered(first, world.admin.call(cancel, request)) == "cancel_execution"
        else:
            assert await answered(second, world.admin.call(cancel, request)) == "cancel_execution"


async def test_atoms_that_share_only_a_name_do_not_answer_for_one_another(world: Any) -> None:
    import grpc.aio
    from dative.rpc import error_from

    owner, other = await molecule(world, shared=False)
    identity = new_id(datetime.now(UTC))
    await report(world, owner, identity)
    async with other.connect():
        request = c.ControlCancelExecutionRequest(execution_id=identity)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await world.admin.call(world.admin.execution.CancelExecution, request)
        assert error_from(refused.value).code.name == "fleet.atom_offline"


async def test_a_run_asked_of_a_molecule_goes_to_a_connected_member_that_takes_work(world: Any) -> None:
    _, other = await molecule(world, shared=True)
    async with other.connect() as link:
        request = c.ControlRunProcessRequest(environment="test", process="orders", molecule="hq")
        assert await answered(link, world.admin.call(world.admin.execution.RunProcess, request)) == "run_process"


async def test_show_names_the_atoms_of_the_attempts(world: Any) -> None:
    one, two = await molecule(world, shared=True)
    identity = new_id(datetime.now(UTC))
    for token, atom in ((10, one), (20, two)):
        answer = atom.enrolled
        who = Reporter(answer.atom_id, answer.environment_id, answer.molecule_id)
        run = said(token, token // 10)
        run.execution_id = identity
        await world.controller.core.database.write(
            lambda sql, who=who, run=run: reports.put_execution(sql, who, run, 1)  # type: ignore[misc]
        )
    request = c.GetExecutionRequest(execution_id=identity)
    found = (await world.admin.call(world.admin.execution.GetExecution, request)).execution
    assert [(one.attempt, one.atom) for one in found.attempts] == [(1, "hq-1"), (2, "hq-2")]
