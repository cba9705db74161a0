"""Tables whose rows come from a system: lookups asked once a batch by key, rates and small tables read once."""

from __future__ import annotations

import pytest
from dative.process.load import canonical_process, load

PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: database, erp: database}
  source: {id: read, database.query: {connection: crm, table: account, key: [id]}}
  tables:
    item: {kind: lookup, columns: [id, label], connection: crm, sql: "ITEMS"}
    fx: {kind: rates, connection: crm, sql: 'SELECT "from", "to", "date", rate FROM fx'}
  steps:
    - id: shape
      map:
        fields:
          id: id
          name: "concat(lookup('item', id => id, want => 'label', missing => 'null'), ' ', currency(2.5, 'USD', 'EUR'))"
          since: "DATE '2024-01-31'"
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [id]}}
"""
WHOLE = "SELECT CAST(id AS TEXT) AS id, label FROM item"


@pytest.mark.parametrize("items", [WHOLE, f"{WHOLE} WHERE CAST(id AS TEXT) IN (:keys)"])
def test_rows_of_a_system_are_looked_up_for_every_document(site, items: str) -> None:
    loaded = load(PROCESS.replace("ITEMS", items), filename="sync.yaml")
    assert loaded.process is not None, loaded.findings
    (site.directory / "sync.json").write_bytes(canonical_process(loaded.process))
    with site.database("source") as source:
        source.execute("CREATE TABLE item (id INTEGER, label TEXT)")
        source.executemany("INSERT INTO item VALUES (?, ?)", [(row, f"it's {row}") for row in range(0, 40, 2)])
        source.execute('CREATE TABLE fx ("from" TEXT, "to" TEXT, "date" TEXT, rate TEXT)')
        source.executemany("INSERT INTO fx VALUES ('USD', 'EUR', ?, ?)", [("2024-01-01", "0.5"), ("2025-01-01", "0.9")])
    source.close()
    finished = site.finished(site.plan())
    assert finished.state == "succeeded", finished.failure
    target = site.database("target")
    names = dict(target.execute("SELECT id, name FROM customer"))
    target.close()
    assert names == {row: f"it's {row} 2.25" if row % 2 == 0 else " 2.25" for row in range(40)}


def test_a_rate_that_is_none_stops_before_anything_is_read(site) -> None:
    loaded = load(PROCESS.replace("ITEMS", WHOLE), filename="sync.yaml")
    assert loaded.process is not None, loaded.findings
    (site.directory / "sync.json").write_bytes(canonical_process(loaded.process))
    with site.database("source") as source:
        source.execute("CREATE TABLE item (id INTEGER, label TEXT)")
        source.execute('CREATE TABLE fx ("from" TEXT, "to" TEXT, "date" TEXT, rate TEXT)')
        source.execute("INSERT INTO fx VALUES ('USD', 'EUR', '2024-01-01', '-1')")
    source.close()
    finished = site.finished(site.plan())
    assert (finished.state, finished.failure["code"]) == ("failed", "engine.table_invalid")
    assert "fx" in finished.failure["message"]
