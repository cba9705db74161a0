"""The Salesforce connector: what `registry.py` names."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pyarrow as pa
from dative.clock import Clock
from dative.errors.base import ConfigError, DativeError

from dative_atom.connectors.base import CallLog, Checked, ConnectionConfig, Operation, Reader, RunContext, Writer
from dative_atom.connectors.calls import Unlogged
from dative_atom.connectors.retry import Backoff
from dative_atom.connectors.salesforce.auth import own_token_source, token_source
from dative_atom.connectors.salesforce.client import CONNECT_TIMEOUT_S, OrgClient, OrgSession
from dative_atom.connectors.salesforce.describe import Describer
from dative_atom.connectors.salesforce.profile import read_fields, written_fields
from dative_atom.connectors.salesforce.query import QueryReader
from dative_atom.connectors.salesforce.spec import QueryOptions, SalesforceSettings
from dative_atom.connectors.spec import parsed


class SalesforceConnector:
    """One org, one user. backoff: how transport errors of reads are tried again inside one call."""

    def __init__(self, connection: ConnectionConfig, backoff: Backoff | None = None) -> None:
        self._where = f"connection {connection.name}"
        self._settings = parsed(SalesforceSettings, connection.settings, self._where)
        self._backoff = backoff or Backoff()
        self._wire = connection.wire
        # A recording holds its own login: it must not live on a token that somebody else had before.
        source = token_source if connection.wire is None else own_token_source
        self._source = source(self._settings, connection.secrets["private_key"])
        self._clients: list[OrgClient] = []

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        options = parsed(QueryOptions, operation.options, f"step {operation.step}")
        return QueryReader(self._client(context.clock, context.calls, context.cancelled), options, context)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:  # noqa: ARG002
        """There is no operation that writes; the guard refuses such a step before it comes here."""
        raise ConfigError(f"salesforce.{operation.operation} of step {operation.step} is no target", where=self._where)

    def profile(self, operation: Operation, clock: Clock) -> Mapping[str, str] | None:
        """Of a query, the fields that it names; of an operation that writes, what its object has for this user."""
        describer = Describer(self._client(clock, Unlogged(), threading.Event()))
        if operation.operation == "query":
            options = parsed(QueryOptions, operation.options, f"step {operation.step}")
            return read_fields(describer, options.object, options.delivered)
        return written_fields(
            describer, str(operation.options["object"]), creating=operation.operation in ("create", "insert", "upsert")
        )

    def check(self, clock: Clock) -> Iterator[Checked]:
        """dns, tcp or tls, login, read: each only when the one before passed; reads the org's limits, changes nothing."""
        host, port = self._address()
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            yield Checked("dns", True, host)
        except OSError as error:
            yield Checked("dns", False, f"{host}: {error.strerror}")
            return
        yield from self._check_connect(host, port)
        client = self._client(clock, Unlogged(), threading.Event())
        try:
            token = client.session.token()
            yield Checked("login", True, f"{self._settings.username} at {token.instance_url}")
            client.get("limits")
            budget = client.session.budget
            yield Checked("read", True, f"{budget.used} of {budget.allowed} API calls used in 24 hours")
        except DativeError as error:
            yield Checked("login", False, f"{error} {error.next}")

    def _address(self) -> tuple[str, int]:
        address = urlsplit(self._settings.proxy or self._settings.login_url)
        return address.hostname or "", address.port or (443 if address.scheme == "https" else 80)

    def _check_connect(self, host: str, port: int) -> Iterator[Checked]:
        """Through a proxy only the proxy is tried here; what is behind it shows in the login."""
        tls = self._settings.login_url.startswith("https") and not self._settings.proxy
        try:
            with socket.create_connection((host, port), CONNECT_TIMEOUT_S) as plain:
                if tls:
                    trust = ssl.create_default_context(cafile=self._settings.ca_file or None)
                    trust.wrap_socket(plain, server_hostname=host).close()
            yield Checked("tls" if tls else "tcp", True, f"{host}:{port}")
        except OSError as error:
            yield Checked("tls" if tls else "tcp", False, f"{host}:{port}: {error.strerror or type(error).__name__}")

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def _client(self, clock: Clock, calls: CallLog, cancelled: threading.Event) -> OrgClient:
        session = OrgSession(self._settings, self._source, clock, calls, cancelled, self._wire)
        client = OrgClient(session, self._settings, cancelled, self._backoff)
        self._clients.append(client)
        return client
