"""What the fake controller knows and answers: state in dictionaries, one class a service; the larger services stand in
files of their own.

It keeps what it is given and can be told to misbehave. What the real controller checks is tested with the real one, in
`test_real_controller.py`; here the command is what is tested.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

# Modules of this folder, which is no package; conftest.py loads them under these names first.
import cli_fake_dead_letters as fake_dead_letters
import cli_fake_deployments as fake_deployments
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import Envelope
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import ENVELOPE_BYTES_MAX, Manifest
from dative.bundle.trust import read_trust
from dative.errors import DativeError
from dative.errors import control as codes
from dative.secrets import SealedSet, SealKey, open_sealed, seal, seal_info
from dative.v1 import agent_pb2, control_pb2, types_pb2

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOOTSTRAP = "bt1.the-bootstrap-token"


@dataclass
class State:
    """What the fake knows. calls: method -> how often; metadata: of the last call of each method."""

    organization_id: str = "01JORGANIZATION"
    online: SigningKey = field(default_factory=SigningKey.generate)
    trust: bytes = b""
    environments: dict[str, control_pb2.Environment] = field(default_factory=dict)
    sealed: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    rollouts: list[control_pb2.RolloutPolicy | None] = field(default_factory=list)
    rollout: control_pb2.Rollout | None = None  # how one that is watched ends
    molecules: dict[str, control_pb2.Molecule] = field(default_factory=dict)
    atoms: dict[str, control_pb2.Atom] = field(default_factory=dict)
    atom_keys: dict[str, SealKey] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    deployments: list[tuple[control_pb2.Deployment, bytes]] = field(default_factory=list)
    executions: dict[str, types_pb2.Execution] = field(default_factory=dict)
    dead_letters: dict[str, types_pb2.DeadLetter] = field(default_factory=dict)
    payloads: dict[str, bytes] = field(default_factory=dict)
    repaired: dict[str, bytes] = field(default_factory=dict)
    revealers: int = 0  # how many people may see classified fields
    behind: int = 0  # revisions of a dead letter that the controller has not heard of yet
    outcome: dict[str, Any] = field(default_factory=dict)  # what a dry run of an edit answers
    spans: list[control_pb2.Span] = field(default_factory=list)
    exported: list[bytes] = field(default_factory=list)
    documents: list[control_pb2.FoundDocument] = field(default_factory=list)
    classified: dict[str, list[control_pb2.FoundDocument]] = field(default_factory=dict)
    hasher: control_pb2.Hasher | None = None
    searches: list[control_pb2.FindDocumentsRequest] = field(default_factory=list)
    receipts: list[control_pb2.ControlReadReceiptsResponse] = field(default_factory=list)
    refresh: str = ""
    access: str = ""
    access_lifetime: timedelta = timedelta(minutes=15)
    logins: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    unavailable: int = 0
    refuse_phase: bool = False
    joins: list[control_pb2.CreateJoinTokenRequest] = field(default_factory=list)
    commands: list[Any] = field(default_factory=list)
    profile_requests: list[control_pb2.ControlProfileStepsRequest] = field(default_factory=list)
    profile_refused: DativeError | None = None
    fields: dict[str, Any] = field(default_factory=dict)  # what a step's system has: see step_profile
    vault: dict[str, str] = field(default_factory=dict)
    audit_broken: bool = False
    rendezvous: threading.Barrier | None = None  # where a login waits a moment for another one
    meanwhile: Callable[[], None] | None = None  # somebody else's change, right after an environment was read
    lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self, name: str) -> control_pb2.Environment:
        found = [one for one in self.environments.values() if name in (one.name, one.environment_id)]
        if not found:
            raise DativeError(f"no environment {name}", code=codes.NOT_FOUND)
        return found[0]

    def step_profile(self, step: str) -> agent_pb2.StepProfile:
        """fields by step: a mapping, or (code, reason) why there is none; a step that is not in it has no fields."""
        known = self.fields.get(step, {})
        if isinstance(known, tuple):
            return agent_pb2.StepProfile(step=step, code=known[0], reason=known[1])
        fields = [agent_pb2.ProfileField(name=name, type=kind) for name, kind in known.items()]
        return agent_pb2.StepProfile(step=step, fields=fields)

    def add_atom(self, name: str, environment: str, state: str = "online") -> control_pb2.Atom:
        key = SealKey.generate()
        found = self.environment(environment)
        atom = control_pb2.Atom(
            atom_id=f"01JATOM-{name}",
            name=name,
            environment_id=found.environment_id,
            environment=found.name,
            molecule_id="default",
            state=state,
            seal_public_key=key.public_raw,
            seal_key_fingerprint=key.fingerprint,
        )
        self.atoms[name], self.atom_keys[name] = atom, key
        return atom

    def manifest(self, index: int = -1) -> Manifest:
        envelope = self.deployments[index][1]
        return Manifest.parse(Envelope.parse(envelope, bytes_max=ENVELOPE_BYTES_MAX).payload)

    def check_index(self, environment: control_pb2.Environment) -> int:
        here = [one for one, _ in self.deployments if one.environment_id == environment.environment_id]
        seen = (len(here), environment.version, self.sealed.get(environment.environment_id, (b"", 0))[1])
        return int.from_bytes(hashlib.sha256(repr(seen).encode()).digest()[:6], "big") | 1


class Access:
    def __init__(self, state: State) -> None:
        self.s = state

    def Login(self, request: Any) -> Any:
        state = self.s
        state.logins.append(request.token)
        if state.rendezvous is not None:
            with suppress(threading.BrokenBarrierError):
                state.rendezvous.wait(0.3)
        if request.token not in (BOOTSTRAP, state.refresh):
            raise DativeError("the login token is unknown", code=codes.TOKEN_INVALID)
        state.refresh = f"rt1.{len(state.logins)}"
        state.access = f"access-{len(state.logins)}"
        answer = control_pb2.LoginResponse(
            access_token=state.access,
            refresh_token=state.refresh,
            subject="anna",
            organization_id=state.organization_id,
        )
        answer.expires_at.FromDatetime(datetime.now(UTC) + state.access_lifetime)
        return answer

    def WhoAmI(self, _request: Any) -> Any:
        return control_pb2.WhoAmIResponse(
            subject="anna", roles=["admin"], organization_id=self.s.organization_id, controller_version="0.1.0"
        )

    def ListAudit(self, request: Any) -> Any:
        entries = [
            control_pb2.AuditEntry(
                sequence=number, actor="anna", action="CreateEnvironment", object="dev", decision="allowed"
            )
            for number in (3, 2, 1)
            if not request.before_sequence or number < request.before_sequence
        ]
        return control_pb2.ListAuditResponse(entries=entries[: request.page_size])

    def VerifyAudit(self, _request: Any) -> Any:
        if self.s.audit_broken:
            status = types_pb2.Status(code="store.audit_broken", message="entry 2 was changed")
            return control_pb2.VerifyAuditResponse(status=status)
        return control_pb2.VerifyAuditResponse(entries=3, head_hash="ab" * 32)


class Trust:
    def __init__(self, state: State) -> None:
        self.s = state

    def GetTrust(self, _request: Any) -> Any:
        return control_pb2.GetTrustResponse(trust_envelope=self.s.trust, online_public_key=self.s.online.public.raw)

    def PutTrust(self, request: Any) -> Any:
        self.s.trust = request.trust_envelope
        return control_pb2.PutTrustResponse(version=read_trust(request.trust_envelope).version)


class Environments:
    def __init__(self, state: State) -> None:
        self.s = state

    def CreateEnvironment(self, request: Any) -> Any:
        if any(one.name == request.name for one in self.s.environments.values()):
            raise DativeError(f"there is an environment {request.name} already", code=codes.NAME_TAKEN)
        made = control_pb2.Environment(
            environment_id=f"01JENV-{request.name}",
            name=request.name,
            production=request.production,
            require_approval=request.production,
            version=1,
        )
        self.s.environments[request.name] = made
        return control_pb2.CreateEnvironmentResponse(environment=made)

    def ListEnvironments(self, _request: Any) -> Any:
        return control_pb2.ListEnvironmentsResponse(environments=self.s.environments.values())

    def GetEnvironment(self, request: Any) -> Any:
        found = self.s.environment(request.environment)
        answer = control_pb2.GetEnvironmentResponse(environment=found)
        if self.s.meanwhile is not None:
            self.s.meanwhile()
        return answer

    def SetEnvironment(self, request: Any) -> Any:
        found = self.s.environment(request.environment)
        if request.expected_version not in (0, found.version):
            raise DativeError("somebody changed it", code=codes.VERSION_CONFLICT)
        changed = {one.name: one for one in found.connections if one.name not in request.delete_connections}
        changed.update({one.name: one for one in request.set_connections})
        kept = [control_pb2.Connection.FromString(one.SerializeToString()) for _, one in sorted(changed.items())]
        del found.connections[:]
        found.connections.extend(kept)
        for name in request.delete_overrides:
            found.overrides.pop(name, None)
        found.overrides.update(request.set_overrides)
        allows = {*found.allows, *request.allow} - set(request.disallow)
        del found.allows[:]
        found.allows.extend(sorted(allows))
        found.version += 1
        return control_pb2.SetEnvironmentResponse(environment=found)

    def PutSealedSecrets(self, request: Any) -> Any:
        found = self.s.environment(request.environment)
        sealed = SealedSet.parse(request.sealed_set)
        if self.s.sealed.get(found.environment_id, (b"", 0))[1] != request.expected_version:
            raise DativeError("somebody sealed meanwhile", code=codes.VERSION_CONFLICT)
        self.s.sealed[found.environment_id] = (request.sealed_set, sealed.version)
        del found.secrets[:]
        for name, version in sealed.versions().items():
            found.secrets.add(name=name, version=version, set_by="anna")
        return control_pb2.PutSealedSecretsResponse(digest=digest_of(request.sealed_set), version=sealed.version)

    def GetSealedSecrets(self, request: Any) -> Any:
        body, version = self.s.sealed.get(self.s.environment(request.environment).environment_id, (b"", 0))
        return control_pb2.GetSealedSecretsResponse(sealed_set=body, version=version)


class Fleet:
    def __init__(self, state: State) -> None:
        self.s = state

    def CreateJoinToken(self, request: Any) -> Any:
        self.s.joins.append(request)
        answer = control_pb2.CreateJoinTokenResponse(join_token="at1.x.y.z", ca_pin="sha256:ab")
        answer.expires_at.FromDatetime(NOW + request.ttl.ToTimedelta())
        return answer

    def ListAtoms(self, request: Any) -> Any:
        wanted = self.s.environment(request.environment).environment_id if request.environment else ""
        atoms = [one for one in self.s.atoms.values() if wanted in ("", one.environment_id)]
        return control_pb2.ListAtomsResponse(atoms=atoms)

    def GetAtom(self, request: Any) -> Any:
        found = [one for one in self.s.atoms.values() if request.atom in (one.name, one.atom_id)]
        if not found:
            raise DativeError(f"no atom {request.atom}", code=codes.NOT_FOUND)
        return control_pb2.GetAtomResponse(atom=found[0])

    def ApproveAtom(self, request: Any) -> Any:
        atom = self.GetAtom(request).atom
        assert request.seal_key_fingerprint == atom.seal_key_fingerprint
        self.s.atoms[atom.name].state = "online"
        return control_pb2.ApproveAtomResponse(atom=self.s.atoms[atom.name])

    def RevokeAtom(self, request: Any) -> Any:
        self.s.atoms[self.GetAtom(request).atom.name].state = "revoked"
        return control_pb2.RevokeAtomResponse()

    def DrainAtom(self, request: Any) -> Any:
        self.s.commands.append(request)
        return control_pb2.DrainAtomResponse()

    def TestConnection(self, request: Any) -> Any:
        checks = [
            agent_pb2.Check(name="dns", passed=True, detail="10.0.0.1"),
            agent_pb2.Check(name="login", passed=request.connection != "broken", detail="as anna"),
        ]
        return control_pb2.FleetTestConnectionResponse(
            atom="hq-1", result=agent_pb2.TestConnectionResult(checks=checks)
        )


class Executions:
    def __init__(self, state: State) -> None:
        self.s = state

    def RunProcess(self, request: Any) -> Any:
        self.s.commands.append(request)
        return control_pb2.ControlRunProcessResponse(
            execution_id=next(iter(self.s.executions.values())).execution_id, atom="hq-1"
        )

    def DryRun(self, request: Any) -> Any:
        self.s.commands.append(request)
        info = seal_info("dative/dry-run/v1", request.process)
        sealed = seal(json.dumps(self.s.outcome).encode(), request.reader_public_key, info)
        return control_pb2.ControlDryRunResponse(sealed_outcome=sealed, atom="hq-1")

    def ProfileSteps(self, request: Any) -> Any:
        self.s.profile_requests.append(request)
        if self.s.profile_refused is not None:
            raise self.s.profile_refused
        if not any(atom.state == "online" for atom in self.s.atoms.values()):
            raise DativeError("no atom of dev is connected", code=codes.ATOM_OFFLINE)
        steps = [self.s.step_profile(one.step) for one in request.steps]
        return control_pb2.ControlProfileStepsResponse(steps=steps, atom="hq-1")

    def CancelExecution(self, request: Any) -> Any:
        self.s.commands.append(request)
        return control_pb2.ControlCancelExecutionResponse()

    def ListExecutions(self, request: Any) -> Any:
        found = sorted(self.s.executions.values(), key=lambda one: one.execution_id, reverse=True)
        found = [one for one in found if not request.states or one.state in request.states]
        if request.before_execution_id:
            found = [one for one in found if one.execution_id < request.before_execution_id]
        page = found[: request.page_size]
        more = page[-1].execution_id if len(found) > len(page) else ""
        return control_pb2.ListExecutionsResponse(executions=page, next_before_execution_id=more)

    def GetExecution(self, request: Any) -> Any:
        found = [one for one in self.s.executions.values() if one.execution_id.startswith(request.execution_id)]
        if not found:
            raise DativeError(f"no execution {request.execution_id}", code=codes.NOT_FOUND)
        letters = [one for one in self.s.dead_letters.values() if one.execution_id == found[0].execution_id]
        told = [control_pb2.Notice(level="warning", title="3 orders wait", text="since noon", step="tell")]
        return control_pb2.GetExecutionResponse(
            execution=found[0], dead_letters=letters, atom_name="hq-1", notices=told
        )

    def WatchExecution(self, request: Any) -> Any:
        last = self.GetExecution(request)
        running = control_pb2.GetExecutionResponse.FromString(last.SerializeToString())
        running.execution.state = types_pb2.EXECUTION_STATE_RUNNING
        yield running
        yield last

    def FindDocuments(self, request: Any) -> Any:
        self.s.searches.append(request)
        if request.sealed_key:
            info = seal_info("dative/find/v1", self.s.hasher.environment_id)
            value = open_sealed(request.sealed_key, self.s.atom_keys[request.atom], info).decode()
            return control_pb2.FindDocumentsResponse(documents=self.s.classified.get(value, []))
        found = [one for one in self.s.documents if request.key in one.keys.values()]
        hashers = [self.s.hasher] if self.s.hasher else []
        return control_pb2.FindDocumentsResponse(documents=found, hashers=hashers)

    def ReadReceipts(self, _request: Any) -> Any:
        yield from self.s.receipts

    def GetTrace(self, _request: Any) -> Any:
        return control_pb2.GetTraceResponse(spans=self.s.spans, incomplete=True)

    def ExportSpans(self, request: Any) -> Any:
        self.s.exported.append(request.otlp)
        return control_pb2.ExportSpansResponse()


SERVICES = {
    "AccessService": Access,
    "TrustService": Trust,
    "EnvironmentService": Environments,
    "FleetService": Fleet,
    "DeploymentService": fake_deployments.Deployments,
    "ExecutionService": Executions,
    "DeadLetterService": fake_dead_letters.DeadLetters,
}
