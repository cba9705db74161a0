"""Cross-references through the controller: the atom that is meant is asked, everything is on record before it is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest
from dative.rpc import error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import control_pb2_grpc
from dative.v1 import types_pb2 as t


def stub(who: Any) -> Any:
    return control_pb2_grpc.XrefServiceStub(who.channel)


async def refusal(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as failed:
        return str(error_from(failed).code.name)
    return ""


async def audited(world: Any) -> list[tuple[str, str]]:
    answer = await world.admin.call(world.admin.access.ListAudit, c.ListAuditRequest())
    return [(one.action, one.object) for one in answer.entries if "Xref" in one.action]


async def test_the_only_atom_is_asked_and_the_question_is_on_record(world: Any) -> None:
    atom = await world.new_atom("hq-1")
    wanted = c.ControlReadXrefRequest(environment="test", question=t.XrefQuestion(table="account"))
    async with atom.connect() as link:
        asked = asyncio.ensure_future(world.admin.call(stub(world.admin).ReadXref, wanted))
        command = await link.next("command")
        answer = a.CommandResult(command_id=command.command_id, read_xref=t.XrefAnswer(csv=b"crm,erp\nA,1\n"))
        await link.send(command_result=answer)
        found = await asked
    assert command.read_xref.table == "account"
    assert (found.answer.csv, found.atom) == (b"crm,erp\nA,1\n", "hq-1")
    assert await audited(world) == [("ReadXref", "hq-1: account")]


async def test_a_change_that_is_sent_twice_is_made_once(world: Any) -> None:
    atom = await world.new_atom("hq-1")
    change = t.XrefChange(table="account", column="crm", values=["A"])
    wanted = c.ControlChangeXrefRequest(request_id="r-1", environment="test", atom="hq-1", change=change)
    async with atom.connect() as link:
        asked = asyncio.ensure_future(world.admin.call(stub(world.admin).ChangeXref, wanted))
        command = await link.next("command")
        await link.send(
            command_result=a.CommandResult(command_id=command.command_id, change_xref=t.XrefChanged(read=1, changed=1))
        )
        assert (await asked).changed.changed == 1
        assert (await world.admin.call(stub(world.admin).ChangeXref, wanted)).changed.changed == 1
    assert command.actor


async def test_where_there_are_several_atoms_one_is_named(world: Any) -> None:
    await world.new_atom("hq-1")
    await world.new_atom("hq-2")
    wanted = c.ControlReadXrefRequest(environment="test")
    assert await refusal(world.admin.call(stub(world.admin).ReadXref, wanted)) == "rpc.invalid_argument"
    assert await audited(world) == []


@pytest.mark.parametrize("role", ["viewer", "deployer", "auditor"])
async def test_who_may_not_operate_may_neither_look_nor_change(world: Any, role: str) -> None:
    who = await world.person("vera", **{role: ""})
    read = c.ControlReadXrefRequest(environment="test")
    change = c.ControlChangeXrefRequest(environment="test", change=t.XrefChange(table="x", column="c", values=["v"]))
    assert await refusal(who.call(stub(who).ReadXref, read)) == "rpc.permission_denied"
    assert await refusal(who.call(stub(who).ChangeXref, change)) == "rpc.permission_denied"
