"""The environment's mask keys: what hash, token and date shift are computed with, and what seals the vault.

Made by the CLI and sealed to the atoms like every other secret, one value a version: "dative.mask-key.1", ".2", …
The newest makes new tokens, older ones still open what they sealed. Beside them stand the readers of the vault,
"dative.vault-reader.<name>": public keys, no secrets, kept here because the set is named by digest in the signed
manifest, so that nobody but a deployer can add one. Whoever needs a key of the environment asks `MaskKeys.key`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dative.errors import DativeError, StopRun
from dative.errors.masks import KEY_MALFORMED, KEY_MISSING, UNREADABLE
from dative.secrets.secret import Secret

RESERVED: Final = "dative."
"""Names of secrets that begin so are the house's own; `dative env secret` leaves them alone."""
MASK_KEY: Final = "dative.mask-key."
VAULT_READER: Final = "dative.vault-reader."
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def new_key() -> str:
    """A fresh mask key, as its secret holds it."""
    return os.urandom(KEY_BYTES).hex()


def versions_in(names: Iterable[str]) -> list[int]:
    """The versions among an environment's secret names, rising."""
    numbers = (name.removeprefix(MASK_KEY) for name in names if name.startswith(MASK_KEY))
    return sorted(int(number) for number in numbers if number.isascii() and number.isdigit())


def readers_in(sealed: Mapping[str, Secret]) -> dict[str, bytes]:
    """Name -> raw X25519 public key of everybody who may read the vault here."""
    found = {}
    for name, secret in sealed.items():
        if name.startswith(VAULT_READER):
            found[name.removeprefix(VAULT_READER)] = _from_hex(name, secret.reveal())
    return found


class MaskKeys:
    """Every version of an environment's mask key. Nothing prints them.

    `key` is the single way to a key: each purpose has one of its own, so that a hash in one place says nothing about a
    token in another, even of the same value.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)

    @classmethod
    def of(cls, sealed: Mapping[str, Secret]) -> MaskKeys:
        """Out of an opened sealed set. Errors: masks.key_malformed."""
        return cls({number: _from_hex(name, sealed[name].reveal()) for number, name in _names(sealed)})

    @classmethod
    def from_hex(cls, keys: Mapping[int, str]) -> MaskKeys:
        """As `to_hex` wrote them, on their way from the agent to its worker. Errors: masks.key_malformed."""
        return cls({number: _from_hex(f"{MASK_KEY}{number}", text) for number, text in keys.items()})

    def to_hex(self) -> dict[int, str]:
        return {number: key.hex() for number, key in self._keys.items()}

    @property
    def versions(self) -> tuple[int, ...]:
        """Newest first: a search for what was hashed tries them in this order."""
        return tuple(sorted(self._keys, reverse=True))

    @property
    def current(self) -> int:
        """The version that new values are masked with. Errors: masks.key_missing."""
        if not self._keys:
            raise StopRun("the environment has no mask key", code=KEY_MISSING)
        return max(self._keys)

    def key(self, purpose: str, version: int | None = None) -> bytes:
        """The key for one purpose ("token", "track", …), 32 bytes; of the current version unless one is named.

        Errors: masks.key_missing.
        """
        number = self.current if version is None else version
        if number not in self._keys:
            raise StopRun(f"the environment has no mask key of version {number}", code=KEY_MISSING)
        return hmac.digest(self._keys[number], b"dative/mask/v1\x1f" + purpose.encode(), hashlib.sha256)

    def seal(self, body: bytes, about: str) -> bytes:
        """AES-256-GCM under the current version's vault key. about: what it belongs to, bound in."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.key("vault")).encrypt(nonce, body, about.encode())

    def open(self, sealed: bytes, about: str, version: int) -> bytes:
        """What `seal` sealed under that version. Errors: vault.unreadable."""
        if version in self._keys:
            try:
                cipher = AESGCM(self.key("vault", version))
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about.encode())
            except InvalidTag:
                pass
        raise DativeError(f"sealed with version {version} of the mask key, which does not open it", code=UNREADABLE)

    def __repr__(self) -> str:
        return f"MaskKeys(versions {', '.join(map(str, self.versions)) or 'none'})"


def _names(sealed: Mapping[str, Secret]) -> list[tuple[int, str]]:
    return [(number, f"{MASK_KEY}{number}") for number in versions_in(sealed)]


def _from_hex(name: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        # Raised outside of the handler: the error of a conversion may carry the text.
        raise StopRun(f"{name} is not {KEY_BYTES} bytes in hex", code=KEY_MALFORMED)
    return key
