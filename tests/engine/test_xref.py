"""Cross-references in a process: pairs settle with the record, conflicts fail their document, patterns, environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dative.errors import StopRun
from dative_atom.engine.evaluation.rows import PatternRows
from dative_atom.journal.contract import LinkRows

LINKED = """
  tables: {{link: {{kind: xref, columns: [crm, erp], {more}}}}}
  steps:
    - id: create
      database.insert: {{connection: erp, table: invoice}}
      verify: {{key: [Id], within: 2m}}
      link: {{xref: link, crm: Id, erp: result.id}}
"""


def test_a_crash_between_create_and_link_is_healed_by_looking_at_the_target(engine: Any, accounts: Any) -> None:
    engine.system.rows = accounts(4)
    engine.batch_rows = 2
    target = engine.target("create", key=("Id",))
    execution_id = engine.plan()
    # The first attempt created two records and was killed before it settled: no link stands.
    engine.journal.begin(execution_id, engine.clock.now(), "0" * 32)
    target.apply([{"Id": "A000000"}, {"Id": "A000001"}])
    assert engine.journal.xref_rows("link") == 0
    execution = engine.run(LINKED.format(more="unique: both"), execution_id=execution_id)
    assert execution.failure is None, execution.failure
    assert target.effects == 4, "nothing was created twice"
    assert sorted(engine.journal.xref_all("link", ("crm",), "erp")) == [(f"A00000{n}", f"A00000{n}") for n in range(4)]


@pytest.mark.parametrize(("conflict", "parked", "left"), [("error", 1, "OLD"), ("replace", 0, "A000001")])
def test_a_link_that_meets_another_fails_its_document_or_takes_its_place(
    engine: Any, accounts: Any, conflict: str, parked: int, left: str
) -> None:
    engine.system.rows = accounts(3)
    engine.target("create", key=("Id",))
    engine.journal.xref_load(LinkRows("link", {"crm": ["A000001"], "erp": ["OLD"]}))
    execution = engine.run(LINKED.format(more=f"conflict: {conflict}"))
    assert (execution.counts.dead_lettered, execution.counts.unexplained) == (parked, 0)
    assert dict(engine.journal.xref_all("link", ("crm",), "erp"))["A000001"] == left
    assert [letter.parked.code for letter in engine.journal.dead_letters()] == ["engine.link_conflict"] * parked


PATTERNS = {
    "wildcard": ["DE-*", "DE-1*", "DE-12?", "DE-123", "*"],
    "regex": ["DE-.*", "DE-1[0-9]*", "DE-12[0-9]", "DE-123", ".*"],
}


@pytest.mark.parametrize("kind", PATTERNS)
def test_the_most_specific_row_answers(kind: str) -> None:
    rows = [(pattern, f"r{place}") for place, pattern in enumerate(PATTERNS[kind])]
    table = PatternRows("t", kind, lambda _column, _want: rows)
    keys = ["DE-123", "DE-124", "DE-19", "DE-9", "FR", "", "DE-12\n"]
    answers = {"DE-123": "r3", "DE-124": "r2", "DE-19": "r1", "DE-9": "r0", "FR": "r4", "": "r4"}
    found = table.lookup(("c",), "v", keys)
    assert {key: found[key] for key in answers} == answers
    assert table.lookup(("c",), "v", ["DE-123"]) == {"DE-123": "r3"}


@pytest.mark.parametrize(("kind", "pattern"), [("regex", "("), ("regex", "a{99999}")])
def test_a_pattern_that_is_none_is_refused_when_it_is_compiled(kind: str, pattern: str) -> None:
    table = PatternRows("t", kind, lambda _column, _want: [(pattern, "x")])
    with pytest.raises(StopRun) as refused:
        table.lookup(("c",), "v", ["k"])
    assert refused.value.code.name == "engine.table_invalid"


MATCHED = """
  tables: {link: {kind: xref, columns: [code, region], unique: none, match: wildcard, file: link.csv}}
  steps:
    - {id: make, map: {fields: {Id: Id, region: "xref('link', code => Id, want => 'region', missing => 'null')"}}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}
"""


def test_patterns_are_compared_in_a_map_and_an_environment_has_rows_of_its_own(engine: Any, tmp_path: Path) -> None:
    engine.system.rows = pa.table({"Id": ["DE-1", "DE-2", "FR-1"]})
    engine.tables = {"link": "code,region\nDE-*,default\n", "link.test": "code,region\nDE-*,D\nDE-2,two\n"}
    execution = engine.run(MATCHED)
    assert execution.failure is None, execution.failure
    assert [row["region"] for row in engine.target("write").rows.values()] == ["D", "two", None]


LOOKED_UP = """
  tables: {item: {kind: lookup, columns: [Sku, Name], connection: crm, sql: SQL}}
  steps:
    - {id: make, map: {fields: {Sku: Sku, name: "lookup('item', Sku => Sku, want => 'Name', missing => 'null')"}}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [Sku]}}
"""


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 1 WHERE x IN (:keys)"])
def test_a_lookup_reads_its_rows_from_a_system_once_or_once_a_batch(engine: Any, sql: str) -> None:
    engine.system.rows = pa.table({"Sku": ["a", "b", "a", "c"], "Name": ["A", "B", "A", None]})
    engine.batch_rows = 2
    execution = engine.run(LOOKED_UP.replace("SQL", f'"{sql}"'))
    assert execution.failure is None, execution.failure
    assert [row["name"] for row in engine.target("write").rows.values()] == ["A", "B", None]
    reads = sum(1 for rows in engine.system.delivered if rows == 4)
    assert reads == (2 if ":keys" in sql else 1), "once a batch, or once"
