"""The join token's text: one writer, one reader, for the controller that makes it and the atom that uses it.

"at1.<token id>.<secret>.<digest of the trust document>". The atom pins the trust document before it sends the secret.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field

from dative.errors.signing import JOIN_TOKEN_MALFORMED, SigningError

SECRET_BYTES = 32
_FORM = re.compile(r"\Aat1\.([A-Za-z0-9]{1,64})\.([A-Za-z0-9_-]{43})\.([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """secret: base64url text of 32 random bytes, never printed by repr. trust_digest: 64 hex digits."""

    token_id: str
    secret: str = field(repr=False)
    trust_digest: str

    @classmethod
    def make(cls, token_id: str, trust_digest: str) -> JoinToken:
        """A token with a fresh secret. Errors: signing.join_token_malformed for an id or digest of another form."""
        secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
        return cls.parse(f"at1.{token_id}.{secret}.{trust_digest}")

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Errors: signing.join_token_malformed; the text is not quoted, most of it may be a secret."""
        found = _FORM.match(text.strip())
        if found is None:
            raise SigningError(f"{len(text)} characters that are no join token", code=JOIN_TOKEN_MALFORMED)
        return cls(*found.groups())

    def reveal(self) -> str:
        """The whole text, to show once and to send."""
        return f"at1.{self.token_id}.{self.secret}.{self.trust_digest}"
