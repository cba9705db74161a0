"""Codes of the trust document: keys, roles, rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dative.errors.base import Code, DativeError

MALFORMED = Code(
    "trust.malformed",
    "INVALID_ARGUMENT",
    "The trust document does not hold together: a field unknown, a key under another id, a threshold nobody can reach.",
    "Make it again with `dative trust`; the message names the field.",
)
NOT_PINNED = Code(
    "trust.not_pinned",
    "PERMISSION_DENIED",
    "The trust document is not the one that the join token names.",
    "Ask for a fresh invitation; if it stays, somebody answers in place of the controller.",
)
BELOW_THRESHOLD = Code(
    "trust.below_threshold",
    "PERMISSION_DENIED",
    "A new trust document must carry enough root signatures of the former one and enough of its own.",
    "Have the root key holders of both versions sign it.",
)
ROLLBACK = Code(
    "trust.rollback",
    "FAILED_PRECONDITION",
    "The trust document is not newer than the one in force, or lowers the release epoch.",
    "Make the next version from the current one: `dative trust show`.",
)
SKIPPED = Code(
    "trust.version_skipped",
    "FAILED_PRECONDITION",
    "A version is missing between the trust document in force and the new one; each is proven by the one before it.",
    "Send every version in between.",
)
CHAIN_TOO_LONG = Code(
    "trust.chain_too_long",
    "RESOURCE_EXHAUSTED",
    "More trust documents came at once than are walked at once.",
    "Send them in parts, oldest first.",
)
EXPIRED = Code(
    "trust.expired",
    "FAILED_PRECONDITION",
    "The trust document has expired; nothing new is accepted under it, what runs keeps running.",
    "Have the root key holders sign a new version with a later end.",
)
WRONG_ORGANIZATION = Code(
    "trust.wrong_organization",
    "PERMISSION_DENIED",
    "The trust document belongs to another organization.",
    "Check the context: `dative context show`.",
)
KEY_INVALID = Code(
    "trust.key_invalid",
    "INVALID_ARGUMENT",
    "These bytes are not an Ed25519 key.",
    "Give a key made by `dative`, or any Ed25519 key in PKCS#8 PEM.",
)


@dataclass(eq=False)
class TrustRefused(DativeError):
    """A trust document or key was not accepted; the one in force stays."""

    default_code: ClassVar[Code] = MALFORMED
