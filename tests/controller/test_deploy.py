"""From an invitation to a running deployment, and everything an atom may answer."""

from __future__ import annotations

from typing import Any

from dative.bundle.blobs import digest_of
from dative.v1 import agent_pb2 as a
from dative.v1 import agent_pb2_grpc, types_pb2
from dative.v1 import control_pb2 as c


async def all_of(stream: Any) -> list[Any]:
    return [message async for message in stream]


async def test_a_deployment_reaches_an_atom_and_its_ack_is_visible(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.connect() as link:
        created = await world.admin.deploy(data=b'{"a":1}')
        desired = await link.next("desired_state")
        assert desired.generation == created.generation == 1
        blob = await all_of(
            agent_pb2_grpc.AtomServiceStub(link.channel).FetchBlob(a.FetchBlobRequest(digest=digest_of(b'{"a":1}')))
        )
        assert b"".join(part.data for part in blob) == b'{"a":1}'
        await link.acknowledge(desired, types_pb2.PHASE_ACTIVE)
        watched = await all_of(
            world.admin.call(
                world.admin.deployment.WatchDeployment, c.WatchDeploymentRequest(deployment_id=created.deployment_id)
            )
        )
        assert watched[-1].done
        assert [(at.name, at.phase) for at in watched[-1].atoms] == [("hq-1", types_pb2.PHASE_ACTIVE)]
        shown = await world.admin.atom("hq-1")
        assert (shown.state, shown.observed.generation, shown.desired_generation) == ("online", 1, 1)
