"""RevealToken: asked of one atom after the other, by nobody but a revealer, and on record before it is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest
from dative.errors import DativeError
from dative.errors.masks import NOT_ENTITLED, TOKEN_UNKNOWN
from dative.rpc import error_from, status_of
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c

TOKEN = "tok_0123456789abcdef0123"
READER = b"r" * 32
UNKNOWN = a.CommandResult(status=status_of(DativeError("not here", code=TOKEN_UNKNOWN)))
FOUND = a.CommandResult(reveal_token=a.RevealTokenResult(sealed_value=b"sealed", reader="dora"))


async def answered(link: Any, result: a.CommandResult) -> a.Command:
    command = await link.next("command")
    await link.send(command_result=a.CommandResult(command_id=command.command_id, **{
        name: getattr(result, name) for name in ("status", "reveal_token") if result.HasField(name)
    }))  # fmt: skip
    return command


def request(**more: Any) -> c.ControlRevealTokenRequest:
    return c.ControlRevealTokenRequest(**{"environment": "test", "token": TOKEN, "reader_public_key": READER, **more})


async def refusal(who: Any, wanted: c.ControlRevealTokenRequest) -> str:
    try:
        await who.call(who.vault.RevealToken, wanted)
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return ""


async def audited(world: Any) -> list[tuple[str, str]]:
    answer = await world.admin.call(world.admin.access.ListAudit, c.ListAuditRequest())
    return [(one.actor, one.object) for one in answer.entries if one.action == "RevealToken"]


async def test_the_atom_that_holds_the_token_answers_and_every_question_is_on_record(world: Any) -> None:
    first, second = await world.new_atom("hq-1"), await world.new_atom("hq-2")
    dora = await world.person("dora", revealer="")
    async with first.connect() as one, second.connect() as other:
        asked = asyncio.ensure_future(dora.call(dora.vault.RevealToken, request()))
        waiting = [asyncio.ensure_future(answered(one, UNKNOWN)), asyncio.ensure_future(answered(other, FOUND))]
        answer = await asked
        for task in waiting:
            task.cancel()
    assert (answer.sealed_value, answer.reader) == (b"sealed", "dora")
    entries = await audited(world)
    assert entries
    assert all(actor == "dora" and what.endswith(TOKEN) for actor, what in entries)


async def test_an_atoms_refusal_ends_the_search(world: Any) -> None:
    atom = await world.new_atom()
    dora = await world.person("dora", revealer="")
    refused = a.CommandResult(status=status_of(DativeError("no reader of the vault has this key", code=NOT_ENTITLED)))
    async with atom.connect() as link:
        asked = asyncio.ensure_future(refusal(dora, request()))
        command = await answered(link, refused)
        assert await asked == "vault.not_entitled"
    assert (command.reveal_token.token, command.reveal_token.reader_public_key) == (TOKEN, READER)


async def test_a_token_that_no_atom_holds_is_unknown(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        asked = asyncio.ensure_future(refusal(world.admin, request()))
        await answered(link, UNKNOWN)
        assert await asked == "vault.token_unknown"


@pytest.mark.parametrize("wanted", [{"reader_public_key": b"short"}, {"token": "t" * 65}])
async def test_a_malformed_question_reaches_no_atom(world: Any, wanted: dict[str, Any]) -> None:
    assert await refusal(world.admin, request(**wanted)) == "rpc.invalid_argument"
    assert await audited(world) == []


async def test_every_other_role_together_reveals_nothing(world: Any) -> None:
    await world.new_atom()
    otto = await world.person("otto", admin="", operator="", deployer="", auditor="", viewer="")
    assert await refusal(otto, request()) == "rpc.permission_denied"
    assert await refusal(world.admin, request()) == "fleet.atom_offline"
