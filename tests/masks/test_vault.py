"""The vault: every token that a target could see can be read again, by who holds the key, and by nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from dative.errors import DativeError
from dative.errors.masks import NOT_ENTITLED, TOKEN_MALFORMED, TOKEN_UNKNOWN, UNREADABLE
from dative.secrets import MaskKeys, SealKey, Secret, open_sealed, seal_info
from dative.secrets.mask_keys import MASK_KEY, VAULT_READER, new_key, readers_in, versions_in
from dative.v1 import agent_pb2
from dative_atom.agent.vault import REVEAL_PURPOSE, answer, revealed

TWO = MaskKeys({1: b"\x11" * 32, 2: b"\x22" * 32})


def look(masking: Any, token: str) -> str:
    return revealed(masking.journal, masking.keys, masking.environment_id, token)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["Ada Lovelace", "Ärzte", "", "Ada Lovelace", None]), ["Ada Lovelace", "Ärzte", "", "Ada Lovelace"]),
        (pa.array([12345678901234, 7, None]), ["12345678901234", "7"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    ],
)
def test_every_token_stands_for_the_text_it_was_made_of(masking: Any, values: pa.Array, texts: list[str]) -> None:
    tokens = [token for token in masking.one("token", values) if token is not None]
    assert [look(masking, token) for token in tokens] == texts


def test_a_value_met_again_is_kept_once(masking: Any) -> None:
    for batch in (["ada", "bob"], ["bob", "ada"], ["bob", "cyd"]):
        assert [look(masking, token) for token in masking.one("token", pa.array(batch))] == batch
    with masking.journal.reading() as db:
        assert db.execute("SELECT count(*) FROM vault").fetchone() == (3,)
        assert db.execute("SELECT count(*) FROM vault_block").fetchone() == (2,)


def test_nothing_of_a_value_is_in_the_journals_files(masking: Any) -> None:
    masking.one("token", pa.array(["canary-7c1f", "canary-7c1f"]))
    for file in masking.journal.path.parent.iterdir():
        assert b"canary-7c1f" not in file.read_bytes(), file


def test_after_a_rotation_old_tokens_are_readable_and_without_their_key_they_are_not(masking: Any) -> None:
    (old,) = masking.one("token", pa.array(["ada"]))
    masking.keys = TWO
    (new,) = masking.one("token", pa.array(["ada"]))
    assert old != new
    assert look(masking, old) == look(masking, new) == "ada"
    masking.keys = MaskKeys({2: b"\x22" * 32})
    with pytest.raises(DativeError) as lost:
        look(masking, old)
    assert lost.value.code is UNREADABLE


@pytest.mark.parametrize(
    ("token", "code"),
    [("tok_0123456789abcdef0123", TOKEN_UNKNOWN), ("tok_1", TOKEN_MALFORMED), ("ada", TOKEN_MALFORMED)],
)
def test_what_is_no_token_of_this_atom_is_refused_by_name(masking: Any, token: str, code: object) -> None:
    with pytest.raises(DativeError) as refused:
        look(masking, token)
    assert refused.value.code is code


def test_a_block_opens_in_no_other_environment(masking: Any) -> None:
    (token,) = masking.one("token", pa.array(["ada"]))
    with pytest.raises(DativeError) as refused:
        look(replace(masking, environment_id="env-2"), token)
    assert refused.value.code is UNREADABLE


def test_only_an_admitted_reader_gets_an_answer_and_only_he_can_open_it(masking: Any) -> None:
    (token,) = masking.one("token", pa.array(["ada"]))
    reader, other = SealKey.generate(), SealKey.generate()
    readers = readers_in({f"{VAULT_READER}anna": Secret(reader.public_raw.hex()), "erp.password": Secret("x" * 64)})
    wanted = agent_pb2.RevealToken(token=token, reader_public_key=reader.public_raw)
    found = answer(wanted, masking.journal, masking.keys, readers, "env-1")
    assert found.reader == "anna"
    assert open_sealed(found.sealed_value, reader, seal_info(REVEAL_PURPOSE, "env-1", token)) == b"ada"
    wanted.reader_public_key = other.public_raw
    with pytest.raises(DativeError) as refused:
        answer(wanted, masking.journal, masking.keys, readers, "env-1")
    assert refused.value.code is NOT_ENTITLED


def test_keys_come_from_the_sealed_set_by_version_and_print_nothing() -> None:
    sealed = {f"{MASK_KEY}{version}": Secret(new_key()) for version in (1, 2, 11)}
    keys = MaskKeys.of({**sealed, "erp.password": Secret("hunter2hunter2")})
    assert keys.versions == (11, 2, 1)
    assert keys.current == 11
    assert versions_in(sealed) == [1, 2, 11]
    assert MaskKeys.from_hex(keys.to_hex()).key("x", 2) == keys.key("x", 2)
    assert sealed[f"{MASK_KEY}11"].reveal() not in repr(keys)


@pytest.mark.parametrize("text", ["", "11", "zz" * 32, "11" * 33])
def test_a_key_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(DativeError) as refused:
        MaskKeys.of({f"{MASK_KEY}1": Secret(text)})
    assert refused.value.code.name == "masks.key_malformed"
    assert not text or text not in str(refused.value)
