"""The published attacks on update systems, one row each, and the honest cases that look like attacks and must pass.

Sources: Cappos et al. 2008 and The Update Framework §1.5.2 (rollback, fast-forward, freeze, endless data, mix and
match, wrong software, key compromise); Uptane; the DSSE specification's notes on confusion of types.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from dative.bundle.blobs import digest_of
from dative.bundle.canonical import canonical_json
from dative.bundle.envelope import Envelope, sign
from dative.bundle.manifest import DEPLOYMENT_TYPE, ENVELOPE_BYTES_MAX, Audience, ProcessEntry
from dative.bundle.trust import walk
from dative.bundle.verify import verify_freshness
from dative.errors.base import DativeError
from dative.errors.bundle import BundleRefused
from dative.errors.trust import TrustRefused

TOP = 2**63 - 1


# What the attacker makes of the good manifest: each takes the world and tries to have something accepted.


def tampered_payload(world: Any) -> None:
    envelope = Envelope.parse(world.signed(world.manifest()), bytes_max=ENVELOPE_BYTES_MAX)
    changed = envelope.payload.replace(b'"generation":2', b'"generation":9')
    assert changed != envelope.payload
    world.verify(Envelope(envelope.payload_type, changed, envelope.signatures).to_bytes())


def tampered_signature(world: Any) -> None:
    body = json.loads(world.signed(world.manifest()))
    signature = bytearray(base64.b64decode(body["signatures"][0]["sig"]))
    signature[10] ^= 1
    body["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    world.verify(canonical_json(body))


def unsigned(world: Any) -> None:
    world.verify(sign(DEPLOYMENT_TYPE, world.manifest().to_payload(), []).to_bytes())


def wrong_key(world: Any) -> None:
    world.verify(world.signed(world.manifest(), world.stranger))


def wrong_key_under_a_trusted_keyid(world: Any) -> None:
    body = json.loads(world.signed(world.manifest(), world.stranger))
    body["signatures"][0]["keyid"] = world.release.keyid
    world.verify(canonical_json(body))


def online_key_signs_a_manifest(world: Any) -> None:
    world.verify(world.signed(world.manifest(), world.online))


def root_key_signs_a_manifest(world: Any) -> None:
    world.verify(world.signed(world.manifest(), world.roots[0]))


def release_key_signs_freshness(world: Any) -> None:
    world.fresh(signer=world.release)


def below_threshold(world: Any) -> None:
    world.two_must_sign()
    world.verify(world.signed(world.manifest(), world.release))


def one_key_signs_twice(world: Any) -> None:
    world.two_must_sign()
    world.verify(world.signed(world.manifest(), world.release, world.release))


def one_key_signs_twice_under_two_keyids(world: Any) -> None:
    world.two_must_sign()
    body = json.loads(world.signed(world.manifest(), world.release, world.release))
    body["signatures"][1]["keyid"] = world.stranger.keyid
    world.verify(canonical_json(body))


def expired(world: Any) -> None:
    world.verify(world.signed(world.manifest()), now=world.now + timedelta(days=90))


def expired_with_the_clock_set_back(world: Any) -> None:
    short = world.manifest(expires_at=world.now + timedelta(days=1))
    later = world.manifest(issued_at=world.now + timedelta(days=3), expires_at=world.now + timedelta(days=9))
    # Something issued on day 3 was accepted, so it can not be day 0 again.
    accepted = world.accepted.with_manifest(later, world.as_atom(environment_id="other"), 1)
    world.verify(world.signed(short), accepted=accepted, now=world.now)


def issued_in_the_future(world: Any) -> None:
    world.verify(world.signed(world.manifest(issued_at=world.now + timedelta(hours=2))))


def expired_trust(world: Any) -> None:
    long = world.manifest(expires_at=world.now + timedelta(days=1000))
    world.verify(world.signed(long), now=world.now + timedelta(days=365))


def rollback(world: Any) -> None:
    world.accept(world.manifest(generation=2, previous_digest=world.first.digest))
    world.verify(world.signed(world.first))


def rollback_from_the_top(world: Any) -> None:
    world.accept(world.manifest(generation=TOP))
    world.verify(world.signed(world.manifest(generation=TOP - 1)))


def equivocation(world: Any) -> None:
    world.verify(world.signed(world.manifest(generation=1, request_id="another")))


def equivocation_about_the_past(world: Any) -> None:
    world.verify(world.signed(world.manifest(previous_digest=digest_of(b"another generation 1"))))


def process_rollback_in_a_new_generation(world: Any) -> None:
    entry = ProcessEntry("sync", 1, 4, "sync/process.json")
    world.verify(world.signed(world.manifest(processes=(entry,))))


def process_rollback_by_leaving_it_out_once(world: Any) -> None:
    world.accept(world.manifest(processes=()))
    entry = ProcessEntry("sync", 1, 4, "sync/process.json")
    world.verify(world.signed(world.manifest(generation=3, processes=(entry,))))


def older_epoch(world: Any) -> None:
    old = world.manifest(generation=TOP)
    world.rotate(raise_epoch=True)
    world.verify(world.signed(old))


def thief_raises_the_epoch_himself(world: Any) -> None:
    world.verify(world.signed(world.manifest(release_epoch=2)))


def trust_too_old(world: Any) -> None:
    world.verify(world.signed(world.manifest(trust_version=2)))


def wrong_organization(world: Any) -> None:
    world.verify(world.signed(world.manifest(organization_id="evil")))


def foreign_trust(world: Any) -> None:
    theirs = world.signed(world.manifest(organization_id="evil"))
    world.verify(theirs, identity=world.as_atom(organization_id="evil"))


def wrong_environment(world: Any) -> None:
    world.verify(world.signed(world.manifest(environment_id="test")))


def wrong_molecule(world: Any) -> None:
    world.verify(world.signed(world.manifest(audience=Audience("berlin"))))


def wrong_atom(world: Any) -> None:
    world.verify(world.signed(world.manifest(audience=Audience("default", ("atom2", "atom3")))))


def engine_too_old(world: Any) -> None:
    world.verify(world.signed(world.manifest(min_atom_version="1.10.0")))


def trust_document_as_manifest(world: Any) -> None:
    world.verify(world.trust_envelope)


def trust_payload_relabelled_as_manifest(world: Any) -> None:
    parsed = Envelope.parse(world.trust_envelope, bytes_max=ENVELOPE_BYTES_MAX)
    world.verify(Envelope(DEPLOYMENT_TYPE, parsed.payload, parsed.signatures).to_bytes())


def manifest_as_trust_document(world: Any) -> None:
    walk(world.trust, [world.signed(world.manifest(), *world.roots)], world.now)


def manifest_as_freshness(world: Any) -> None:
    verify_freshness(
        world.signed(world.manifest(), world.online),
        trust=world.trust,
        identity=world.identity,
        accepted=world.accepted,
        now=world.now,
    )


# Documents that a careless reader would take in. All of them carry a good signature of the release key.


def unknown_key(world: Any) -> None:
    world.verify_raw(world.altered(run_as="root"))


def missing_key(world: Any) -> None:
    body = json.loads(world.manifest().to_payload())
    del body["policy"]
    world.verify_raw(canonical_json(body))


def duplicate_key(world: Any) -> None:
    world.verify_raw(world.manifest().to_payload().replace(b'"generation":2', b'"generation":1,"generation":2'))


def duplicate_key_in_the_envelope(world: Any) -> None:
    world.verify(world.signed(world.manifest()).replace(b'{"payload":', b'{"payload":"","payload":', 1))


def not_a_number(world: Any) -> None:
    world.verify_raw(world.manifest().to_payload().replace(b'"generation":2', b'"generation":NaN'))


def a_float(world: Any) -> None:
    world.verify_raw(world.manifest().to_payload().replace(b'"generation":2', b'"generation":2.0'))


def integer_beyond_63_bits(world: Any) -> None:
    world.verify_raw(world.manifest().to_payload().replace(b'"generation":2', b'"generation":9223372036854775808'))


def a_million_digits(world: Any) -> None:
    world.verify_raw(world.manifest().to_payload().replace(b'"generation":2', b'"generation":' + b"9" * 1_000_000))


def zero_generation(world: Any) -> None:
    world.verify_raw(world.altered(generation=0))


def text_for_a_number(world: Any) -> None:
    world.verify_raw(world.altered(generation="2"))


def truth_for_a_number(world: Any) -> None:
    world.verify_raw(world.altered(generation=True))


def time_without_zone(world: Any) -> None:
    world.verify_raw(world.altered(issued_at="2026-07-01T12:00:00"))


def spaces_between(world: Any) -> None:
    world.verify_raw(json.dumps(json.loads(world.manifest().to_payload()), sort_keys=True).encode())


def depth_bomb(world: Any) -> None:
    world.verify_raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def depth_bomb_as_the_envelope(world: Any) -> None:
    world.verify(b"[" * 1_000_000)


def ten_megabyte_envelope(world: Any) -> None:
    world.verify(b'{"payload":"' + b"A" * 10_000_000 + b'"}')


def manifest_over_a_megabyte_in_an_envelope_that_is_not(world: Any) -> None:
    world.verify_raw(world.altered(request_id="x" * (1 << 20)))


def a_thousand_signatures(world: Any) -> None:
    body = json.loads(world.signed(world.manifest()))
    body["signatures"] *= 1000
    world.verify(canonical_json(body))


def not_utf8(world: Any) -> None:
    world.verify(b"\xff\xfe{}")


def empty(world: Any) -> None:
    world.verify(b"")


def half_a_surrogate_pair(world: Any) -> None:
    world.verify_raw(world.manifest().to_payload().replace(b'"first release"', rb'"\ud800"'))


def one_process_twice(world: Any) -> None:
    entry = {"process_id": "sync", "version": 1, "release_counter": 5, "artifact": "sync/process.json"}
    world.verify_raw(world.altered(processes=[entry, entry]))


def one_artifact_name_twice(world: Any) -> None:
    one = msgspec.to_builtins(world.manifest().artifacts[0])
    world.verify_raw(world.altered(artifacts=[one, one | {"digest": digest_of(b"other")}]))


def one_digest_with_two_sizes(world: Any) -> None:
    one = msgspec.to_builtins(world.manifest().artifacts[0])
    world.verify_raw(world.altered(artifacts=[one, one | {"name": "again.json", "size": 1}]))


def process_that_is_a_table(world: Any) -> None:
    one = msgspec.to_builtins(world.manifest().artifacts[0])
    world.verify_raw(world.altered(artifacts=[one | {"media_type": "application/vnd.dative.table.v1+csv"}]))


# Freshness.


def stale_statement(world: Any) -> None:
    world.fresh(issued_at=world.now - timedelta(hours=25), expires_at=world.now - timedelta(hours=1))


def freshness_from_the_future(world: Any) -> None:
    world.fresh(issued_at=world.now + timedelta(hours=2))


def revocation_rollback(world: Any) -> None:
    world.accepted = world.accepted.with_revocation(7)
    world.fresh(revocation_version=6)


def freshness_of_another_environment(world: Any) -> None:
    world.fresh(environment_id="test")


ATTACKS = [
    (tampered_payload, "bundle.bad_signature"),
    (tampered_signature, "bundle.bad_signature"),
    (unsigned, "bundle.below_threshold"),
    (wrong_key, "bundle.bad_signature"),
    (wrong_key_under_a_trusted_keyid, "bundle.bad_signature"),
    (online_key_signs_a_manifest, "bundle.wrong_role"),
    (root_key_signs_a_manifest, "bundle.wrong_role"),
    (release_key_signs_freshness, "bundle.wrong_role"),
    (below_threshold, "bundle.below_threshold"),
    (one_key_signs_twice, "bundle.below_threshold"),
    (one_key_signs_twice_under_two_keyids, "bundle.below_threshold"),
    (expired, "bundle.expired"),
    (expired_with_the_clock_set_back, "bundle.expired"),
    (issued_in_the_future, "bundle.not_yet_valid"),
    (expired_trust, "trust.expired"),
    (rollback, "bundle.rollback"),
    (rollback_from_the_top, "bundle.rollback"),
    (equivocation, "bundle.equivocation"),
    (equivocation_about_the_past, "bundle.equivocation"),
    (process_rollback_in_a_new_generation, "bundle.rollback"),
    (process_rollback_by_leaving_it_out_once, "bundle.rollback"),
    (older_epoch, "bundle.rollback"),
    (thief_raises_the_epoch_himself, "bundle.trust_too_old"),
    (trust_too_old, "bundle.trust_too_old"),
    (wrong_organization, "bundle.wrong_organization"),
    (foreign_trust, "bundle.wrong_organization"),
    (wrong_environment, "bundle.wrong_environment"),
    (wrong_molecule, "bundle.wrong_molecule"),
    (wrong_atom, "bundle.wrong_atom"),
    (engine_too_old, "bundle.engine_too_old"),
    (trust_document_as_manifest, "bundle.wrong_type"),
    (trust_payload_relabelled_as_manifest, "bundle.bad_signature"),
    (manifest_as_trust_document, "bundle.wrong_type"),
    (manifest_as_freshness, "bundle.wrong_type"),
    (unknown_key, "bundle.malformed"),
    (missing_key, "bundle.malformed"),
    (duplicate_key, "bundle.malformed"),
    (duplicate_key_in_the_envelope, "bundle.malformed"),
    (not_a_number, "bundle.malformed"),
    (a_float, "bundle.malformed"),
    (integer_beyond_63_bits, "bundle.malformed"),
    (a_million_digits, "bundle.malformed"),
    (zero_generation, "bundle.malformed"),
    (text_for_a_number, "bundle.malformed"),
    (truth_for_a_number, "bundle.malformed"),
    (time_without_zone, "bundle.malformed"),
    (spaces_between, "bundle.malformed"),
    (depth_bomb, "bundle.malformed"),
    (depth_bomb_as_the_envelope, "bundle.malformed"),
    (ten_megabyte_envelope, "bundle.too_large"),
    (manifest_over_a_megabyte_in_an_envelope_that_is_not, "bundle.too_large"),
    (a_thousand_signatures, "bundle.too_large"),
    (not_utf8, "bundle.malformed"),
    (empty, "bundle.malformed"),
    (half_a_surrogate_pair, "bundle.malformed"),
    (one_process_twice, "bundle.malformed"),
    (one_artifact_name_twice, "bundle.malformed"),
    (one_digest_with_two_sizes, "bundle.malformed"),
    (process_that_is_a_table, "bundle.malformed"),
    (stale_statement, "freshness.stale"),
    (freshness_from_the_future, "bundle.not_yet_valid"),
    (revocation_rollback, "bundle.rollback"),
    (freshness_of_another_environment, "bundle.wrong_environment"),
]


@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_the_attack_is_refused_with_its_code(world: Any, attack: Any, code: str) -> None:
    with pytest.raises(DativeError) as refused:
        attack(world)
    assert refused.value.code.name == code
    assert isinstance(refused.value, BundleRefused | TrustRefused)
    assert refused.value.message
    assert refused.value.next
