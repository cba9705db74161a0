"""Sources that change under a reader, each with a model of what is visible in it: for the tests beside this file.

A world has rows by key, transactions that stamp early and show late, and a clock of its own. `visible` is what a reader
may see by now; `due` is the part of it that a whole run that begins now must have delivered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pyarrow as pa
import pytest
from dative_atom.connectors.base import ConnectionConfig, Connector
from dative_atom.connectors.connection import open_connection
from dative_atom.engine.memory import MemoryConnector, MemorySystem
from dative_atom.engine.sources.source import watermark
from dative_sandbox.salesforce.clock import stamp
from dative_sandbox.server import SalesforceSandbox

OVERLAP_S = 60
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
Rows = dict[str, tuple[str, bool]]
"""Key -> (content, whether it is deleted)."""


class World(Protocol):
    connector: str
    operation: str
    can_skew: bool

    def options(self, more: bool) -> dict[str, Any]: ...  # more: the process asks for one field more
    def connect(self) -> Connector: ...
    def key(self, row: dict[str, Any]) -> tuple[str, str, bool]: ...  # key, content, deleted
    def insert(self, content: str) -> None: ...
    def change(self, index: int, content: str | None, deleted: bool | None) -> None: ...
    def begin(self) -> None: ...
    def write_late(self, index: int | None, content: str) -> None: ...
    def end(self, commit: bool) -> None: ...
    def advance(self, seconds: float) -> None: ...
    def due(self) -> Rows: ...
    def visible(self) -> Rows: ...
    def close(self) -> None: ...


class OrgWorld:
    """A simulated org whose clock the test moves. A late write shows within the overlap, by itself."""

    connector, operation, can_skew = "salesforce", "query", True

    def __init__(self, sandbox: SalesforceSandbox) -> None:
        self._sandbox, self._org, self._user = sandbox, sandbox.org, sandbox.user.id
        self._org.wipe()
        self._org.late.clear()
        self._org.options.page_rows_max = 3
        sandbox.clock.set(START)
        self._locked: dict[str, datetime] = {}
        self._newest = START

    def options(self, more: bool) -> dict[str, Any]:
        fields = ["Id", "Name", *(["Industry"] if more else [])]
        incremental = {"overlap": f"{OVERLAP_S}s", "deletes": "include"}
        return {"object": "Account", "fields": fields, "incremental": incremental}

    def connect(self) -> Connector:
        sandbox = self._sandbox
        settings = {"login_url": sandbox.url, "client_id": sandbox.consumer_key, "username": sandbox.user.username}
        assert sandbox.private_key_pem is not None
        secrets = {"private_key": sandbox.private_key_pem.decode()}
        return open_connection(ConnectionConfig("system", "salesforce", settings, secrets))  # type: ignore[arg-type]

    def key(self, row: dict[str, Any]) -> tuple[str, str, bool]:
        return row["Id"], row["Name"], row["IsDeleted"]

    def _row(self, content: str) -> dict[str, Any]:
        self._newest = max(self._newest, self._sandbox.clock.now())
        return self._org.complete("Account", {"Id": "", "Name": content}, self._user)

    def _free(self) -> list[dict[str, Any]]:
        """Rows that no transaction under way holds."""
        now = self._sandbox.clock.now()
        return [row for row in self._org.rows("Account") if self._locked.get(row["Id"], now) <= now]

    def insert(self, content: str) -> None:
        self._org.put("Account", self._row(content))

    def change(self, index: int, content: str | None, deleted: bool | None) -> None:
        rows = [row for row in self._free() if deleted is None or row["IsDeleted"] != deleted]
        if not rows:
            return
        self._newest = max(self._newest, self._sandbox.clock.now())
        record_id = rows[index % len(rows)]["Id"]
        if deleted is None:
            self._org.change("Account", record_id, {"Name": content}, self._user)
        elif deleted:
            self._org.delete("Account", record_id, self._user)
        else:
            self._org.undelete("Account", record_id, self._user)

    def begin(self) -> None:
        """A late write begins by itself."""

    def write_late(self, index: int | None, content: str) -> None:
        row, free = self._row(content), self._free()
        if index is not None and free:
            found = free[index % len(free)]
            row = {**found, "Name": content, "SystemModstamp": stamp(self._sandbox.clock.now())}
        delay_s = 1 + (len(content) * 7 + (index or 0) * 11) % (OVERLAP_S - 5)
        self._locked[row["Id"]] = self._sandbox.clock.now() + timedelta(seconds=delay_s)
        self._org.commit_late("Account", row, delay_s)

    def end(self, commit: bool) -> None:
        """A late write ends by itself."""

    def advance(self, seconds: float) -> None:
        self._sandbox.clock.advance(seconds)

    def due(self) -> Rows:
        """Stamps are whole seconds: those of the second that is still running are not due."""
        return self._seen(stamp(self._sandbox.clock.now()))

    def visible(self) -> Rows:
        self._sandbox.clock.set(max(self._sandbox.clock.now(), self._newest) + timedelta(seconds=2 * OVERLAP_S))
        return self._seen("9")

    def _seen(self, before: str) -> Rows:
        rows = [row for row in self._org.rows("Account") if row["SystemModstamp"] < before]
        return {row["Id"]: (row["Name"], row["IsDeleted"]) for row in rows}

    def close(self) -> None:
        self._org.late.clear()


class _Table:
    """What both databases share: a table with a stamp, and one transaction that may be open beside everything else."""

    connector, operation, can_skew = "database", "query", False
    overlap_s = 0
    address = ""

    def __init__(self) -> None:
        self._next = 0
        self._held: set[int] = set()
        self._open = False

    def run(self, sql: str, late: bool = False) -> list[tuple[Any, ...]]:
        raise AssertionError

    def now(self) -> str:
        raise AssertionError

    def options(self, more: bool) -> dict[str, Any]:
        columns = ["id", "v", "gone", "changed", *(["w"] if more else [])]
        incremental = {"field": "changed", "key": ["id"], "overlap": f"{self.overlap_s}s", "deleted_field": "gone"}
        return {"table": "t", "columns": columns, "incremental": incremental}

    def connect(self) -> Connector:
        return open_connection(ConnectionConfig("system", "database", {"url": self.address}, {}))  # type: ignore[arg-type]

    def key(self, row: dict[str, Any]) -> tuple[str, str, bool]:
        return str(row["id"]), row["v"], bool(row["gone"])

    def insert(self, content: str) -> None:
        self._next += 1
        # Keys fall, so that a later row of the same stamp stands before an earlier one.
        self.run(f"INSERT INTO t VALUES ({-self._next}, '{content}', false, {self.now()})")

    def _ids(self, where: str = "true") -> list[int]:
        return [row[0] for row in self.run(f"SELECT id FROM t WHERE {where} ORDER BY id") if row[0] not in self._held]

    def change(self, index: int, content: str | None, deleted: bool | None) -> None:
        ids = self._ids() if deleted is None else self._ids(f"gone <> {deleted}")
        if ids:
            value = f"v = '{content}'" if deleted is None else f"gone = {deleted}"
            self.run(f"UPDATE t SET {value}, changed = {self.now()} WHERE id = {ids[index % len(ids)]}")

    def begin(self) -> None:
        if not self._open:
            self._open = True
            self.run("BEGIN", late=True)

    def write_late(self, index: int | None, content: str) -> None:
        self.begin()
        ids = self._ids() if index is not None else []
        if ids:
            held = ids[(index or 0) % len(ids)]
            self._held.add(held)
            self.run(f"UPDATE t SET v = '{content}', changed = {self.now()} WHERE id = {held}", late=True)
        else:
            self._next += 1
            self.run(f"INSERT INTO t VALUES ({-self._next}, '{content}', false, {self.now()})", late=True)

    def end(self, commit: bool) -> None:
        if self._open:
            self.run("COMMIT" if commit else "ROLLBACK", late=True)
        self._open, self._held = False, set()

    def due(self) -> Rows:
        return {str(row[0]): (row[1], bool(row[2])) for row in self.run("SELECT id, v, gone FROM t")}

    def visible(self) -> Rows:
        self.end(True)
        return self.due()


class PostgresWorld(_Table):
    """A real server with two sessions. Its own clock stamps: now() is when a transaction began, however late it ends."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self._sessions = [psycopg.connect(address, autocommit=True) for _ in range(2)]
        self.run("DROP TABLE IF EXISTS t")
        self.run("CREATE TABLE t (id int PRIMARY KEY, v text, gone boolean, changed timestamptz NOT NULL, w text)")

    def now(self) -> str:
        return "now()"

    def run(self, sql: str, late: bool = False) -> list[tuple[Any, ...]]:
        sql = sql.replace("false, now())", "false, now(), 'w')")
        cursor = self._sessions[late].execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def advance(self, seconds: float) -> None:
        """The server's clock moves by itself."""

    def close(self) -> None:
        for session in self._sessions:
            session.close()


class SqliteWorld(_Table):
    """A file whose writers stamp by a clock that the test moves: whole seconds, so that ties abound."""

    overlap_s = OVERLAP_S

    def __init__(self, path: Path) -> None:
        super().__init__()
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            file.unlink(missing_ok=True)
        self.address = f"sqlite:///{path}"
        self._now, self._began = START, START
        self._sessions = [sqlite3.connect(path, isolation_level=None, timeout=0) for _ in range(2)]
        # So that rows can be written while a read goes on.
        self._sessions[0].execute("PRAGMA journal_mode = WAL")
        self._sessions[0].execute(
            "CREATE TABLE t (id integer PRIMARY KEY, v text, gone boolean, changed timestamp NOT NULL, w text)"
        )

    def now(self) -> str:
        return f"'{self._now:%Y-%m-%d %H:%M:%S}'"

    def run(self, sql: str, late: bool = False) -> list[tuple[Any, ...]]:
        """A file has one writer: what writes beside an open transaction is not done."""
        if self._open and not late and not sql.startswith("SELECT"):
            return []
        if sql.startswith("INSERT"):
            sql = f"{sql[:-1]}, 'w')"
        if sql == "BEGIN":
            self._began = self._now
        return self._sessions[late].execute(sql).fetchall()

    def advance(self, seconds: float) -> None:
        """No transaction outlasts the overlap: that is what the overlap promises to be."""
        self._now += timedelta(seconds=seconds)
        if self._now - self._began >= timedelta(seconds=OVERLAP_S):
            self.end(False)

    def close(self) -> None:
        for session in self._sessions:
            session.close()


class MemoryWorld:
    """A table in memory, to which rows are only added: what is left of the promise is that kills skip and repeat nothing."""

    connector, operation, can_skew = "disk", "read", False

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._late: list[dict[str, Any]] = []

    def options(self, more: bool) -> dict[str, Any]:
        return {}

    def connect(self) -> Connector:
        schema = pa.schema([("id", pa.string()), ("v", pa.string())])
        system = MemorySystem(pa.Table.from_pylist(self._rows, schema))
        return MemoryConnector(ConnectionConfig("system", "disk", {}, {}), system)  # type: ignore[arg-type]

    def key(self, row: dict[str, Any]) -> tuple[str, str, bool]:
        return row["id"], row["v"], False

    def insert(self, content: str) -> None:
        self._rows.append({"id": str(len(self._rows)), "v": content})

    def change(self, index: int, content: str | None, deleted: bool | None) -> None:
        """Nothing changes in it."""

    def begin(self) -> None:
        """It has no transactions."""

    def write_late(self, index: int | None, content: str) -> None:
        self.insert(content)

    def end(self, commit: bool) -> None:
        """It has no transactions."""

    def advance(self, seconds: float) -> None:
        """It has no clock."""

    def due(self) -> Rows:
        return {row["id"]: (row["v"], False) for row in self._rows}

    visible = due

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def shared_org() -> Iterator[SalesforceSandbox]:
    with SalesforceSandbox(clock_start=START, clock_frozen=True) as made:
        yield made


@pytest.fixture
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], World]:
    """A fresh world of that system."""
    makers: dict[str, Callable[[], World]] = {
        "salesforce": lambda: OrgWorld(request.getfixturevalue("shared_org")),
        "postgres": lambda: PostgresWorld(request.getfixturevalue("postgres")[0]),
        "sqlite": lambda: SqliteWorld(tmp_path / "t.db"),
        "memory": MemoryWorld,
    }
    return lambda system: makers[system]()


@pytest.fixture
def watermark_of() -> Callable[[Any], Any]:
    """What :watermark is after a position."""
    return watermark
