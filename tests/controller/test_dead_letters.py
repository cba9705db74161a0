"""Dead letters at the controller: found by what people ask for, and every command audited and sent to who holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
import sqlalchemy as sa
from alembic import command as alembic
from dative.letters import together
from dative.rpc import error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import telemetry_pb2 as t
from dative.v1 import types_pb2 as y
from dative_controller.store import dead_letters
from dative_controller.store.database import Database
from dative_controller.store.migrate import configuration
from dative_controller.store.reports import Reporter

WITHIN_S = 15.0
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
READER = b"r" * 32


def letter(number: int = 1, **more: Any) -> y.DeadLetter:
    values: dict[str, Any] = {
        "dead_letter_id": f"D{number:025d}",
        "execution_id": "E" * 26,
        "process": "orders",
        "queue": "orders",
        "code": "expression.cast_failed",
        "state": "waiting",
        "attempts": 1,
        "revision": 1,
    }
    made = y.DeadLetter(**(values | more))
    made.created_at.FromDatetime(NOW + timedelta(minutes=number))
    made.expires_at.FromDatetime(datetime.now(UTC) + timedelta(days=30))
    return made


async def report(atom: Any, *letters: y.DeadLetter, first: int = 1) -> None:
    await report_records(atom, [t.Record(dead_letter=one) for one in letters], first)


async def report_records(atom: Any, records: list[t.Record], first: int = 1) -> None:
    async with atom.telemetry() as call:
        await asyncio.wait_for(call.read(), WITHIN_S)
        await call.write(t.IngestRecordsRequest(spool_epoch="e", first_sequence=first, records=records))
        await asyncio.wait_for(call.read(), WITHIN_S)


async def code_of(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return ""


async def listed(world: Any, **request: Any) -> list[int]:
    answer = await world.admin.call(world.admin.dead_letter.ListDeadLetters, c.ListDeadLettersRequest(**request))
    return [int(one.dead_letter_id[1:]) for one in answer.dead_letters]


async def audited(world: Any) -> list[tuple[str, str, str]]:
    answer = await world.admin.call(world.admin.access.ListAudit, c.ListAuditRequest())
    return [(one.actor, one.action, one.object) for one in answer.entries if "DeadLetter" in one.action]


# ---- looking ----------------------------------------------------------------------------------------------------

LETTERS = [
    letter(1),
    letter(2, queue="review", assignee="anna"),
    letter(3, code="database.rejected", process="invoices"),
    letter(4, state="discarded", note="sold"),
    letter(5, state="expired"),
]
FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [3, 2, 1]),
    ({"state": "all"}, [5, 4, 3, 2, 1]),
    ({"state": "expired"}, [5]),
    ({"queue": "review"}, [2]),
    ({"process": "invoices"}, [3]),
    ({"code": "database.rejected", "process": "orders"}, []),
    ({"assignee": "anna"}, [2]),
    ({"assignee": "-"}, [3, 1]),
    ({"created_after": NOW + timedelta(minutes=2)}, [3, 2]),
    ({"created_before": NOW + timedelta(minutes=2)}, [1]),
    ({"environment": "test", "queue": "orders"}, [3, 1]),
]


async def test_letters_are_found_by_what_people_ask_for(world: Any) -> None:
    await report(await world.new_atom(), *LETTERS)
    for request, expected in FILTERS:
        assert await listed(world, **request) == expected, request
    call = world.admin.call(world.admin.dead_letter.ListDeadLetters, c.ListDeadLettersRequest(state="lost"))
    assert await code_of(call) == "rpc.invalid_argument"


async def test_letters_reported_together_are_shown_each_as_if_it_had_come_alone(world: Any) -> None:
    common = letter(1)
    common.ClearField("dead_letter_id")
    owns = [y.DeadLetter(dead_letter_id=letter(number).dead_letter_id, document=number) for number in range(1, 4)]
    # No database takes such a number; the letters beside it stand all the same.
    owns.insert(1, y.DeadLetter(dead_letter_id=letter(9).dead_letter_id, document=2**64 - 1))
    await report_records(await world.new_atom(), list(together(common, owns)))
    assert await listed(world) == [3, 2, 1]
    for number in range(1, 4):
        shown = await world.admin.call(
            world.admin.dead_letter.GetDeadLetter,
            c.GetDeadLetterRequest(dead_letter_id=letter(number).dead_letter_id),
        )
        expected = letter(1)
        expected.dead_letter_id, expected.document = letter(number).dead_letter_id, number
        for name in ("atom_id", "environment_id"):
            setattr(expected, name, getattr(shown.dead_letter, name))
        expected.expires_at.CopyFrom(common.expires_at)
        assert shown.dead_letter == expected


async def test_a_list_is_paged_and_carries_no_history(world: Any) -> None:
    history = [y.DeadLetterEvent(kind="failed", reason="x" * 1000)] * 50
    await report(await world.new_atom(), *(letter(number, history=history, reason="y" * 500) for number in range(9)))
    seen: list[y.DeadLetter] = []
    before = ""
    while True:
        request = c.ListDeadLettersRequest(page_size=4, before_dead_letter_id=before)
        answer = await world.admin.call(world.admin.dead_letter.ListDeadLetters, request)
        seen += answer.dead_letters
        before = answer.next_before_dead_letter_id
        if not before:
            break
    assert [int(one.dead_letter_id[1:]) for one in seen] == list(range(8, -1, -1))
    assert not any(one.history for one in seen)
    shown = await world.admin.call(
        world.admin.dead_letter.GetDeadLetter, c.GetDeadLetterRequest(dead_letter_id=seen[0].dead_letter_id)
    )
    assert len(shown.dead_letter.history) == 50


async def test_the_newest_revision_wins_whatever_comes_late(world: Any) -> None:
    atom = await world.new_atom()
    # A retry whose execution failed: the letter waits again, at the same number of attempts.
    moves = [("waiting", 1), ("waiting", 3), ("retrying", 2)]
    await report(atom, *(letter(1, state=state, revision=revision) for state, revision in moves))
    assert await listed(world) == [1]


def test_a_page_of_a_hundred_thousand_is_found_by_its_key(database: Database) -> None:
    reporter = Reporter("atom", "env", "default")

    def fill(sql: Any) -> None:
        body = letter(1).SerializeToString()
        rows = [
            {
                "dead_letter_id": f"D{number:025d}", "environment_id": "env", "atom_id": "atom", "execution_id": "E",
                "process": "orders", "code": "x", "state": "waiting", "queue": "orders", "body": body,
            }
            for number in range(100_000)
        ]  # fmt: skip
        sql.execute(dead_letters.dead_letter.insert(), rows)

    database.transact(fill)
    database.transact(lambda sql: dead_letters.put(sql, reporter, [letter(99_999, process="invoices")]))
    wanted = dead_letters.Wanted(environments=["env"])

    def plan(sql: Any) -> str:
        query = dead_letters._chosen(sa.select(dead_letters.dead_letter.c.body), wanted)
        query = query.order_by(dead_letters.dead_letter.c.dead_letter_id.desc()).limit(50)
        text = str(query.compile(dialect=sql.dialect, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if sql.dialect.name == "sqlite" else "EXPLAIN "
        return "\n".join(" ".join(str(part) for part in row) for row in sql.exec_driver_sql(explain + text))

    said = database.transact(plan)
    assert "ix_dead_letter" in said or "pk_dead_letter" in said, said
    assert "TEMP B-TREE" not in said, said
    found, before = database.transact(lambda sql: dead_letters.page(sql, wanted, before=f"D{50_000:025d}"))
    assert len(found) == 50
    assert before


async def test_what_was_stored_before_has_its_queue_and_age(empty_url: str) -> None:
    database = Database(empty_url)
    database.transact(lambda sql: alembic.upgrade(configuration(sql), "0002"))
    old = letter(7, queue="review")
    values = {"i": old.dead_letter_id, "b": old.SerializeToString()}
    database.transact(
        lambda sql: sql.execute(
            sa.text("INSERT INTO dead_letter (dead_letter_id, state, body) VALUES (:i, 'waiting', :b)"), values
        )
    )
    database.transact(lambda sql: alembic.upgrade(configuration(sql), "head"))
    wanted = dead_letters.Wanted(queue="review", created_after_ms=old.created_at.ToMilliseconds())
    found, _ = database.transact(lambda sql: dead_letters.page(sql, wanted))
    assert [one.dead_letter_id for one in found] == [old.dead_letter_id]
    await database.close()


def test_a_record_outlives_its_document(database: Database) -> None:
    expired = letter(1, state="expired")
    expired.expires_at.FromDatetime(NOW)
    ended_ms = expired.expires_at.ToMilliseconds()
    database.transact(lambda sql: dead_letters.put(sql, Reporter("atom", "env", "default"), [expired]))
    for before_ms, left in ((ended_ms - 1, 1), (ended_ms, 0)):
        database.transact(lambda sql, at=before_ms: dead_letters.forget(sql, expired_before_ms=at))
        found, _ = database.transact(lambda sql: dead_letters.page(sql, dead_letters.Wanted(state="")))
        assert len(found) == left


# ---- commands ---------------------------------------------------------------------------------------------------


async def through(
    world: Any, link: Any, method: Any, request: Any, answer: Callable[[a.Command], Any], who: Any = None
) -> Any:
    """Call it, let the atom answer the command that it becomes, and return (command, response or code)."""
    admin = who or world.admin
    call = asyncio.ensure_future(admin.call(method(admin), request))
    command = await link.next("command")
    result = answer(command)
    result.command_id = command.command_id
    await link.send(command_result=result)
    try:
        return command, await call
    except grpc.aio.AioRpcError as failed:
        return command, error_from(failed).code.name


D1, D2 = letter(1).dead_letter_id, letter(2).dead_letter_id
SELECTED = y.DeadLetterSelection(dead_letter_ids=[D1])
CHANGED = a.CommandResult(change_dead_letters=a.ChangeDeadLettersResult(dead_letters=1))
COMMANDS: list[tuple[str, Any, Any]] = [
    ("DiscardDeadLetters", c.ControlDiscardDeadLettersRequest(request_id="r", selection=SELECTED, reason="sold"), CHANGED),
    ("AssignDeadLetters", c.ControlAssignDeadLettersRequest(request_id="r", selection=SELECTED, assignee="bob"), CHANGED),
    ("ExpireDeadLetters", c.ControlExpireDeadLettersRequest(request_id="r", selection=SELECTED), CHANGED),
    ("RetryDeadLetters", c.ControlRetryDeadLettersRequest(request_id="r", dead_letter_ids=[D1], rate_per_s=5),
     a.CommandResult(retry_dead_letters=a.RetryDeadLettersResult(execution_ids=["X"], dead_letters=1))),
    ("RepairDeadLetter", c.ControlRepairDeadLetterRequest(request_id="r", dead_letter_id=D1, sealed_fields=b"s"),
     a.CommandResult(repair_dead_letter=a.RepairDeadLetterResult(revision=2))),
]  # fmt: skip


@pytest.mark.parametrize(("method", "request_", "result"), COMMANDS, ids=[name for name, _, _ in COMMANDS])
async def test_a_command_goes_to_the_holder_once_with_who_asked_and_is_audited(
    world: Any, method: str, request_: Any, result: Any
) -> None:
    atom = await world.new_atom()
    await report(atom, letter(1))
    async with atom.connect() as link:
        command, answer = await through(
            world, link, lambda admin: getattr(admin.dead_letter, method), request_, lambda _: result
        )
        assert command.actor == "ada"
        again = await world.admin.call(getattr(world.admin.dead_letter, method), request_)
        assert again == answer, "the same request id is the same command"
    ((actor, action, what),) = await audited(world)
    assert (actor, action) == ("ada", method)
    assert D1 in what


@pytest.mark.parametrize(("method", "request_", "result"), COMMANDS, ids=[name for name, _, _ in COMMANDS])
async def test_an_atoms_refusal_and_an_absent_atom_are_coded(
    world: Any, method: str, request_: Any, result: Any
) -> None:
    atom = await world.new_atom()
    await report(atom, letter(1))
    busy = y.Status(code="journal.dead_letter_not_waiting", message="it is retrying")
    async with atom.connect() as link:
        _, code = await through(
            world,
            link,
            lambda admin: getattr(admin.dead_letter, method),
            request_,
            lambda _: a.CommandResult(status=busy),
        )
        assert code == "journal.dead_letter_not_waiting"
    await _gone(world)
    request_ = type(request_).FromString(request_.SerializeToString())
    request_.request_id = "later"
    call = world.admin.call(getattr(world.admin.dead_letter, method), request_)
    assert await code_of(call) == "fleet.atom_offline"


async def _gone(world: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        while (await world.admin.atom("hq-1")).state == "online":
            await asyncio.sleep(0.01)


async def test_a_filter_goes_to_every_atom_that_holds_some_of_it(world: Any) -> None:
    one, two, idle = await world.new_atom("one"), await world.new_atom("two"), await world.new_atom("idle")
    await report(one, letter(1))
    await report(two, letter(2))
    await report(idle, letter(3, queue="other"))
    selection = y.DeadLetterSelection(queue="orders")
    request = c.ControlDiscardDeadLettersRequest(environment="test", selection=selection, reason="sold")
    async with one.connect() as first, two.connect() as second:
        call = asyncio.ensure_future(world.admin.call(world.admin.dead_letter.DiscardDeadLetters, request))
        for link in (first, second):
            command = await link.next("command")
            assert command.discard_dead_letters.selection == selection
            result = a.CommandResult(command_id=command.command_id)
            result.change_dead_letters.dead_letters = 3
            await link.send(command_result=result)
        assert (await call).dead_letters == 6
    assert {what.partition(": ")[2] for _, _, what in await audited(world)} == {"queue=orders"}


async def test_a_run_may_be_named_by_its_prefix(world: Any) -> None:
    atom = await world.new_atom()
    await report(atom, letter(1))
    async with atom.telemetry() as call:
        await asyncio.wait_for(call.read(), WITHIN_S)
        run = t.Record(execution=y.Execution(execution_id="E" * 26, process="orders", attempt=1))
        await call.write(t.IngestRecordsRequest(spool_epoch="e", first_sequence=2, records=[run]))
        await asyncio.wait_for(call.read(), WITHIN_S)
    selection = y.DeadLetterSelection(execution_id="EEE")
    request = c.ControlDiscardDeadLettersRequest(environment="test", selection=selection, reason="sold")
    async with atom.connect() as link:
        command, answer = await through(
            world, link, lambda admin: admin.dead_letter.DiscardDeadLetters, request, lambda _: CHANGED
        )
    assert command.discard_dead_letters.selection.execution_id == "E" * 26
    assert answer.dead_letters == 1


async def test_ids_of_several_atoms_are_parted_by_who_holds_them(world: Any) -> None:
    one, two = await world.new_atom("one"), await world.new_atom("two")
    await report(one, letter(1), letter(3))
    await report(two, letter(2))
    request = c.ControlRetryDeadLettersRequest(dead_letter_ids=[D1, D2, letter(3).dead_letter_id, D1])
    async with one.connect() as first, two.connect() as second:
        call = asyncio.ensure_future(world.admin.call(world.admin.dead_letter.RetryDeadLetters, request))
        asked = []
        for link in (first, second):
            command = await link.next("command")
            asked.append(len(command.retry_dead_letters.dead_letter_ids))
            done = a.RetryDeadLettersResult(dead_letters=asked[-1], execution_ids=["X"])
            await link.send(command_result=a.CommandResult(command_id=command.command_id, retry_dead_letters=done))
        assert (await call).dead_letters == 3
    assert asked == [2, 1]


NOTHING = [
    (y.DeadLetterSelection(), "test", "dead_letters.nothing_selected"),
    (y.DeadLetterSelection(all=True), "", "rpc.invalid_argument"),
    (y.DeadLetterSelection(dead_letter_ids=["D"] * 10_001), "", "rpc.invalid_argument"),
    (y.DeadLetterSelection(dead_letter_ids=["nobody"]), "", "control.not_found"),
]


@pytest.mark.parametrize(("selection", "environment", "code"), NOTHING, ids=[code for _, _, code in NOTHING])
async def test_a_selection_that_says_nothing_is_refused_before_it_is_sent(
    world: Any, selection: Any, environment: str, code: str
) -> None:
    request = c.ControlAssignDeadLettersRequest(environment=environment, selection=selection, assignee="bob")
    assert await code_of(world.admin.call(world.admin.dead_letter.AssignDeadLetters, request)) == code
    assert await audited(world) == []


async def test_a_discard_without_a_reason_is_refused(world: Any) -> None:
    request = c.ControlDiscardDeadLettersRequest(selection=SELECTED, reason=" ")
    call = world.admin.call(world.admin.dead_letter.DiscardDeadLetters, request)
    assert await code_of(call) == "dead_letters.reason_missing"


# ---- rights -----------------------------------------------------------------------------------------------------


async def test_only_a_revealer_is_shown_classified_fields_and_that_is_audited_as_such(world: Any) -> None:
    atom = await world.new_atom()
    await report(atom, letter(1))
    request = c.GetDeadLetterRequest(dead_letter_id=D1, reader_public_key=READER, reveal=True)
    get = lambda admin: admin.dead_letter.GetDeadLetter  # noqa: E731
    otto = await world.person("otto", operator="", admin="")
    assert await code_of(otto.call(get(otto), request)) == "rpc.permission_denied"
    rehearse = c.ControlRepairDeadLetterRequest(
        dead_letter_id=D1, sealed_fields=b"s", dry_run=True, reader_public_key=READER, reveal=True
    )
    assert await code_of(otto.call(otto.dead_letter.RepairDeadLetter, rehearse)) == "rpc.permission_denied"
    dora = await world.person("dora", viewer="", revealer="")
    shown = a.ShowDeadLetterResult(dead_letter=letter(1), sealed_payload=b"sealed", classified=["Phone"])
    async with atom.connect() as link:
        command, answer = await through(
            world, link, get, request, lambda _: a.CommandResult(show_dead_letter=shown), who=dora
        )
    assert command.show_dead_letter.reveal
    assert (answer.sealed_payload, list(answer.classified)) == (b"sealed", ["Phone"])
    assert await audited(world) == [("dora", "RevealDeadLetter", D1)]


async def test_a_viewer_sees_that_a_letter_waits_and_changes_nothing(world: Any) -> None:
    atom = await world.new_atom()
    await report(atom, letter(1))
    vera = await world.person("vera", viewer="")
    shown = await vera.call(vera.dead_letter.GetDeadLetter, c.GetDeadLetterRequest(dead_letter_id=D1))
    assert shown.dead_letter.code == "expression.cast_failed"
    with_payload = c.GetDeadLetterRequest(dead_letter_id=D1, reader_public_key=READER)
    calls = [(vera.dead_letter.GetDeadLetter, with_payload)]
    calls += [(getattr(vera.dead_letter, method), request) for method, request, _ in COMMANDS]
    for method, request in calls:
        assert await code_of(vera.call(method, request)) == "rpc.permission_denied"


async def test_a_letter_of_another_environment_is_out_of_reach(world: Any) -> None:
    atom = await world.new_atom()
    await report(atom, letter(1))
    other = (await world.admin.call(
        world.admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="other")
    )).environment  # fmt: skip
    olga = await world.person("olga", operator=other.environment_id)
    for method, request, _ in COMMANDS:
        assert await code_of(olga.call(getattr(olga.dead_letter, method), request)) == "rpc.permission_denied"
