"""The database connector: what `registry.py` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
from dative.clock import Clock
from dative.errors.base import DativeError

from dative_atom.connectors.base import (
    CallLog,
    Checked,
    ConnectionConfig,
    Operation,
    Previewer,
    Reader,
    RunContext,
    Writer,
)
from dative_atom.connectors.calls import Unlogged
from dative_atom.connectors.database.ahead import AheadWriter
from dative_atom.connectors.database.execute import ExecutePreviewer, ExecuteWriter
from dative_atom.connectors.database.postgres import PostgresSession, libpq_uri
from dative_atom.connectors.database.preview import DatabasePreviewer
from dative_atom.connectors.database.profile import read_fields, written_fields
from dative_atom.connectors.database.read import DatabaseReader
from dative_atom.connectors.database.session import LookingSession, Session, quoted
from dative_atom.connectors.database.spec import (
    DatabaseSettings,
    ExecuteOptions,
    InsertOptions,
    QueryOptions,
    UpsertOptions,
)
from dative_atom.connectors.database.sqlite import SqliteSession
from dative_atom.connectors.database.wired import WiredSession
from dative_atom.connectors.database.write import DatabaseWriter
from dative_atom.connectors.spec import parsed

MARKS = "dative_position"
EXECUTE = "execute"
_TARGETS: Mapping[str, type[InsertOptions]] = {"insert": InsertOptions, "upsert": UpsertOptions}


class DatabaseConnector:
    """One database and role. Every reader and writer has a session of its own."""

    def __init__(self, connection: ConnectionConfig) -> None:
        self._settings = parsed(DatabaseSettings, connection.settings, f"connection {connection.name}")
        self._password = connection.secrets.get("password", "")
        self._wire = connection.wire
        self._is_sqlite = self._settings.url.startswith("sqlite:")
        if not self._is_sqlite:
            libpq_uri(self._settings, self._password)

    def reader(self, operation: Operation, context: RunContext) -> Reader:
        options = parsed(QueryOptions, operation.options, f"step {operation.step}")
        return DatabaseReader(self._connect(context.calls), options, context)

    def writer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Writer:
        schema = self._settings.mark_schema
        marks = f"{quoted(schema)}.{MARKS}" if schema else MARKS
        if operation.operation == EXECUTE:
            own = parsed(ExecuteOptions, operation.options, f"step {operation.step}")
            return ExecuteWriter(self._connect(context.calls), own, documents, marks, context.clock)
        options = parsed(_TARGETS[operation.operation], operation.options, f"step {operation.step}")
        # A recording holds one order of exchanges, and SQLite lets one transaction write at a time: no help ahead there.
        ahead = self._wire is None and not self._is_sqlite
        writer = AheadWriter if ahead else DatabaseWriter
        return writer(self._connect(context.calls), options, documents, marks, context.clock)

    def previewer(self, operation: Operation, context: RunContext, documents: pa.Schema) -> Previewer:
        connect = self._looking(context.calls)
        if operation.operation == EXECUTE:
            own = parsed(ExecuteOptions, operation.options, f"step {operation.step}")
            return ExecutePreviewer(connect, own, documents, "", context.clock)
        options = parsed(_TARGETS[operation.operation], operation.options, f"step {operation.step}")
        return DatabasePreviewer(connect, options, documents, context.clock)

    def profile(self, operation: Operation, clock: Clock) -> Mapping[str, str] | None:  # noqa: ARG002 - as `check`
        """Of a statement of one's own nobody knows the fields: it takes what it binds."""
        connect, step = self._looking(Unlogged()), f"step {operation.step}"
        if operation.operation == EXECUTE:
            return None
        if operation.operation in _TARGETS:
            table = parsed(_TARGETS[operation.operation], operation.options, step).table
            return written_fields(connect, table)
        return read_fields(connect, parsed(QueryOptions, operation.options, step))

    def check(self, clock: Clock) -> Iterator[Checked]:  # noqa: ARG002 - no deadline but the connection's own
        """Connects, logs in and asks for the version."""
        try:
            session = self._connect(Unlogged())()
        except DativeError as error:
            yield Checked("login", False, f"{error} {error.next}")
            return
        yield Checked("login", True, "connected")
        try:
            yield Checked("read", True, session.version())
        finally:
            session.close()

    def close(self) -> None:
        """Sessions belong to readers and writers."""

    def _looking(self, calls: CallLog) -> Callable[[], LookingSession]:
        def connect() -> LookingSession:
            if self._is_sqlite:
                return SqliteSession(self._settings, calls, read_only=True)
            return PostgresSession(self._settings, self._password, calls)

        return connect

    def _connect(self, calls: CallLog) -> Callable[[], Session]:
        def real() -> Session:
            if self._is_sqlite:
                return SqliteSession(self._settings, calls)
            return PostgresSession(self._settings, self._password, calls)

        wire = self._wire
        return real if wire is None else lambda: WiredSession(wire, real)
