"""The controller, started and stopped: its parts in order, two listeners, and what runs beside them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType

import dative
import grpc.aio
from dative.bundle.blobs import BlobStore, write_whole
from dative.clock import Clock, SystemClock
from dative.errors import ConfigError
from dative.ids import new_id
from dative.rpc import server_options
from dative.v1 import agent_pb2_grpc, control_pb2_grpc, telemetry_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import Connection

from dative_controller.config import Config
from dative_controller.links.atom_service import AtomServicer
from dative_controller.links.certificates import Certificates
from dative_controller.links.commander import Commander
from dative_controller.links.enrollment import EnrollmentServicer
from dative_controller.links.feed import Feed
from dative_controller.links.hub import Hub
from dative_controller.reporting.forward import Forwarder
from dative_controller.reporting.indexer import Indexer
from dative_controller.reporting.ingest import Ingestor
from dative_controller.reporting.retention import forget_forever
from dative_controller.reporting.spans import SpanSink
from dative_controller.reporting.telemetry_service import TelemetryServicer
from dative_controller.rollout.desired import DesiredState
from dative_controller.rollout.roller import Roller
from dative_controller.rollout.trust import pinned_envelope
from dative_controller.server.access_service import AccessServicer
from dative_controller.server.core import Core
from dative_controller.server.dead_letter_service import DeadLetterServicer
from dative_controller.server.deployment_service import DeploymentServicer
from dative_controller.server.environment_service import EnvironmentServicer
from dative_controller.server.execution_service import ExecutionServicer
from dative_controller.server.fleet_service import FleetServicer
from dative_controller.server.interceptor import Interceptor
from dative_controller.server.limits import Limiter, address_of
from dative_controller.server.molecule_service import MoleculeServicer
from dative_controller.server.trust_service import TrustServicer
from dative_controller.server.vault_service import VaultServicer
from dative_controller.server.xref_service import XrefServicer
from dative_controller.signing.authority import Authority
from dative_controller.signing.files import make_private
from dative_controller.signing.online import OnlineKey
from dative_controller.signing.tokens import AccessTokens, make_bootstrap_token
from dative_controller.store import access, fleet
from dative_controller.store.database import Database, DirectoryLock
from dative_controller.store.migrate import upgrade
from dative_controller.telemetry.metrics import Metrics
from dative_controller.telemetry.supervise import Supervisor


class Controller:
    """One controller process' worth of parts. `async with Controller(config) as controller:` serves until left."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.supervisor = Supervisor()
        self.public_address = ""
        self.atom_address = ""
        self.bootstrap_token_file = config.data_dir / "bootstrap-token"
        self.core: Core
        self._lock = DirectoryLock(config.data_dir / "controller.lock")
        self._forwarder = Forwarder(config.otel, self.metrics, self.clock) if config.otel else None
        self._servers: list[grpc.aio.Server] = []
        self._database: Database | None = None

    async def __aenter__(self) -> Controller:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        make_private(self.config.data_dir)
        database = Database(self.config.database_url)
        self._database = database
        if database.is_sqlite:
            self._lock.acquire()
        await asyncio.to_thread(upgrade, database)
        self.core = await self._make_core(database)
        await self._prepare_first_login()
        await self.core.feed.start()
        await self._listen()
        self._run_beside()

    # ---- parts --------------------------------------------------------------------------------------------------

    async def _make_core(self, database: Database) -> Core:
        config, clock, metrics = self.config, self.clock, self.metrics
        now = clock.now()
        now_ms = int(now.timestamp() * 1000)
        organization = await database.write(lambda sql: access.ensure_organization(sql, new_id(now), now_ms))
        organization_id = organization.organization_id
        authority = await asyncio.to_thread(Authority.load_or_create, config.data_dir, organization_id, now=now)
        if not await database.write(lambda sql: access.adopt_ca(sql, authority.pin)):
            raise ConfigError(
                f"the authority in {config.data_dir} is not this database's; copy ca.pem, ca.key, online.key and"
                " token.key from the controller that made it"
            )
        controller_id = new_id(now)
        forgotten = None if database.is_sqlite else controller_id
        await database.write(lambda sql: fleet.forget_sessions(sql, forgotten))
        feed = Feed(database, poll_s=config.poll.total_seconds())
        hub = Hub(
            database,
            clock,
            metrics,
            controller_id=controller_id,
            heartbeat_s=config.heartbeat.total_seconds(),
            published=feed.poke,
        )
        limits = config.limits
        return Core(
            config=config,
            clock=clock,
            metrics=metrics,
            database=database,
            blobs=BlobStore(config.blobs),
            organization_id=organization_id,
            controller_id=controller_id,
            version=dative.__version__,
            authority=authority,
            online=await asyncio.to_thread(OnlineKey.load_or_create, config.data_dir / "online.key"),
            tokens=await asyncio.to_thread(
                AccessTokens.load_or_create,
                config.data_dir / "token.key",
                organization_id,
                config.access_token_lifetime,
            ),
            hub=hub,
            feed=feed,
            commander=Commander(database, hub, feed, clock, timeout=config.command_timeout),
            ingestor=Ingestor(database, clock, metrics, forward=self._forward),
            spans=SpanSink(database, metrics, version=dative.__version__, forward=self._forward),
            forward=self._forward,
            api_limit=Limiter(clock, rate_per_s=limits.api_per_s, burst=limits.api_burst, what="calls"),
            login_limit=Limiter(
                clock,
                rate_per_s=limits.login_failures_per_min / 60,
                burst=max(1.0, limits.login_failures_per_min),
                what="failed logins",
            ),
        )

    def _forward(self, request: ExportTraceServiceRequest) -> None:
        if self._forwarder is not None:
            self._forwarder.offer(request)

    async def _prepare_first_login(self) -> None:
        """While there is no admin, each start makes a fresh one-time token in a file that only this user reads."""
        token, core = make_bootstrap_token(), self.core
        expires_ms = core.now_ms() + int(self.config.bootstrap_token_lifetime.total_seconds() * 1000)

        def prepare(sql: Connection) -> bool:
            if access.has_admin(sql):
                return False
            access.set_bootstrap(sql, token, expires_ms)
            return True

        if await core.database.write(prepare):
            await asyncio.to_thread(write_whole, self.bootstrap_token_file, token.encode())
        else:
            self.bootstrap_token_file.unlink(missing_ok=True)

    # ---- listeners ----------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        core, config = self.core, self.config
        pair = core.authority.issue_server(config.host_names, now=self.clock.now())
        # The chain ends with the authority, so that a client which knows only its pin finds it in the handshake.
        chain_pem = pair.chain_pem + core.authority.ca_pem
        await asyncio.to_thread(_keep_server_pair, config.data_dir, chain_pem, pair.key_pem)
        public = self._server()
        for add, servicer in (
            (control_pb2_grpc.add_AccessServiceServicer_to_server, AccessServicer(core)),
            (control_pb2_grpc.add_TrustServiceServicer_to_server, TrustServicer(core)),
            (control_pb2_grpc.add_EnvironmentServiceServicer_to_server, EnvironmentServicer(core)),
            (control_pb2_grpc.add_FleetServiceServicer_to_server, FleetServicer(core)),
            (control_pb2_grpc.add_MoleculeServiceServicer_to_server, MoleculeServicer(core)),
            (control_pb2_grpc.add_DeploymentServiceServicer_to_server, DeploymentServicer(core)),
            (control_pb2_grpc.add_ExecutionServiceServicer_to_server, ExecutionServicer(core)),
            (control_pb2_grpc.add_DeadLetterServiceServicer_to_server, DeadLetterServicer(core)),
            (control_pb2_grpc.add_VaultServiceServicer_to_server, VaultServicer(core)),
            (control_pb2_grpc.add_XrefServiceServicer_to_server, XrefServicer(core)),
        ):
            add(servicer, public)  # type: ignore[no-untyped-call]  # generated
        certificates = Certificates(core.authority, core.organization_id, config.atom_certificate_lifetime)
        agent_pb2_grpc.add_EnrollmentServiceServicer_to_server(self._enrollment(certificates), public)  # type: ignore[no-untyped-call]
        atoms = self._server()
        desired = DesiredState(core.database, core.clock, core.online, streams=core.hub.count)
        agent_pb2_grpc.add_AtomServiceServicer_to_server(  # type: ignore[no-untyped-call]
            AtomServicer(
                core.hub,
                core.database,
                core.blobs,
                certificates,
                core.clock,
                core.metrics,
                organization_id=core.organization_id,
                desired=desired.for_session,
            ),
            atoms,
        )
        telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(  # type: ignore[no-untyped-call]
            TelemetryServicer(core.ingestor, core.database, core.clock, organization_id=core.organization_id), atoms
        )
        keys = [(pair.key_pem, chain_pem)]
        self.public_address = _bind(public, config.listen_public, grpc.ssl_server_credentials(keys))
        self.atom_address = _bind(
            atoms,
            config.listen_atoms,
            grpc.ssl_server_credentials(keys, root_certificates=core.authority.ca_pem, require_client_auth=True),
        )
        for server in (public, atoms):
            await server.start()
            self._servers.append(server)

    def _server(self) -> grpc.aio.Server:
        return grpc.aio.server(
            interceptors=[Interceptor(self.core)], options=server_options(self.config.limits.connections_max)
        )

    def _enrollment(self, certificates: Certificates) -> EnrollmentServicer:
        limits = self.config.limits
        limiter = Limiter(self.clock, rate_per_s=limits.enrol_per_s, burst=limits.enrol_burst, what="enrolments")
        return EnrollmentServicer(
            self.core.database,
            certificates,
            self.clock,
            organization_id=self.core.organization_id,
            endpoint=self.atom_endpoint,
            trust_envelope=pinned_envelope,
            admit=lambda peer: limiter.take(address_of(peer)),
        )

    def atom_endpoint(self) -> str:
        """host:port that atoms are told to dial."""
        return self.config.atom_endpoint or f"{self.config.host_names[0]}:{self.atom_address.rpartition(':')[2]}"

    # ---- beside the listeners -----------------------------------------------------------------------------------

    def _run_beside(self) -> None:
        core, start = self.core, self.supervisor.start
        start("feed", core.feed.follow_forever(core.hub.apply))
        start("heartbeats", core.hub.flush_forever())
        start("ingest", core.ingestor.commit_forever())
        start("index", Indexer(core.database, self.clock, core.ingestor.stored).run_forever())
        start("spans", core.spans.flush_forever())
        roller = Roller(
            core.database, core.hub, core.feed, core.clock, organization_id=core.organization_id, version=core.version
        )
        start("rollouts", roller.run_forever())
        start("retention", forget_forever(core.database, self.config.retention, self.clock))
        if not core.database.is_sqlite:
            start("listen", core.feed.listen_forever())
            start("notify", core.feed.notify_forever())
        if self._forwarder is not None:
            start("otel", self._forwarder.run())

    async def stop(self) -> None:
        """Tell the atoms, end the streams, finish what runs, close the store. Stopping twice is fine."""
        servers, self._servers = self._servers, []
        if servers:
            grace_s = self.config.stop_grace.total_seconds()
            await self.core.hub.stop(grace_s=grace_s)
            await asyncio.gather(*(server.stop(grace_s) for server in servers))
            await self.core.spans.flush()
        await self.supervisor.stop()
        if self._database is not None:
            await self._database.close()
            self._database = None
        self._lock.release()


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials) -> str:
    """Returns the address with the port that was taken. Errors: config.invalid when it is in use."""
    host, _, _ = listen.rpartition(":")
    try:
        port = server.add_secure_port(listen, credentials)
    except RuntimeError as taken:
        raise ConfigError(f"{listen} can not be listened on; is another controller running?") from taken
    return f"{host}:{port}"


def _keep_server_pair(data_dir: Path, chain_pem: bytes, key_pem: bytes) -> None:
    """For other listeners of this host (a reverse proxy, the console); made fresh at each start."""
    write_whole(data_dir / "server.key", key_pem)
    write_whole(data_dir / "server.pem", chain_pem)
    os.chmod(data_dir / "server.pem", 0o644)
