"""A look at the fields of steps, at the controller: for operators, audited, passed on as it was asked."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest
from dative.rpc import error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c

STEP = a.StepQuestion(step="upsert", connection="erp", operation="database.upsert", options='{"table": "customer"}')
REQUEST = {"environment": "test", "process": "orders", "steps": [STEP]}


async def test_the_question_reaches_the_atom_and_its_answer_the_person(world: Any) -> None:
    atom = await world.new_atom()
    otto = await world.person("otto", operator="")
    request = c.ControlProfileStepsRequest(request_id="look-1", **REQUEST)
    told = a.StepProfile(step="upsert", fields=[a.ProfileField(name="id", type="text(18)!")])
    async with atom.connect() as link:
        call = asyncio.ensure_future(otto.call(otto.execution.ProfileSteps, request))
        command = await link.next("command")
        assert (command.profile_steps.process, list(command.profile_steps.steps)) == ("orders", [STEP])
        result = a.CommandResult(command_id=command.command_id, profile_steps=a.ProfileStepsResult(steps=[told]))
        await link.send(command_result=result)
        answer = await call
    assert (list(answer.steps), answer.atom) == ([told], "hq-1")
    audit = await world.admin.call(world.admin.access.ListAudit, c.ListAuditRequest())
    assert [(one.actor, one.object.rpartition("/")[2]) for one in audit.entries if one.action == "ProfileSteps"] == [
        ("otto", "orders")
    ]


async def test_a_viewer_asks_for_no_fields_and_an_atom_that_is_away_is_said(world: Any) -> None:
    await world.new_atom()
    vera = await world.person("vera", viewer="")
    for person, code in ((vera, "rpc.permission_denied"), (world.admin, "fleet.atom_offline")):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await person.call(person.execution.ProfileSteps, c.ControlProfileStepsRequest(**REQUEST))
        assert error_from(failed.value).code.name == code
