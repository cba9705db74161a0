"""Whether this atom may take a manifest, a blob or a freshness statement: every rule, no disk, no network.

The order is fixed, cheapest and most telling first: length, signatures, audience, epoch and generation, time, engine,
then each blob (Invariant 3). A refusal changes nothing: what was accepted before keeps running.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from dative.bundle.accepted import Accepted, Identity, Position
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope, verified_payload
from dative.bundle.freshness import FRESHNESS_BYTES_MAX, Freshness
from dative.bundle.manifest import (
    DEPLOYMENT_TYPE,
    ENVELOPE_BYTES_MAX,
    FRESHNESS_TYPE,
    Artifact,
    Manifest,
    read_document,
)
from dative.bundle.trust import RoleName, TrustDocument
from dative.errors import trust as trust_codes
from dative.errors.bundle import (
    BLOB_MISMATCH,
    BLOB_MISSING,
    ENGINE_TOO_OLD,
    EQUIVOCATION,
    EXPIRED,
    FRESHNESS_STALE,
    NOT_YET_VALID,
    ROLLBACK,
    TRUST_TOO_OLD,
    WRONG_ATOM,
    WRONG_ENVIRONMENT,
    WRONG_MOLECULE,
    WRONG_ORGANIZATION,
    BundleRefused,
)

__all__ = [
    "Accepted",
    "Identity",
    "Position",
    "readopt",
    "verify_blob",
    "verify_freshness",
    "verify_manifest",
]

# Clocks of customers' machines drift; a document from further ahead would poison the time floor.
ISSUED_AHEAD_MAX = timedelta(hours=1)
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def verify_manifest(
    envelope_bytes: bytes, *, trust: TrustDocument, identity: Identity, accepted: Accepted, now: datetime
) -> Manifest:
    """The manifest, when this atom may adopt it. Its blobs are still to be fetched and verified.

    The one that is accepted already comes back by the rules of `readopt`, so that a repeated push is harmless, also the
    push that brings a trust document without the key it was signed with.
    Errors: BundleRefused with the code of the first rule that does not hold.
    """
    envelope = Envelope.parse(envelope_bytes, bytes_max=ENVELOPE_BYTES_MAX)
    position = accepted.position(identity)
    if position is not None and digest_of(envelope.payload) == position.manifest_digest:
        return readopt(envelope_bytes, trust=trust, identity=identity, accepted=accepted, now=now)
    manifest = Manifest.parse(_verified(envelope, DEPLOYMENT_TYPE, trust, "release"))
    _check_audience(manifest, trust, identity)
    _check_order(manifest, trust, position)
    _check_time(manifest, trust, accepted.not_before(now), now)
    _check_engine(manifest, identity)
    return manifest


def readopt(
    envelope_bytes: bytes, *, trust: TrustDocument, identity: Identity, accepted: Accepted, now: datetime
) -> Manifest:
    """The accepted manifest once more, at a restart, from the bytes on this atom's disk (Invariant 3).

    It must be the very one that was accepted; time is not applied, so that an atom which was off or offline for months
    starts again. While the trust document is the one it was accepted under, its signatures are verified again. After a
    rotation they may be of a key that is gone: then the digest, verified and persisted under the former document, is
    the proof, because a restart must not stop what a rotation did not.
    now: for the contract's sake of one form of call; no rule here reads it.
    Errors: bundle.blob_missing when nothing was accepted, bundle.equivocation for another manifest, and those above.
    """
    del now
    position = accepted.position(identity)
    if position is None:
        raise BundleRefused("no manifest was accepted here yet", code=BLOB_MISSING)
    envelope = Envelope.parse(envelope_bytes, bytes_max=ENVELOPE_BYTES_MAX)
    if trust.version == position.trust_version:
        payload = _verified(envelope, DEPLOYMENT_TYPE, trust, "release")
    else:
        payload = envelope.payload
    if digest_of(payload) != position.manifest_digest:
        raise BundleRefused(
            f"the manifest on this disk is not the one accepted as generation {position.generation}", code=EQUIVOCATION
        )
    manifest = Manifest.parse(payload)
    _check_audience(manifest, trust, identity)
    _check_engine(manifest, identity)
    return manifest


def verify_blob(artifact: Artifact, data: bytes | Path) -> None:
    """data: the blob's bytes, or the file that holds them; of a file at most size + 1 bytes are read.

    Errors: bundle.blob_missing, bundle.blob_mismatch.
    """
    if isinstance(data, Path):
        try:
            with data.open("rb") as file:
                data = file.read(artifact.size + 1)
        except FileNotFoundError as gone:
            raise BundleRefused(f"the blob of {artifact.name} is not here", code=BLOB_MISSING) from gone
    if len(data) != artifact.size or digest_of(data) != artifact.digest:
        raise BundleRefused(f"the bytes of {artifact.name} are not those that the manifest names", code=BLOB_MISMATCH)


def verify_freshness(
    envelope_bytes: bytes, *, trust: TrustDocument, identity: Identity, accepted: Accepted, now: datetime
) -> Freshness:
    """The controller's statement of what is current, when it is its own, for this atom, and alive.

    Errors: BundleRefused; freshness.stale when it has expired, bundle.rollback when its revocation version is older
    than one accepted. A refused statement leaves the last good one in force until that expires.
    """
    envelope = Envelope.parse(envelope_bytes, bytes_max=FRESHNESS_BYTES_MAX)
    payload = _verified(envelope, FRESHNESS_TYPE, trust, "online")
    statement = read_document(Freshness, payload, bytes_max=FRESHNESS_BYTES_MAX, what="freshness statement")
    _check_place(statement.organization_id, statement.environment_id, statement.molecule_id, trust, identity)
    if statement.revocation_version < accepted.revocation_version:
        raise BundleRefused(
            f"revocation version {statement.revocation_version} after {accepted.revocation_version}", code=ROLLBACK
        )
    if statement.issued_at > now + ISSUED_AHEAD_MAX:
        raise BundleRefused(f"issued at {statement.issued_at.isoformat()}", code=NOT_YET_VALID)
    if statement.expires_at <= accepted.not_before(now):
        raise BundleRefused(f"expired at {statement.expires_at.isoformat()}", code=FRESHNESS_STALE)
    return statement


def _verified(envelope: Envelope, kind: str, trust: TrustDocument, role: RoleName) -> bytes:
    return verified_payload(
        envelope,
        payload_type=kind,
        keys=trust.role_keys(role),
        threshold=trust.role(role).threshold,
        other_keys=trust.other_keys(role),
    )


def _check_audience(manifest: Manifest, trust: TrustDocument, identity: Identity) -> None:
    audience = manifest.audience
    _check_place(manifest.organization_id, manifest.environment_id, audience.molecule_id, trust, identity)
    if audience.atom_ids is not None and identity.atom_id not in audience.atom_ids:
        raise BundleRefused(f"for {len(audience.atom_ids)} named atoms, not for {identity.atom_id}", code=WRONG_ATOM)


def _check_place(organization: str, environment: str, molecule: str, trust: TrustDocument, identity: Identity) -> None:
    if organization != identity.organization_id or trust.organization_id != identity.organization_id:
        raise BundleRefused(
            f"for organization {organization}, this atom is of {identity.organization_id}", code=WRONG_ORGANIZATION
        )
    if environment != identity.environment_id:
        raise BundleRefused(
            f"for environment {environment}, this atom is in {identity.environment_id}", code=WRONG_ENVIRONMENT
        )
    if molecule != identity.molecule_id:
        raise BundleRefused(f"for molecule {molecule}, this atom is in {identity.molecule_id}", code=WRONG_MOLECULE)


def _check_order(manifest: Manifest, trust: TrustDocument, position: Position | None) -> None:
    # The epoch is the root's word, not the release key's: a thief of the latter can not sign himself a higher one.
    if manifest.trust_version > trust.version or manifest.release_epoch > trust.release_epoch:
        raise BundleRefused(
            f"signed under trust version {manifest.trust_version}, epoch {manifest.release_epoch}; "
            f"this atom has version {trust.version}, epoch {trust.release_epoch}",
            code=TRUST_TOO_OLD,
        )
    if manifest.release_epoch < trust.release_epoch:
        raise BundleRefused(
            f"of release epoch {manifest.release_epoch}, which ended; {trust.release_epoch} is current", code=ROLLBACK
        )
    if position is None:
        return
    new, old = (manifest.release_epoch, manifest.generation), (position.release_epoch, position.generation)
    if new < old:
        raise BundleRefused(f"generation {new[1]}; generation {old[1]} was accepted", code=ROLLBACK)
    if new == old:
        raise BundleRefused(f"another manifest was accepted as generation {old[1]}", code=EQUIVOCATION)
    if (
        new == (old[0], old[1] + 1)
        and manifest.previous_digest is not None
        and manifest.previous_digest != position.manifest_digest
    ):
        raise BundleRefused(
            f"generation {new[1]} follows another generation {old[1]} than the accepted one", code=EQUIVOCATION
        )
    _check_counters(manifest, position)


def _check_counters(manifest: Manifest, position: Position) -> None:
    if manifest.allow_release_counter_decrease:
        return
    for entry in manifest.processes:
        former = position.release_counters.get(entry.process_id, 0)
        if entry.release_counter < former:
            raise BundleRefused(
                f"process {entry.process_id} goes from release {former} back to {entry.release_counter}", code=ROLLBACK
            )


def _check_time(manifest: Manifest, trust: TrustDocument, not_before: datetime, now: datetime) -> None:
    if manifest.issued_at > now + ISSUED_AHEAD_MAX:
        raise BundleRefused(
            f"issued at {manifest.issued_at.isoformat()}, it is {now.isoformat()} here", code=NOT_YET_VALID
        )
    if manifest.expires_at <= not_before:
        raise BundleRefused(f"expired at {manifest.expires_at.isoformat()}", code=EXPIRED)
    if trust.expires_at <= not_before:
        raise BundleRefused(
            f"trust version {trust.version} expired at {trust.expires_at.isoformat()}", code=trust_codes.EXPIRED
        )


def _check_engine(manifest: Manifest, identity: Identity) -> None:
    if _version(identity.atom_version) < _version(manifest.min_atom_version):
        raise BundleRefused(
            f"needs atom {manifest.min_atom_version}, this one is {identity.atom_version}", code=ENGINE_TOO_OLD
        )


def _version(text: str) -> tuple[int, int, int]:
    found = _VERSION.match(text)
    if found is None:
        raise ValueError(f"no version: {text[:40]!r}")
    return int(found[1]), int(found[2]), int(found[3])
