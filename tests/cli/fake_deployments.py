"""Deployments at the fake controller: what is desired, blobs, and a rollout that goes on at once."""

from __future__ import annotations

from typing import Any

from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope
from dative.bundle.manifest import ENVELOPE_BYTES_MAX, Manifest
from dative.bundle.trust import read_trust
from dative.errors import DativeError
from dative.errors import control as codes
from dative.v1 import control_pb2, types_pb2


class Deployments:
    """deployments: (what the person sees, the signed manifest), oldest first."""

    def __init__(self, state: Any) -> None:
        self.s = state

    def _here(self, environment_id: str) -> list[tuple[control_pb2.Deployment, bytes]]:
        return [pair for pair in self.s.deployments if pair[0].environment_id == environment_id]

    def GetDesired(self, request: Any) -> Any:
        found = self.s.environment(request.environment)
        here = self._here(found.environment_id)
        trust = read_trust(self.s.trust)
        return control_pb2.GetDesiredResponse(
            generation=here[-1][0].generation if here else 0,
            release_epoch=trust.release_epoch,
            manifest_envelope=here[-1][1] if here else b"",
            check_index=self.s.check_index(found),
            environment=found,
            organization_id=self.s.organization_id,
            trust_version=trust.version,
            atoms=sum(one.environment_id == found.environment_id for one in self.s.atoms.values()),
        )

    def PutBlob(self, requests: Any) -> Any:
        first = next(requests)
        data = first.data + b"".join(part.data for part in requests)
        assert digest_of(data) == first.digest
        assert len(data) == first.size
        self.s.blobs[first.digest] = data
        return control_pb2.PutBlobResponse()

    def GetBlob(self, request: Any) -> Any:
        data = self.s.blobs[request.digest]
        for start in range(0, len(data), 1000):
            yield control_pb2.GetBlobResponse(data=data[start : start + 1000])

    def MissingBlobs(self, request: Any) -> Any:
        return control_pb2.MissingBlobsResponse(digests=[one for one in request.digests if one not in self.s.blobs])

    def CreateDeployment(self, request: Any) -> Any:
        manifest = Manifest.parse(Envelope.parse(request.manifest_envelope, bytes_max=ENVELOPE_BYTES_MAX).payload)
        found = self.s.environment(manifest.environment_id)
        if request.expected_check_index not in (0, self.s.check_index(found)):
            raise DativeError("the plan was made from an older state", code=codes.CHECK_INDEX, where=found.name)
        assert manifest.generation == len(self._here(found.environment_id)) + 1
        assert all(one.digest in self.s.blobs for one in manifest.artifacts)
        made = control_pb2.Deployment(
            deployment_id=f"01JDEPLOYMENT{len(self.s.deployments)}",
            environment_id=found.environment_id,
            molecule_id="default",
            generation=manifest.generation,
            manifest_digest=manifest.digest,
            kind=request.kind,
            created_by="anna",
            reason=request.reason,
            processes=[f"{entry.process_id}@{entry.version}" for entry in manifest.processes],
            rollback_of=manifest.rollback_of or 0,
        )
        self.s.deployments.append((made, request.manifest_envelope))
        self.s.rollouts.append(request.rollout if request.HasField("rollout") else None)
        return control_pb2.CreateDeploymentResponse(deployment_id=made.deployment_id, generation=made.generation)

    def WatchDeployment(self, request: Any) -> Any:
        made = next(one for one, _ in self.s.deployments if one.deployment_id == request.deployment_id)
        atoms = [one for one in self.s.atoms.values() if one.environment_id == made.environment_id]
        refused = types_pb2.Status(code="bundle.expired", message="it has expired", next="dative-atom doctor")
        for phase in (types_pb2.PHASE_VERIFIED, types_pb2.PHASE_STAGED, types_pb2.PHASE_ACTIVE):
            progress = []
            for number, atom in enumerate(atoms):
                fails = self.s.refuse_phase and number == 0 and phase == types_pb2.PHASE_ACTIVE
                progress.append(
                    control_pb2.AtomProgress(
                        atom_id=atom.atom_id,
                        name=atom.name,
                        phase=types_pb2.PHASE_REFUSED if fails else phase,
                        status=refused if fails else None,
                        online=True,
                    )
                )
            yield control_pb2.WatchDeploymentResponse(
                deployment=made,
                atoms=progress,
                done=phase == types_pb2.PHASE_ACTIVE,
                rollout=self.s.rollout,
            )

    def ListDeployments(self, request: Any) -> Any:
        found = self.s.environment(request.environment)
        newest = [one for one, _ in reversed(self._here(found.environment_id))]
        return control_pb2.ListDeploymentsResponse(deployments=newest[: request.page_size])
