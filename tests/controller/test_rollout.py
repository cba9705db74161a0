"""What CreateDeployment refuses, sealed secrets, environments, and several controllers over one PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from dative.bundle.blobs import digest_of
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import Audience
from dative.bundle.trust import read_trust, sign_trust, successor
from dative.rpc import error_from
from dative.secrets.sealed_set import RECOVERY_ID, Recipient, seal_values, sign_recipients, verify_recipients
from dative.v1 import control_pb2 as c
from dative.v1 import types_pb2


async def code_of(call: Any) -> str:
    try:
        await asyncio.wait_for(call, 15)
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return "accepted"


def at(**age: float) -> datetime:
    return (datetime.now(UTC) + timedelta(**age)).replace(microsecond=0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a generation too far": ({"generation": 3}, "deployment.generation_conflict"),
    "the same generation again": ({"generation": 1}, "deployment.generation_conflict"),
    "a stolen epoch": ({"release_epoch": 7}, "deployment.generation_conflict"),
    "another predecessor": ({"previous_digest": "sha256:" + "0" * 64}, "deployment.generation_conflict"),
    "expired": ({"issued_at": at(days=-9), "expires_at": at(days=-1)}, "bundle.expired"),
    "issued in the future": ({"issued_at": at(days=2), "expires_at": at(days=9)}, "bundle.not_yet_valid"),
    "another organization": ({"organization_id": "other"}, "bundle.wrong_organization"),
    "another environment": ({"environment_id": "other"}, "bundle.wrong_environment"),
    "atoms of the future": ({"min_atom_version": "9.0.0"}, "bundle.engine_too_old"),
    "newer trust": ({"trust_version": 5}, "bundle.trust_too_old"),
}


@pytest.mark.parametrize(("changed", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_atoms_would_refuse_is_refused_here(world: Any, changed: dict[str, Any], code: str) -> None:
    await world.admin.deploy()
    assert await code_of(world.admin.deploy(**changed)) == code
    desired = await world.admin.call(world.admin.deployment.GetDesired, c.GetDesiredRequest(environment="test"))
    assert desired.generation == 1


async def test_a_manifest_signed_by_another_key_is_refused(world: Any) -> None:
    own, world.admin.keys.release = world.admin.keys.release, SigningKey.generate()
    assert (await code_of(world.admin.deploy())).startswith("bundle.")
    world.admin.keys.release = world.admin.keys.root
    assert await code_of(world.admin.deploy()) == "bundle.wrong_role"
    world.admin.keys.release = own
    assert await code_of(world.admin.deploy()) == "accepted"


async def test_a_manifest_whose_blobs_are_missing_is_refused(world: Any) -> None:
    admin = world.admin
    envelope = await admin.manifest("test", {"orders": b"never uploaded"})
    request = c.CreateDeploymentRequest(manifest_envelope=envelope)
    assert await code_of(admin.call(admin.deployment.CreateDeployment, request)) == "store.blob_missing"
    missing = c.MissingBlobsRequest(digests=[digest_of(b"never uploaded")])
    assert list((await admin.call(admin.deployment.MissingBlobs, missing)).digests) == list(missing.digests)


async def test_a_blob_that_is_not_what_it_says_is_refused(world: Any) -> None:
    async def parts(data: bytes, size: int) -> Any:
        yield c.PutBlobRequest(digest=digest_of(b"right"), size=size, data=data)

    put = world.admin.deployment.PutBlob
    for data, size in ((b"wrong", 5), (b"righ", 5), (b"rightright", 5)):
        assert await code_of(world.admin.call(put, parts(data, size))) == "store.blob_invalid", data
    assert await code_of(world.admin.call(put, parts(b"right", 5))) == "accepted"


async def test_a_plan_that_is_old_is_refused(world: Any) -> None:
    admin = world.admin
    await admin.put_blob(b"{}")
    seen = await admin.call(admin.deployment.GetDesired, c.GetDesiredRequest(environment="test"))
    change = c.SetEnvironmentRequest(environment="test", set_overrides={"orders.rows": "5"})
    await admin.call(admin.environment.SetEnvironment, change)
    envelope = await admin.manifest("test", {"orders": b"{}"})
    request = c.CreateDeploymentRequest(manifest_envelope=envelope, expected_check_index=seen.check_index)
    assert await code_of(admin.call(admin.deployment.CreateDeployment, request)) == "deployment.plan_is_old"


async def test_a_deployment_for_some_atoms_reaches_no_other(world: Any) -> None:
    first, second = await world.new_atom("a-1"), await world.new_atom("a-2")
    async with first.connect() as one, second.connect() as two:
        created = await world.admin.deploy(audience=Audience("default", (first.enrolled.atom_id,)))
        desired = await one.next("desired_state")
        await two.send(heartbeat={})
        assert (await two.next()).WhichOneof("kind") == "heartbeat_ack"
        await one.acknowledge(desired, types_pb2.PHASE_ACTIVE)
        request = c.WatchDeploymentRequest(deployment_id=created.deployment_id)
        states = [state async for state in world.admin.call(world.admin.deployment.WatchDeployment, request)]
        assert [atom.name for atom in states[-1].atoms] == ["a-1"]


async def test_an_atom_with_older_trust_gets_every_version_between(world: Any) -> None:
    admin = world.admin
    atom = await world.new_atom()
    held = (await admin.call(admin.trust.GetTrust, c.GetTrustRequest())).trust_envelope
    document = read_trust(held)
    for _ in range(2):
        document = successor(document, expires_at=document.expires_at)
        envelope = sign_trust(document, [admin.keys.root]).to_bytes()
        put = c.PutTrustRequest(trust_envelope=envelope)
        assert (await admin.call(admin.trust.PutTrust, put)).version == document.version
    skipping = sign_trust(
        successor(successor(document, expires_at=document.expires_at), expires_at=document.expires_at),
        [admin.keys.root],
    )
    put = c.PutTrustRequest(trust_envelope=skipping.to_bytes())
    assert await code_of(admin.call(admin.trust.PutTrust, put)) == "trust.version_skipped"
    await admin.deploy()
    async with atom.connect(trust_version=1) as link:
        desired = await link.next("desired_state")
        assert [read_trust(envelope).version for envelope in desired.trust_chain] == [2, 3]


async def test_sealed_secrets_are_kept_as_ciphertext_and_only_in_order(world: Any) -> None:
    admin, keys = world.admin, world.admin.keys
    environment = await admin.call(admin.environment.GetEnvironment, c.GetEnvironmentRequest(environment="test"))
    identity = environment.environment.environment_id
    held = (await admin.call(admin.trust.GetTrust, c.GetTrustRequest())).trust_envelope
    envelope = sign_recipients(
        [Recipient(RECOVERY_ID, keys.recovery.public_raw.hex())],
        [keys.release],
        organization_id=admin.organization_id,
        environment_id=identity,
        version=1,
        now=at(),
    )
    recipients = verify_recipients(envelope, trust=read_trust(held), environment_id=identity)
    sealed = seal_values(None, keys.recovery, {"erp.password": "hunter2-canary"}, recipients, identity)
    put = c.PutSealedSecretsRequest(environment="test", sealed_set=sealed.to_bytes())
    answer = await admin.call(admin.environment.PutSealedSecrets, put)
    assert answer.version == 1
    assert await code_of(admin.call(admin.environment.PutSealedSecrets, put)) == "control.version_conflict"
    shown = await admin.call(admin.environment.GetEnvironment, c.GetEnvironmentRequest(environment="test"))
    assert [(one.name, one.version, one.set_by) for one in shown.environment.secrets] == [("erp.password", 1, "ada")]
    data_dir = world.controller.config.data_dir
    files = [file for file in data_dir.rglob("*") if file.is_file()]
    assert all(b"hunter2-canary" not in file.read_bytes() for file in files)


@pytest.mark.server
async def test_controllers_that_share_postgresql_act_as_one(start: Any, tmp_path: Any, postgres_url: str) -> None:
    """Deployed at A, an atom at B is told; a command given at A reaches it; its newer stream at A fences the one at B."""
    # The poll is out of reach, so that only notifications carry what is seen here.
    shared = {"database": postgres_url, "blobs_dir": tmp_path / "blobs", "poll": timedelta(minutes=10)}
    first = await start(tmp_path / "a", **shared)
    (tmp_path / "b").mkdir(mode=0o700)
    for name in ("ca.pem", "ca.key", "online.key", "token.key"):
        shutil.copy(tmp_path / "a" / name, tmp_path / "b" / name)
    second = await start(tmp_path / "b", admin=first.admin, **shared)
    atom = await first.new_atom()
    atom.address = second.controller.atom_address
    async with atom.connect() as link:
        created = await first.admin.deploy()
        desired = await link.next("desired_state")
        await link.acknowledge(desired, types_pb2.PHASE_ACTIVE)
        request = c.WatchDeploymentRequest(deployment_id=created.deployment_id)
        states = [state async for state in first.admin.call(first.admin.deployment.WatchDeployment, request)]
        assert states[-1].atoms[0].phase == types_pb2.PHASE_ACTIVE
        drained = asyncio.ensure_future(first.admin.call(first.admin.fleet.DrainAtom, c.DrainAtomRequest(atom="hq-1")))
        command = await link.next("command")
        await link.send(command_result={"command_id": command.command_id})
        await drained
        atom.address = first.controller.atom_address
        async with atom.connect():
            ended = await link.ended()
            assert ended is not None
            assert ended.code.name == "links.fenced"


async def test_a_controller_with_another_authority_does_not_join(start: Any, tmp_path: Any, postgres_url: str) -> None:
    shared = {"database": postgres_url, "blobs_dir": tmp_path / "blobs"}
    first = await start(tmp_path / "a", **shared)
    with pytest.raises(Exception, match="authority"):
        await start(tmp_path / "b", admin=first.admin, **shared)


async def test_a_second_controller_on_one_directory_is_refused(start: Any, tmp_path: Any) -> None:
    world = await start(tmp_path / "one")
    with pytest.raises(Exception, match="in use"):
        await start(tmp_path / "one", admin=world.admin)
