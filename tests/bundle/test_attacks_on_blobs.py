"""Attacks on blobs, names and what lies on the atom's disk, one row each."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest
from dative.bundle.blobs import BlobStore, digest_of
from dative.bundle.manifest import Artifact, Audience
from dative.bundle.verify import readopt, verify_blob
from dative.errors.base import DativeError
from dative.errors.bundle import BundleRefused
from dative.errors.trust import TrustRefused


def flipped_byte(world: Any) -> None:
    verify_blob(world.manifest().artifacts[0], bytes([world.process[0] ^ 1]) + world.process[1:])


def mix_and_match(world: Any) -> None:
    # A good blob of another, older deployment under this one's name.
    verify_blob(world.manifest().artifacts[0], b'{"kind":"Process","old":1}')


def short_blob(world: Any) -> None:
    verify_blob(world.manifest().artifacts[0], world.process[:-1])


def missing_blob(world: Any) -> None:
    verify_blob(world.manifest().artifacts[0], world.disk / "absent")


def missing_blob_in_the_store(world: Any) -> None:
    BlobStore(world.disk).open(digest_of(b"absent"))


def other_bytes_into_the_store(world: Any) -> None:
    BlobStore(world.disk).put(b"other", digest_of(world.process))


def digest_as_path(world: Any) -> None:
    BlobStore(world.disk).path("sha256:../../../../etc/passwd")


def digest_with_a_line_end(world: Any) -> None:
    BlobStore(world.disk).path("sha256:" + "0" * 64 + "\n")


def readopt_another_manifest(world: Any) -> None:
    readopt(world.signed(world.manifest()), **world.at_restart())


def readopt_with_the_signature_changed(world: Any) -> None:
    readopt(world.signed(world.first, world.stranger), **world.at_restart())


def readopt_after_moving_the_disk_to_another_atom(world: Any) -> None:
    only = world.manifest(audience=Audience("default", ("atom1",)))
    world.accept(only)
    readopt(world.signed(only), **world.at_restart(identity=world.as_atom(atom_id="atom2")))


ATTACKS = [
    (flipped_byte, "bundle.blob_mismatch"),
    (mix_and_match, "bundle.blob_mismatch"),
    (short_blob, "bundle.blob_mismatch"),
    (missing_blob, "bundle.blob_missing"),
    (missing_blob_in_the_store, "bundle.blob_missing"),
    (other_bytes_into_the_store, "bundle.blob_mismatch"),
    (digest_as_path, "bundle.bad_name"),
    (digest_with_a_line_end, "bundle.bad_name"),
    (readopt_another_manifest, "bundle.equivocation"),
    (readopt_with_the_signature_changed, "bundle.bad_signature"),
    (readopt_after_moving_the_disk_to_another_atom, "bundle.wrong_atom"),
]


@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_the_attack_is_refused_with_its_code(world: Any, attack: Any, code: str) -> None:
    with pytest.raises(DativeError) as refused:
        attack(world)
    assert refused.value.code.name == code
    assert isinstance(refused.value, BundleRefused | TrustRefused)
    assert refused.value.message
    assert refused.value.next


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "UPPER",
        "a b",
        "a\\b",
        "a\0b",
        "a\n",
        "",
        "-x",
        "con:x",
        "é",
        "a" * 129,
        "a/b/c/d/e",
        "/".join(["a" * 128] * 3),
    ],
)
def test_an_artifact_with_an_odd_name_is_refused(world: Any, name: str) -> None:
    one = msgspec.to_builtins(world.manifest().artifacts[0])
    with pytest.raises(BundleRefused) as refused:
        world.verify_raw(world.altered(artifacts=[one, one | {"name": name}]))
    assert refused.value.code.name == "bundle.malformed"


def test_endless_data_stops_at_the_first_byte_past_the_signed_size(tmp_path: Any) -> None:
    blob = b"x" * 1000
    writer = BlobStore(tmp_path).writer(digest_of(blob), len(blob))
    writer.write(blob)
    with pytest.raises(BundleRefused) as refused:
        writer.write(b"x")
    assert refused.value.code.name == "bundle.blob_mismatch"
    assert not list(tmp_path.rglob("*.*"))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_blob_on_disk_that_grew_is_read_to_its_signed_size_and_no_further(tmp_path: Any) -> None:
    grown = tmp_path / "grown"
    with grown.open("wb") as file:
        file.truncate(1 << 30)  # sparse
    artifact = Artifact("a.json", digest_of(b"x"), 1, "application/json")
    tracemalloc.start()
    try:
        with pytest.raises(BundleRefused):
            verify_blob(artifact, grown)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
