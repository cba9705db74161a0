"""Starts and stops a simulated Salesforce in this process: the org's port and the control port.

Both servers run in one thread with a loop of their own, so that synchronous clients in the caller's thread and blocking
test code reach them as well as asynchronous ones. `with` and `async with` both work.
"""

import asyncio
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import uvicorn
from dative.errors.sandbox import SandboxNotStarted
from uvicorn.protocols.http.h11_impl import H11Protocol

from dative_sandbox.certificates import ClientKey, TlsFiles
from dative_sandbox.control import Control, control_app
from dative_sandbox.salesforce.app import OrgApp
from dative_sandbox.salesforce.clock import VirtualClock
from dative_sandbox.salesforce.faults import FaultScript
from dative_sandbox.salesforce.journal import RequestJournal
from dative_sandbox.salesforce.org import ConnectedApp, Org, OrgOptions, User
from dative_sandbox.salesforce.seed import Expected, seed_org

START_TIMEOUT_S, STOP_TIMEOUT_S = 20.0, 10.0
USERNAME = "integration@dative.example"
_HEAD_BYTES_MAX = 256 * 1024


@dataclass(frozen=True)
class SandboxSettings:
    """accounts: customers to seed. port, control_port: 0 picks a free one. clock_start: None is now.

    public_key_pem: the connected app's certificate or public key; None makes a key pair, whose private half is then
    `SalesforceSandbox.private_key_pem`. instance_url: what tokens point to; empty is the sandbox's own address.
    """

    accounts: int = 0
    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    clock_start: datetime | None = None
    clock_frozen: bool = False
    public_key_pem: bytes | None = None
    instance_url: str = ""
    username: str = USERNAME
    tls: TlsFiles | None = None


class _Protocol(H11Protocol):
    """Shows each request its connection, so that a fault can reset or cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class SalesforceSandbox:
    """A simulated org behind HTTP.

    Use: `with SalesforceSandbox(accounts=100) as sandbox:` (or `async with`), then `.url`, `.control_url`, and in the same
    process `.org`, `.faults`, `.journal`, `.clock`. Starting twice is an error, stopping twice or unstarted is fine.
    Errors: SandboxNotStarted when a port is taken or the certificate can not be read.
    """

    def __init__(self, settings: SandboxSettings | None = None, **options: Any) -> None:
        self.settings = settings or SandboxSettings(**options)
        start, frozen = self.settings.clock_start, self.settings.clock_frozen
        self.clock = VirtualClock(start, frozen=frozen)
        self.org = Org(self.clock, OrgOptions(instance_url=self.settings.instance_url))
        self.user = self.org.add_user(
            User("", self.settings.username, "sandbox-password", "sandboxToken", self.settings.username)
        )
        self.private_key_pem: bytes | None = None
        self.consumer_key = f"3MVG9{secrets.token_hex(20)}"
        self.consumer_secret = secrets.token_hex(32)
        self.org.add_app(self._connected_app())
        self.accounts = self.settings.accounts
        self.expected: Expected = seed_org(self.org, self.accounts, self.settings.seed)
        self._seed = self.settings.seed
        self._edits = 0
        self._app: OrgApp | None = None
        self._thread: threading.Thread | None = None
        self._servers: list[uvicorn.Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self.url = ""
        self.control_url = ""

    def _connected_app(self) -> ConnectedApp:
        public_key = self.settings.public_key_pem
        if public_key is None:
            pair = ClientKey.generate()
            self.private_key_pem, public_key = pair.private_pem, pair.public_pem
        name = self.settings.username
        return ConnectedApp(
            self.consumer_key, self.consumer_secret, public_key, permitted=frozenset({name}), run_as=name
        )

    # --- what tests use -----------------------------------------------------------------------------------------------

    @property
    def app(self) -> OrgApp:
        if self._app is None:
            raise SandboxNotStarted("the simulated Salesforce is not running; use it inside `with`")
        return self._app

    @property
    def faults(self) -> FaultScript:
        return self.app.faults

    @property
    def journal(self) -> RequestJournal:
        return self.app.journal

    @property
    def password(self) -> str:
        """Password and security token joined, as clients send it."""
        return self.user.password + self.user.security_token

    def reset(self, *, accounts: int | None = None, seed: int | None = None) -> Expected:
        """Empty the org and seed it anew; tokens, faults and journal go too."""
        self.accounts = self.accounts if accounts is None else accounts
        self._seed = self._seed if seed is None else seed
        self._edits = 0
        with self.org.lock:
            self.org.wipe()
            self.expected = seed_org(self.org, self.accounts, self._seed)
        if self._app is not None:
            self._app.faults.clear()
            self._app.journal.clear()
        return self.expected

    def edit(
        self, object_name: str = "Account", count: int = 1, *, touch: str = "all", where_type: str = "Customer"
    ) -> list[str]:
        """Change `count` records as people do (a phone number, else the name), stamped with the org's now.

        The first records in order of creation are taken, leaving out the bad ones of the seed. Returns: their ids.
        """
        with self.org.lock:
            bad = self.expected.bad_ids
            rows = [
                row
                for row in self.org.rows(object_name)
                if not row["IsDeleted"] and row["Id"] not in bad and row.get("Type") in (None, where_type)
            ][:count]
            for row in rows:
                self._edits += 1
                field = "Phone" if "Phone" in row else "Name"
                value = f"+33 1 {self._edits:08d}" if field == "Phone" else f"{row[field]} *"
                self.org.change(object_name, row["Id"], {field: value}, self.user.id, touch=touch)
            return [row["Id"] for row in rows]

    def facts(self) -> dict[str, Any]:
        """What a client needs to connect, and what the seed holds."""
        return {
            "url": self.url,
            "control_url": self.control_url,
            "instance_url": self.org.instance_url,
            "consumer_key": self.consumer_key,
            "consumer_secret": self.consumer_secret,
            "username": self.user.username,
            "password": self.user.password,
            "security_token": self.user.security_token,
            "audience": "https://login.salesforce.com",
            "expected": self.expected.to_json(),
        }

    # --- starting and stopping ----------------------------------------------------------------------------------------

    def start(self) -> Self:
        if self._thread is not None:
            raise SandboxNotStarted("this sandbox was started before; make a new one")
        self._thread = threading.Thread(target=self._run, name="salesforce-sandbox", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S) or not self.url:
            self.stop()
            where = f"{self.settings.host}:{self.settings.port or 'any'}"
            raise SandboxNotStarted(f"the simulated Salesforce did not start on {where}: {self._failure}")
        return self

    def stop(self) -> None:
        """Stop both servers and wait for their end; hanging faults are let go. At most STOP_TIMEOUT_S."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._begin_stop)
            thread.join(STOP_TIMEOUT_S)
            if thread.is_alive():
                raise SandboxNotStarted(f"the simulated Salesforce did not stop within {STOP_TIMEOUT_S:.0f} s")

    def _begin_stop(self) -> None:
        if self._app is not None:
            self._app.stopping.set()
        for server in self._servers:
            server.should_exit = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, SystemExit) as error:
            # uvicorn ends with SystemExit when it can not bind; start() tells the caller. Anything else is a defect and shows
            # itself as an exception of the thread.
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._app = OrgApp(self.org)
        tls = self.settings.tls
        org_server = self._server(self._app, self.settings.port, tls)
        control_server = self._server(control_app(Control(self)), self.settings.control_port, None)
        self._servers = [org_server, control_server]
        running = [asyncio.create_task(server.serve()) for server in self._servers]
        try:
            for server, task in zip(self._servers, running, strict=True):
                await _started(server, task)
            self.url = f"{'https' if tls else 'http'}://{self.settings.host}:{_port(org_server)}"
            self.control_url = f"http://{self.settings.host}:{_port(control_server)}"
            self.org.own_url = self.url
            self._ready.set()
        except BaseException:
            self._begin_stop()
            raise
        finally:
            await asyncio.gather(*running, return_exceptions=True)

    def _server(self, app: Any, port: int, tls: TlsFiles | None) -> uvicorn.Server:
        config = uvicorn.Config(
            app,
            host=self.settings.host,
            port=port,
            http=_Protocol,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            # The org answers with its own clock's Date.
            date_header=False,
            h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
            timeout_graceful_shutdown=2,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        return uvicorn.Server(config)


async def _started(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    """Wait until the server listens; its own failure is raised here."""
    while not server.started:
        if task.done():
            await task
            raise OSError("the port is taken")
        await asyncio.sleep(0.005)


def _port(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def tls_files(certificate: str | None, key: str | None) -> TlsFiles | None:
    """The files of --tls-cert and --tls-key; both or none."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SandboxNotStarted("TLS needs both --tls-cert and --tls-key")
    files = TlsFiles(Path(certificate), Path(key))
    for path in (files.certificate, files.key):
        if not path.is_file():
            raise SandboxNotStarted(f"TLS file {path} can not be read")
    return files
