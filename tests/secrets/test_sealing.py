"""A secret shows itself nowhere, and what is sealed opens for one key and one purpose."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from dative.errors import DativeError
from dative.secrets.seal import SealKey, open_sealed, seal, seal_info
from dative.secrets.secret import Secret

CANARY = "canary-7Q3x-hunter2"


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r}".format, lambda s: f"{[s]} { ({'k': s}) }"])
def test_a_secret_shows_itself_in_no_text(show: object) -> None:
    assert CANARY not in show(Secret(CANARY))  # type: ignore[operator]


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps])
def test_a_secret_is_not_serialised(write: object) -> None:
    with pytest.raises(TypeError) as refused:
        write(Secret(CANARY))  # type: ignore[operator]
    assert CANARY not in str(refused.value)


def test_a_secret_is_revealed_on_purpose_and_survives_a_copy() -> None:
    assert copy.deepcopy(Secret(CANARY)).reveal() == CANARY


def test_what_is_sealed_opens_for_its_key_and_purpose_only() -> None:
    key, other = SealKey.generate(), SealKey.generate()
    info = seal_info("dative/secret/v1", "org", "env", "erp.password")
    sealed = seal(CANARY.encode(), key.public_raw, info)
    assert CANARY.encode() not in sealed
    assert open_sealed(sealed, key, info) == CANARY.encode()
    flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
    for data, opener, purpose in (
        (sealed, other, info),
        (sealed, key, seal_info("dative/secret/v1", "org", "env2", "erp.password")),
        (flipped, key, info),
        (b"", key, info),
    ):
        with pytest.raises(DativeError):
            open_sealed(data, opener, purpose)


def test_parts_of_a_purpose_do_not_run_together() -> None:
    assert seal_info("dative/secret/v1", "ab", "c") != seal_info("dative/secret/v1", "a", "bc")


def test_a_key_is_kept_and_its_repr_is_not_the_key() -> None:
    key = SealKey.generate()
    assert SealKey.from_bytes(key.to_bytes()).fingerprint == key.fingerprint
    assert key.to_bytes().hex() not in repr(key)
