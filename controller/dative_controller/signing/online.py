"""The controller's online key: it says what is current, never what may run.

Whoever steals it can hide that a newer deployment exists for as long as a statement lives (24 h); nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from dative.bundle.envelope import sign
from dative.bundle.freshness import LIFETIME_S, Freshness
from dative.bundle.keys import PublicKey, SigningKey
from dative.bundle.manifest import FRESHNESS_TYPE
from dative.errors.signing import KEY_MISSING, SigningError

from dative_controller.signing.files import read_key_file, write_key_file


class OnlineKey:
    """Signs freshness statements. public: goes into the trust document's role "online"."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @property
    def public(self) -> PublicKey:
        return self._key.public

    @classmethod
    def load_or_create(cls, path: Path) -> OnlineKey:
        """From `path` (online.key), made there at the first start.

        Errors: signing.key_exposed; trust.key_invalid when the file holds no Ed25519 key.
        """
        try:
            return cls(SigningKey.from_pem(read_key_file(path)))
        except SigningError as missing:
            if missing.code is not KEY_MISSING:
                raise
        key = SigningKey.generate()
        write_key_file(path, key.to_pem())
        return cls(key)

    def freshness(
        self,
        *,
        organization_id: str,
        environment_id: str,
        molecule_id: str,
        release_epoch: int,
        generation: int,
        manifest_digest: str,
        now: datetime,
        audit_head: str = "",
        revocation_version: int = 0,
        lifetime: timedelta = timedelta(seconds=LIFETIME_S),
    ) -> bytes:
        """The signed statement, as an envelope's bytes. audit_head: 64 hex digits or ""."""
        statement = Freshness(
            organization_id=organization_id,
            environment_id=environment_id,
            molecule_id=molecule_id,
            release_epoch=release_epoch,
            generation=generation,
            manifest_digest=manifest_digest,
            audit_head=audit_head,
            revocation_version=revocation_version,
            issued_at=now,
            expires_at=now + lifetime,
        )
        return sign(FRESHNESS_TYPE, statement.to_payload(), [self._key]).to_bytes()

    def __repr__(self) -> str:
        return f"OnlineKey({self._key.keyid[:12]})"
