"""A controller for the command to talk to, and the command: real gRPC over TLS on a free loopback port."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import grpc
import pytest
import trustme
from click.testing import CliRunner, Result
from dative.errors import DativeError
from dative.errors.rpc import UNAUTHENTICATED
from dative.rpc import STATUS_METADATA, status_of
from dative.v1 import control_pb2_grpc
from dative_controller.cli.main import dative


def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"cli_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_beside("fake_dead_letters")
_beside("fake_deployments")
fake_controller = _beside("fake_controller")
SERVICES = {
    **fake_controller.SERVICES,
    "XrefService": _beside("fake_xref").Xrefs,
    "VaultService": _beside("fake_vault").Vault,
    "MoleculeService": _beside("fake_molecules").Molecules,
}
BOOTSTRAP = fake_controller.BOOTSTRAP

PROCESS = """\
apiVersion: dative/v1
kind: Process
metadata: {name: %(name)s}
spec:
  connections: {crm: salesforce, erp: database}
  parameters:
    region: {default: "EU"}
  source:
    id: read
    salesforce.query: {connection: crm, object: Account, fields: [Id, Name, Phone]}
  track: [Id]
  steps:
    - id: to-customer
      map:
        fields:
          source_id: Id
          name: %(expression)s
    - id: upsert
      database.upsert: {connection: erp, table: customer, key: [source_id]}
"""


def process_text(name: str = "account-to-erp", expression: str = "upper(Name)") -> str:
    return PROCESS % {"name": name, "expression": expression}


def _guard(state: Any, name: str, handler: Callable[[Any], Any], streams: bool) -> Callable[..., Any]:
    """What every call goes through: counted, maybe unavailable, authenticated, errors coded as the real one does."""

    def begin(context: grpc.ServicerContext) -> None:
        with state.lock:
            state.calls[name] = state.calls.get(name, 0) + 1
            state.metadata[name] = {key: str(value) for key, value in context.invocation_metadata()}
            if state.unavailable:
                state.unavailable -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
            if name != "Login" and state.metadata[name].get("authorization") != f"Bearer {state.access}":
                fail(context, DativeError("the access token has expired", code=UNAUTHENTICATED))

    def fail(context: grpc.ServicerContext, error: DativeError) -> None:
        context.set_trailing_metadata(((STATUS_METADATA, status_of(error).SerializeToString()),))
        context.abort(grpc.StatusCode[error.code.grpc], error.message)

    def unary(request: Any, context: grpc.ServicerContext) -> Any:
        begin(context)
        try:
            return handler(request)
        except DativeError as error:
            fail(context, error)

    def stream(request: Any, context: grpc.ServicerContext) -> Any:
        begin(context)
        try:
            yield from handler(request)
        except DativeError as error:
            fail(context, error)

    return stream if streams else unary


def _handlers(state: Any) -> Iterator[grpc.GenericRpcHandler]:
    for service, kind in SERVICES.items():
        holder = kind(state)
        stubs: dict[str, Any] = {}
        # The generated registration tells which form each method has; the methods themselves are ours.
        catcher = SimpleNamespace(
            add_generic_rpc_handlers=lambda found: None,
            add_registered_method_handlers=lambda _, found, stubs=stubs: stubs.update(found),
        )
        getattr(control_pb2_grpc, f"add_{service}Servicer_to_server")(
            getattr(control_pb2_grpc, f"{service}Servicer")(), catcher
        )
        methods = {}
        for name, form in stubs.items():
            guarded = _guard(state, name, getattr(holder, name), form.response_streaming)
            make = getattr(
                grpc,
                f"{'stream' if form.request_streaming else 'unary'}_{'stream' if form.response_streaming else 'unary'}"
                "_rpc_method_handler",
            )
            methods[name] = make(guarded, form.request_deserializer, form.response_serializer)
        yield grpc.method_handlers_generic_handler(f"dative.v1.{service}", methods)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Fake:
    """The running fake. ca: path of its authority's certificate."""

    address: str
    ca: Path
    state: Any


@pytest.fixture
def fake(authority: trustme.CA, tmp_path: Path) -> Iterator[Fake]:
    state = fake_controller.State()
    pair = authority.issue_cert("localhost", "127.0.0.1")
    credentials = grpc.ssl_server_credentials(
        [
            (
                pair.private_key_pem.bytes(),
                b"".join(pem.bytes() for pem in pair.cert_chain_pems) + authority.cert_pem.bytes(),
            )
        ]
    )
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(tuple(_handlers(state)))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    yield Fake(f"127.0.0.1:{port}", ca, state)
    server.stop(None).wait()


@dataclass
class Cli:
    """Runs the command in this process, with a home of its own. out: collects everything it ever printed."""

    home: Path
    env: dict[str, str]
    out: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, stdin: str | bytes | None = None, code: int | None = 0, **env: str) -> Result:
        """code: the exit code that is expected; None takes any."""
        result = CliRunner().invoke(dative, list(arguments), input=stdin, env={**self.env, **env}, prog_name="dative")
        self.out += [result.stdout, result.stderr]
        if code is not None:
            assert result.exit_code == code, f"{arguments}: {result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    cleared = {name: "" for name in os.environ if name.startswith("DATIVE_")}
    env = {**cleared, "DATIVE_HOME": str(tmp_path / "home"), "DATIVE_KEYRING": "file", "NO_COLOR": "1"}
    return Cli(tmp_path / "home", env)


@pytest.fixture
def admin(cli: Cli, fake: Fake) -> Cli:
    """Logged in, with trust and an environment `dev` that binds what the test's processes need."""
    cli("login", "--server", fake.address, "--ca", str(fake.ca), "--init-trust", stdin=BOOTSTRAP)
    cli("env", "create", "dev")
    cli(
        "env",
        "set",
        "dev",
        "crm.connector=salesforce",
        "crm.client_id=3MVG9",
        "crm.username=sync@example.com",
        "erp.connector=database",
        "erp.url=postgresql://db/erp",
    )
    return cli


@pytest.fixture
def write(cli: Cli) -> Callable[..., str]:
    """Writes a process file below the working directory and returns its path."""

    def write_process(name: str = "account-to-erp", expression: str = "upper(Name)") -> str:
        file = Path(f"{name}.yaml")
        file.write_text(process_text(name, expression))
        return str(file)

    return write_process
