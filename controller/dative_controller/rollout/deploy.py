"""CreateDeployment's rules: refuse what atoms would refuse, then store manifest, blobs' names and generation at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from dative.bundle.accepted import Accepted, Identity, Position
from dative.bundle.envelope import Envelope, verified_payload
from dative.bundle.manifest import DEPLOYMENT_TYPE, ENVELOPE_BYTES_MAX, Manifest
from dative.bundle.trust import TrustDocument
from dative.bundle.verify import verify_manifest
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.bundle import BLOB_MISMATCH, TOO_LARGE, WRONG_ENVIRONMENT
from dative.errors.rpc import INVALID
from dative.errors.store import BLOB_MISSING
from dative.ids import new_id
from dative.v1 import control_pb2
from sqlalchemy import Connection

from dative_controller.rollout import trust, way_back
from dative_controller.store import deployments, environments, rollouts
from dative_controller.store.changes import Change, publish
from dative_controller.store.environments import EnvironmentRow

INLINE_BYTES_MAX = 256 * 1024
"""A manifest travels inside the push; a larger one would fill the control stream."""
KINDS = ("deploy", "rollback", "promote")
RETURN = "return"
"""The controller's own: what was signed for the way back, released because a gate failed."""
GATE = timedelta(seconds=30)
ACTIVATE_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A deployment as it is asked for. rollout: None gives it to every atom at once."""

    envelope: bytes
    expected_check_index: int
    reason: str
    kind: str
    created_by: str
    traceparent: str
    rollout: control_pb2.RolloutPolicy | None = None


def read_manifest(envelope: bytes, document: TrustDocument) -> Manifest:
    """The manifest, signed by enough release keys. Errors: those of `dative.bundle`."""
    if len(envelope) > INLINE_BYTES_MAX:
        raise DativeError(f"the signed manifest has {len(envelope)} bytes of {INLINE_BYTES_MAX}", code=TOO_LARGE)
    role = document.role("release")
    payload = verified_payload(
        Envelope.parse(envelope, bytes_max=ENVELOPE_BYTES_MAX),
        payload_type=DEPLOYMENT_TYPE,
        keys=document.role_keys("release"),
        threshold=role.threshold,
        other_keys=document.other_keys("release"),
    )
    return Manifest.parse(payload)


def check_index(sql: Connection, environment: EnvironmentRow, molecule_id: str) -> int:
    """One number for all that a plan was made from: generation, environment version, secrets version. Never 0."""
    current = deployments.desired(sql, str(environment.environment_id), molecule_id)
    sealed = environments.newest_sealed(sql, str(environment.environment_id))
    seen = (
        environment.environment_id,
        molecule_id,
        (current.release_epoch, current.generation) if current else None,
        environment.version,
        sealed.version if sealed else 0,
    )
    return int.from_bytes(hashlib.sha256(repr(seen).encode()).digest()[:7], "big") | 1


def create(
    sql: Connection, wanted: Wanted, *, organization_id: str, version: str, now: datetime
) -> tuple[str, Manifest]:
    """Check and store; returns the deployment's id and its manifest.

    version: this program's, as an atom of the same version would compare it.
    Errors: those of `verify_manifest`; deployment.generation_conflict, deployment.plan_is_old, store.blob_missing.
    """
    if wanted.kind not in (*KINDS, RETURN):
        raise DativeError(f"kind must be one of {', '.join(KINDS)}", code=INVALID)
    envelope, document = trust.newest(sql)
    manifest = read_manifest(wanted.envelope, document)
    try:
        environment = environments.find(sql, manifest.environment_id)
    except DativeError as unknown:
        raise DativeError(f"there is no environment {manifest.environment_id}", code=WRONG_ENVIRONMENT) from unknown
    if environment.environment_id != manifest.environment_id:
        raise DativeError(f"{manifest.environment_id} is no environment's id", code=WRONG_ENVIRONMENT)
    molecule_id = manifest.audience.molecule_id
    current = deployments.desired(sql, manifest.environment_id, molecule_id)
    _check_generation(manifest, document, current)
    if wanted.expected_check_index and wanted.expected_check_index != check_index(sql, environment, molecule_id):
        raise DativeError("the plan was made from an older state", code=codes.CHECK_INDEX, where=str(environment.name))
    atom_ids = manifest.audience.atom_ids
    identity = Identity(
        organization_id, manifest.environment_id, molecule_id, atom_ids[0] if atom_ids else "any", version
    )
    accepted = _accepted(envelope, document, identity, current)
    verify_manifest(wanted.envelope, trust=document, identity=identity, accepted=accepted, now=now)
    _check_blobs(sql, manifest)
    if wanted.rollout is not None and wanted.rollout.return_envelope:
        former = Manifest.parse(_payload(current)) if current else None
        way_back.check(read_manifest(wanted.rollout.return_envelope, document), manifest, former, now)
    rollouts.supersede(sql, manifest.environment_id, molecule_id)
    deployment_id = _store(sql, wanted, manifest, now)
    if wanted.rollout is not None:
        _store_rollout(sql, wanted.rollout, deployment_id, manifest, current)
    return deployment_id, manifest


def _payload(row: deployments.DeploymentRow) -> bytes:
    return Envelope.parse(bytes(row.envelope), bytes_max=ENVELOPE_BYTES_MAX).payload


def _store_rollout(
    sql: Connection,
    policy: control_pb2.RolloutPolicy,
    deployment_id: str,
    manifest: Manifest,
    current: deployments.DeploymentRow | None,
) -> None:
    back = (
        Manifest.parse(Envelope.parse(policy.return_envelope, bytes_max=ENVELOPE_BYTES_MAX).payload)
        if (policy.return_envelope)
        else None
    )
    gate = policy.gate.ToTimedelta() if policy.HasField("gate") else GATE
    within = policy.activate_within.ToTimedelta() if policy.HasField("activate_within") else ACTIVATE_WITHIN
    new = rollouts.NewRollout(
        deployment_id=deployment_id,
        environment_id=manifest.environment_id,
        molecule_id=manifest.audience.molecule_id,
        base_id=current.deployment_id if current else "",
        max_unavailable=policy.max_unavailable or 1,
        gate_ms=int(gate.total_seconds() * 1000),
        activate_ms=int(within.total_seconds() * 1000),
        return_envelope=policy.return_envelope or None,
        return_until_ms=int(back.expires_at.timestamp() * 1000) if back else 0,
    )
    rollouts.add(sql, new)


def _check_generation(manifest: Manifest, document: TrustDocument, current: deployments.DeploymentRow | None) -> None:
    previous = current.generation if current else 0
    if manifest.generation != previous + 1:
        raise DativeError(
            f"generation {previous} is deployed, so the next is {previous + 1}, not {manifest.generation}",
            code=codes.GENERATION,
        )
    if manifest.release_epoch != document.release_epoch:
        raise DativeError(
            f"the release epoch is {document.release_epoch}, the manifest says {manifest.release_epoch}",
            code=codes.GENERATION,
        )
    if current is not None and manifest.previous_digest != current.manifest_digest:
        raise DativeError("the manifest follows another one than the deployed one", code=codes.GENERATION)


def _accepted(
    envelope: bytes, document: TrustDocument, identity: Identity, current: deployments.DeploymentRow | None
) -> Accepted:
    """What an atom that followed every deployment so far would have accepted."""
    accepted = Accepted(trust_envelope=envelope, trust_version=document.version)
    if current is None:
        return accepted
    former = Manifest.parse(_payload(current))
    position = Position(
        former.release_epoch,
        former.generation,
        former.digest,
        document.version,
        {entry.process_id: entry.release_counter for entry in former.processes},
    )
    return Accepted(
        trust_envelope=envelope,
        trust_version=document.version,
        positions={identity.place: position},
        time_floor=former.issued_at,
    )


def _check_blobs(sql: Connection, manifest: Manifest) -> None:
    digests = [artifact.digest for artifact in manifest.artifacts]
    if missing := deployments.missing_blobs(sql, digests):
        raise DativeError(f"{len(missing)} blobs were not uploaded, first {missing[0]}", code=BLOB_MISSING)
    sizes = deployments.blob_sizes(sql, digests)
    for artifact in manifest.artifacts:
        if sizes[artifact.digest] != artifact.size:
            raise DativeError(
                f"{artifact.name} is signed with {artifact.size} bytes and stored with {sizes[artifact.digest]}",
                code=BLOB_MISMATCH,
            )


def _store(sql: Connection, wanted: Wanted, manifest: Manifest, now: datetime) -> str:
    now_ms = int(now.timestamp() * 1000)
    deployment_id = new_id(now)
    atom_ids = manifest.audience.atom_ids
    new = deployments.NewDeployment(
        deployment_id=deployment_id,
        environment_id=manifest.environment_id,
        molecule_id=manifest.audience.molecule_id,
        release_epoch=manifest.release_epoch,
        generation=manifest.generation,
        manifest_digest=manifest.digest,
        envelope=wanted.envelope,
        kind=wanted.kind,
        created_by=wanted.created_by,
        created_ms=now_ms,
        reason=wanted.reason or manifest.signer.reason,
        processes=[f"{entry.process_id}@{entry.version}" for entry in manifest.processes],
        atom_ids=list(atom_ids) if atom_ids is not None else None,
        traceparent=wanted.traceparent,
        rollback_of=manifest.rollback_of or 0,
    )
    deployments.add(sql, new, [artifact.digest for artifact in manifest.artifacts])
    publish(sql, Change("desired", new.environment_id, new.molecule_id), now_ms)
    return deployment_id
