"""How an invitation becomes an identity: once, for whom it was meant, and again for the same key only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from dative.clock import ManualClock
from dative.rpc import error_from, secure_channel
from dative.v1 import agent_pb2 as a
from dative.v1 import agent_pb2_grpc
from dative.v1 import control_pb2 as c
from dative_controller.config import LimitsConfig
from dative_controller.signing.authority import Authority


async def code_of(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as failed:
        return error_from(failed).code.name
    return "accepted"


async def test_an_atom_gets_an_identity_of_its_environment(world: Any) -> None:
    atom = await world.new_atom("hq-1")
    answer = atom.enrolled
    certificate = x509.load_pem_x509_certificate(answer.certificate_chain_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://{answer.organization_id}/env/{answer.environment_id}/atom/{answer.atom_id}"
    ]
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    assert (answer.name, answer.environment, answer.molecule_id) == ("hq-1", "test", "default")
    assert answer.endpoints == [f"127.0.0.1:{world.controller.atom_address.rpartition(':')[2]}"]


FOREIGN: dict[str, tuple[Callable[[str], str], str]] = {
    "malformed": (lambda _: "at1.nothing", "signing.join_token_malformed"),
    "empty": (lambda _: "", "signing.join_token_malformed"),
    "another secret": (
        lambda text: ".".join([*text.split(".")[:2], "A" * 43, text.split(".")[3]]),
        "enrol.token_invalid",
    ),
    "another controller's": (
        lambda text: ".".join(["at1", "01J", *text.split(".")[2:]]),
        "enrol.token_invalid",
    ),
    "another trust root": (lambda text: ".".join([*text.split(".")[:3], "0" * 64]), "enrol.token_invalid"),
}


@pytest.mark.parametrize(("change", "code"), FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_foreign_token_is_refused(world: Any, change: Callable[[str], str], code: str) -> None:
    token = await world.admin.invite()
    assert await code_of(world.enrol(change(token), "hq-1")) == code
    assert await code_of(world.enrol(token, "hq-1")) == "accepted"


async def test_a_used_token_is_refused(world: Any) -> None:
    token = await world.admin.invite()
    await world.enrol(token, "hq-1")
    assert await code_of(world.enrol(token, "hq-2")) == "enrol.token_used"


async def test_an_expired_token_is_refused(start: Any) -> None:
    clock = ManualClock(datetime.now(UTC))
    world = await start(clock=clock)
    token = await world.admin.invite()
    clock.advance(15 * 60)
    assert await code_of(world.enrol(token, "hq-1")) == "enrol.token_expired"


async def test_of_64_uses_of_one_single_use_token_exactly_one_wins(world: Any) -> None:
    token = await world.admin.invite()
    results = await asyncio.gather(*(code_of(world.enrol(token, f"hq-{n}")) for n in range(64)))
    assert results.count("accepted") == 1
    assert sorted(set(results)) == ["accepted", "enrol.token_used"]
    shown = await world.admin.call(world.admin.fleet.ListAtoms, c.ListAtomsRequest())
    assert len(shown.atoms) == 1


async def test_a_lost_answer_is_given_again_to_the_same_key_only(world: Any) -> None:
    token, key = await world.admin.invite(), ec.generate_private_key(ec.SECP256R1())
    first = await world.enrol(token, "hq-1", key)
    again = await world.enrol(token, "hq-1", key)
    assert again.enrolled.atom_id == first.enrolled.atom_id
    assert again.enrolled.certificate_chain_pem
    assert await code_of(world.enrol(token, "hq-1")) == "enrol.token_used"


async def test_a_taken_name_does_not_use_the_token_up(world: Any) -> None:
    await world.new_atom("hq-1")
    token = await world.admin.invite()
    assert await code_of(world.enrol(token, "hq-1")) == "control.name_taken"
    assert await code_of(world.enrol(token, "hq-2")) == "accepted"


async def test_an_atom_that_needs_approval_waits_for_the_right_fingerprint(world: Any) -> None:
    admin = world.admin
    token, key = await admin.invite(require_approval=True), ec.generate_private_key(ec.SECP256R1())
    pending = await world.enrol(token, "hq-1", key)
    assert not pending.enrolled.certificate_chain_pem
    assert pending.enrolled.retry_after.ToSeconds() > 0
    shown = await admin.atom("hq-1")
    assert shown.state == "pending"
    wrong = c.ApproveAtomRequest(atom="hq-1", seal_key_fingerprint="00:11")
    assert await code_of(admin.call(admin.fleet.ApproveAtom, wrong)) == "fleet.fingerprint_mismatch"
    right = c.ApproveAtomRequest(atom="hq-1", seal_key_fingerprint=shown.seal_key_fingerprint)
    await admin.call(admin.fleet.ApproveAtom, right)
    approved = await world.enrol(token, "hq-1", key)
    async with approved.connect() as link:
        assert link.welcome.session_id


async def test_enrolment_is_refused_when_it_comes_too_often(start: Any) -> None:
    world = await start(limits=LimitsConfig(enrol_per_s=0.01, enrol_burst=2))
    codes = [await code_of(world.enrol("at1.x", "hq-1")) for _ in range(3)]
    assert codes[2] == "rpc.rate_limited"


# ---- mutual TLS: what does not come with a certificate of ours does not come in ----------------------------------


async def test_connections_without_a_valid_certificate_are_refused(world: Any) -> None:
    atom = await world.new_atom()
    own, foreign = world.controller.core.authority, Authority.create("other", now=datetime.now(UTC))
    day, hour = timedelta(days=1), timedelta(hours=1)
    pairs = {
        "expired": atom.certificate(own, age=day, lifetime=hour),
        "not valid yet": atom.certificate(own, age=-day, lifetime=day),
        "another authority's": atom.certificate(foreign, age=timedelta(), lifetime=day),
        "none": None,
    }
    for name, chain in pairs.items():
        channel = secure_channel(
            atom.address,
            ca_pem=atom.enrolled.ca_certificate_pem,
            key_pem=atom.key_pem if chain else None,
            chain_pem=chain,
        )
        async with channel:
            stub = agent_pb2_grpc.AtomServiceStub(channel)
            call = stub.RenewCertificate(a.RenewCertificateRequest(), timeout=10)
            assert await code_of(call) == "rpc.unreachable", name


async def test_a_server_certificate_is_no_identity(world: Any) -> None:
    pair = world.controller.core.authority.issue_server(["atom"], now=datetime.now(UTC))
    channel = secure_channel(
        world.controller.atom_address, ca_pem=world.ca_pem, key_pem=pair.key_pem, chain_pem=pair.chain_pem
    )
    async with channel:
        call = agent_pb2_grpc.AtomServiceStub(channel).RenewCertificate(a.RenewCertificateRequest(), timeout=10)
        assert await code_of(call) in ("rpc.unreachable", "rpc.no_certificate")


async def test_a_renewed_certificate_connects_and_a_revoked_atom_gets_none(world: Any) -> None:
    atom = await world.new_atom()
    async with atom.channel() as channel:
        stub = agent_pb2_grpc.AtomServiceStub(channel)
        atom.key = ec.generate_private_key(ec.SECP256R1())
        renewed = await stub.RenewCertificate(a.RenewCertificateRequest(csr_der=atom.csr))
        atom.enrolled.certificate_chain_pem = renewed.certificate_chain_pem
        async with atom.connect() as link:
            assert link.welcome.session_id
        await world.admin.call(world.admin.fleet.RevokeAtom, c.RevokeAtomRequest(atom="hq-1", reason="stolen"))
        refused = stub.RenewCertificate(a.RenewCertificateRequest(csr_der=atom.csr))
        assert await code_of(refused) == "fleet.atom_revoked"
