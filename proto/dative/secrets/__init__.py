"""Secrets: a value that nothing prints, and sealing to keys."""

from dative.secrets.seal import SealKey, fingerprint, open_sealed, seal, seal_info
from dative.secrets.secret import Secret

__all__ = ["SealKey", "Secret", "fingerprint", "open_sealed", "seal", "seal_info"]
