"""Yesterday's bytes, committed under golden/: today's code reads them and writes the same.

A change here is a change of what atoms in the field have on their disks. `python tests/bundle/test_golden.py` writes
files that are not there yet; it never replaces one.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dative.bundle.accepted import Accepted, Identity
from dative.bundle.canonical import canonical_json
from dative.bundle.envelope import Envelope
from dative.bundle.freshness import Freshness
from dative.bundle.manifest import ENVELOPE_BYTES_MAX, Manifest, read_document
from dative.bundle.pack import EnvironmentConfig
from dative.bundle.trust import read_trust, walk
from dative.bundle.verify import readopt, verify_freshness
from dative.secrets.seal import SealKey, open_sealed, seal_info
from dative.secrets.sealed_set import SealedSet, open_set, verify_recipients

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 7, 2, tzinfo=UTC)
IDENTITY = Identity("acme", "prod", "default", "atom1", "1.2.0")


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def payload(name: str) -> bytes:
    return Envelope.parse(golden(name), bytes_max=ENVELOPE_BYTES_MAX).payload


@pytest.mark.parametrize("name", ["trust-1.json", "trust-2.json", "manifest.json", "freshness.json"])
def test_an_envelope_is_read_and_written_equal(name: str) -> None:
    assert Envelope.parse(golden(name), bytes_max=ENVELOPE_BYTES_MAX).to_bytes() == golden(name)


def test_the_trust_documents_are_read_walked_and_written_equal() -> None:
    first = read_trust(golden("trust-1.json"))
    second = walk(first, [golden("trust-2.json")], NOW)
    assert first.to_payload() == payload("trust-1.json")
    assert second.to_payload() == payload("trust-2.json")
    assert first.digest == golden("trust-1.digest").decode().strip()


def test_the_manifest_is_read_verified_and_written_equal() -> None:
    accepted = Accepted.parse(golden("accepted.json"))
    trust = read_trust(accepted.trust_envelope)
    manifest = readopt(golden("manifest.json"), trust=trust, identity=IDENTITY, accepted=accepted, now=NOW)
    assert manifest.to_payload() == payload("manifest.json")
    assert Manifest.parse(manifest.to_payload()) == manifest
    assert manifest.digest == golden("manifest.digest").decode().strip()


def test_the_memory_of_an_atom_is_read_and_written_equal() -> None:
    assert Accepted.parse(golden("accepted.json")).to_bytes() == golden("accepted.json")


def test_the_freshness_statement_is_read_verified_and_written_equal() -> None:
    accepted = Accepted.parse(golden("accepted.json"))
    statement = verify_freshness(
        golden("freshness.json"),
        trust=read_trust(accepted.trust_envelope),
        identity=IDENTITY,
        accepted=accepted,
        now=NOW,
    )
    assert statement.to_payload() == payload("freshness.json")
    assert read_document(Freshness, statement.to_payload(), bytes_max=10_000, what="it") == statement


def test_the_environment_is_read_and_written_equal() -> None:
    assert EnvironmentConfig.parse(golden("environment.json")).to_bytes() == golden("environment.json")


def test_the_sealed_set_is_read_opened_and_written_equal() -> None:
    sealed = SealedSet.parse(golden("sealed-secrets.json"))
    assert sealed.to_bytes() == golden("sealed-secrets.json")
    keys = json.loads(golden("keys.json"))
    opened = open_set(golden("sealed-secrets.json"), SealKey.from_bytes(bytes.fromhex(keys["atom1"])), "atom1")
    assert {name: secret.reveal() for name, secret in opened.items()} == {"erp.password": "correct horse"}
    trust = read_trust(golden("trust-2.json"))
    assert verify_recipients(sealed.recipients_envelope, trust=trust, environment_id="prod").list.version == 1


def test_a_sealed_text_of_yesterday_opens() -> None:
    keys = json.loads(golden("keys.json"))
    sealed = base64.b64decode(keys["sealed"])
    opened = open_sealed(
        sealed, SealKey.from_bytes(bytes.fromhex(keys["atom1"])), seal_info("dative/test/v1", "prod", "1")
    )
    assert opened == b"correct horse"


def write(make_world: Any) -> None:
    """Write the golden files that are missing, from the world of the tests."""
    from datetime import timedelta

    from dative.bundle.envelope import sign
    from dative.bundle.manifest import FRESHNESS_TYPE
    from dative.bundle.pack import ConnectionConfig
    from dative.secrets.seal import seal
    from dative.secrets.sealed_set import Recipient, seal_values, sign_recipients

    world = make_world(GOLDEN)
    files: dict[str, bytes] = {"trust-1.json": world.trust_envelope, "trust-1.digest": world.trust.digest.encode()}
    files["trust-2.json"] = world.rotate(raise_epoch=True)
    manifest = world.manifest(generation=7, request_id="01J", signer={"subject": "é", "reason": "\U0001f600"})
    manifest = Manifest.parse(canonical_json(json.loads(manifest.to_payload())))
    world.accept(manifest)
    files["manifest.json"] = world.signed(manifest)
    files["manifest.digest"] = manifest.digest.encode()
    files["accepted.json"] = world.accepted.with_revocation(3).to_bytes()
    statement = Freshness(
        organization_id="acme",
        environment_id="prod",
        molecule_id="default",
        release_epoch=2,
        generation=7,
        manifest_digest=manifest.digest,
        audit_head="ab" * 32,
        revocation_version=3,
        issued_at=world.now,
        expires_at=world.now + timedelta(days=1),
    )
    files["freshness.json"] = sign(FRESHNESS_TYPE, statement.to_payload(), [world.online]).to_bytes()
    files["environment.json"] = EnvironmentConfig(
        environment="production",
        environment_id="prod",
        production=True,
        version=4,
        connections={
            "erp": ConnectionConfig("database", {"url": "postgresql://erp/"}, {"password": "sealed:erp.password"})
        },
        overrides={"sync.batch_rows": "5000"},
    ).to_bytes()
    atom, recovery = SealKey.generate(), SealKey.generate()
    envelope = sign_recipients(
        [Recipient("atom1", atom.public_raw.hex()), Recipient("recovery", recovery.public_raw.hex())],
        [world.release],
        organization_id="acme",
        environment_id="prod",
        version=1,
        now=world.now,
    )
    recipients = verify_recipients(envelope, trust=world.trust, environment_id="prod")
    sealed = seal_values(None, recovery, {"erp.password": "correct horse"}, recipients, "prod")
    files["sealed-secrets.json"] = sealed.to_bytes()
    one = seal(b"correct horse", atom.public_raw, seal_info("dative/test/v1", "prod", "1"))
    files["keys.json"] = canonical_json({"atom1": atom.to_bytes().hex(), "sealed": base64.b64encode(one).decode()})
    for name, data in files.items():
        if not (GOLDEN / name).exists():
            (GOLDEN / name).write_bytes(data)


if __name__ == "__main__":
    import runpy

    write(runpy.run_path(str(Path(__file__).parent / "conftest.py"))["World"])
