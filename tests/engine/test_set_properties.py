"""Properties: of a document, of the execution, of the process; the same however batches are cut, and after a kill."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from dative.ids import ExecutionId
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.telemetry.recorder import Recorder

WRITE = "- {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}"


class Killed(BaseException):
    """The process is gone: nothing that follows in it happens."""


def rows(count: int, **more: Any) -> pa.Table:
    return pa.table({"Id": list(range(count)), "Name": [f"n{row}" for row in range(count)], **more})


def written(engine: Any, step: str = "write") -> list[dict[str, Any]]:
    return list(engine.system.targets[step].rows.values())


def steps(*lines: str) -> str:
    return "  steps:\n" + "".join(f"    {line}\n" for text in lines for line in text.splitlines())


def run_until_killed(engine: Any, body: str, batches: int) -> ExecutionId:
    """Run an execution that dies after so many settled batches; returns its id, to be run again."""
    execution_id = engine.plan()
    left = [batches]

    def progress(_: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    surroundings = Surroundings(engine.clock, engine.system.connect, Control(), progress=progress)
    with pytest.raises(Killed):
        run_execution(engine.message(body, execution_id), engine.journal, surroundings, Recorder())
    return execution_id


def test_a_document_property_goes_through_a_map_and_is_no_field_of_the_target(engine: Any) -> None:
    engine.system.rows = rows(3)
    ended = engine.run(
        steps(
            "- {id: s, set_properties: {document.tag: upper(Name)}}",
            "- {id: m, map: {fields: {Id: Id}}}",
            "- id: d",
            "  decide: property('document.tag') = 'N1'",
            "  then: [{id: t, map: {keep: rest, fields: {seen: property('document.tag')}}}]",
            WRITE,
        )
    )
    assert ended.failure is None
    assert written(engine) == [{"Id": 0, "seen": None}, {"Id": 1, "seen": "N1"}, {"Id": 2, "seen": None}]


def test_a_document_property_is_in_no_dead_letter(engine: Any) -> None:
    engine.system.rows = rows(2)
    engine.run(steps("- {id: s, set_properties: {document.tag: Name}}", "- {id: p, dead_letter: {queue: q}}"))
    payloads = [letter.parked.payload for letter in engine.journal.dead_letters()]
    assert sorted(payloads, key=lambda row: row["Id"]) == [{"Id": 0, "Name": "n0"}, {"Id": 1, "Name": "n1"}]


# (which documents set the property, what each document then reads)
LAST = [
    ("true", ["n0", "n1", "n2", "n3", "n4", "n5"]),
    ("Id = 2", [None, None, "n2", "n2", "n2", "n2"]),
    ("Id % 2 = 0", ["n0", "n0", "n2", "n2", "n4", "n4"]),
    ("false", [None] * 6),
]


@pytest.mark.parametrize("batch_rows", [1, 2, 4, 100])
@pytest.mark.parametrize(("who", "expected"), LAST)
@pytest.mark.parametrize("after_a_target", [False, True])
def test_a_document_reads_what_it_or_the_last_one_before_it_set(
    engine: Any, who: str, expected: list[str | None], batch_rows: int, after_a_target: bool
) -> None:
    engine.system.rows, engine.batch_rows = rows(6), batch_rows
    first = ["- {id: early, database.upsert: {connection: erp, table: e, key: [Id]}}"] if after_a_target else []
    ended = engine.run(
        steps(
            *first,
            f"- id: d\n  decide: {who}\n  then: [{{id: s, set_properties: {{process.last: Name}}}}]",
            "- {id: m, map: {keep: rest, fields: {last: property('process.last')}}}",
            WRITE,
        )
    )
    assert ended.failure is None
    assert [row["last"] for row in written(engine)] == expected


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_what_was_set_before_the_first_target_and_after_it_is_read_in_order(engine: Any, batch_rows: int) -> None:
    engine.system.rows, engine.batch_rows = rows(4), batch_rows
    ended = engine.run(
        steps(
            "- {id: a, set_properties: {process.p: \"concat('a', Name)\"}}",
            "- {id: early, database.upsert: {connection: erp, table: e, key: [Id]}}",
            "- id: d",
            "  decide: Id = 1",
            "  then: [{id: b, set_properties: {process.p: \"concat('b', Name)\"}}]",
            "- {id: m, map: {keep: rest, fields: {p: property('process.p')}}}",
            WRITE,
        )
    )
    assert ended.failure is None
    assert [row["p"] for row in written(engine)] == ["an0", "bn1", "an2", "an3"]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_what_a_copy_in_a_branch_sets_stands_at_the_place_of_its_document(engine: Any, batch_rows: int) -> None:
    engine.system.rows, engine.batch_rows = rows(4), batch_rows
    ended = engine.run(
        steps(
            "- id: fan",
            "  branch:",
            "    - name: one",
            "      steps: [{id: d, decide: Id <> 2, then: [{id: s, set_properties: {process.p: Name}}]}]",
            "    - name: two",
            "      steps: [{id: n, map: {keep: rest, fields: {p: property('process.p')}}},",
            "        {id: two, database.upsert: {connection: erp, table: e, key: [Id]}}]",
            "- {id: m, map: {keep: rest, fields: {p: property('process.p')}}}",
            WRITE,
        )
    )
    assert ended.failure is None, ended.failure
    assert [row["p"] for row in written(engine, "two")] == ["n0", "n1", "n1", "n3"]
    assert [row["p"] for row in written(engine)] == ["n0", "n1", "n1", "n3"]


@pytest.mark.parametrize("settled", [1, 2, 3])
def test_after_a_kill_the_next_batch_reads_what_the_settled_ones_set(engine: Any, settled: int) -> None:
    engine.system.rows, engine.batch_rows = rows(8), 2
    body = steps(
        "- {id: former, map: {keep: rest, fields: {former: \"coalesce(property('persisted.p'), 'none')\"}}}",
        "- id: d",
        "  decide: Id = 0",
        "  then: [{id: s, set_properties: {process.p: Name, persisted.p: Name}}]",
        "- {id: m, map: {keep: rest, fields: {p: property('process.p'), q: property('persisted.p')}}}",
        WRITE,
    )
    execution_id = run_until_killed(engine, body, settled)
    ended = engine.run(body, execution_id=execution_id)
    assert (ended.failure, ended.attempt) == (None, 2)
    # What the execution began with stays what it began with, though it has kept something meanwhile.
    assert [(row["p"], row["q"], row["former"]) for row in written(engine)] == [("n0", "n0", "none")] * 8
    assert set(engine.journal.remembered(engine.plan(), "env/sync")) == {"persisted.p"}


COUNT = steps(
    "- {id: s, set_properties: {persisted.runs: \"coalesce(property('persisted.runs'), 0) + 1\"}}",
    "- {id: m, map: {keep: rest, fields: {run: property('persisted.runs')}}}",
    WRITE,
)


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_a_persisted_property_counts_executions(engine: Any, batch_rows: int) -> None:
    engine.system.rows, engine.batch_rows = rows(3), batch_rows
    for number in (1, 2, 3):
        engine.system.targets.clear()
        engine.system.rows = rows(3 * number)
        assert engine.run(COUNT).failure is None
        assert [row["run"] for row in written(engine)] == [number] * 3


def test_an_execution_that_fails_keeps_only_what_its_settled_batches_set(engine: Any) -> None:
    engine.system.rows, engine.batch_rows = rows(4), 2
    body = steps("- {id: s, set_properties: {persisted.last: Name}}", WRITE)
    engine.target("write", key=("Id",)).faults.write = [None, RuntimeError("away")]
    assert engine.run(body).failure is not None
    kept = engine.journal.remembered(engine.plan(), "env/sync")
    assert pa.ipc.open_stream(kept["persisted.last"]).read_all().to_pylist() == [{"value": "n1"}]


def test_a_retry_of_dead_letters_keeps_nothing_for_the_executions_after_it(engine: Any) -> None:
    engine.system.rows = rows(3)
    body = steps("- {id: s, set_properties: {persisted.last: Name}}", "- {id: p, dead_letter: {queue: q}}")
    engine.run(body)
    before = engine.journal.remembered(engine.plan(), "env/sync")
    letter = engine.journal.dead_letters()[0]
    engine.run(body, retry_of=[letter.dead_letter_id])
    assert engine.journal.remembered(engine.plan(), "env/sync") == before


def test_a_null_sets_nothing(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2], "Name": ["a", None, "c"]})
    engine.run(
        steps(
            "- {id: s, set_properties: {process.p: Name, document.d: Name}}",
            "- {id: m, map: {fields: {Id: Id, p: property('process.p'), d: property('document.d')}}}",
            WRITE,
        )
    )
    assert [(row["p"], row["d"]) for row in written(engine)] == [("a", "a"), ("a", None), ("c", "c")]


def test_a_value_that_is_too_long_or_can_not_be_computed_fails_its_document_only(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2, 3], "Name": ["1", "x" * 20_000, "no number", "4"]})
    ended = engine.run(steps("- {id: s, set_properties: {process.t: Name, process.n: number(Name)}}", WRITE))
    assert (ended.counts.written, ended.counts.dead_lettered) == (2, 2)
    found = {letter.parked.payload["Id"]: letter.parked.code for letter in engine.journal.dead_letters()}
    assert found == {1: "expression.number_unreadable", 2: "expression.number_unreadable"}


def test_a_text_is_at_most_ten_thousand_characters(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1], "Name": ["x" * 10_000, "é" * 10_001]})
    ended = engine.run(steps("- {id: s, set_properties: {document.t: Name}}", WRITE))
    assert [letter.parked.code for letter in engine.journal.dead_letters()] == ["engine.property_too_long"]
    assert ended.counts.written == 1


def test_a_persisted_property_of_another_type_is_refused_before_anything_is_read(engine: Any) -> None:
    engine.system.rows = rows(2)
    assert engine.run(steps("- {id: s, set_properties: {persisted.p: Name}}", WRITE)).failure is None
    engine.system.rows = rows(4)
    ended = engine.run(steps("- {id: s, set_properties: {persisted.p: Id}}", WRITE))
    assert ended.failure is not None
    assert ended.failure["code"] == "engine.property_unreadable"
    assert ended.counts.read == 0


# What a hostile or careless bundle could hold, past the validator: (steps, code).
REFUSED = [
    ("- {id: s, set_properties: {process.p: Name}}\n- {id: t, set_properties: {process.p: Id}}", "was a string before"),
    ('- {id: s, set_properties: {document.p: "CAST(Name AS TIME)"}}', "a property is a text"),
]


@pytest.mark.parametrize(("lines", "why"), REFUSED)
def test_types_that_can_not_be_kept_are_refused_while_compiling(engine: Any, lines: str, why: str) -> None:
    engine.system.rows = rows(2)
    ended = engine.run(steps(lines, WRITE))
    assert ended.failure is not None
    assert ended.failure["code"] == "engine.compile_failed"
    assert why in ended.failure["message"]


def test_parallel_executions_of_one_journal_do_not_see_each_others_process_properties(engine: Any) -> None:
    engine.system.rows, engine.batch_rows = rows(4), 2
    body = steps("- {id: s, set_properties: {process.p: Name}}", WRITE)
    first = run_until_killed(engine, body, 1)
    second = engine.plan()
    assert set(engine.journal.remembered(first, "env/sync")) == {"process.p"}
    assert engine.journal.remembered(second, "env/sync") == {}


def test_a_called_process_has_properties_of_its_own_and_those_of_the_document_come_back(engine: Any) -> None:
    engine.system.rows = rows(2)
    engine.called = {
        "sub": "  source: {id: in, documents: {fields: {Id: integer, Name: text}}}\n"
        + steps(
            "- {id: s, set_properties: {process.p: Id}}",
            "- {id: m, map: {fields: {Id: Id, sub: property('process.p')}}}",
        )
    }
    ended = engine.run(
        steps(
            "- {id: s, set_properties: {process.p: Name, document.d: upper(Name)}}",
            "- {id: call, process_call: {process: sub}}",
            "- {id: m, map: {keep: rest, fields: {p: property('process.p'), d: property('document.d')}}}",
            WRITE,
        )
    )
    assert ended.failure is None, ended.failure
    assert written(engine) == [{"Id": 0, "sub": 0, "p": "n0", "d": "N0"}, {"Id": 1, "sub": 1, "p": "n1", "d": "N1"}]
