"""A deployer with a release and a recovery key, and the atoms of one environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from dative.bundle.keys import SigningKey
from dative.bundle.trust import new_trust
from dative.secrets.seal import SealKey
from dative.secrets.sealed_set import Recipient, Recipients, sign_recipients, verify_recipients


@dataclass
class Deployer:
    """Signs recipient lists and holds the recovery key."""

    now: datetime = datetime(2026, 7, 1, tzinfo=UTC)
    release: SigningKey = field(default_factory=SigningKey.generate)
    recovery: SealKey = field(default_factory=SealKey.generate)
    atoms: dict[str, SealKey] = field(
        default_factory=lambda: {"atom1": SealKey.generate(), "atom2": SealKey.generate()}
    )

    def __post_init__(self) -> None:
        self.trust = new_trust(
            organization_id="acme",
            root=[SigningKey.generate().public],
            release=[self.release.public],
            online=[SigningKey.generate().public],
            expires_at=self.now + timedelta(days=365),
        )

    def envelope(self, *ids: str, version: int = 1, key: SigningKey | None = None, environment: str = "prod") -> bytes:
        """A signed list of the recovery key and these atoms; all of them when none is named."""
        listed = [Recipient(atom, self.atoms[atom].public_raw.hex()) for atom in ids or self.atoms]
        return sign_recipients(
            [*listed, Recipient("recovery", self.recovery.public_raw.hex())],
            [key or self.release],
            organization_id="acme",
            environment_id=environment,
            version=version,
            now=self.now,
        )

    def recipients(self, *ids: str, version: int = 1) -> Recipients:
        return verify_recipients(self.envelope(*ids, version=version), trust=self.trust, environment_id="prod")


@pytest.fixture
def deployer() -> Deployer:
    return Deployer()
