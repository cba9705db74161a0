"""Canonical JSON, DSSE envelopes, the manifest and blobs: same input, same bytes, and every odd input refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dative.bundle.blobs import BlobStore, digest_of
from dative.bundle.canonical import canonical_json, parse_strict
from dative.bundle.envelope import Envelope, Signature, sign, verified_payload
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import Artifact, Audience, Manifest, ProcessEntry
from dative.errors.bundle import BundleRefused
from hypothesis import given
from hypothesis import strategies as st

KIND = "application/vnd.dative.deployment.v1+json"
A, B, C = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
KEYS = {key.keyid: key.public for key in (A, B)}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("aé\U0001f600z", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_written_is_read_and_written_the_same(value: Any) -> None:
    written = canonical_json(value)
    again = parse_strict(written, bytes_max=1 << 20)
    assert again == json.loads(json.dumps(value))
    assert canonical_json(again) == written


def test_keys_come_in_one_order() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == canonical_json({"a": [True, None, "é"], "b": 1})


@pytest.mark.parametrize("value", [1.5, float("nan"), {1: 2}, b"bytes", 2**63, "\ud800"], ids=repr)
def test_a_value_without_one_byte_form_is_refused(value: Any) -> None:
    with pytest.raises(BundleRefused):
        canonical_json(value)


UNREADABLE = {
    "duplicate key": b'{"a":1,"a":2}',
    "NaN": b"[NaN]",
    "float": b"[1.0]",
    "huge integer": b"[" + b"9" * 30 + b"]",
    "depth bomb": b"[" * 3000 + b"]" * 3000,
    "trailing": b"{} {}",
    "not UTF-8": b'"\xff"',
    "lone surrogate": b'"\\ud800"',
    "too long": b'"' + b"x" * 2000 + b'"',
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_json_that_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(BundleRefused):
        parse_strict(data, bytes_max=1000 if data.startswith(b'"x') else 100_000)


def test_depth_is_bounded_whatever_the_parser_could_bear() -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        assert parse_strict(opening * 32 + b"1" + closing * 32, bytes_max=1000)
        with pytest.raises(BundleRefused):
            parse_strict(opening * 33 + b"1" + closing * 33, bytes_max=1000)
    deep: Any = 1
    for _ in range(33):
        deep = [deep]
    with pytest.raises(BundleRefused):
        canonical_json(deep)


def test_brackets_inside_strings_are_no_depth() -> None:
    assert parse_strict(b'["' + b"[" * 100 + b'\\"]"]', bytes_max=1000) == ["[" * 100 + '"]']


def twice(envelope: Envelope) -> Envelope:
    return Envelope(envelope.payload_type, envelope.payload, envelope.signatures * 2)


ENVELOPES: list[tuple[str, Callable[[], Envelope], str]] = [
    ("unsigned", lambda: sign(KIND, b"x", []), "bundle.below_threshold"),
    ("a stranger's key", lambda: sign(KIND, b"x", [C]), "bundle.bad_signature"),
    ("one of two", lambda: sign(KIND, b"x", [A]), "bundle.below_threshold"),
    ("one key twice", lambda: twice(sign(KIND, b"x", [A])), "bundle.below_threshold"),
    ("another type", lambda: sign("application/x", b"x", [A, B]), "bundle.wrong_type"),
    (
        "another payload",
        lambda: Envelope(KIND, b"y", sign(KIND, b"x", [A, B]).signatures),
        "bundle.bad_signature",
    ),
    (
        "another type's signatures",
        lambda: Envelope(KIND, b"x", sign("application/x", b"x", [A, B]).signatures),
        "bundle.bad_signature",
    ),
    (
        "a claimed keyid",
        lambda: Envelope(KIND, b"x", (Signature(A.keyid, C.sign(b"x")), Signature(B.keyid, C.sign(b"x")))),
        "bundle.bad_signature",
    ),
]


@pytest.mark.parametrize(("envelope", "code"), [row[1:] for row in ENVELOPES], ids=[row[0] for row in ENVELOPES])
def test_an_envelope_below_its_threshold_of_trusted_keys_is_refused(
    envelope: Callable[[], Envelope], code: str
) -> None:
    with pytest.raises(BundleRefused) as refused:
        verified_payload(envelope(), payload_type=KIND, keys=KEYS, threshold=2)
    assert refused.value.code.name == code


def test_two_different_trusted_keys_pass_whatever_their_hints_say() -> None:
    good = sign(KIND, b"x", [A, B])
    misleading = Envelope(KIND, b"x", tuple(Signature("nobody", each.sig) for each in good.signatures))
    for envelope in (good, misleading, Envelope.parse(good.to_bytes(), bytes_max=10_000)):
        assert verified_payload(envelope, payload_type=KIND, keys=KEYS, threshold=2) == b"x"


@given(st.data())
def test_no_flipped_byte_changes_an_accepted_payload(data: st.DataObject) -> None:
    written = bytearray(sign(KIND, b'{"generation":7}', [A, B]).to_bytes())
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))
    try:
        payload = verified_payload(
            Envelope.parse(bytes(written), bytes_max=10_000), payload_type=KIND, keys=KEYS, threshold=2
        )
    except BundleRefused:
        return
    assert payload == b'{"generation":7}'


def manifest(**changes: Any) -> Manifest:
    process = Artifact("sync", "sha256:" + "0" * 64, 10, "application/vnd.dative.process.v1+json")
    fields: dict[str, Any] = {
        "organization_id": "org",
        "environment_id": "env",
        "audience": Audience("default"),
        "release_epoch": 1,
        "generation": 1,
        "issued_at": datetime(2026, 3, 1, tzinfo=UTC),
        "expires_at": datetime(2026, 6, 1, tzinfo=UTC),
        "trust_version": 1,
        "processes": (ProcessEntry("sync", 1, 1, "sync"),),
        "artifacts": (process,),
    }
    return Manifest(**{**fields, **changes})


def test_a_manifest_is_read_as_it_was_written_and_keeps_its_digest() -> None:
    written = manifest().to_payload()
    again = Manifest.parse(written)
    assert again == manifest()
    assert again.to_payload() == written
    assert again.digest == digest_of(written)


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"generation": -1},
        {"generation": 2**63},
        {
            "artifacts": [
                {"name": "../etc/passwd", "digest": "sha256:" + "0" * 64, "size": 1, "media_type": "application/x"}
            ]
        },
        {"artifacts": [{"name": "sync", "digest": "md5:00", "size": 1, "media_type": "application/x"}]},
        {"processes": [{"process_id": "sync", "version": 1, "release_counter": 1, "artifact": "missing"}]},
        {"expires_at": "2020-01-01T00:00:00Z"},
    ],
    ids=["unknown key", "negative", "too large", "path", "digest", "dangling", "expires before issue"],
)
def test_a_manifest_that_does_not_hold_together_is_refused(changes: dict[str, Any]) -> None:
    body = {**json.loads(manifest().to_payload()), **changes}
    with pytest.raises(BundleRefused):
        Manifest.parse(canonical_json(body))


def test_a_blob_is_kept_under_its_digest_and_no_other_content_is(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = digest_of(b"content")
    store.put(b"content", digest)
    assert store.read(digest, 7) == b"content"
    with pytest.raises(BundleRefused) as refused:
        store.put(b"other", digest_of(b"content!"))
    assert refused.value.code.name == "bundle.blob_mismatch"


def test_a_flipped_byte_on_disk_is_seen_when_the_blob_is_read(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = digest_of(b"content")
    store.put(b"content", digest)
    path = store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"c0ntent")
    with pytest.raises(BundleRefused) as refused:
        store.read(digest, 7)
    assert refused.value.code.name == "bundle.blob_mismatch"


def test_endless_data_stops_at_the_signed_size(tmp_path: Path) -> None:
    writer = BlobStore(tmp_path).writer(digest_of(b"content"), 7)
    writer.write(b"more")
    with pytest.raises(BundleRefused):
        writer.write(b"more")
    assert not BlobStore(tmp_path).has(digest_of(b"content"))


@pytest.mark.parametrize("digest", ["../../etc/passwd", "sha256:", "sha256:" + "G" * 64, "sha1:" + "0" * 64])
def test_only_a_digest_becomes_a_path(tmp_path: Path, digest: str) -> None:
    with pytest.raises(BundleRefused):
        BlobStore(tmp_path).path(digest)
