"""What documents set for one another outlives a worker that is killed at any boundary: properties, caches, notices."""

from __future__ import annotations

import signal
from typing import Any

import pyarrow as pa
import pytest
from dative.process.load import canonical_process, load
from dative.v1 import telemetry_pb2
from dative_atom.engine.failpoints import NAMES
from dative_atom.worker.protocol import Finished

PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: database, erp: database}
  source: {id: read, database.query: {connection: crm, table: account, key: [id]}}
  steps:
    - id: every-seventh
      decide: id % 7 = 0
      then:
        - {id: remember, set_properties: {process.seventh: id, persisted.seventh: id}}
        - {id: keep, cache_add: {cache: sevenths, key: [active], fields: [id]}}
        - {id: tell, notify: {title: "concat('seven ', id)"}}
    - {id: find, cache_get: {cache: sevenths, key: {active: active}, fields: {last: id}, miss: "null"}}
    - id: shape
      map:
        fields:
          id: id
          name: "concat_ws('/', property('process.seventh'), property('persisted.seventh'), last)"
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [id]}}
"""
CASES = [(name, count) for name in NAMES if name.startswith("batch.") for count in ((1,) if "ackn" in name else (1, 3))]


def expected() -> list[tuple[int, str]]:
    """By the definition: documents one by one."""
    found, last = [], dict[int, int]()
    for row in range(40):
        active, seventh = int(row % 5 != 0), row - row % 7
        if row % 7 == 0:
            last[active] = row
        found.append((row, "/".join(str(item) for item in (seventh, seventh, last.get(active)) if item is not None)))
    return found


@pytest.fixture
def process(site: Any) -> Any:
    loaded = load(PROCESS, filename="sync.yaml")
    assert loaded.process is not None, loaded.findings
    (site.directory / "sync.json").write_bytes(canonical_process(loaded.process))
    return site


@pytest.mark.parametrize(("name", "count"), CASES)
def test_killed_at_any_boundary_every_document_still_sees_what_those_before_it_set(
    process: Any, name: str, count: int
) -> None:
    message = process.plan()
    killed = process.worker(f"{name}:{count}")
    killed.send(message)
    assert killed.until(Finished) is None, "the failpoint was never reached"
    assert killed.process.wait(timeout=30) == -signal.SIGKILL
    finished = process.finished(message)
    assert finished.state == "succeeded", finished.failure

    target = process.database("target")
    assert target.execute("SELECT id, name FROM customer ORDER BY id").fetchall() == expected()
    assert target.execute("SELECT count(*), count(DISTINCT id) FROM effect").fetchone() == (40, 40)
    target.close()
    journal = process.journal()
    records = [telemetry_pb2.Record.FromString(record.body) for record in journal.outbox(0)]
    told = [record.event.fields["title"] for record in records if record.WhichOneof("kind") == "event"]
    assert told == [f"seven {row}" for row in range(0, 40, 7)]
    kept = journal.remembered(message.execution_id, "env/sync")
    assert {name: _value(body) for name, body in kept.items()} == {"persisted.seventh": 35}
    assert journal.cached(message.execution_id) == []
    journal.close()


def _value(body: bytes) -> Any:
    return pa.ipc.open_stream(body).read_all().column(0)[0].as_py()
