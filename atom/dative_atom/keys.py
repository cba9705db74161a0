"""The key of an environment, and what of a classified value may be known outside the atom: a hash under that key.

The key never leaves atoms, so the controller can neither read a hashed key nor try out values against it. Agent and
worker both need this, so it imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from dative.secrets import MaskKeys

TOKEN_BYTES: Final = 16
"""128 bits of an HMAC-SHA-256: two values share a hash never in practice."""
TRACKED_CHARACTERS_MAX: Final = 512
"""A tracked key is compared by so many characters; what is longer is a text and no key."""


def environment_key(keys: MaskKeys) -> bytes:
    """The environment's key for what is tracked. Errors: masks.key_missing.

    Always of the oldest version: documents that were tracked before a rotation are found like those after it.
    """
    return keys.key("environment", min(keys.versions, default=None))


def tracking_key(key: bytes) -> bytes:
    """The key under which tracked values are hashed, made from the environment's; no mask gives the same hashes."""
    return hashlib.sha256(key + b"\x1ftrack").digest()


def hashed_key(value: str, key: bytes) -> bytes:
    """What stands for `value` in a column "hash.<field>". key: of `tracking_key`. Source: RFC 2104."""
    text = value[:TRACKED_CHARACTERS_MAX].encode()
    return hmac.new(key, text, hashlib.sha256).digest()[:TOKEN_BYTES]
