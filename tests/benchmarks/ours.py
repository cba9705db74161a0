"""*accounts sync* in a real worker process, as an agent runs it: journal, tracking, dead letters and telemetry included."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from dative.clock import SystemClock
from dative.ids import ExecutionId, ProcessName
from dative.process.load import canonical_process, load
from dative_atom.journal.contract import Execution, LinkRows
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.worker.protocol import Binding, Finished, FromWorker, Limits, Ready, RunExecution, frame

from tests.benchmarks.accounts import RATES, xref_pairs

PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: accounts-sync}
spec:
  connections: {crm: database, erp: database}
  tables:
    rates: {kind: rates, file: rates.csv}
    account-customer: {kind: xref, columns: [salesforce, erp], unique: both}
  source:
    id: read
    database.query: {connection: crm, table: account, incremental: {field: system_modstamp, key: [id]}}
  track: [id]
  steps:
    - id: work
      try:
        - id: to-customer
          map:
            fields:
              source_id: id
              full_name: concat_ws(' ', first_name, last_name)
              revenue: currency(number(revenue, scale => 2), currency, 'EUR')
              since: date(since, '%m/%d/%Y')
              erp_id: xref('account-customer', salesforce => id, want => 'erp', missing => 'null')
              phone: phone
              email: email
              industry: industry
              modified: system_modstamp
        - id: hipaa
          decide: industry = 'Healthcare'
          then: [{id: hide, mask: {phone: keep_last(2), email: drop}}]
        - id: deliver
          database.upsert: {connection: erp, table: customer, key: [source_id]}
      catch: [{id: park, dead_letter: {queue: accounts}}]
"""
_decoder = msgspec.msgpack.Decoder(FromWorker)


@dataclass(frozen=True)
class Measured:
    """One run. seconds: from sending the message to Finished; cpu_s: of the worker meanwhile; rss_mib: its high water."""

    seconds: float
    cpu_s: float
    rss_mib: float
    rss_before_mib: float
    counts: dict[str, int]


def prepare_journal(directory: Path, rows: int) -> Path:
    """A journal with the cross-reference loaded; not part of what is timed."""
    path = directory / "journal.db"
    journal = SqliteJournal(path, SystemClock())
    keys, values = xref_pairs(rows)
    journal.xref_load(LinkRows("account-customer", {"salesforce": keys, "erp": values}))
    journal.close()
    return path


def run(uri: str, rows: int, text: str = PROCESS) -> Measured:
    """Run it once from an empty position."""
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as name:
        directory = Path(name)
        return measured(plan(directory, prepare_journal(directory, rows), uri, text))


def plan(
    directory: Path,
    journal_path: Path,
    uri: str,
    text: str = PROCESS,
    limits: Limits = Limits(),  # noqa: B008
) -> RunExecution:
    """A planned execution of *accounts sync* and the message that runs it."""
    rates = "".join(f"{currency},EUR,2000-01-01,{rate}\n" for currency, rate in RATES.items())
    bindings = [Binding(one, "database", {"url": uri}, {}) for one in ("crm", "erp")]
    return message(directory, journal_path, text, bindings, {"rates": f"from,to,date,rate\n{rates}"}, limits)


def message(
    directory: Path,
    journal_path: Path,
    text: str,
    bindings: list[Binding],
    tables: dict[str, str] | None = None,
    limits: Limits = Limits(),  # noqa: B008
) -> RunExecution:
    """A planned execution of any process. tables: name -> CSV."""
    loaded = load(text, filename="process.yaml")
    assert loaded.process is not None, loaded.findings
    process = ProcessName(loaded.process.name)
    artifacts = {f"{process}/process.json": directory / "process.json"}
    artifacts[f"{process}/process.json"].write_bytes(canonical_process(loaded.process))
    for name, rows in (tables or {}).items():
        artifacts[f"{process}/{name}.csv"] = directory / f"{name}.csv"
        artifacts[f"{process}/{name}.csv"].write_text(rows)
    execution_id = ExecutionId("01JX0000000000000000000001")
    journal = SqliteJournal(journal_path, SystemClock())
    now = datetime(2026, 3, 1, tzinfo=UTC)
    journal.plan(Execution(execution_id, process, 1, f"env/{process}", "schedule", now, "sha256:00"))
    journal.close()
    return RunExecution(
        execution_id=execution_id,
        process=f"{process}/process.json",
        artifacts={name: str(path) for name, path in artifacts.items()},
        bindings=bindings,
        environment_id="env",
        environment="bench",
        journal=str(journal_path),
        limits=limits,
    )


def measured(message: RunExecution) -> Measured:
    """Run it in a warm worker of its own, whose start is not counted."""
    with _Worker() as worker:
        before = worker.rss_mib()
        cpu, started = worker.cpu_s(), time.perf_counter()
        finished = worker.run(message)
        seconds = time.perf_counter() - started
        assert finished.failure is None, finished
        return Measured(seconds, worker.cpu_s() - cpu, worker.rss_mib(), before, finished.counts)


class _Worker:
    """A warm worker and our end of its socket."""

    def __enter__(self) -> _Worker:
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dative_atom.worker", "--fd", str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        assert isinstance(self._receive(), Ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait(30)

    def run(self, message: RunExecution) -> Finished:
        self._socket.sendall(frame(message))
        while not isinstance(heard := self._receive(), Finished):
            pass
        return heard

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def _receive(self) -> FromWorker:
        length = int.from_bytes(self._exactly(4), "big")
        return _decoder.decode(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise RuntimeError(f"the worker ended with {self._process.wait()}")
            data += more
        return data


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
