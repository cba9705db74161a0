"""From a plan to a signed generation: reads what runs, verifies it, uploads what is new, signs, and asks for it.

The rules are in `deploying` and `plan`, which touch nothing; here is everything that touches the controller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope, sign, verified_payload
from dative.bundle.manifest import DEPLOYMENT_TYPE, ENVELOPE_BYTES_MAX, ENVIRONMENT_MEDIA, Artifact, Manifest, Signer
from dative.bundle.pack import ConnectionConfig, EnvironmentConfig, check_calls
from dative.bundle.trust import TrustDocument
from dative.bundle.verify import verify_blob
from dative.errors.bundle import BLOB_MISMATCH, BundleRefused
from dative.errors.cli import NOTHING_BEFORE, CliError
from dative.process.calls import names_in
from dative.process.catalog import default_catalog
from dative.v1 import control_pb2

from dative_controller.cli import estate, sealing, trusted
from dative_controller.cli.app import App
from dative_controller.cli.client import CHUNK_BYTES
from dative_controller.cli.deploying import Frame, Next, Part, parts_of
from dative_controller.cli.plan import Data, Plan, ProcessPlan, diff_environment, diff_process, missing
from dative_controller.cli.remembered import is_remembered, remember
from dative_controller.cli.rolling import Rolling, rolling_policy

HISTORY_MAX = 200
"""Generations that a rollback goes back through; at the bound it says so."""


@dataclass(frozen=True)
class Situation:
    """What runs in one molecule of one environment, and what a deployment there is made from."""

    environment: control_pb2.Environment
    check_index: int
    atoms: int
    trust: TrustDocument
    frame: Frame
    deployed: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def parts(self) -> dict[str, Part]:
        return parts_of(self.frame.current)


def situation(app: App, environment: str | None, molecule: str) -> Situation:
    """Read and verify it. Errors: cli.no_trust, cli.trust_changed; BundleRefused when what is said to run is unsigned."""
    trust = trusted.accepted(app)
    request = control_pb2.GetDesiredRequest(environment=app.environment_name(environment), molecule=molecule)
    desired = app.client.read("DeploymentService/GetDesired", request, control_pb2.GetDesiredResponse)
    place = f"manifest/{desired.environment.environment_id}/{molecule}"
    current = _verified(app, desired.manifest_envelope, trust, place) if desired.manifest_envelope else None
    sealed_set, sealed = sealing.stored(app, desired.environment)
    history = estate.deployments(app, desired.environment.environment_id, molecule) if current else []
    late = sealing.unsealed(sealed_set, sealing.approved_atoms(app, desired.environment))
    frame = Frame(
        organization_id=trust.organization_id,
        environment_id=desired.environment.environment_id,
        molecule_id=molecule,
        release_epoch=trust.release_epoch,
        trust_version=trust.version,
        generation=desired.generation,
        current=current,
        environment=config_of(desired.environment),
        sealed=sealed or None,
    )
    return Situation(
        desired.environment,
        desired.check_index,
        desired.atoms,
        trust,
        frame,
        tuple(entry for deployment in history for entry in deployment.processes),
        tuple(f"atom {atom.name} can not open the secrets yet: dative atom approve {atom.name}" for atom in late),
    )


def _verified(app: App, envelope: bytes, trust: TrustDocument, place: str) -> Manifest:
    """`signed_manifest`, or the very manifest that this machine verified before its key was replaced."""
    try:
        manifest = signed_manifest(envelope, trust)
    except BundleRefused:
        payload = Envelope.parse(envelope, bytes_max=ENVELOPE_BYTES_MAX).payload
        if not is_remembered(app, place, digest_of(payload)):
            raise
        return Manifest.parse(payload)
    remember(app, place, manifest.digest)
    return manifest


def signed_manifest(envelope: bytes, trust: TrustDocument) -> Manifest:
    """The manifest in an envelope, when the release role signed it. Errors: BundleRefused."""
    role = trust.role("release")
    payload = verified_payload(
        Envelope.parse(envelope, bytes_max=ENVELOPE_BYTES_MAX),
        payload_type=DEPLOYMENT_TYPE,
        keys=trust.role_keys("release"),
        threshold=role.threshold,
        other_keys=trust.other_keys("release"),
    )
    return Manifest.parse(payload)


def config_of(environment: control_pb2.Environment) -> EnvironmentConfig:
    """The environment as it is packed."""
    return EnvironmentConfig(
        environment=environment.name,
        environment_id=environment.environment_id,
        production=environment.production,
        version=environment.version,
        connections={
            one.name: ConnectionConfig(one.connector, dict(one.settings), dict(one.secrets))
            for one in environment.connections
        },
        overrides=dict(environment.overrides),
        allows=tuple(environment.allows) or msgspec.UNSET,
    )


def blob(app: App, artifact: Artifact) -> bytes:
    """An artifact's bytes, verified. Errors: bundle.blob_mismatch, store.blob_missing."""
    data = _read_blob(app, artifact.digest, artifact.size)
    verify_blob(artifact, data)
    return data


def earlier(app: App, manifest: Manifest) -> Iterator[Manifest]:
    """The manifests before this one, newest first, each proven by the digest that its verified successor names."""
    for _ in range(HISTORY_MAX):
        if manifest.previous_digest is None:
            return
        payload = _read_blob(app, manifest.previous_digest, ENVELOPE_BYTES_MAX)
        if digest_of(payload) != manifest.previous_digest:
            raise BundleRefused(f"manifest {manifest.previous_digest[:19]} came with other bytes", code=BLOB_MISMATCH)
        manifest = Manifest.parse(payload)
        yield manifest
    raise CliError(f"not found within {HISTORY_MAX} generations", code=NOTHING_BEFORE)


def plan(
    app: App, here: Situation, following: Next, notes: Sequence[str] = (), profiles: Mapping[str, str] | None = None
) -> Plan:
    """What the next manifest would change, by name of step and field."""
    before, after = parts_of(here.frame.current), parts_of(following.manifest)
    secrets = {secret.name for secret in here.environment.secrets}
    known = default_catalog().connectors
    required = {connector: tuple(entry.settings.get("required", ())) for connector, entry in known.items()}
    processes: list[ProcessPlan] = []
    needs: list[str] = []
    calls: dict[str, tuple[str, ...]] = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        same = old is not None and new is not None and old.digests == new.digests
        old_data = definition(app, old, following) if old and not same else None
        new_data = definition(app, new, following) if new else None
        lines = diff_process(old_data, new_data) if old_data and new_data else ()
        processes.append(
            ProcessPlan(name, old.entry.version if old else None, new.entry.version if new else None, lines)
        )
        if new_data:
            calls[name] = names_in(new_data)
            needs += [f"{name}: {what}" for what in missing(new_data, here.frame.environment, secrets, required)]
    check_calls(calls)
    return Plan(
        environment=here.environment.name,
        check_index=here.check_index,
        generation=following.manifest.generation,
        processes=tuple(processes),
        settings=diff_environment(running_environment(app, here), here.frame.environment),
        needs=tuple(needs),
        notes=(*notes, *here.warnings, *_general_notes(here)),
        profiles=profiles or {},
    )


def refuse_broken_calls(app: App, following: Next) -> None:
    """Every process that another one calls stays. Errors: process.unknown_process, process.call_cycle."""
    parts = parts_of(following.manifest)
    check_calls({name: names_in(definition(app, part, following)) for name, part in parts.items()})


def definition(app: App, part: Part, following: Next) -> Data:
    """A process' definition, from this machine where it is here."""
    artifact = next(one for one in part.artifacts if one.name == part.entry.artifact)
    data: Data = json.loads(following.blobs.get(artifact.digest) or blob(app, artifact))
    return data


def running_environment(app: App, here: Situation) -> EnvironmentConfig | None:
    """The settings that the current manifest carries."""
    if here.frame.current is None:
        return None
    return EnvironmentConfig.parse(blob(app, here.frame.current.artifacts_of(ENVIRONMENT_MEDIA)[0]))


def signer(app: App, reason: str) -> Signer:
    return Signer(subject=app.context.subject, reason=reason)


def deploy(
    app: App,
    here: Situation,
    following: Next,
    *,
    kind: str,
    check_index: int,
    reason: str,
    rollout: Rolling | None = None,
) -> control_pb2.CreateDeploymentResponse:
    """Upload, sign, create. Errors: cli.no_key; deployment.plan_is_old and whatever else the controller refuses."""
    key = trusted.release_key(app, here.trust)
    payload = following.manifest.to_payload()
    # The manifest itself is kept as a blob too: that is what a later rollback reads, proven by digest.
    blobs = {**following.blobs, following.manifest.digest: payload}
    policy = None
    if rollout is not None:
        policy, back = rolling_policy(here, following, rollout, key, app.clock.now())
        blobs |= back
    _upload(app, blobs)
    request = control_pb2.CreateDeploymentRequest(
        request_id=following.manifest.request_id,
        manifest_envelope=sign(DEPLOYMENT_TYPE, payload, [key]).to_bytes(),
        expected_check_index=check_index,
        reason=reason,
        kind=kind,
        rollout=policy,
    )
    return app.client.write("DeploymentService/CreateDeployment", request, control_pb2.CreateDeploymentResponse)


def _upload(app: App, blobs: dict[str, bytes]) -> None:
    request = control_pb2.MissingBlobsRequest(digests=sorted(blobs))
    answer = app.client.read("DeploymentService/MissingBlobs", request, control_pb2.MissingBlobsResponse)
    for digest in answer.digests:
        _put_blob(app, digest, blobs[digest])


def _put_blob(app: App, digest: str, data: bytes) -> None:
    app.client.upload("DeploymentService/PutBlob", lambda: _chunks(digest, data), control_pb2.PutBlobResponse)


def _chunks(digest: str, data: bytes) -> Iterator[control_pb2.PutBlobRequest]:
    yield control_pb2.PutBlobRequest(digest=digest, size=len(data), data=data[:CHUNK_BYTES])
    for start in range(CHUNK_BYTES, len(data), CHUNK_BYTES):
        yield control_pb2.PutBlobRequest(data=data[start : start + CHUNK_BYTES])


def _read_blob(app: App, digest: str, bytes_max: int) -> bytes:
    request = control_pb2.GetBlobRequest(digest=digest)
    found = bytearray()
    for part in app.client.stream("DeploymentService/GetBlob", request, control_pb2.GetBlobResponse):
        found += part.data
        # Never more than was signed: a controller that sends without end is cut here.
        if len(found) > bytes_max:
            raise BundleRefused(f"blob {digest[:19]} is longer than its {bytes_max} bytes", code=BLOB_MISMATCH)
    return bytes(found)


def _general_notes(here: Situation) -> Iterator[str]:
    if here.atoms == 0:
        yield f"no atom in molecule {here.frame.molecule_id} yet: dative atom invite --env {here.environment.name}"
