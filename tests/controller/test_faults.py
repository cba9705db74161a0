"""A controller that is killed, and peers that do not behave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from dative.errors import ConfigError
from dative.rpc import error_from
from dative.v1 import agent_pb2 as a
from dative.v1 import control_pb2 as c
from dative.v1 import telemetry_pb2 as t
from dative.v1 import types_pb2 as y

SERVE = """
import sys
from dative_controller.config import load
from dative_controller.server.run import serve
flags = {"data_dir": sys.argv[1], "listen_public": "127.0.0.1:0", "listen_atoms": "127.0.0.1:0"}
raise SystemExit(serve(load(environment={}, flags=flags)))
"""
KILLS = 3
PER_BATCH = 5


class Process:
    """`dative serve` as a real process, to be killed."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def __aenter__(self) -> Process:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SERVE,
            str(self._data_dir),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
        assert self.process.stdout is not None
        ready = (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode()
        self.atoms = ready.split("atoms=")[1].split()[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.process._transport.close()  # type: ignore[attr-defined]  # or its pipe warns when the loop is gone


@pytest.mark.server
async def test_nothing_is_lost_or_doubled_when_the_controller_is_killed(start: Any, tmp_path: Any) -> None:
    """Records are sent while the controller is killed again and again; each is stored once, desired state survives."""
    directory = tmp_path / "one"
    world = await start(directory)
    atom = await world.new_atom()
    await world.admin.deploy()
    await world.controller.stop()
    total = (KILLS + 1) * PER_BATCH * 4
    records = [t.Record(execution=y.Execution(execution_id=f"{n:026d}", counts=y.Counts(read=1))) for n in range(total)]
    for round_number in range(KILLS + 1):
        async with Process(directory) as server:
            atom.address = server.atoms
            async with atom.connect() as link:
                assert (await link.next("desired_state")).generation == 1
                async with atom.telemetry() as call:
                    committed = (await asyncio.wait_for(call.read(), 15)).committed_sequence
                    end = total if round_number == KILLS else committed + PER_BATCH * 3
                    await _send(call, records[committed:end], committed + 1, server, kill=round_number < KILLS)
    again = await start(directory, admin=world.admin)
    answer = await again.admin.call(again.admin.execution.ListExecutions, c.ListExecutionsRequest(page_size=500))
    assert [run.execution_id for run in answer.executions] == [f"{n:026d}" for n in range(total)][::-1]


async def _send(call: Any, records: list[t.Record], first: int, server: Process, *, kill: bool) -> None:
    """All but the last batch are acknowledged; in the middle of the last one the controller is killed."""
    for offset in range(0, len(records), PER_BATCH):
        part = records[offset : offset + PER_BATCH]
        last = offset + PER_BATCH >= len(records)
        await call.write(t.IngestRecordsRequest(spool_epoch="e1", first_sequence=first + offset, records=part))
        if last and kill:
            server.process.send_signal(signal.SIGKILL)
            return
        answer = await asyncio.wait_for(call.read(), 15)
        assert answer.committed_sequence == first + offset + len(part) - 1


async def code_of(call: Any) -> str:
    try:
        await asyncio.wait_for(call, 15)
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return "accepted"


async def test_a_message_over_the_limit_is_refused(world: Any) -> None:
    admin = world.admin
    big = c.CreateDeploymentRequest(manifest_envelope=bytes(2 << 20))
    assert await code_of(admin.call(admin.deployment.CreateDeployment, big)) == "rpc.rate_limited"
    fits = c.CreateDeploymentRequest(manifest_envelope=bytes(300 << 10))
    assert await code_of(admin.call(admin.deployment.CreateDeployment, fits)) == "bundle.too_large"


async def test_metadata_over_the_limit_is_refused(world: Any) -> None:
    metadata = (*world.admin.metadata, ("x-big", "a" * 64_000))
    call = world.admin.access.WhoAmI(c.WhoAmIRequest(), metadata=metadata, timeout=10)
    assert await code_of(call) == "rpc.rate_limited"


async def test_a_second_listener_on_the_same_port_fails_loudly(start: Any, tmp_path: Any) -> None:
    world = await start(tmp_path / "one")
    with pytest.raises(ConfigError, match="can not be listened on"):
        await start(tmp_path / "two", listen_public=world.controller.public_address)


async def test_what_is_no_tls_leaves_the_listener_alone(world: Any) -> None:
    host, _, port = world.controller.public_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    await asyncio.wait_for(reader.read(), 15)
    writer.close()
    assert await code_of(world.admin.call(world.admin.access.WhoAmI, c.WhoAmIRequest())) == "accepted"


async def test_an_error_travels_with_its_code_and_its_next_step(world: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await world.admin.atom("nobody")
    error = error_from(failed.value)
    assert (error.code.name, error.message) == ("control.not_found", "no atom nobody")
    assert error.next


async def test_a_peer_that_floods_its_stream_is_served_in_order(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        for _ in range(500):
            await link.send(heartbeat=a.Heartbeat())
        assert [(await link.next("heartbeat_ack")).sequence for _ in range(200)] == list(range(2, 202))
