"""Killed at every boundary and resumed, no number of a sequence is given twice; by its key a document keeps its number."""

from __future__ import annotations

import signal

import pytest
from dative.process.load import canonical_process, load
from dative_atom.engine.failpoints import NAMES
from dative_atom.worker.protocol import Finished

PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: database, erp: database}
  source: {id: read, database.query: {connection: crm, table: account, key: [id]}}
  tables: {no: {kind: sequence, start: 1000}, link: {kind: xref, columns: [crm, erp]}}
  steps:
    - id: shape
      map: {fields: {id: id, name: "concat(sequence('no'), '/', sequence('no', key => id))", since: "DATE '2024-01-31'"}}
    - id: upsert
      database.upsert: {connection: erp, table: customer, key: [id]}
      link: {xref: link, crm: id, erp: result.id}
"""


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("batch.")])
def test_a_kill_skips_numbers_and_never_gives_one_twice(site, name: str) -> None:
    loaded = load(PROCESS, filename="sync.yaml")
    assert loaded.process is not None, loaded.findings
    (site.directory / "sync.json").write_bytes(canonical_process(loaded.process))
    message = site.plan()
    killed = site.worker(name)
    killed.send(message)
    assert killed.until(Finished) is None, "the failpoint was never reached"
    assert killed.process.wait(timeout=30) == -signal.SIGKILL
    journal = site.journal()
    if not journal.execution(message.execution_id).state.final:
        finished = site.finished(message)
        assert finished.state == "succeeded", finished.failure
    target = site.database("target")
    pairs = [name.split("/") for (name,) in target.execute("SELECT name FROM customer ORDER BY id")]
    target.close()
    free, kept = [int(pair[0]) for pair in pairs], [int(pair[1]) for pair in pairs]
    assert len(set(free) | set(kept)) == len(free) + len(kept) == 80
    # What was given under a key is given again after the kill: only the free numbers may have been skipped.
    known = journal.sequence_given("no", [str(row) for row in range(40)], 1000, 1)
    assert [known[str(row)] for row in range(40)] == kept
    assert dict(journal.xref_all("link", ("crm",), "erp")) == {str(row): str(row) for row in range(40)}
    journal.close()
