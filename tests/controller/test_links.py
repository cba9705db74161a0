"""The atom's stream: reconciliation, acks and nacks, fencing, commands, blobs, and how it ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import msgspec
import pytest
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope
from dative.bundle.freshness import Freshness
from dative.clock import ManualClock
from dative.errors import DativeError
from dative.rpc import TraceContext, error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import agent_pb2_grpc, types_pb2
from dative.v1 import control_pb2 as c

WITHIN_S = 15.0


async def code_of(call: Any) -> str:
    try:
        await asyncio.wait_for(call, WITHIN_S)
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return "accepted"


async def all_of(stream: Any) -> list[Any]:
    return [message async for message in stream]


def code(error: DativeError | None) -> str:
    return error.code.name if error else "ok"


def observed(desired: Any) -> types_pb2.ObservedState:
    return types_pb2.ObservedState(
        release_epoch=desired.release_epoch, generation=desired.generation, manifest_digest=desired.manifest_digest
    )


async def test_a_heartbeat_is_answered_with_its_sequence(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        await link.send(heartbeat=a.Heartbeat(healthy=True, running_executions=2))
        assert (await link.next("heartbeat_ack")).sequence == 2
        assert (await world.admin.atom("hq-1")).heartbeat.running_executions == 2


async def test_a_gap_in_the_sequence_asks_for_a_full_report(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        link.sequence += 1
        await link.send(heartbeat=a.Heartbeat())
        await link.next("report_full_state")


async def test_an_atom_that_was_away_is_told_at_hello_and_a_lost_ack_is_made_up_for(world: Any) -> None:
    atom = await world.new_atom()
    created = await world.admin.deploy(data=b"{}")
    async with atom.connect() as link:
        desired = await link.next("desired_state")
        assert TraceContext.parse(desired.traceparent)
        # The ack is lost with the stream: the next Hello says the same.
    async with atom.connect(observed=observed(desired), phase=types_pb2.PHASE_ACTIVE) as link:
        confirmed = await link.next("desired_state")
        assert (confirmed.generation, confirmed.traceparent) == (1, "")
        shown = await world.admin.atom("hq-1")
        assert (shown.observed.generation, shown.phase) == (1, types_pb2.PHASE_ACTIVE)
        request = c.WatchDeploymentRequest(deployment_id=created.deployment_id)
        watched = await all_of(world.admin.call(world.admin.deployment.WatchDeployment, request))
        assert watched[-1].atoms[0].phase == types_pb2.PHASE_ACTIVE


async def test_what_is_current_is_said_again_before_the_statement_is_stale(start: Any) -> None:
    clock = ManualClock(datetime.now(UTC))
    world = await start(clock=clock)
    atom = await world.new_atom()
    await world.admin.deploy()
    async with atom.connect() as link:
        first = await link.next("desired_state")
        await link.acknowledge(first, types_pb2.PHASE_ACTIVE)
        await link.send(heartbeat=a.Heartbeat())
        await link.next("heartbeat_ack")
        world.controller.core.hub.refresh()
        clock.advance(8 * 3600)
        world.controller.core.hub.refresh()
        again = await link.next("desired_state")
        assert again.manifest_digest == first.manifest_digest
        statements = [
            msgspec.json.decode(Envelope.parse(one.freshness_envelope, bytes_max=1 << 16).payload, type=Freshness)
            for one in (first, again)
        ]
        assert statements[1].expires_at - statements[0].expires_at == timedelta(hours=8)
        await link.send(heartbeat=a.Heartbeat())
        assert (await link.next()).WhichOneof("kind") == "heartbeat_ack", "once, not twice"


async def test_a_nack_is_visible_with_its_code_and_the_last_good_one_stays(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        created = await world.admin.deploy()
        desired = await link.next("desired_state")
        why = types_pb2.Status(code="bundle.blob_mismatch", message="blob 3 is not what was signed")
        await link.acknowledge(desired, types_pb2.PHASE_REFUSED, why)
        request = c.WatchDeploymentRequest(deployment_id=created.deployment_id)
        watched = await all_of(world.admin.call(world.admin.deployment.WatchDeployment, request))
        assert watched[-1].done
        assert watched[-1].atoms[0].status.code == "bundle.blob_mismatch"
        assert (await world.admin.atom("hq-1")).status.code == "bundle.blob_mismatch"
        await link.send(heartbeat=a.Heartbeat())
        assert (await link.next()).WhichOneof("kind") == "heartbeat_ack", "what did not change is not resent"


async def test_a_nonce_of_another_stream_says_nothing(world: Any) -> None:
    atom = await world.new_atom()
    await world.admin.deploy()
    async with atom.connect() as link:
        old = await link.next("desired_state")
    async with atom.connect() as link:
        await link.next("desired_state")
        await link.acknowledge(old, types_pb2.PHASE_ACTIVE)
        await link.send(heartbeat=a.Heartbeat())
        await link.next("heartbeat_ack")
        assert (await world.admin.atom("hq-1")).observed.generation == 0


async def test_a_newer_stream_fences_the_older_one(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as older, atom.connect() as newer:
        assert code(await older.ended()) == "links.fenced"
        assert newer.welcome.session_id > older.welcome.session_id
        await newer.send(heartbeat=a.Heartbeat())
        await newer.next("heartbeat_ack")
        assert (await world.admin.atom("hq-1")).state == "online"


async def test_a_killed_atom_is_offline_and_comes_back(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect():
        assert (await world.admin.atom("hq-1")).state == "online"
    hub = world.controller.core.hub
    while (await world.admin.atom("hq-1")).state != "offline":
        await hub.progressed.wait(hub.progressed.count, 0.2)
    async with atom.connect():
        assert (await world.admin.atom("hq-1")).state == "online"


async def test_revocation_ends_the_stream_and_refuses_the_next(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        await world.admin.call(world.admin.fleet.RevokeAtom, c.RevokeAtomRequest(atom="hq-1", reason="lost"))
        assert code(await link.ended()) == "fleet.atom_revoked"
    async with atom.channel() as channel:
        call = agent_pb2_grpc.AtomServiceStub(channel).Connect()
        await call.write(a.ConnectRequest(sequence=1, hello=a.Hello(protocol_min=1, protocol_max=1)))
        assert await code_of(call.read()) == "fleet.atom_revoked"


async def test_a_stream_does_not_outlive_its_certificate(world: Any) -> None:
    atom = await world.new_atom()
    authority = world.controller.core.authority
    atom.enrolled.certificate_chain_pem = atom.certificate(
        authority, age=timedelta(hours=1), lifetime=timedelta(hours=1, seconds=2)
    )
    async with atom.connect() as link:
        assert code(await link.ended()) == "links.certificate_expired"


FIRST_MESSAGES = {
    "no hello": {"heartbeat": a.Heartbeat()},
    "a protocol of the future": {"hello": a.Hello(protocol_min=7, protocol_max=9)},
}


@pytest.mark.parametrize("kind", FIRST_MESSAGES.values(), ids=FIRST_MESSAGES.keys())
async def test_a_stream_that_begins_wrong_is_refused(world: Any, kind: dict[str, Any]) -> None:
    atom = await world.new_atom()
    async with atom.channel() as channel:
        call = agent_pb2_grpc.AtomServiceStub(channel).Connect()
        await call.write(a.ConnectRequest(sequence=1, **kind))
        assert await code_of(call.read()) == "links.protocol"


async def test_a_stopping_controller_says_reconnect_first(start: Any) -> None:
    world = await start()
    atom = await world.new_atom()
    async with atom.connect() as link:
        stopping = asyncio.create_task(world.controller.stop())
        assert (await link.next("reconnect")).jitter.ToSeconds() == 5
        assert await link.ended() is None
        await stopping


# ---- commands ----------------------------------------------------------------------------------------------------


async def test_a_command_reaches_the_atom_once_with_the_callers_trace(world: Any) -> None:
    atom = await world.new_atom()
    admin, execution = world.admin, "01JZ000000000000000000000R"
    admin.trace = TraceContext.new()
    async with atom.connect() as link:
        request = c.ControlRunProcessRequest(request_id="run-1", environment="test", process="orders")
        first = asyncio.ensure_future(admin.call(admin.execution.RunProcess, request))
        command = await link.next("command")
        assert command.run_process.process == "orders"
        context = TraceContext.parse(command.traceparent)
        assert context is not None
        assert context.trace_id == admin.trace.trace_id
        await link.send(
            command_result=a.CommandResult(
                command_id=command.command_id, run_process=a.RunProcessResult(execution_id=execution)
            )
        )
        assert (await first).execution_id == execution
        again = await admin.call(admin.execution.RunProcess, request)
        assert again.execution_id == execution
        await link.send(heartbeat=a.Heartbeat())
        assert (await link.next()).WhichOneof("kind") == "heartbeat_ack", "the same request id is the same command"


async def test_an_atoms_coded_refusal_reaches_the_person(world: Any) -> None:
    atom = await world.new_atom()
    admin = world.admin
    async with atom.connect() as link:
        request = c.DrainAtomRequest(atom="hq-1")
        call = asyncio.ensure_future(admin.call(admin.fleet.DrainAtom, request))
        command = await link.next("command")
        status = types_pb2.Status(code="links.command_unanswered", message="busy")
        await link.send(command_result=a.CommandResult(command_id=command.command_id, status=status))
        assert await code_of(call) == "links.command_unanswered"


async def test_a_command_lost_with_its_stream_is_not_sent_again(start: Any) -> None:
    world = await start(command_timeout=timedelta(seconds=1))
    atom = await world.new_atom()
    admin = world.admin
    async with atom.connect() as link:
        call = asyncio.ensure_future(admin.call(admin.fleet.DrainAtom, c.DrainAtomRequest(atom="hq-1")))
        await link.next("command")
    async with atom.connect() as link:
        assert await code_of(call) == "links.command_unanswered"
        await link.send(heartbeat=a.Heartbeat())
        assert (await link.next()).WhichOneof("kind") == "heartbeat_ack"


async def test_a_command_for_an_absent_atom_is_refused_at_once(world: Any) -> None:
    await world.new_atom()
    admin = world.admin
    drain = admin.call(admin.fleet.DrainAtom, c.DrainAtomRequest(atom="hq-1"))
    assert await code_of(drain) == "fleet.atom_offline"
    run = admin.call(admin.execution.RunProcess, c.ControlRunProcessRequest(environment="test", process="x"))
    assert await code_of(run) == "fleet.atom_offline"


# ---- blobs -------------------------------------------------------------------------------------------------------


async def test_an_atom_reads_only_blobs_of_its_own_manifests(world: Any) -> None:
    admin = world.admin
    await admin.call(admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="other"))
    data, foreign, unused = b"a" * 200_000, b"foreign", b"unused"
    await admin.deploy("test", data)
    await admin.deploy("other", foreign)
    await admin.put_blob(unused)
    atom = await world.new_atom()
    async with atom.channel() as channel:
        stub = agent_pb2_grpc.AtomServiceStub(channel)
        parts = await all_of(stub.FetchBlob(a.FetchBlobRequest(digest=digest_of(data))))
        assert b"".join(part.data for part in parts) == data
        assert max(len(part.data) for part in parts) == 64 * 1024
        rest = await all_of(stub.FetchBlob(a.FetchBlobRequest(digest=digest_of(data), offset=150_000)))
        assert b"".join(part.data for part in rest) == data[150_000:]
        for refused in (foreign, unused, b"unknown"):
            call = all_of(stub.FetchBlob(a.FetchBlobRequest(digest=digest_of(refused))))
            assert await code_of(call) == "store.blob_missing"
        assert await code_of(all_of(stub.FetchBlob(a.FetchBlobRequest(digest="../x")))) == "rpc.invalid_argument"
