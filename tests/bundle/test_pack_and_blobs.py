"""Packing gives the same bytes for the same input; blobs arrive in pieces, survive interruptions, and go when unused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dative.bundle.blobs import BlobStore, digest_of, write_whole
from dative.bundle.manifest import ENVIRONMENT_MEDIA, PROCESS_MEDIA, SEALED_SECRETS_MEDIA, TABLE_MEDIA
from dative.bundle.pack import ConnectionConfig, EnvironmentConfig, PackedProcess, pack, process_entries
from dative.bundle.verify import verify_blob
from dative.errors.bundle import BundleRefused

BLOB = bytes(range(256)) * 1000


def environment(**connections: ConnectionConfig) -> EnvironmentConfig:
    return EnvironmentConfig(
        environment="production", environment_id="prod", production=True, version=4, connections=connections
    )


def test_the_same_input_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    erp, crm = ConnectionConfig("database", {"a": "1", "b": "2"}), ConnectionConfig("salesforce")
    same = ConnectionConfig("database", {"b": "2", "a": "1"})
    sync = PackedProcess("sync", 1, 1, b"{}", {"rates": b"EUR,1\n", "xref": b"a,b\n"})
    other = PackedProcess("other", 2, 3, b"[]")
    swapped = PackedProcess("sync", 1, 1, b"{}", {"xref": b"a,b\n", "rates": b"EUR,1\n"})
    one = pack([sync, other], environment(erp=erp, crm=crm), b"sealed")
    two = pack([other, swapped], environment(crm=crm, erp=same), b"sealed")
    assert one == two
    assert process_entries([sync, other]) == process_entries([other, sync])


def test_a_bundle_lists_every_part_with_its_kind_and_fits_a_manifest(world: Any) -> None:
    processes = [PackedProcess("sync", 1, 9, b"{}", {"rates": b"EUR,1\n"})]
    artifacts, blobs = pack(processes, environment(), b"sealed")
    assert [(artifact.name, artifact.media_type) for artifact in artifacts] == [
        ("environment.json", ENVIRONMENT_MEDIA),
        ("sealed-secrets.json", SEALED_SECRETS_MEDIA),
        ("sync/process.json", PROCESS_MEDIA),
        ("sync/rates.csv", TABLE_MEDIA),
    ]
    for artifact in artifacts:
        verify_blob(artifact, blobs[artifact.digest])
    manifest = world.manifest(processes=process_entries(processes), artifacts=tuple(artifacts))
    assert world.verify(world.signed(manifest)).artifacts_of(TABLE_MEDIA) == (artifacts[3],)
    assert pack([], environment(), None)[0] == [artifacts[0]]


def test_equal_bytes_are_one_blob() -> None:
    artifacts, blobs = pack([PackedProcess("a", 1, 1, b"{}"), PackedProcess("b", 1, 1, b"{}")], environment(), None)
    assert (len(artifacts), len(blobs)) == (3, 2)


@pytest.mark.parametrize(
    "processes",
    [
        [PackedProcess("../up", 1, 1, b"")],
        [PackedProcess("a/b", 1, 1, b"")],
        [PackedProcess("Sync", 1, 1, b"")],
        [PackedProcess("sync", 1, 1, b"", {"../rates": b""})],
        [PackedProcess("sync", 1, 1, b"", {"": b""})],
        [PackedProcess("sync", 1, 1, b""), PackedProcess("sync", 2, 2, b"x")],
    ],
)
def test_a_name_that_could_mean_something_else_is_not_packed(processes: list[PackedProcess]) -> None:
    with pytest.raises(BundleRefused) as refused:
        pack(processes, environment(), None)
    assert refused.value.code.name == "bundle.bad_name"


def test_the_environment_is_read_as_it_was_packed() -> None:
    packed = environment(erp=ConnectionConfig("database", {"url": "postgresql://é/"}, {"password": "sealed:erp.x"}))
    assert EnvironmentConfig.parse(packed.to_bytes()) == packed


@pytest.mark.parametrize("piece", [1000, 65_536, len(BLOB)])
def test_a_blob_arrives_whole_in_whatever_pieces(tmp_path: Path, piece: int) -> None:
    store = BlobStore(tmp_path)
    writer = store.writer(digest_of(BLOB), len(BLOB))
    for start in range(0, len(BLOB), piece):
        assert not store.has(digest_of(BLOB))
        writer.write(BLOB[start : start + piece])
    writer.finish()
    writer.close()
    assert store.read(digest_of(BLOB), len(BLOB)) == BLOB
    assert store.path(digest_of(BLOB)).stat().st_mode & 0o077 == 0


def test_a_broken_reception_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    first = store.writer(digest_of(BLOB), len(BLOB))
    first.write(BLOB[:100_000])
    first.close()
    again = store.writer(digest_of(BLOB), len(BLOB))
    assert again.offset == 100_000
    again.write(BLOB[again.offset :])
    again.finish()
    assert store.read(digest_of(BLOB), len(BLOB)) == BLOB


def test_a_part_that_went_bad_on_disk_is_thrown_away_and_fetched_from_the_start(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    first = store.writer(digest_of(BLOB), len(BLOB))
    first.write(BLOB[:1000])
    first.close()
    (part,) = (tmp_path / "staging").iterdir()
    part.write_bytes(b"x" * 1000)
    again = store.writer(digest_of(BLOB), len(BLOB))
    again.write(BLOB[1000:])
    with pytest.raises(BundleRefused):
        again.finish()
    clean = store.writer(digest_of(BLOB), len(BLOB))
    assert clean.offset == 0
    clean.write(BLOB)
    clean.finish()
    assert store.has(digest_of(BLOB))


def test_a_part_longer_than_the_blob_is_not_gone_on_with(tmp_path: Path) -> None:
    part = tmp_path / "staging" / digest_of(b"ab")[7:]
    part.parent.mkdir()
    part.write_bytes(b"abc")
    with BlobStore(tmp_path).writer(digest_of(b"ab"), 2) as writer:
        assert writer.offset == 0


def test_a_short_blob_does_not_finish(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    writer = store.writer(digest_of(BLOB), len(BLOB))
    writer.write(BLOB[:-1])
    with pytest.raises(BundleRefused):
        writer.finish()
    assert not store.has(digest_of(BLOB))


def test_a_blob_of_no_bytes_is_a_blob(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.writer(digest_of(b""), 0).finish()
    assert store.read(digest_of(b""), 0) == b""


def test_what_no_manifest_names_is_swept_and_the_rest_stays(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    for content in (b"keep", b"drop", b"drop too"):
        store.put(content, digest_of(content))
    store.writer(digest_of(BLOB), len(BLOB)).close()
    (tmp_path / "README").write_text("not ours")
    assert store.sweep({digest_of(b"keep")}) == 2
    assert list(store.digests()) == [digest_of(b"keep")]
    assert not list((tmp_path / "staging").iterdir())
    assert (tmp_path / "README").exists()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "accepted.json"
    write_whole(target, b"old")
    with pytest.raises(TypeError):
        write_whole(target, "no bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    write_whole(target, b"new", mode=0o644)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o644
