"""A controller of a test's own: real sockets, real mutual TLS, real signatures, and it can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets as random_secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc.aio

# agent_authority and agent_waiting: modules of this folder, which is no package; conftest.py loads them under these names.
from agent_authority import Authority
from agent_waiting import until
from cryptography import x509
from dative import rpc
from dative.bundle import trust
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import sign
from dative.bundle.freshness import Freshness
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import (
    DEPLOYMENT_TYPE,
    ENVIRONMENT_MEDIA,
    FRESHNESS_TYPE,
    PROCESS_MEDIA,
    SEALED_SECRETS_MEDIA,
    Artifact,
    Audience,
    Manifest,
    ProcessEntry,
)
from dative.errors import DativeError
from dative.errors import control as codes
from dative.letters import taken_apart
from dative.v1 import agent_pb2, agent_pb2_grpc, telemetry_pb2, telemetry_pb2_grpc, types_pb2


@dataclass
class Invitation:
    uses: int = 1
    expired: bool = False
    pending: bool = False
    known: dict[bytes, str] = field(default_factory=dict)


def process_json(name: str, behaviour: str = "finish", **spec) -> bytes:
    body = {
        "apiVersion": "dative/v1",
        "kind": "Process",
        "metadata": {"name": name, "labels": {"behaviour": behaviour}},
        "spec": {"triggers": [], "connections": {}, **spec},
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


class FakeController(
    agent_pb2_grpc.EnrollmentServiceServicer,
    agent_pb2_grpc.AtomServiceServicer,
    telemetry_pb2_grpc.TelemetryServiceServicer,
):
    """What it was told and what it should do next, both as plain attributes."""

    def __init__(self) -> None:
        self.organization, self.environment, self.molecule = "org1", "env1", "default"
        self.ca = Authority()
        self.root, self.release, self.online = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
        document = trust.new_trust(
            organization_id=self.organization,
            root=[self.root.public],
            release=[self.release.public],
            online=[self.online.public],
            expires_at=datetime.now(UTC) + timedelta(days=365),
        )
        self.trust = document
        self.trust_envelope = trust.sign_trust(document, [self.root]).to_bytes()
        self.trust_chain: list[bytes] = []
        self.invitations: dict[str, Invitation] = {}
        self.ports = (0, 0)
        self.server: grpc.aio.Server | None = None
        self.now = lambda: datetime.now(UTC)
        self.atom_life = timedelta(days=2)
        self.atom_start: datetime | None = None
        # what it heard
        self.enrolments: list[agent_pb2.EnrollAtomRequest] = []
        self.hellos: list[agent_pb2.Hello] = []
        self.acks: list[agent_pb2.DesiredStateAck] = []
        self.heartbeats: list[agent_pb2.Heartbeat] = []
        self.reports: list[agent_pb2.StatusReport] = []
        self.results: dict[str, list[agent_pb2.CommandResult]] = {}
        self.goodbyes: list[str] = []
        self.serials: list[str] = []
        self.fetches: list[tuple[str, int]] = []
        self.records: dict[str, list[telemetry_pb2.Record]] = {}
        self.batches = 0
        self.statuses: list[types_pb2.MoleculeStatus] = []
        # what it does
        self.blobs: dict[str, bytes] = {}
        self.desired: agent_pb2.DesiredState | None = None
        self.generation = 0
        self.counters = 0
        self.last_digest: str | None = None
        self.mute = False
        self.silent_acks = False
        self.slow_down_s = 0.0
        self.cut_blobs_after: int | None = None
        self.hold_blobs = asyncio.Event()
        self.hold_blobs.set()
        self.heartbeat_s = 1.0
        self.settings: types_pb2.MoleculeSettings | None = None
        self.knows_molecules = True
        self.refuses: DativeError | None = None
        self.streams: set[asyncio.Queue[agent_pb2.ConnectResponse | None]] = set()

    # ---- listening ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        key, chain = self.ca.server()
        self.server = grpc.aio.server(options=rpc.server_options())
        agent_pb2_grpc.add_EnrollmentServiceServicer_to_server(self, self.server)
        agent_pb2_grpc.add_AtomServiceServicer_to_server(self, self.server)
        telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(self, self.server)
        public = grpc.ssl_server_credentials([(key, chain)])
        mutual = grpc.ssl_server_credentials([(key, chain)], root_certificates=self.ca.pem, require_client_auth=True)
        self.ports = (
            self.server.add_secure_port(f"localhost:{self.ports[0]}", public),
            self.server.add_secure_port(f"localhost:{self.ports[1]}", mutual),
        )
        await self.server.start()

    async def stop(self) -> None:
        if self.server is not None:
            server, self.server = self.server, None
            self.drop()
            await server.stop(0)

    @property
    def address(self) -> str:
        return f"localhost:{self.ports[0]}"

    # ---- enrolment ----------------------------------------------------------------------------------------------

    def invite(self, **invitation) -> str:
        secret = base64.urlsafe_b64encode(random_secrets.token_bytes(32)).rstrip(b"=").decode()
        text = f"at1.T{len(self.invitations)}.{secret}.{self.trust.digest}"
        self.invitations[text] = Invitation(**invitation)
        return text

    async def EnrollAtom(self, request, context):
        self.enrolments.append(request)
        invitation = self.invitations.get(request.join_token)
        csr = x509.load_der_x509_csr(request.csr_der)
        identity = hashlib.sha256(request.seal_public_key).digest()
        if invitation is None:
            await rpc.abort(context, DativeError("unknown token", code=codes.JOIN_TOKEN_INVALID))
        if invitation.expired:
            await rpc.abort(context, DativeError("expired an hour ago", code=codes.JOIN_TOKEN_EXPIRED))
        if identity not in invitation.known:
            if invitation.uses == 0:
                await rpc.abort(context, DativeError("used by atom hq-1", code=codes.JOIN_TOKEN_USED))
            invitation.uses -= 1
            invitation.known[identity] = f"ATOM{len(invitation.known) + 1}"
        atom_id = invitation.known[identity]
        answer = agent_pb2.EnrollAtomResponse(
            atom_id=atom_id,
            name=request.name or "hq-1",
            organization_id=self.organization,
            environment_id=self.environment,
            environment="prod",
            molecule_id=self.molecule,
            ca_certificate_pem=self.ca.pem,
            trust_envelope=self.trust_envelope,
            endpoints=[f"localhost:{self.ports[1]}"],
            molecule_settings=self.settings,
        )
        if invitation.pending:
            answer.retry_after.FromMilliseconds(20)
        else:
            answer.certificate_chain_pem = self.issue(csr.public_key(), atom_id)
        return answer

    def issue(self, key, atom_id: str) -> bytes:
        uri = f"spiffe://{self.organization}/env/{self.environment}/atom/{atom_id}"
        names = [x509.UniformResourceIdentifier(uri)]
        return self.ca.issue(key, names, start=self.atom_start, life=self.atom_life)

    async def RenewCertificate(self, request, context):
        csr = x509.load_der_x509_csr(request.csr_der)
        chain = self.issue(csr.public_key(), "ATOM1")
        return agent_pb2.RenewCertificateResponse(certificate_chain_pem=chain, ca_certificate_pem=self.ca.pem)

    # ---- the stream ---------------------------------------------------------------------------------------------

    async def Connect(self, requests, context):
        hello = (await context.read()).hello
        self.hellos.append(hello)
        if self.refuses is not None:
            await rpc.abort(context, self.refuses)
        leaf = x509.load_pem_x509_certificate(context.auth_context()["x509_pem_cert"][0])
        self.serials.append(f"{leaf.serial_number:x}")
        queue: asyncio.Queue[agent_pb2.ConnectResponse | None] = asyncio.Queue()
        welcome = agent_pb2.Welcome(session_id="1", protocol=1, store_epoch=1)
        welcome.heartbeat_interval.FromMilliseconds(int(self.heartbeat_s * 1000))
        welcome.reconnect_jitter.FromMilliseconds(100)
        welcome.controller_time.FromDatetime(self.now())
        if self.knows_molecules:
            welcome.molecule_config.CopyFrom(agent_pb2.MoleculeConfig(settings=self.settings))
        queue.put_nowait(agent_pb2.ConnectResponse(welcome=welcome))
        self.streams.add(queue)
        if self.desired is not None and hello.observed.manifest_digest != self.desired.manifest_digest:
            self._push(queue)
        reader = asyncio.create_task(self._read(context, queue))
        try:
            while (message := await queue.get()) is not None:
                await context.write(message)
        finally:
            reader.cancel()
            self.streams.discard(queue)

    async def _read(self, context, queue) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            kind = message.WhichOneof("kind")
            if kind == "heartbeat":
                self.heartbeats.append(message.heartbeat)
                if not self.mute:
                    ack = agent_pb2.HeartbeatAck(sequence=message.sequence)
                    queue.put_nowait(agent_pb2.ConnectResponse(heartbeat_ack=ack))
            elif kind == "desired_state_ack":
                self.acks.append(message.desired_state_ack)
            elif kind == "status_report":
                self.reports.append(message.status_report)
            elif kind == "command_result":
                self.results.setdefault(message.command_result.command_id, []).append(message.command_result)
            elif kind == "molecule_status":
                self.statuses.append(message.molecule_status)
            elif kind == "goodbye":
                self.goodbyes.append(message.goodbye.reason)
                break
        queue.put_nowait(None)

    def send(self, message: agent_pb2.ConnectResponse) -> None:
        for queue in self.streams:
            queue.put_nowait(message)

    def tell(self, **kind) -> None:
        self.send(agent_pb2.ConnectResponse(**kind))

    def drop(self) -> None:
        for queue in self.streams:
            queue.put_nowait(None)

    def command(self, command_id: str = "", **kind) -> str:
        command = agent_pb2.Command(command_id=command_id or random_secrets.token_hex(8), **kind)
        command.expires_at.FromDatetime(self.now() + timedelta(seconds=60))
        self.send(agent_pb2.ConnectResponse(command=command))
        return command.command_id

    async def run(self, process: str, **parameters) -> agent_pb2.CommandResult:
        wanted = agent_pb2.RunProcess(process=process, parameters=parameters)
        return await self.answer(self.command(run_process=wanted))

    async def answer(self, command_id: str) -> agent_pb2.CommandResult:
        await until(lambda: command_id in self.results, f"result of {command_id}")
        return self.results[command_id][0]

    def component(self, path: str) -> agent_pb2.ComponentHealth | None:
        newest = self.reports[-1].components if self.reports else []
        return next((one for one in newest if one.path == path), None)

    # ---- bundles ------------------------------------------------------------------------------------------------

    def manifest(
        self,
        processes: dict[str, bytes],
        *,
        environment: dict | None = None,
        sealed: bytes | None = None,
        tables: dict[str, bytes] | None = None,
        **fields,
    ) -> Manifest:
        config = {"environment": "prod", "environment_id": self.environment, "connections": {}, "overrides": {}}
        parts = [(f"{name}.json", data, PROCESS_MEDIA) for name, data in processes.items()]
        parts.append(("environment.json", json.dumps({**config, **(environment or {})}).encode(), ENVIRONMENT_MEDIA))
        parts += [(name, data, "application/vnd.dative.table.v1+csv") for name, data in (tables or {}).items()]
        if sealed is not None:
            parts.append(("sealed.json", sealed, SEALED_SECRETS_MEDIA))
        self.blobs.update({digest_of(data): data for _, data, _ in parts})
        self.counters += 1
        values = {
            "organization_id": self.organization,
            "environment_id": self.environment,
            "audience": Audience(self.molecule),
            "release_epoch": self.trust.release_epoch,
            "generation": self.generation + 1,
            "previous_digest": self.last_digest,
            "issued_at": self.now() - timedelta(seconds=1),
            "expires_at": self.now() + timedelta(days=90),
            "trust_version": 1,
            "processes": tuple(ProcessEntry(name, self.counters, self.counters, f"{name}.json") for name in processes),
            "artifacts": tuple(Artifact(name, digest_of(data), len(data), media) for name, data, media in parts),
        }
        return Manifest(**{**values, **fields})

    def push(self, manifest: Manifest, *, keys: list[SigningKey] | None = None, tamper: bool = False) -> str:
        """Push a signed manifest to every stream; returns its nonce."""
        envelope = sign(DEPLOYMENT_TYPE, manifest.to_payload(), keys or [self.release]).to_bytes()
        if tamper:
            envelope = envelope.replace(b'"sig":"', b'"sig":"AAAA', 1)
        self.desired = agent_pb2.DesiredState(
            environment_id=self.environment,
            molecule_id=self.molecule,
            release_epoch=manifest.release_epoch,
            generation=manifest.generation,
            manifest_envelope=envelope,
            manifest_digest=manifest.digest,
            freshness_envelope=self._freshness(manifest),
            traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01",
            trust_chain=self.trust_chain,
        )
        self.generation, self.last_digest = manifest.generation, manifest.digest
        for queue in self.streams:
            self._push(queue)
        return self.desired.nonce

    def _push(self, queue) -> None:
        assert self.desired is not None
        self.desired.nonce = random_secrets.token_hex(4)
        copy = agent_pb2.DesiredState()
        copy.CopyFrom(self.desired)
        queue.put_nowait(agent_pb2.ConnectResponse(desired_state=copy))

    def _freshness(self, manifest: Manifest) -> bytes:
        statement = Freshness(
            organization_id=self.organization,
            environment_id=self.environment,
            molecule_id=self.molecule,
            release_epoch=manifest.release_epoch,
            generation=manifest.generation,
            manifest_digest=manifest.digest,
            issued_at=self.now(),
            expires_at=self.now() + timedelta(days=1),
        )
        return sign(FRESHNESS_TYPE, statement.to_payload(), [self.online]).to_bytes()

    async def deploy(self, processes: dict[str, bytes], **more) -> agent_pb2.DesiredStateAck:
        """Push and wait for the last word on it."""
        manifest = self.manifest(processes, **more)
        self.push(manifest)
        return await self.last_word(manifest.generation)

    async def last_word(self, generation: int) -> agent_pb2.DesiredStateAck:
        def last():
            return [ack for ack in self.acks if ack.generation == generation and ack.phase >= 3]

        await until(last, f"last word on generation {generation}")
        return last()[-1]

    async def FetchBlob(self, request, context):
        self.fetches.append((request.digest, request.offset))
        await self.hold_blobs.wait()
        data = self.blobs.get(request.digest)
        if data is None:
            await rpc.abort(context, DativeError("not here", code=codes.NOT_FOUND))
        for at in range(request.offset, len(data), 1000):
            if self.cut_blobs_after is not None and at >= request.offset + self.cut_blobs_after:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
            yield agent_pb2.FetchBlobResponse(data=data[at : at + 1000])

    # ---- records ------------------------------------------------------------------------------------------------

    async def IngestRecords(self, requests, context):
        epoch = next(iter(self.records), "")
        yield telemetry_pb2.IngestRecordsResponse(
            spool_epoch=epoch, committed_sequence=len(self.records.get(epoch, []))
        )
        async for request in requests:
            stored = self.records.setdefault(request.spool_epoch, [])
            if request.first_sequence <= len(stored) + 1:
                stored.extend(request.records[len(stored) + 1 - request.first_sequence :])
            self.batches += bool(request.records)
            answer = telemetry_pb2.IngestRecordsResponse(
                spool_epoch=request.spool_epoch, committed_sequence=len(stored)
            )
            if self.slow_down_s:
                answer.slow_down.FromMilliseconds(int(self.slow_down_s * 1000))
            yield answer

    def heard(self, kind: str) -> list:
        """Everything reported of one kind, in order; letters parked together, each as if it had come alone."""
        found: list = []
        for record in (record for records in self.records.values() for record in records):
            if kind == "dead_letter" and record.WhichOneof("kind") == "dead_letters":
                found += taken_apart(record.dead_letters)
            elif record.WhichOneof("kind") == kind:
                found.append(getattr(record, kind))
        return found

    def events(self, kind: str) -> list[telemetry_pb2.Event]:
        return [event for event in self.heard("event") if event.kind == kind]
