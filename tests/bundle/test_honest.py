"""What looks like an attack and must pass: rollbacks, restarts, rotations, freezes; and what is remembered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from dative.bundle.accepted import Accepted
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope, countersign
from dative.bundle.freshness import freshness_warning
from dative.bundle.manifest import ENVELOPE_BYTES_MAX, Audience, Manifest, ProcessEntry
from dative.bundle.trust import read_trust, sign_trust, walk
from dative.bundle.verify import readopt
from dative.errors.bundle import FRESHNESS_BEHIND, FRESHNESS_STALE, FRESHNESS_WITHHELD, BundleRefused

TOP = 2**63 - 1


def test_the_next_generation_is_accepted(world: Any) -> None:
    assert world.verify(world.signed(world.manifest(previous_digest=world.first.digest))).generation == 2


def test_generations_may_be_skipped_because_only_the_newest_counts(world: Any) -> None:
    assert world.verify(world.signed(world.manifest(generation=40, previous_digest=digest_of(b"39")))).generation == 40


def test_a_repeated_push_of_the_accepted_manifest_is_harmless(world: Any) -> None:
    assert world.verify(world.signed(world.first), now=world.now + timedelta(days=900)).digest == world.first.digest


def test_the_push_that_brings_a_rotation_repeats_the_accepted_manifest_and_is_harmless(world: Any) -> None:
    world.rotate(release=[world.second.public])
    again = world.verify(world.signed(world.first))
    world.accepted = world.accepted.with_manifest(again, world.identity, world.trust.version)
    assert readopt(world.signed(world.first), **world.at_restart()) == world.first
    with pytest.raises(BundleRefused) as refused:  # the key that is gone signs nothing new
        world.verify(world.signed(world.manifest()))
    assert refused.value.code.name == "bundle.bad_signature"


def test_an_honest_rollback_is_a_new_generation_with_the_old_content(world: Any) -> None:
    newer = ProcessEntry("sync", 2, 6, "sync/process.json")
    world.accept(world.manifest(generation=2, processes=(newer,)))
    back = world.manifest(
        generation=3, processes=world.first.processes, rollback_of=1, allow_release_counter_decrease=True
    )
    world.accept(back)
    assert world.accepted.position(world.identity).release_counters == {"sync": 5}
    assert world.accepted.position(world.identity).generation == 3


def test_a_fast_forward_by_a_thief_is_undone_by_raising_the_epoch(world: Any) -> None:
    world.accept(world.manifest(generation=TOP))
    with pytest.raises(BundleRefused):  # nothing can follow in this epoch
        world.verify(world.signed(world.manifest(generation=TOP, request_id="x")))
    before = world.trust
    envelope = world.rotate(release=[world.second.public], raise_epoch=True)
    assert walk(before, [envelope], world.now) == world.trust
    recovered = world.manifest(generation=1)
    assert world.verify(world.signed(recovered, world.second)).release_epoch == 2
    world.accepted = world.accepted.with_manifest(recovered, world.identity, world.trust.version)
    with pytest.raises(BundleRefused) as refused:
        world.verify(world.signed(world.manifest(generation=TOP, release_epoch=1), world.second))
    assert refused.value.code.name == "bundle.rollback"


def test_a_freeze_raises_stale_and_nothing_that_runs_changes(world: Any) -> None:
    position = world.accepted.position(world.identity)
    statement = world.fresh()
    assert freshness_warning(statement, position, world.now) is None
    assert freshness_warning(statement, position, world.now + timedelta(hours=24)) is FRESHNESS_STALE
    assert freshness_warning(None, position, world.now) is FRESHNESS_STALE
    later = world.now + timedelta(days=30)
    assert readopt(world.signed(world.first), **world.at_restart(now=later)) == world.first


@pytest.mark.parametrize(
    ("generation", "digest", "warning"),
    [(2, "same", FRESHNESS_WITHHELD), (1, "other", FRESHNESS_WITHHELD), (1, "same", None)],
)
def test_freshness_says_what_differs(world: Any, generation: int, digest: str, warning: Any) -> None:
    named = world.first.digest if digest == "same" else digest_of(b"other")
    statement = world.fresh(generation=generation, manifest_digest=named)
    assert freshness_warning(statement, world.accepted.position(world.identity), world.now) is warning


def test_a_controller_restored_from_a_backup_is_seen_as_behind(world: Any) -> None:
    statement = world.fresh()
    world.accept(world.manifest(generation=5))
    assert freshness_warning(statement, world.accepted.position(world.identity), world.now) is FRESHNESS_BEHIND


def test_a_restart_after_expiry_takes_up_what_was_accepted(world: Any) -> None:
    later = world.now + timedelta(days=2000)  # manifest and trust document have both expired
    assert readopt(world.signed(world.first), **world.at_restart(now=later)) == world.first


def test_a_restart_after_a_key_rotation_takes_up_what_was_accepted(world: Any) -> None:
    world.rotate(release=[world.second.public])
    assert readopt(world.signed(world.first), **world.at_restart()) == world.first


def test_a_restart_before_anything_was_accepted_says_so(world: Any) -> None:
    with pytest.raises(BundleRefused) as refused:
        readopt(world.signed(world.first), **world.at_restart(identity=world.as_atom(molecule_id="new")))
    assert refused.value.code.name == "bundle.blob_missing"


def test_keys_rotate_version_by_version_until_none_of_the_first_is_left(world: Any, make_key: Any) -> None:
    start, chain, document, held = world.trust, [], world.trust, list(world.roots)
    for step in range(5):
        fresh_key = make_key(f"root of step {step}")
        document = world.next_trust(document, root=[held[-1].public, fresh_key.public])
        chain.append(sign_trust(document, [*held, fresh_key]).to_bytes())
        held = [held[-1], fresh_key]
    assert walk(start, chain, world.now) == document
    assert not set(start.roles.root.keyids) & set(document.roles.root.keyids)
    assert walk(start, [], world.now + timedelta(days=2000)) is start  # nothing new, nothing to refuse


def test_an_expired_version_in_the_middle_of_a_chain_is_walked_over(world: Any) -> None:
    old = world.next_trust(expires_at=world.now - timedelta(days=1))
    new = world.next_trust(old)
    chain = [sign_trust(one, world.roots).to_bytes() for one in (old, new)]
    assert walk(world.trust, chain, world.now) == new


def test_the_memory_survives_its_file_and_only_rises(world: Any) -> None:
    world.accept(world.manifest(previous_digest=world.first.digest))
    read_back = Accepted.parse(world.accepted.to_bytes())
    assert read_back == world.accepted
    assert read_trust(read_back.trust_envelope) == world.trust
    assert read_back.with_revocation(7).with_revocation(3).revocation_version == 7
    earlier = world.manifest(generation=3, issued_at=world.now - timedelta(days=30))
    assert read_back.with_manifest(earlier, world.identity, 1).time_floor == read_back.time_floor


def test_molecules_and_environments_are_remembered_apart(world: Any) -> None:
    elsewhere = world.as_atom(molecule_id="berlin")
    assert world.accepted.position(elsewhere) is None
    first_there = world.manifest(audience=Audience("berlin"), generation=1)
    assert world.verify(world.signed(first_there), identity=elsewhere).generation == 1
    both = world.accepted.with_manifest(first_there, elsewhere, 1)
    assert both.position(world.identity) == world.accepted.position(world.identity)


def test_a_named_atom_and_a_newer_patch_version_are_accepted(world: Any) -> None:
    named = world.manifest(audience=Audience("default", ("atom0", "atom1")), min_atom_version="1.2.0")
    assert world.verify(world.signed(named), identity=world.as_atom(atom_version="1.2.0.dev3"))


def test_enough_different_release_keys_pass_whatever_else_signed(world: Any) -> None:
    world.two_must_sign()
    signed = world.signed(world.manifest(), world.stranger, world.second, world.online, world.release)
    assert world.verify(signed).generation == 2


def test_a_second_person_countersigns_the_same_payload(world: Any) -> None:
    world.two_must_sign()
    alone = Envelope.parse(world.signed(world.manifest()), bytes_max=ENVELOPE_BYTES_MAX)
    both = countersign(countersign(alone, world.second), world.second)
    assert both.payload == alone.payload
    assert len(both.signatures) == 2
    assert world.verify(both.to_bytes()).generation == 2


def test_the_digest_follows_from_the_fields_whether_read_or_made(world: Any) -> None:
    made = world.manifest(request_id="\u00e9\U0001f600\n\x7f\x00")
    read = Manifest.parse(made.to_payload())
    assert read == made
    assert read.digest == made.digest == digest_of(made.to_payload())
    assert msgspec.structs.replace(read, generation=9).digest != read.digest
