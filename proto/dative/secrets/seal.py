"""Sealing bytes to an X25519 key: HPKE, single shot.

Base mode says nothing about who sealed; lists of whom to seal to are signed (sealed_set.py). What a sealed text is for
is bound in through `info`, so that it opens nowhere else.
Source: RFC 9180; DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305; 48 bytes longer than the plain text.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from dative.errors.secrets import CANNOT_OPEN, MALFORMED, SecretsRefused

KEY_BYTES = 32
_FINGERPRINT_BYTES = 16
_TAG_BYTES = 32
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


class SealKey:
    """An X25519 key pair: what is sealed to its public half opens with it. Its repr is only its fingerprint."""

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public_raw = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> SealKey:
        return cls(X25519PrivateKey.generate())

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_raw)

    def to_bytes(self) -> bytes:
        """The 32 raw private bytes: whoever stores them guards them."""
        return self._key.private_bytes_raw()

    @classmethod
    def from_bytes(cls, data: bytes) -> SealKey:
        """Errors: secrets.malformed when `data` is not 32 bytes."""
        if len(data) != KEY_BYTES:
            raise SecretsRefused(f"a sealing key has {KEY_BYTES} bytes, not {len(data)}", code=MALFORMED)
        return cls(X25519PrivateKey.from_private_bytes(data))

    def _agree(self, public: bytes) -> bytes:
        """A secret that only this key and the other one's private half can make."""
        return self._key.exchange(X25519PublicKey.from_public_bytes(public))

    def _open(self, sealed: bytes, info: bytes) -> bytes:
        return _SUITE.decrypt(sealed, self._key, info=info)

    def __repr__(self) -> str:
        return f"SealKey({self.fingerprint})"


def fingerprint(public_raw: bytes) -> str:
    """What two people compare by voice: "xx:xx:…", the first 16 bytes of SHA-256 over the raw public key."""
    return hashlib.sha256(public_raw).digest()[:_FINGERPRINT_BYTES].hex(":")


def seal_info(purpose: str, *parts: str) -> bytes:
    """What a sealed text is for, as HPKE's `info`. Each part is preceded by its length, so no two lists look alike.

    purpose: "dative/<what>/v1", one for each kind of sealed text.
    """
    encoded = [part.encode() for part in (purpose, *parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def seal(plaintext: bytes, recipient_public: bytes, info: bytes) -> bytes:
    """Seal to a raw 32-byte public key. Errors: secrets.malformed when the key is none."""
    if len(recipient_public) != KEY_BYTES:
        raise SecretsRefused(f"a public sealing key has {KEY_BYTES} bytes, not {len(recipient_public)}", code=MALFORMED)
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(recipient_public), info=info)
    except ValueError as weak:
        # The all-zero key and its like agree on a secret that everybody knows.
        raise SecretsRefused("the public sealing key is not a usable one", code=MALFORMED) from weak


def seal_as(plaintext: bytes, sender: SealKey, recipient_public: bytes, info: bytes) -> bytes:
    """As `seal`, and the recipient can tell that it was `sender` (or the recipient) who sealed it.

    Errors: secrets.malformed when the recipient's key is none.
    """
    if len(recipient_public) != KEY_BYTES:
        raise SecretsRefused(f"a public sealing key has {KEY_BYTES} bytes, not {len(recipient_public)}", code=MALFORMED)
    try:
        shared = sender._agree(recipient_public)
    except ValueError as weak:
        raise SecretsRefused("the public sealing key is not a usable one", code=MALFORMED) from weak
    tag = _sender_tag(shared, plaintext, sender.public_raw, recipient_public, info)
    return seal(tag + plaintext, recipient_public, info)


def open_from(sealed: bytes, key: SealKey, sender_public: bytes, info: bytes) -> bytes:
    """The plain text that `seal_as` sealed. Errors: secrets.cannot_open, also when somebody else sealed it."""
    opened = open_sealed(sealed, key, info)
    tag, plaintext = opened[:_TAG_BYTES], opened[_TAG_BYTES:]
    try:
        expected = _sender_tag(key._agree(sender_public), plaintext, sender_public, key.public_raw, info)
    except ValueError as weak:
        raise SecretsRefused("the sender's public key is not a usable one", code=CANNOT_OPEN) from weak
    if not hmac.compare_digest(tag, expected):
        raise SecretsRefused(f"was not sealed by {fingerprint(sender_public)[:11]}…", code=CANNOT_OPEN)
    return plaintext


def _sender_tag(shared: bytes, plaintext: bytes, sender: bytes, recipient: bytes, info: bytes) -> bytes:
    # Both parties of a static Diffie-Hellman agreement can make it, nobody else can.
    key = hashlib.sha256(seal_info("dative/seal-as/v1") + shared + sender + recipient).digest()
    return hmac.digest(key, len(info).to_bytes(4, "big") + info + plaintext, "sha256")


def open_sealed(sealed: bytes, key: SealKey, info: bytes) -> bytes:
    """The plain text. Errors: secrets.cannot_open (other key, other `info`, changed bytes)."""
    try:
        return key._open(sealed, info)
    except (InvalidTag, ValueError) as closed:
        raise SecretsRefused(f"does not open with key {key.fingerprint[:11]}…", code=CANNOT_OPEN) from closed
