"""Sealed sets: atoms come and go without a secret typed again, and whoever holds the database learns and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dative.bundle.canonical import canonical_json
from dative.bundle.keys import SigningKey
from dative.errors.base import DativeError
from dative.errors.bundle import BundleRefused
from dative.errors.secrets import SecretsRefused
from dative.secrets.seal import SealKey, open_sealed, seal_info
from dative.secrets.sealed_set import (
    Recipient,
    SealedSet,
    exposed,
    open_set,
    seal_values,
    sign_recipients,
    verify_recipients,
)

CANARY = "canary-9fK2-hunter2"


def reveal(sealed: SealedSet, deployer: Any, recipient: str) -> dict[str, str]:
    key = deployer.recovery if recipient == "recovery" else deployer.atoms[recipient]
    return {name: secret.reveal() for name, secret in open_set(sealed.to_bytes(), key, recipient).items()}


@pytest.fixture
def first(deployer: Any) -> SealedSet:
    return seal_values(None, deployer.recovery, {"erp.password": CANARY, "crm.key": "k"}, deployer.recipients(), "prod")


def test_every_recipient_opens_the_set_and_nobody_else(deployer: Any, first: SealedSet) -> None:
    for recipient in ("atom1", "atom2", "recovery"):
        assert reveal(first, deployer, recipient) == {"erp.password": CANARY, "crm.key": "k"}
    with pytest.raises(SecretsRefused) as refused:
        open_set(first.to_bytes(), SealKey.generate(), "atom1")
    assert refused.value.code.name == "secrets.cannot_open"
    with pytest.raises(SecretsRefused) as refused:
        open_set(first.to_bytes(), deployer.atoms["atom1"], "atom9")
    assert refused.value.code.name == "secrets.not_recipient"


def test_the_stored_set_holds_no_secret_in_the_clear_but_names_and_versions(first: SealedSet) -> None:
    stored = first.to_bytes()
    assert CANARY.encode() not in stored
    assert SealedSet.parse(stored).versions() == {"crm.key": 1, "erp.password": 1}


def test_an_atom_that_joins_later_needs_the_recovery_key_only(deployer: Any, first: SealedSet) -> None:
    deployer.atoms["atom3"] = SealKey.generate()
    second = seal_values(first, deployer.recovery, {}, deployer.recipients(version=2), "prod")
    assert reveal(second, deployer, "atom3") == {"erp.password": CANARY, "crm.key": "k"}
    assert second.versions() == first.versions()
    assert exposed(first, deployer.recipients(version=2)) == ()


def test_an_atom_that_left_opens_no_later_set_and_its_secrets_are_named(deployer: Any, first: SealedSet) -> None:
    without = deployer.recipients("atom1", version=2)
    second = seal_values(first, deployer.recovery, {"new.secret": "later"}, without, "prod")
    assert second.key_epoch == first.key_epoch + 1
    assert reveal(second, deployer, "atom1")["new.secret"] == "later"
    with pytest.raises(SecretsRefused):
        reveal(second, deployer, "atom2")
    assert exposed(first, without) == ("crm.key", "erp.password")
    # Not even by putting its old sealed key in place of another: the key under the values is a new one.
    old = next(one for one in first.recipients if one.id == "atom2")
    forged = msgspec.structs.replace(second, recipients=(*second.recipients, old))
    with pytest.raises(SecretsRefused):
        reveal(forged, deployer, "atom2")


def test_the_key_that_an_atom_took_along_opens_nothing_sealed_later(deployer: Any, first: SealedSet) -> None:
    info = seal_info("dative/environment-key/v1", "prod", "1", "atom2")
    mine = next(one for one in first.recipients if one.id == "atom2")
    taken = AESGCM(open_sealed(mine.sealed_key, deployer.atoms["atom2"], info))

    def read(sealed: SealedSet) -> bytes:
        value = sealed.values[0]
        info = seal_info("dative/secret/v1", "prod", str(sealed.key_epoch), value.name, str(value.version))
        return taken.decrypt(value.ciphertext[:12], value.ciphertext[12:], info)

    assert read(first) == b"k"
    with pytest.raises(InvalidTag):
        read(seal_values(first, deployer.recovery, {}, deployer.recipients(version=2), "prod"))


def test_a_key_that_changed_counts_as_one_that_left(deployer: Any, first: SealedSet) -> None:
    deployer.atoms["atom2"] = SealKey.generate()
    assert exposed(first, deployer.recipients(version=2)) == ("crm.key", "erp.password")


def test_values_change_and_go_one_by_one(deployer: Any, first: SealedSet) -> None:
    second = seal_values(
        first, deployer.recovery, {"erp.password": "next", "crm.key": None}, deployer.recipients(), "prod"
    )
    assert reveal(second, deployer, "atom1") == {"erp.password": "next"}
    assert second.versions() == {"erp.password": 2}
    assert (second.version, second.key_epoch) == (2, 2)


def test_the_same_value_sealed_twice_looks_different(deployer: Any, first: SealedSet) -> None:
    again = seal_values(first, deployer.recovery, {}, deployer.recipients(), "prod")
    ours, theirs = ({value.ciphertext for value in one.values} for one in (first, again))
    assert not ours & theirs


FORGERIES = {
    "a value swapped with another": lambda s: msgspec.structs.replace(
        s, values=(msgspec.structs.replace(s.values[0], ciphertext=s.values[1].ciphertext), s.values[1])
    ),
    "a bit of a value": lambda s: msgspec.structs.replace(
        s, values=(msgspec.structs.replace(s.values[0], ciphertext=s.values[0].ciphertext[:-1] + b"\0"), s.values[1])
    ),
    "an empty value": lambda s: msgspec.structs.replace(
        s, values=(msgspec.structs.replace(s.values[0], ciphertext=b""), s.values[1])
    ),
    "a version": lambda s: msgspec.structs.replace(
        s, values=(msgspec.structs.replace(s.values[0], version=9), s.values[1])
    ),
    "a name": lambda s: msgspec.structs.replace(
        s, values=(msgspec.structs.replace(s.values[0], name="erp.other"), s.values[1])
    ),
    "the key epoch": lambda s: msgspec.structs.replace(s, key_epoch=9),
    "the environment": lambda s: msgspec.structs.replace(s, environment_id="test"),
    "a sealed key of another recipient": lambda s: msgspec.structs.replace(
        s,
        recipients=tuple(msgspec.structs.replace(one, sealed_key=s.recipients[-1].sealed_key) for one in s.recipients),
    ),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_changed_set_does_not_open_and_is_not_built_on(deployer: Any, first: SealedSet, forge: Any) -> None:
    forged = forge(first)
    assert forged != first
    with pytest.raises(SecretsRefused) as refused:
        reveal(forged, deployer, "atom1")
    assert refused.value.code.name == "secrets.cannot_open"
    assert CANARY not in str(refused.value)
    with pytest.raises(SecretsRefused):
        seal_values(forged, deployer.recovery, {}, deployer.recipients(), "prod")


def test_a_set_that_the_database_made_itself_is_not_built_on(deployer: Any) -> None:
    # The controller knows every public key, so it can seal whatever it likes to all of them.
    mallory = SealKey.generate()
    envelope = sign_recipients(
        [Recipient("recovery", mallory.public_raw.hex())],
        [deployer.release],
        organization_id="acme",
        environment_id="prod",
        version=1,
        now=deployer.now,
    )
    forged = seal_values(
        None,
        mallory,
        {"erp.url": "evil"},
        verify_recipients(envelope, trust=deployer.trust, environment_id="prod"),
        "prod",
    )
    with pytest.raises(SecretsRefused) as refused:
        seal_values(forged, deployer.recovery, {"erp.password": CANARY}, deployer.recipients(), "prod")
    assert refused.value.code.name == "secrets.not_authentic"


def test_sealing_without_the_recovery_key_is_refused(deployer: Any) -> None:
    for opener in (None, SealKey.generate()):
        with pytest.raises(SecretsRefused) as refused:
            seal_values(None, opener, {"a": "b"}, deployer.recipients(), "prod")
        assert refused.value.code.name == "secrets.no_recovery_key"


def test_sealing_for_another_environment_than_the_lists_is_refused(deployer: Any) -> None:
    with pytest.raises(SecretsRefused):
        seal_values(None, deployer.recovery, {"a": "b"}, deployer.recipients(), "test")


def test_a_set_of_another_environment_is_not_built_on(deployer: Any) -> None:
    envelope = deployer.envelope(environment="test")
    test = verify_recipients(envelope, trust=deployer.trust, environment_id="test")
    other = seal_values(None, deployer.recovery, {"a": "b"}, test, "test")
    with pytest.raises(SecretsRefused):
        seal_values(other, deployer.recovery, {}, deployer.recipients(), "prod")


def test_a_sealed_key_opens_under_its_own_recipients_id_only(deployer: Any, first: SealedSet) -> None:
    renamed = tuple(msgspec.structs.replace(one, id="x" + one.id) for one in first.recipients)
    with pytest.raises(SecretsRefused) as refused:
        open_set(msgspec.structs.replace(first, recipients=renamed).to_bytes(), deployer.atoms["atom1"], "xatom1")
    assert refused.value.code.name == "secrets.cannot_open"


def test_an_older_recipient_list_is_refused(deployer: Any, first: SealedSet) -> None:
    second = seal_values(first, deployer.recovery, {}, deployer.recipients("atom1", version=2), "prod")
    with pytest.raises(SecretsRefused) as refused:
        seal_values(second, deployer.recovery, {}, deployer.recipients(version=1), "prod")
    assert refused.value.code.name == "secrets.recipients_rollback"
    with pytest.raises(SecretsRefused) as refused:
        verify_recipients(deployer.envelope(version=1), trust=deployer.trust, environment_id="prod", version_min=2)
    assert refused.value.code.name == "secrets.recipients_rollback"


def swapped(deployer: Any) -> bytes:
    """The database puts a key of its own in place of an atom's; the signature is the old one."""
    body = json.loads(deployer.envelope())
    import base64

    payload = json.loads(base64.b64decode(body["payload"]))
    payload["recipients"][0]["public"] = SealKey.generate().public_raw.hex()
    return canonical_json(body | {"payload": base64.b64encode(canonical_json(payload)).decode()})


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (swapped, "bundle.bad_signature"),
        (lambda d: d.envelope(key=SigningKey.generate()), "bundle.bad_signature"),
        (lambda d: d.envelope(environment="test"), "secrets.malformed"),
        (lambda d: b"{}", "bundle.malformed"),
    ],
    ids=["swapped key", "stranger", "another environment", "nothing"],
)
def test_only_a_list_that_the_release_role_signed_is_sealed_to(deployer: Any, envelope: Any, code: str) -> None:
    with pytest.raises(DativeError) as refused:
        verify_recipients(envelope(deployer), trust=deployer.trust, environment_id="prod")
    assert refused.value.code.name == code
    assert isinstance(refused.value, BundleRefused | SecretsRefused)


def test_two_recipients_of_one_id_or_key_are_refused(deployer: Any) -> None:
    one = Recipient("atom1", deployer.recovery.public_raw.hex())
    with pytest.raises(SecretsRefused):
        sign_recipients(
            [one, Recipient("recovery", one.public)],
            [deployer.release],
            organization_id="acme",
            environment_id="prod",
            version=1,
            now=deployer.now,
        )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"UPPER": "x"}, "secrets.malformed"),
        ({"a": "x" * 70_000}, "secrets.too_large"),
        ({f"s{number}": "x" for number in range(1001)}, "secrets.too_large"),
    ],
    ids=["name", "value", "count"],
)
def test_what_is_over_its_bound_is_refused(deployer: Any, changes: Any, code: str) -> None:
    with pytest.raises(SecretsRefused) as refused:
        seal_values(None, deployer.recovery, changes, deployer.recipients(), "prod")
    assert refused.value.code.name == code


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"x" * (17 << 20)], ids=["empty", "object", "list", "17 MB"])
def test_a_set_that_is_none_is_refused(deployer: Any, data: bytes) -> None:
    with pytest.raises(SecretsRefused):
        open_set(data, deployer.recovery, "recovery")
