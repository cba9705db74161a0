"""Random damage: it never changes what is accepted, and never raises anything but a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dative.bundle.trust import read_trust, sign_trust, walk
from dative.errors.bundle import BundleRefused
from dative.errors.trust import TrustRefused
from hypothesis import given, settings
from hypothesis import strategies as st

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 1 << 20), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 20), st.integers(0, 40)),
        st.tuples(st.just("insert"), st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("repeat"), st.integers(0, 1 << 20), st.integers(1, 200)),
        st.tuples(st.just("truncate"), st.integers(0, 1 << 20), st.just(0)),
    ),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, changes: list[tuple[str, int, Any]]) -> bytes:
    for kind, where, how in changes:
        at = where % (len(data) + 1)
        if kind == "flip" and data:
            at %= len(data)
            data = data[:at] + bytes([data[at] ^ (1 << how)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + how :]
        elif kind == "insert":
            data = data[:at] + how + data[at:]
        elif kind == "repeat":
            data = data[:at] + data[at : at + how] * 2 + data[at + how :]
        elif kind == "truncate":
            data = data[:at]
    return data


@pytest.fixture(scope="module")
def small_world(make_world: Any) -> Any:
    return make_world(Path("unused"))


@settings(max_examples=1500, deadline=None)
@given(CHANGES)
def test_damage_to_a_signed_manifest_never_changes_what_is_accepted(small_world: Any, changes: Any) -> None:
    good = small_world.manifest()
    try:
        accepted = small_world.verify(damaged(small_world.signed(good), changes))
    except (BundleRefused, TrustRefused):
        return
    # Spare base64 bits and fields that DSSE does not name: the envelope differs, what was signed does not.
    assert accepted == good
    assert accepted.digest == good.digest


@settings(max_examples=1000, deadline=None)
@given(CHANGES)
def test_damage_under_a_good_signature_only_ever_meets_a_refusal(small_world: Any, changes: Any) -> None:
    payload = damaged(small_world.manifest().to_payload(), changes)
    try:
        accepted = small_world.verify_raw(payload)
    except (BundleRefused, TrustRefused):
        return
    # The release key did sign these bytes, so that they may be taken, but only as exactly what they say.
    assert accepted.to_payload() == payload


@settings(max_examples=1000, deadline=None)
@given(CHANGES)
def test_damage_to_a_trust_document_never_changes_what_is_trusted(small_world: Any, changes: Any) -> None:
    successor = small_world.next_trust(release=[small_world.second.public], raise_epoch=True)
    envelope = damaged(sign_trust(successor, small_world.roots).to_bytes(), changes)
    for read in (lambda: walk(small_world.trust, [envelope], small_world.now), lambda: read_trust(envelope)):
        try:
            assert read() == successor
        except (BundleRefused, TrustRefused):
            continue
