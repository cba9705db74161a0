"""Attacks on the trust document and its chain, one row each, and the rotations that must pass."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from dative.bundle.canonical import canonical_json
from dative.bundle.envelope import sign
from dative.bundle.manifest import TRUST_TYPE
from dative.bundle.trust import new_trust, pinned, read_trust, sign_trust, walk
from dative.errors.base import DativeError
from dative.errors.bundle import BundleRefused
from dative.errors.trust import TrustRefused


def skipped_trust_version(world: Any) -> None:
    world.walk(world.next_trust(world.next_trust()))


def missing_threshold_of_the_old_root(world: Any) -> None:
    new = world.next_trust(root=[world.stranger.public, world.roots[0].public])
    world.walk(new, keys=[world.stranger, world.roots[0]])


def missing_threshold_of_the_new_root(world: Any) -> None:
    world.walk(world.next_trust(root=[world.stranger.public], root_threshold=1))


def the_release_key_makes_itself_root(world: Any) -> None:
    new = world.next_trust(root=[world.release.public], release=[world.stranger.public], root_threshold=1)
    world.walk(new, keys=[world.release])


def trust_rollback(world: Any) -> None:
    world.rotate()
    walk(world.trust, [world.trust_envelope], world.now)


def trust_epoch_lowered(world: Any) -> None:
    world.rotate(raise_epoch=True)
    world.walk(msgspec.structs.replace(world.next_trust(), release_epoch=1))


def trust_of_another_organization(world: Any) -> None:
    world.walk(msgspec.structs.replace(world.next_trust(), organization_id="evil"))


def trust_that_has_expired(world: Any) -> None:
    world.walk(world.next_trust(expires_at=world.now))


def key_under_the_id_of_another(world: Any) -> None:
    body = json.loads(world.next_trust().to_payload())
    body["keys"][world.release.keyid] = world.stranger.public.raw.hex()
    walk(
        world.trust,
        [sign(TRUST_TYPE, canonical_json(body), world.roots).to_bytes()],
        world.now,
    )


def one_key_for_two_roles(world: Any) -> None:
    world.next_trust(release=[world.online.public])


def threshold_out_of_reach(world: Any) -> None:
    world.next_trust(release_threshold=2)


def threshold_of_none(world: Any) -> None:
    body = json.loads(world.next_trust().to_payload())
    body["roles"]["release"]["threshold"] = 0
    walk(
        world.trust,
        [sign(TRUST_TYPE, canonical_json(body), world.roots).to_bytes()],
        world.now,
    )


def revoked_key(world: Any) -> None:
    world.rotate(release=[world.stranger.public])
    world.verify(world.signed(world.manifest(), world.release))


def first_document_of_another_root(world: Any) -> None:
    theirs = new_trust(
        organization_id="acme",
        root=[world.stranger.public],
        release=[world.second.public],
        online=[world.online.public],
        expires_at=world.now + timedelta(days=1),
    )
    pinned(sign_trust(theirs, [world.stranger]).to_bytes(), world.trust.digest, world.now)


def first_document_half_signed(world: Any) -> None:
    pinned(sign_trust(world.trust, world.roots[:1]).to_bytes(), world.trust.digest, world.now)


def first_document_that_has_expired(world: Any) -> None:
    pinned(world.trust_envelope, world.trust.digest, world.now + timedelta(days=365))


def stored_document_half_signed(world: Any) -> None:
    read_trust(sign_trust(world.trust, [world.roots[1], world.stranger]).to_bytes())


def key_that_is_not_listed(world: Any) -> None:
    body = json.loads(world.next_trust().to_payload())
    del body["keys"][world.release.keyid]
    walk(world.trust, [sign(TRUST_TYPE, canonical_json(body), world.roots).to_bytes()], world.now)


def one_key_listed_twice_to_reach_a_threshold(world: Any) -> None:
    world.next_trust(release=[world.release.public, world.release.public], release_threshold=2)


def endless_chain(world: Any) -> None:
    walk(world.trust, [world.trust_envelope] * 257, world.now)


ATTACKS = [
    (first_document_of_another_root, "trust.not_pinned"),
    (first_document_half_signed, "trust.below_threshold"),
    (first_document_that_has_expired, "trust.expired"),
    (stored_document_half_signed, "trust.below_threshold"),
    (key_that_is_not_listed, "bundle.malformed"),
    (one_key_listed_twice_to_reach_a_threshold, "trust.malformed"),
    (endless_chain, "trust.chain_too_long"),
    (skipped_trust_version, "trust.version_skipped"),
    (missing_threshold_of_the_old_root, "trust.below_threshold"),
    (missing_threshold_of_the_new_root, "trust.below_threshold"),
    (the_release_key_makes_itself_root, "trust.below_threshold"),
    (trust_rollback, "trust.rollback"),
    (trust_epoch_lowered, "trust.rollback"),
    (trust_of_another_organization, "trust.wrong_organization"),
    (trust_that_has_expired, "trust.expired"),
    (key_under_the_id_of_another, "bundle.malformed"),
    (one_key_for_two_roles, "trust.malformed"),
    (threshold_out_of_reach, "trust.malformed"),
    (threshold_of_none, "bundle.malformed"),
    (revoked_key, "bundle.bad_signature"),
]


@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_the_attack_is_refused_with_its_code(world: Any, attack: Any, code: str) -> None:
    with pytest.raises(DativeError) as refused:
        attack(world)
    assert refused.value.code.name == code
    assert isinstance(refused.value, BundleRefused | TrustRefused)
    assert refused.value.message
    assert refused.value.next


def test_the_pinned_document_is_taken(world: Any) -> None:
    assert pinned(world.trust_envelope, world.trust.digest, world.now) == world.trust
