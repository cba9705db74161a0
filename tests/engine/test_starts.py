"""Where a process starts that no connector feeds."""

from __future__ import annotations

from typing import Any

from dative.process.load import load

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [id]}}\n"
MAKE = "    - {id: make, map: {fields: {id: property('execution.id'), n: \"1\"}}}\n"


def test_nothing_gives_every_execution_one_empty_document(engine: Any) -> None:
    for _ in range(2):
        execution = engine.run("  steps:\n" + MAKE + WRITE, source="{id: start, nothing: {}}")
        assert execution.failure is None, execution.failure
        assert (execution.counts.read, execution.counts.written) == (1, 1)
    assert len(engine.system.targets["write"].rows) == 2


def test_an_empty_document_that_failed_is_tried_again_as_an_empty_document(engine: Any) -> None:
    bad = "    - {id: odd, map: {fields: {id: number(param('n'))}}}\n"
    body = '  parameters: {n: {default: "1"}}\n  steps:\n' + bad + WRITE
    engine.parameters = {"n": "x"}
    failed = engine.run(body, source="{id: start, nothing: {}}")
    assert (failed.counts.read, failed.counts.dead_lettered) == (1, 1)
    (letter,) = engine.journal.dead_letters()
    assert letter.parked.payload == {}
    engine.parameters = {"n": "2"}
    again = engine.run(body, source="{id: start, nothing: {}}", retry_of=[letter.dead_letter_id])
    assert (again.counts.read, again.counts.written) == (1, 1)


def test_a_process_that_is_only_called_says_so_when_it_is_started(engine: Any) -> None:
    execution = engine.run("  steps:\n" + WRITE, source="{id: start, documents: {fields: {id: text}}}")
    assert execution.failure["code"] == "shape.not_called"


HEAD = "apiVersion: dative/v1\nkind: Process\nmetadata: {name: sub}\nspec:\n  source: "


def test_a_type_that_does_not_exist_is_a_finding_at_its_line() -> None:
    loaded = load(
        HEAD + "\n    id: start\n    documents:\n      fields:\n        a: strong\n  steps: []\n", filename="p.yaml"
    )
    (finding,) = loaded.findings
    assert (finding.code.name, finding.line) == ("process.wrong_value", 9)
