"""A small organization with keys, a trust document, one atom, and manifests signed for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dative.bundle.accepted import Accepted, Identity
from dative.bundle.blobs import digest_of
from dative.bundle.canonical import canonical_json
from dative.bundle.envelope import sign
from dative.bundle.freshness import Freshness
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import (
    DEPLOYMENT_TYPE,
    FRESHNESS_TYPE,
    PROCESS_MEDIA,
    Artifact,
    Audience,
    Manifest,
    ProcessEntry,
    Signer,
)
from dative.bundle.trust import TrustDocument, new_trust, sign_trust, successor, walk
from dative.bundle.verify import verify_freshness, verify_manifest


def key(seed: str) -> SigningKey:
    """The same key for the same seed, so that golden files and tables stay the same."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))


@dataclass
class World:
    """Two root keys (both must sign), one release key, one online key; generation 1 is accepted."""

    disk: Path
    now: datetime = datetime(2026, 7, 1, 12, tzinfo=UTC)
    roots: list[SigningKey] = field(default_factory=lambda: [key("root-1"), key("root-2")])
    release: SigningKey = field(default_factory=lambda: key("release"))
    online: SigningKey = field(default_factory=lambda: key("online"))
    stranger: SigningKey = field(default_factory=lambda: key("stranger"))
    second: SigningKey = field(default_factory=lambda: key("second release"))
    identity: Identity = field(default_factory=lambda: Identity("acme", "prod", "default", "atom1", "1.2.0"))
    process: bytes = b'{"kind":"Process"}'

    def __post_init__(self) -> None:
        self.trust = new_trust(
            organization_id="acme",
            root=[key.public for key in self.roots],
            release=[self.release.public],
            online=[self.online.public],
            expires_at=self.now + timedelta(days=365),
            root_threshold=2,
        )
        self.trust_envelope = sign_trust(self.trust, self.roots).to_bytes()
        self.accepted = Accepted(trust_envelope=self.trust_envelope, trust_version=1)
        self.first = self.manifest(generation=1)
        self.accept(self.first)

    def manifest(self, **changes: Any) -> Manifest:
        """By default the one that rightly follows generation 1."""
        artifact = Artifact("sync/process.json", digest_of(self.process), len(self.process), PROCESS_MEDIA)
        fields: dict[str, Any] = {
            "organization_id": "acme",
            "environment_id": "prod",
            "audience": Audience("default"),
            "release_epoch": self.trust.release_epoch,
            "generation": 2,
            "issued_at": self.now - timedelta(minutes=1),
            "expires_at": self.now + timedelta(days=90),
            "trust_version": self.trust.version,
            "min_atom_version": "1.0.0",
            "processes": (ProcessEntry("sync", 1, 5, artifact.name),),
            "artifacts": (artifact,),
            "signer": Signer("ada@acme.example", "first release"),
        }
        return Manifest(**(fields | changes))

    def signed(self, manifest: Manifest, *keys: SigningKey) -> bytes:
        return sign(DEPLOYMENT_TYPE, manifest.to_payload(), keys or [self.release]).to_bytes()

    def verify(self, envelope: bytes, **changes: Any) -> Manifest:
        fields = {"trust": self.trust, "identity": self.identity, "accepted": self.accepted, "now": self.now}
        return verify_manifest(envelope, **(fields | changes))

    def accept(self, manifest: Manifest) -> None:
        self.verify(self.signed(manifest))
        self.accepted = self.accepted.with_manifest(manifest, self.identity, self.trust.version)

    def rotate(self, **changes: Any) -> bytes:
        """Put the next trust version in force; its envelope."""
        self.trust = successor(self.trust, expires_at=self.now + timedelta(days=400), **changes)
        envelope = sign_trust(self.trust, self.roots).to_bytes()
        self.accepted = self.accepted.with_trust(envelope, self.trust.version)
        return envelope

    def as_atom(self, **changes: str) -> Identity:
        return replace(self.identity, **changes)

    def two_must_sign(self) -> None:
        self.rotate(release=[self.release.public, self.second.public], release_threshold=2)

    def at_restart(self, **changes: Any) -> dict[str, Any]:
        """The arguments of `readopt`."""
        return {"trust": self.trust, "identity": self.identity, "accepted": self.accepted, "now": self.now} | changes

    def verify_raw(self, payload: bytes) -> Manifest:
        """A payload of any bytes under a good signature of the release key."""
        return self.verify(sign(DEPLOYMENT_TYPE, payload, [self.release]).to_bytes())

    def altered(self, **changes: Any) -> bytes:
        """The canonical bytes of the good manifest with some fields put over."""
        return canonical_json(json.loads(self.manifest().to_payload()) | changes)

    def fresh(self, signer: SigningKey | None = None, **changes: Any) -> Freshness:
        """A freshness statement about generation 1, as the atom verifies it."""
        fields: dict[str, Any] = {
            "organization_id": "acme",
            "environment_id": "prod",
            "molecule_id": "default",
            "release_epoch": 1,
            "generation": 1,
            "manifest_digest": self.first.digest,
            "issued_at": self.now,
            "expires_at": self.now + timedelta(hours=24),
        }
        payload = Freshness(**(fields | changes)).to_payload()
        envelope = sign(FRESHNESS_TYPE, payload, [signer or self.online]).to_bytes()
        return verify_freshness(envelope, **self.at_restart())

    def next_trust(self, current: TrustDocument | None = None, **changes: Any) -> TrustDocument:
        return successor(current or self.trust, **({"expires_at": self.now + timedelta(days=400)} | changes))

    def walk(self, *documents: TrustDocument, keys: list[SigningKey] | None = None) -> TrustDocument:
        """Walk from the trust document in force over these, each signed by `keys` (both roots)."""
        return walk(self.trust, [sign_trust(one, keys or self.roots).to_bytes() for one in documents], self.now)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def make_key() -> Any:
    return key


@pytest.fixture(scope="session")
def make_world() -> Any:
    return World
