"""Codes of secrets: references, sealed values, recipient lists. No message ever holds a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dative.errors.base import Code, DativeError

MALFORMED = Code(
    "secrets.malformed",
    "INVALID_ARGUMENT",
    "The sealed set or recipient list is not what its type promises.",
    "Set the secrets again: `dative env secret set`.",
)
CANNOT_OPEN = Code(
    "secrets.cannot_open",
    "PERMISSION_DENIED",
    "The sealed bytes do not open: sealed to another key or for another use, or changed on the way.",
    "Compare the key's fingerprint on both sides, then seal again.",
)
NOT_RECIPIENT = Code(
    "secrets.not_recipient",
    "PERMISSION_DENIED",
    "The set is not sealed to this key.",
    "Approve the atom, then seal the environment's secrets again and deploy.",
)
NO_RECOVERY_KEY = Code(
    "secrets.no_recovery_key",
    "FAILED_PRECONDITION",
    "Sealing needs the recovery key, and it must be on the recipient list: without it no atom could ever be added.",
    "Use a context that holds the recovery key.",
)
NOT_AUTHENTIC = Code(
    "secrets.not_authentic",
    "DATA_LOSS",
    "The stored sealed set was not made with this recovery key; somebody changed it where it is stored.",
    "Do not build on it: set every secret again, and look at who can write the controller's database.",
)
RECIPIENTS_ROLLBACK = Code(
    "secrets.recipients_rollback",
    "FAILED_PRECONDITION",
    "The recipient list is older than the one in use; sealing to it could serve an atom that was removed.",
    "Fetch the newest list; if it stays, sign a new one.",
)
BAD_REFERENCE = Code(
    "secrets.bad_reference",
    "INVALID_ARGUMENT",
    "A secret reference is not of a known form.",
    'Write "sealed:<name>", "env:<NAME>" or "file:/<path>".',
)
NOT_FOUND = Code(
    "secrets.not_found",
    "NOT_FOUND",
    "The reference names a secret that is not there.",
    "Set it: `dative env secret set`, or provide the variable or file on the atom.",
)
TOO_LARGE = Code(
    "secrets.too_large",
    "RESOURCE_EXHAUSTED",
    "A secret, or the number of secrets, is over its limit.",
    "Keep large material in a file on the atom and refer to it.",
)


@dataclass(eq=False)
class SecretsRefused(DativeError):
    """A secret could not be sealed, opened or found."""

    default_code: ClassVar[Code] = MALFORMED
