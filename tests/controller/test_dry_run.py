"""A dry run at the controller: for operators, audited, and passed on sealed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from dative.rpc import error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c

READER = b"r" * 32
REQUEST = {"environment": "test", "process": "orders", "documents_max": 10, "shown_max": 2, "parameters": {"a": "b"}}


async def code_of(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return ""


async def test_a_dry_run_reaches_the_atom_and_its_sealed_answer_the_person(world: Any) -> None:
    atom = await world.new_atom()
    otto = await world.person("otto", operator="")
    request = c.ControlDryRunRequest(request_id="dry-1", reader_public_key=READER, **REQUEST)
    async with atom.connect() as link:
        call = asyncio.ensure_future(otto.call(otto.execution.DryRun, request))
        command = await link.next("command")
        wanted = command.dry_run
        assert (wanted.process, wanted.documents_max, wanted.shown_max, dict(wanted.parameters)) == (
            "orders",
            10,
            2,
            {"a": "b"},
        )
        assert wanted.reader_public_key == READER
        result = a.CommandResult(command_id=command.command_id, dry_run=a.DryRunResult(sealed_outcome=b"sealed"))
        await link.send(command_result=result)
        answer = await call
    assert (answer.sealed_outcome, answer.atom) == (b"sealed", "hq-1")
    audit = await world.admin.call(world.admin.access.ListAudit, c.ListAuditRequest())
    assert [(one.actor, one.object.rpartition("/")[2]) for one in audit.entries if one.action == "DryRun"] == [
        ("otto", "orders")
    ]


async def test_a_viewer_runs_nothing_dry_and_an_answer_needs_a_key(world: Any) -> None:
    await world.new_atom()
    vera = await world.person("vera", viewer="")
    request = c.ControlDryRunRequest(reader_public_key=READER, **REQUEST)
    assert await code_of(vera.call(vera.execution.DryRun, request)) == "rpc.permission_denied"
    without = c.ControlDryRunRequest(**REQUEST)
    assert await code_of(world.admin.call(world.admin.execution.DryRun, without)) == "rpc.invalid_argument"
