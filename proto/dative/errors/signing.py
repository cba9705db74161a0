"""Codes of keys and tokens: the controller's own, and those that the command line keeps for its user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dative.errors.base import Code, DativeError

CSR_REFUSED = Code(
    "signing.csr_refused",
    "INVALID_ARGUMENT",
    "The certificate request can not be signed: too long, not P-256, or not signed by the key it names.",
    "Join again with an unmodified atom.",
)
KEY_MISSING = Code(
    "signing.key_missing",
    "NOT_FOUND",
    "A key that is needed here is not in the key store.",
    "Use the machine and context that hold it: `dative context list`.",
)
KEY_EXISTS = Code(
    "signing.key_exists",
    "ALREADY_EXISTS",
    "A key of that name is there already; keys are never overwritten.",
    "Use the one that is there, or another context.",
)
KEY_UNREADABLE = Code(
    "signing.key_unreadable",
    "FAILED_PRECONDITION",
    "A key is there but can not be used: not a key of its kind, or half of a pair.",
    "Restore it from its backup.",
)
KEY_EXPOSED = Code(
    "signing.key_exposed",
    "PERMISSION_DENIED",
    "Other accounts of this machine can read a key file.",
    "Take their access away: `chmod 600 <file>`; if others have used the machine, replace the key.",
)
TOKEN_INVALID = Code(
    "signing.token_invalid",
    "UNAUTHENTICATED",
    "The access token is not one of this controller's, or was changed.",
    "Log in again: `dative login`.",
)
TOKEN_EXPIRED = Code(
    "signing.token_expired",
    "UNAUTHENTICATED",
    "The access token has expired.",
    "The command line refreshes it on its own; otherwise `dative login`.",
)
JOIN_TOKEN_MALFORMED = Code(
    "signing.join_token_malformed",
    "INVALID_ARGUMENT",
    "The text is not a whole join token.",
    "Copy the whole line that `dative atom invite` printed; it begins with at1.",
)


@dataclass(eq=False)
class SigningError(DativeError):
    """A key, certificate request or token could not be used."""

    default_code: ClassVar[Code] = KEY_UNREADABLE
