"""The trust document: which keys may say what, and how one version hands over to the next.

Three roles that share no key: `root` signs trust documents, `release` decides what may run, `online` says what is
current. Pure: bytes and a time come in, a document or a refusal goes out.
Source: the root role of The Update Framework 1.0.34, §5.3 and §6.1 (key rotation, fast-forward recovery).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal

import msgspec

from dative.bundle.envelope import Envelope, sign, signers
from dative.bundle.keys import PublicKey, SigningKey
from dative.bundle.manifest import TRUST_TYPE, Counter, Id, Moment, read_document, write_document
from dative.errors.bundle import WRONG_TYPE, BundleRefused
from dative.errors.trust import (
    BELOW_THRESHOLD,
    CHAIN_TOO_LONG,
    EXPIRED,
    NOT_PINNED,
    ROLLBACK,
    SKIPPED,
    WRONG_ORGANIZATION,
    TrustRefused,
)

RoleName = Literal["root", "release", "online"]

TRUST_BYTES_MAX = 64 << 10
TRUST_ENVELOPE_BYTES_MAX = TRUST_BYTES_MAX * 4 // 3 + 8192
CHAIN_MAX = 256  # versions walked at once; a rotation a week takes five years to get there
_ROLE_KEYS_MAX = 16

_Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyids: Annotated[tuple[_Hex, ...], msgspec.Meta(min_length=1, max_length=_ROLE_KEYS_MAX)]
    threshold: Annotated[int, msgspec.Meta(ge=1, le=_ROLE_KEYS_MAX)]


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    root: Role
    release: Role
    online: Role


class TrustDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True, kw_only=True):
    """One version of who may sign. keys: keyid -> raw public key in hex.

    expires_at: nothing new is accepted under it afterwards. release_epoch: raised when a release key was stolen, so that
    no generation its thief signed counts any more.
    """

    schema_: Literal["dative.trust/v1"] = msgspec.field(default="dative.trust/v1", name="schema")
    organization_id: Id
    version: Counter
    expires_at: Moment
    release_epoch: Counter
    keys: dict[_Hex, _Hex]
    roles: Roles

    def __post_init__(self) -> None:
        for keyid, raw in self.keys.items():
            if hashlib.sha256(bytes.fromhex(raw)).hexdigest() != keyid:
                raise ValueError(f"key {keyid[:12]} is listed under another key's id")
        owner: dict[str, str] = {}
        for name, role in (("root", self.roles.root), ("release", self.roles.release), ("online", self.roles.online)):
            if role.threshold > len(set(role.keyids)):
                raise ValueError(f"role {name} asks for {role.threshold} signatures and has fewer different keys")
            for keyid in role.keyids:
                if keyid not in self.keys:
                    raise ValueError(f"role {name} names key {keyid[:12]}, which is not listed")
                if owner.setdefault(keyid, name) != name:
                    raise ValueError(f"key {keyid[:12]} serves {owner[keyid]} and {name}; roles share no key")

    def role(self, name: RoleName) -> Role:
        found: Role = getattr(self.roles, name)
        return found

    @cached_property
    def public_keys(self) -> Mapping[str, PublicKey]:
        return {keyid: PublicKey.from_hex(raw) for keyid, raw in self.keys.items()}

    def role_keys(self, name: RoleName) -> Mapping[str, PublicKey]:
        return {keyid: self.public_keys[keyid] for keyid in self.role(name).keyids}

    def other_keys(self, name: RoleName) -> Mapping[str, PublicKey]:
        mine = self.role(name).keyids
        return {keyid: key for keyid, key in self.public_keys.items() if keyid not in mine}

    def to_payload(self) -> bytes:
        return write_document(self)

    @cached_property
    def digest(self) -> str:
        """64 hex digits of the payload's SHA-256: what a join token pins."""
        return hashlib.sha256(self.to_payload()).hexdigest()


def new_trust(
    *,
    organization_id: str,
    root: Sequence[PublicKey],
    release: Sequence[PublicKey],
    online: Sequence[PublicKey],
    expires_at: datetime,
    root_threshold: int = 1,
    release_threshold: int = 1,
    version: int = 1,
    release_epoch: int = 1,
) -> TrustDocument:
    """A trust document, to be signed with `sign_trust`. Production wants root_threshold >= 2.

    Errors: trust.malformed when it does not hold together.
    """
    body = {
        "schema": "dative.trust/v1",
        "organization_id": organization_id,
        "version": version,
        "expires_at": expires_at,
        "release_epoch": release_epoch,
        "keys": {key.keyid: key.raw.hex() for key in (*root, *release, *online)},
        "roles": {
            "root": _role(root, root_threshold),
            "release": _role(release, release_threshold),
            "online": _role(online, 1),
        },
    }
    try:
        return msgspec.convert(body, TrustDocument)
    except msgspec.ValidationError as wrong:
        raise TrustRefused(f"trust document: {wrong}") from wrong


def successor(
    current: TrustDocument,
    *,
    expires_at: datetime,
    root: Sequence[PublicKey] | None = None,
    release: Sequence[PublicKey] | None = None,
    online: Sequence[PublicKey] | None = None,
    root_threshold: int | None = None,
    release_threshold: int | None = None,
    raise_epoch: bool = False,
) -> TrustDocument:
    """The next version; what is None stays. raise_epoch: the release key was stolen, its signatures count no more."""

    def keys(name: RoleName, given: Sequence[PublicKey] | None) -> Sequence[PublicKey]:
        return tuple(current.role_keys(name).values()) if given is None else given

    return new_trust(
        organization_id=current.organization_id,
        root=keys("root", root),
        release=keys("release", release),
        online=keys("online", online),
        expires_at=expires_at,
        root_threshold=root_threshold or current.roles.root.threshold,
        release_threshold=release_threshold or current.roles.release.threshold,
        version=current.version + 1,
        release_epoch=current.release_epoch + int(raise_epoch),
    )


def sign_trust(document: TrustDocument, keys: Sequence[SigningKey]) -> Envelope:
    """keys: enough roots of the version before, and enough of this one."""
    return sign(TRUST_TYPE, document.to_payload(), keys)


def read_trust(envelope: bytes) -> TrustDocument:
    """A trust document that its own root keys signed: consistent, but not yet proven by anything known before.

    For the first document, and for reading back what was proven and stored. Expiry is not applied.
    Errors: bundle.too_large, bundle.malformed, bundle.wrong_type; trust.malformed, trust.below_threshold.
    """
    opened, document = _open(envelope)
    _require_roots(opened, document, of=document)
    return document


def pinned(envelope: bytes, digest: str, now: datetime) -> TrustDocument:
    """The trust document that a join token pins.

    digest: 64 hex digits, from the token. Errors: those of `read_trust`; trust.not_pinned, trust.expired.
    """
    document = read_trust(envelope)
    if document.digest != digest:
        raise TrustRefused(
            f"the join token names trust document {digest[:12]}, the controller sent {document.digest[:12]}",
            code=NOT_PINNED,
        )
    _require_alive(document, now)
    return document


def walk(current: TrustDocument, chain: Sequence[bytes], now: datetime) -> TrustDocument:
    """The newest document of `chain`, each version proven by the one before it.

    chain: envelopes of versions current+1, +2, … in order, 0..CHAIN_MAX of them. Only the last must be alive.
    Errors: those of `read_trust`; trust.rollback, trust.version_skipped, trust.wrong_organization, trust.expired,
    trust.chain_too_long.
    """
    if len(chain) > CHAIN_MAX:
        raise TrustRefused(f"{len(chain)} trust documents at once, {CHAIN_MAX} are allowed", code=CHAIN_TOO_LONG)
    document = current
    for envelope in chain:
        document = _step(document, envelope)
    if chain:
        _require_alive(document, now)
    return document


def _step(current: TrustDocument, envelope: bytes) -> TrustDocument:
    opened, document = _open(envelope)
    # The former root speaks first: until it does, nothing in the new document is worth a look.
    _require_roots(opened, document, of=current)
    if document.organization_id != current.organization_id:
        raise TrustRefused(f"of organization {document.organization_id}", code=WRONG_ORGANIZATION)
    if document.version <= current.version:
        raise TrustRefused(f"version {document.version}; version {current.version} is in force", code=ROLLBACK)
    if document.version != current.version + 1:
        raise TrustRefused(f"version {document.version} does not follow version {current.version}", code=SKIPPED)
    if document.release_epoch < current.release_epoch:
        raise TrustRefused(f"release epoch {document.release_epoch} after {current.release_epoch}", code=ROLLBACK)
    _require_roots(opened, document, of=document)
    return document


def _open(data: bytes) -> tuple[Envelope, TrustDocument]:
    envelope = Envelope.parse(data, bytes_max=TRUST_ENVELOPE_BYTES_MAX)
    if envelope.payload_type != TRUST_TYPE:
        raise BundleRefused(f"expected {TRUST_TYPE}, got {envelope.payload_type[:80]}", code=WRONG_TYPE)
    # Read before its signatures are checked: a first document names its own signers. The reader is strict and bounded.
    return envelope, read_document(TrustDocument, envelope.payload, bytes_max=TRUST_BYTES_MAX, what="trust document")


def _require_roots(envelope: Envelope, document: TrustDocument, *, of: TrustDocument) -> None:
    role = of.roles.root
    signed = len(signers(envelope, of.role_keys("root")))
    if signed < role.threshold:
        raise TrustRefused(
            f"version {document.version} is signed by {signed} of the {role.threshold} root keys "
            f"that version {of.version} asks for",
            code=BELOW_THRESHOLD,
        )


def _require_alive(document: TrustDocument, now: datetime) -> None:
    if document.expires_at <= now:
        raise TrustRefused(f"version {document.version} expired at {document.expires_at.isoformat()}", code=EXPIRED)


def _role(keys: Sequence[PublicKey], threshold: int) -> dict[str, object]:
    return {"keyids": [key.keyid for key in keys], "threshold": threshold}
