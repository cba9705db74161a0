"""Secrets: a value that nothing prints, sealing to keys, sealed sets, references and redaction."""

from dative.secrets.mask_keys import MaskKeys
from dative.secrets.redact import Redactor
from dative.secrets.reference import SecretReference, resolve
from dative.secrets.seal import SealKey, fingerprint, open_sealed, seal, seal_info
from dative.secrets.sealed_set import (
    Recipient,
    Recipients,
    SealedSet,
    exposed,
    open_set,
    seal_values,
    sign_recipients,
    verify_recipients,
)
from dative.secrets.secret import Secret

__all__ = [
    "MaskKeys",
    "Recipient",
    "Recipients",
    "Redactor",
    "SealKey",
    "SealedSet",
    "Secret",
    "SecretReference",
    "exposed",
    "fingerprint",
    "open_sealed",
    "open_set",
    "resolve",
    "seal",
    "seal_info",
    "seal_values",
    "sign_recipients",
    "verify_recipients",
]
