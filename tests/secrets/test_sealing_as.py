"""What is sealed by somebody: it opens for its recipient only, and only as of the one who sealed it."""

from __future__ import annotations

import pytest
from dative.errors.secrets import SecretsRefused
from dative.secrets.seal import SealKey, open_from, seal, seal_as, seal_info

SENDER, RECIPIENT, OTHER = (SealKey.generate() for _ in range(3))
INFO = seal_info("dative/test/v1", "a")


@pytest.mark.parametrize("plaintext", [b"", b"x", b"k" * 32])
def test_it_opens_for_its_recipient_as_of_its_sender(plaintext: bytes) -> None:
    sealed = seal_as(plaintext, SENDER, RECIPIENT.public_raw, INFO)
    assert open_from(sealed, RECIPIENT, SENDER.public_raw, INFO) == plaintext


def test_one_may_seal_to_oneself() -> None:
    assert open_from(seal_as(b"x", SENDER, SENDER.public_raw, INFO), SENDER, SENDER.public_raw, INFO) == b"x"


REFUSED = {
    "another said to be the sender": lambda sealed: open_from(sealed, RECIPIENT, OTHER.public_raw, INFO),
    "another recipient": lambda sealed: open_from(sealed, OTHER, SENDER.public_raw, INFO),
    "another purpose": lambda sealed: open_from(sealed, RECIPIENT, SENDER.public_raw, seal_info("dative/test/v2", "a")),
    "the all-zero key": lambda sealed: open_from(sealed, RECIPIENT, bytes(32), INFO),
    "a changed byte": lambda sealed: open_from(
        sealed[:-1] + bytes([sealed[-1] ^ 1]), RECIPIENT, SENDER.public_raw, INFO
    ),
    "sealed by nobody": lambda _: open_from(
        seal(bytes(32) + b"x", RECIPIENT.public_raw, INFO), RECIPIENT, SENDER.public_raw, INFO
    ),
    "too short for a tag": lambda _: open_from(
        seal(b"x", RECIPIENT.public_raw, INFO), RECIPIENT, SENDER.public_raw, INFO
    ),
}


@pytest.mark.parametrize("opened", REFUSED.values(), ids=list(REFUSED))
def test_anything_else_is_refused(opened: object) -> None:
    sealed = seal_as(b"x", SENDER, RECIPIENT.public_raw, INFO)
    with pytest.raises(SecretsRefused) as refused:
        opened(sealed)  # type: ignore[operator]
    assert refused.value.code.name == "secrets.cannot_open"


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32)])
def test_a_key_that_is_none_is_not_sealed_to(public: bytes) -> None:
    with pytest.raises(SecretsRefused) as refused:
        seal_as(b"x", SENDER, public, INFO)
    assert refused.value.code.name == "secrets.malformed"
