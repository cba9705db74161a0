"""A real worker process, spoken to as the agent does, and a process from one SQLite file to another."""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dative.clock import SystemClock
from dative.ids import ExecutionId, ProcessName
from dative.process.load import canonical_process, load
from dative_atom.journal.contract import Execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.worker.deadline import Deadline
from dative_atom.worker.protocol import (
    Binding,
    Finished,
    FromWorker,
    Limits,
    Ready,
    RunExecution,
    ToWorker,
    frame,
)

ROWS = 40
PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: database, erp: database}
  source: {id: read, database.query: {connection: crm, table: account, key: [id]}}
  track: [name]
  tables: {link: {kind: xref, columns: [crm, erp]}}
  steps:
    - id: only-active
      decide: active = 1
      else: [{id: leave, stop: {}}]
    - id: deliver
      try:
        - id: shape
          map: {fields: {id: id, name: upper(name), since: "date(since, '%m/%d/%Y')"}}
        - id: upsert
          database.upsert: {connection: erp, table: customer, key: [id]}
          link: {xref: link, crm: id, erp: result.id}
      catch: [{id: park, dead_letter: {queue: sync}}]
"""
_decoder = msgspec.msgpack.Decoder(FromWorker)


@dataclass
class WorkerProcess:
    """A worker and our end of its socket."""

    process: subprocess.Popen[Any]
    connection: socket.socket
    heard: list[FromWorker] = field(default_factory=list)

    def send(self, message: ToWorker) -> None:
        self.connection.sendall(frame(message))

    def receive(self) -> FromWorker | None:
        """The next message, None when the worker has gone."""
        head = self._read(4)
        body = self._read(int.from_bytes(head, "big")) if head else None
        return _decoder.decode(body) if body else None

    def until(self, kind: type) -> FromWorker | None:
        """Messages until one of that kind, or None when the worker goes before."""
        while (message := self.receive()) is not None:
            self.heard.append(message)
            if isinstance(message, kind):
                return message
        return None

    def _read(self, length: int) -> bytes | None:
        data = b""
        while len(data) < length:
            ready, _, _ = select.select([self.connection], [], [], 60)
            assert ready, "the worker said nothing for a minute"
            chunk = self.connection.recv(length - len(data))
            if not chunk:
                return None
            data += chunk
        return data


@dataclass
class Site:
    """A directory with a journal, a source and a target, and the workers that were started over it."""

    directory: Path
    workers: list[WorkerProcess] = field(default_factory=list)

    def worker(
        self,
        failpoint: str = "",
        deadline: Deadline | None = None,
    ) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "DATIVE_FAILPOINT": failpoint}
        fds = [theirs.fileno()] if deadline is None else [theirs.fileno(), deadline.fd]
        told = [] if deadline is None else ["--deadline-fd", str(deadline.fd)]
        with (self.directory / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dative_atom.worker", "--fd", str(theirs.fileno()), *told],
                pass_fds=fds,
                env=environment,
                stderr=log,
            )
        theirs.close()
        worker = WorkerProcess(process, ours)
        self.workers.append(worker)
        ready = worker.receive()
        assert isinstance(ready, Ready)
        assert ready.pid == process.pid
        return worker

    def worker_of(self, agent: str, failpoint: str) -> tuple[WorkerProcess, subprocess.Popen[str]]:
        """A worker that a program starts, which is given the number of its socket; and that program."""
        ours, theirs = socket.socketpair()
        with (self.directory / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", agent, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "DATIVE_FAILPOINT": failpoint},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        theirs.close()
        worker = WorkerProcess(process, ours)
        self.workers.append(worker)
        return worker, process

    def database(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(self.directory / f"{name}.db")

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.directory / "journal.db", SystemClock())

    def plan(self, number: int = 1) -> RunExecution:
        """A planned execution and the message that runs it."""
        execution_id = ExecutionId(f"01JX{number:022d}")
        journal = self.journal()
        journal.plan(
            Execution(
                execution_id=execution_id,
                process=ProcessName("sync"),
                process_version=1,
                stream="env/sync",
                trigger="schedule",
                planned_at=datetime(2026, 3, 1, tzinfo=UTC),
                manifest_digest="sha256:00",
            )
        )
        journal.close()
        url = "sqlite:///{}"
        return RunExecution(
            execution_id=execution_id,
            process="sync.json",
            artifacts={"sync.json": str(self.directory / "sync.json")},
            bindings=[
                Binding(name, "database", {"url": url.format(self.directory / f"{file}.db")}, {})
                for name, file in (("crm", "source"), ("erp", "target"))
            ],
            environment_id="env",
            environment="test",
            journal=str(self.directory / "journal.db"),
            limits=Limits(batch_rows=10),
        )

    def finished(self, message: RunExecution) -> Finished | None:
        """Run it in a fresh worker to its end."""
        worker = self.worker()
        worker.send(message)
        ended = worker.until(Finished)
        assert ended is None or isinstance(ended, Finished)
        return ended


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    loaded = load(PROCESS, filename="sync.yaml")
    assert loaded.process is not None, loaded.findings
    (tmp_path / "sync.json").write_bytes(canonical_process(loaded.process))
    with site.database("source") as source:
        source.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT, since TEXT, active INTEGER)")
        source.executemany(
            "INSERT INTO account VALUES (?, ?, ?, ?)",
            [
                (row, f"name {row}", "02/30/2024" if row % 13 == 5 else "01/31/2024", int(row % 5 != 0))
                for row in range(ROWS)
            ],
        )
    source.close()
    with site.database("target") as target:
        target.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, since DATE)")
        # The target's own count of effects: how often each row was applied.
        target.execute("CREATE TABLE effect (id INTEGER)")
        target.execute("CREATE TRIGGER added AFTER INSERT ON customer BEGIN INSERT INTO effect VALUES (new.id); END")
        target.execute("CREATE TRIGGER changed AFTER UPDATE ON customer BEGIN INSERT INTO effect VALUES (new.id); END")
    target.close()
    yield site
    for worker in site.workers:
        worker.connection.close()
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                pipe.close()
        worker.process.send_signal(signal.SIGCONT)  # one that a failed test left stopped must hear that we have gone
        worker.process.wait(timeout=30)
