"""Tokens for people and atoms: bootstrap, access, refresh, join. What is random is stored as a digest only.

Access tokens are ES256 JWTs of 15 minutes and carry no roles: those are looked up per call, so that a removal bites.
Pure but for the key file; what was used up is the store's knowledge.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dative.bundle.join_token import JoinToken
from dative.errors.signing import KEY_MISSING, TOKEN_EXPIRED, TOKEN_INVALID, SigningError

from dative_controller.signing.files import p256_pem, read_p256_key, write_key_file

__all__ = ["AccessTokens", "Claims", "JoinToken", "make_bootstrap_token", "make_refresh_token", "matches", "token_hash"]

ACCESS_LIFETIME = timedelta(minutes=15)
ISSUER = "dative"
# Several controllers behind one address have clocks that differ a little.
LEEWAY = timedelta(seconds=30)
_ALGORITHM = "ES256"
_TOKEN_BYTES_MAX = 4096


def token_hash(token: str) -> str:
    """What is stored of a token, in hex. Plain SHA-256 does: tokens are 256 random bits, there is nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()


def matches(token: str, stored_hash: str) -> bool:
    """Whether `token` has that hash, compared in constant time."""
    return hmac.compare_digest(token_hash(token), stored_hash)


def make_bootstrap_token() -> str:
    """ "bt1.<256 random bits>": creates the first administrator and dies."""
    return "bt1." + secrets.token_urlsafe(32)


def make_refresh_token() -> str:
    """ "rt1.<256 random bits>": good for one refresh, which gives the next one of its family."""
    return "rt1." + secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Claims:
    """Who calls. token_id: the token's jti, for the audit."""

    subject: str
    token_id: str
    expires_at: datetime


class AccessTokens:
    """Makes and reads access tokens of one organization. Never printed: its repr is its key's id."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, organization_id: str, lifetime: timedelta = ACCESS_LIFETIME
    ) -> None:
        self._key = key
        self._audience = organization_id
        self._lifetime = lifetime
        self._key_id = hashlib.sha256(
            key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()[:16]

    @classmethod
    def load_or_create(cls, path: Path, organization_id: str, lifetime: timedelta = ACCESS_LIFETIME) -> AccessTokens:
        """With the key in `path` (token.key), made there at the first start.

        Errors: signing.key_exposed, signing.key_unreadable.
        """
        try:
            return cls(read_p256_key(path), organization_id, lifetime)
        except SigningError as missing:
            if missing.code is not KEY_MISSING:
                raise
        key = ec.generate_private_key(ec.SECP256R1())
        write_key_file(path, p256_pem(key))
        return cls(key, organization_id, lifetime)

    def issue(self, subject: str, now: datetime) -> str:
        """An access token for `subject`, good until now + lifetime."""
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            "sub": subject,
            "jti": secrets.token_hex(16),
            "iat": int(now.timestamp()),
            "exp": int((now + self._lifetime).timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers={"kid": self._key_id, "typ": "at+jwt"})

    def verify(self, token: str, now: datetime) -> Claims:
        """Who holds the token. Errors: signing.token_invalid, signing.token_expired; the token is never quoted."""
        if len(token) > _TOKEN_BYTES_MAX:
            raise SigningError("the access token is too long to be one", code=TOKEN_INVALID)
        try:
            # The algorithm is ours, whatever the header says. Time is compared below, by the clock passed in.
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "aud", "iss", "sub", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
            found = Claims(str(claims["sub"]), str(claims["jti"]), expires_at)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError) as wrong:
            raise SigningError(f"the access token was refused: {type(wrong).__name__}", code=TOKEN_INVALID) from wrong
        if expires_at + LEEWAY <= now:
            raise SigningError(f"the access token expired at {expires_at.isoformat()}", code=TOKEN_EXPIRED)
        return found

    def __repr__(self) -> str:
        return f"AccessTokens({self._key_id})"
