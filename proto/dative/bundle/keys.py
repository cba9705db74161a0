"""Ed25519 keys: sign, verify, and the id a key is known by.

Only Ed25519, with no way to choose: an algorithm that a message may name is the classic hole in signed documents.
This file knows no roles and no files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dative.errors.bundle import BAD_SIGNATURE, BundleRefused
from dative.errors.trust import KEY_INVALID, TrustRefused

RAW_BYTES = 32


@dataclass(frozen=True)
class PublicKey:
    """The half that everybody may know. raw: 32 bytes. Errors on making: trust.key_invalid."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != RAW_BYTES:
            raise TrustRefused(f"an Ed25519 public key has {RAW_BYTES} bytes, not {len(self.raw)}", code=KEY_INVALID)

    @classmethod
    def from_hex(cls, text: str) -> PublicKey:
        try:
            return cls(bytes.fromhex(text))
        except ValueError as broken:
            raise TrustRefused("a public key is 64 hex digits", code=KEY_INVALID) from broken

    @cached_property
    def keyid(self) -> str:
        """SHA-256 of the raw key in hex: the id follows from the key, so no document can give a key another's id."""
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Errors: bundle.bad_signature when `signature` is not this key's over `message`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature as wrong:
            raise BundleRefused(f"not a signature of key {self.keyid[:12]}", code=BAD_SIGNATURE) from wrong


class SigningKey:
    """The half that stays with its owner. Never printed: its repr names the key's id only."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @property
    def keyid(self) -> str:
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same message gives the same signature."""
        return self._key.sign(message)

    def to_pem(self) -> bytes:
        """PKCS#8, not encrypted: whoever stores it guards it (a keyring, or a 0600 file)."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Errors: trust.key_invalid when `pem` is no unencrypted Ed25519 private key."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as broken:
            raise TrustRefused("not a readable private key in PEM", code=KEY_INVALID) from broken
        if not isinstance(key, Ed25519PrivateKey):
            raise TrustRefused("the private key is of another kind than Ed25519", code=KEY_INVALID)
        return cls(key)

    def __repr__(self) -> str:
        return f"SigningKey({self.keyid[:12]})"
