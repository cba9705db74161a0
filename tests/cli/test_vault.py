"""Mask keys are made here and seen by nobody; readers of the vault are admitted by a deployer and open values here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.secrets import MaskKeys, open_set
from dative.secrets.mask_keys import readers_in

TOKEN = "tok_0123456789abcdef0123"


def opened(fake: Any) -> Any:
    body, _ = fake.state.sealed["01JENV-dev"]
    return open_set(body, fake.state.atom_keys["hq-1"], "01JATOM-hq-1")


@pytest.fixture
def atom(admin: Any, fake: Any) -> Any:
    """One atom to seal to; the environment is made by logging in, so `admin` comes first."""
    return fake.state.add_atom("hq-1", "dev")


@pytest.mark.usefixtures("atom")
def test_a_mask_key_is_sealed_to_the_atoms_and_printed_nowhere(admin: Any, fake: Any) -> None:
    told = admin("vault", "key", "create", "--env", "dev")
    keys = MaskKeys.of(opened(fake))
    assert keys.versions == (1,)
    assert keys.to_hex()[1] not in told.stdout + told.stderr
    assert keys.to_hex()[1].encode() not in fake.state.sealed["01JENV-dev"][0]


@pytest.mark.usefixtures("atom")
def test_a_second_key_is_a_rotation_and_the_first_one_stays(admin: Any, fake: Any) -> None:
    admin("vault", "key", "create", "--env", "dev")
    before = MaskKeys.of(opened(fake))
    assert "masks.key_exists" in admin("vault", "key", "create", "--env", "dev", code=1).stderr
    admin("vault", "key", "rotate", "--env", "dev", "--yes")
    after = MaskKeys.of(opened(fake))
    assert after.versions == (2, 1)
    assert after.to_hex()[1] == before.to_hex()[1] != after.to_hex()[2]
    listed = json.loads(admin("vault", "key", "list", "--env", "dev", "-o", "json").stdout)["items"]
    assert [one["version"] for one in listed] == [1, 2]


@pytest.mark.usefixtures("atom")
def test_a_reader_is_admitted_by_the_key_that_he_made_and_taken_off_again(admin: Any, fake: Any) -> None:
    made = json.loads(admin("vault", "enrol", "-o", "json").stdout)
    assert json.loads(admin("vault", "enrol", "-o", "json").stdout) == made, "one key, however often"
    admin("vault", "allow", "anna", made["public_key"], "--env", "dev", "--yes")
    assert {name: key.hex() for name, key in readers_in(opened(fake)).items()} == {"anna": made["public_key"]}
    listed = json.loads(admin("vault", "readers", "--env", "dev", "-o", "json").stdout)["items"]
    assert [one["name"] for one in listed] == ["anna"]
    admin("vault", "forbid", "anna", "--env", "dev")
    assert readers_in(opened(fake)) == {}
    assert "vault.reader_unknown" in admin("vault", "forbid", "anna", "--env", "dev", code=5).stderr


def test_a_value_is_opened_with_the_readers_key_alone(admin: Any, fake: Any) -> None:
    fake.state.vault[TOKEN] = "Ada Lovelace"
    assert "vault.no_reader_key" in admin("vault", "reveal", TOKEN, "--env", "dev", code=6).stderr
    admin("vault", "enrol")
    shown = json.loads(admin("vault", "reveal", TOKEN, "--env", "dev", "-o", "json").stdout)
    assert (shown["value"], shown["atom"]) == ("Ada Lovelace", "hq-1")
    assert "vault.token_unknown" in admin("vault", "reveal", f"{TOKEN[:-1]}4", "--env", "dev", code=5).stderr


@pytest.mark.parametrize("key", ["", "abc", "zz" * 32, "00" * 32, "11" * 31])
def test_what_is_no_public_key_admits_nobody(admin: Any, fake: Any, key: str) -> None:
    assert "64 hexadecimal digits" in admin("vault", "allow", "anna", key, "--env", "dev", "--yes", code=2).stderr
    assert fake.state.sealed == {}


@pytest.mark.parametrize("how", [("set",), ("delete",)])
@pytest.mark.parametrize("name", ["dative.mask-key.1", "dative.vault-reader.eve"])
def test_the_houses_own_secrets_are_not_set_by_hand(admin: Any, how: tuple[str, ...], name: str) -> None:
    assert "belong to `dative vault`" in admin("env", "secret", *how, name, "--env", "dev", code=2, stdin="x").stderr
