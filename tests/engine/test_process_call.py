"""process_call and process_route: one execution over several processes, its documents counted once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}\n"
CALL = "  steps:\n    - {id: call, process_call: {process: sub%s}}\n"
STARTS = "  source: {id: in, documents: {fields: {Id: text, n: integer}}}\n"
ROWS = pa.table({"Id": ["a", "b", "c"], "n": ["1", "2", "x"], "other": ["p", "q", "r"]})


@pytest.fixture
def calling(engine: Any) -> Any:
    engine.system.rows = ROWS
    return engine


def written(engine: Any, step: str) -> list[dict[str, Any]]:
    return list(engine.system.targets[step].rows.values()) if step in engine.system.targets else []


def test_a_called_process_sees_what_it_declares_and_what_it_returns_flows_on(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n    - {id: m, map: {keep: rest, fields: {m: n + 1}}}\n"}
    execution = calling.run(CALL % "" + WRITE)
    assert execution.failure is None, execution.failure
    assert written(calling, "write") == [{"Id": "a", "n": 1, "m": 2}, {"Id": "b", "n": 2, "m": 3}]
    assert (execution.counts.written, execution.counts.dead_lettered) == (2, 1)
    (letter,) = calling.journal.dead_letters()
    assert (letter.parked.step, letter.parked.field, letter.parked.payload["other"]) == ("call", "n", "r")


def test_its_targets_are_written_under_the_id_of_the_call(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n" + WRITE}
    execution = calling.run(CALL % "" + WRITE)
    assert [row["Id"] for row in written(calling, "call.write")] == ["a", "b"]
    assert [row["Id"] for row in written(calling, "write")] == ["a", "b"]
    assert execution.counts.written == 2


def test_only_returned_documents_flow_on_where_a_process_returns_any(calling: Any) -> None:
    body = "  steps:\n    - {id: odd, decide: n = 1, then: [{id: back, return_documents: {}}]}\n"
    calling.called = {"sub": STARTS + body}
    execution = calling.run(CALL % "" + WRITE)
    assert [row["Id"] for row in written(calling, "write")] == ["a"]
    counts = execution.counts
    assert (counts.written, counts.returned, counts.dead_lettered) == (1, 1, 1)


def test_copies_returned_by_arms_flow_on_as_documents_of_their_own(calling: Any) -> None:
    arms = "".join(
        f"          - {{name: a{number}, steps: [{{id: m{number}, map: {{fields: {{Id: \"Id || '{number}'\"}}}}}},"
        f" {{id: r{number}, return_documents: {{}}}}]}}\n"
        for number in (1, 2)
    )
    for parallel in ("", "        parallel: true\n"):
        calling.afresh()
        body = f"  steps:\n      - id: fan\n        branch:\n{arms}{parallel}      - {{id: end, stop: {{}}}}\n"
        calling.called = {"sub": STARTS + body}
        execution = calling.run(CALL % "" + WRITE)
        assert execution.failure is None, execution.failure
        assert sorted(row["Id"] for row in written(calling, "write")) == ["a1", "a2", "b1", "b2"]
        assert (execution.counts.read, execution.counts.written) == (3, 2)


def test_a_failed_document_of_a_call_takes_the_callers_catch_route_as_it_came_to_the_try(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n    - {id: m, map: {fields: {Id: Id, y: 10 // (n - 1)}}}\n" + WRITE}
    body = (
        "  steps:\n    - id: t\n      try:\n        - {id: call, process_call: {process: sub}}\n"
        "      catch:\n        - {id: said, map: {fields: {Id: Id, other: other, step: _error_step}}}\n"
        "        - {id: log, database.upsert: {connection: erp, table: l, key: [Id]}}\n"
    )
    execution = calling.run(body)
    assert execution.failure is None, execution.failure
    assert [(row["Id"], row["step"]) for row in written(calling, "log")] == [("a", "call.m"), ("c", "call")]
    assert execution.counts.written == 3


def test_abort_ends_the_execution_at_the_first_failed_document_and_settles_nothing_of_its_batch(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n" + WRITE}
    execution = calling.run(CALL % ", abort: true" + WRITE)
    assert execution.failure["code"] == "shape.call_aborted"
    assert "1 documents failed in process sub" in execution.failure["message"]
    assert execution.counts.read == 0
    assert calling.journal.position("env/sync") is None


def test_without_waiting_the_documents_go_on_as_they_came_whatever_becomes_of_the_copies(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n    - {id: m, map: {fields: {Id: Id, y: n}}}\n" + WRITE}
    execution = calling.run(CALL % ", wait: false" + WRITE)
    assert [row["other"] for row in written(calling, "write")] == ["p", "q", "r"]
    assert [row["y"] for row in written(calling, "call.write")] == [1, 2]
    # The document whose copy failed waits for a person, and is one document.
    assert (execution.counts.read, execution.counts.written, execution.counts.dead_lettered) == (3, 2, 1)


def test_parameters_come_from_the_default_the_environment_and_the_call(calling: Any) -> None:
    calling.called = {
        "sub": "  parameters: {p: {default: one}, q: {default: one}, r: {default: one}, s: {}}\n"
        + STARTS
        + "  steps:\n    - {id: m, map: {fields: {Id: Id, v: \"param('p') || param('q') || param('r') || param('s')\"}}}\n"
    }
    calling.parameters = {"sub.q": "two", "sub.r": "two", "p": "other"}
    execution = calling.run(CALL % ", parameters: {r: three, s: four}" + WRITE)
    assert execution.failure is None, execution.failure
    assert written(calling, "write")[0]["v"] == "onetwothreefour"
    missing = calling.run(CALL % "" + WRITE)
    assert missing.failure["code"] == "engine.parameter_missing"


def test_rates_of_the_same_name_in_two_processes_are_two_tables(calling: Any) -> None:
    rate = "from,to,date,rate\nEUR,USD,2024-01-01,%s\n"
    calling.tables = {"rates": rate % "2", "sub/rates": rate % "3"}
    table = "  tables: {rates: {kind: rates, file: rates.csv}}\n"
    convert = "    - {id: %s, map: {keep: rest, fields: {%s: \"currency(10.0, 'EUR', 'USD')\"}}}\n"
    calling.called = {"sub": table + STARTS + "  steps:\n" + convert % ("m", "inner")}
    body = table + CALL % "" + convert % ("o", "outer") + WRITE
    execution = calling.run(body)
    assert execution.failure is None, execution.failure
    row = written(calling, "write")[0]
    assert (float(row["inner"]), float(row["outer"])) == (30.0, 20.0)


CYCLE = {"sub": "two", "two": "sub"}


@pytest.mark.parametrize(
    ("calls", "code", "said"),
    [
        ({"sub": "sub"}, "process.call_cycle", "sub → sub"),
        (CYCLE, "process.call_cycle", "sub → two → sub"),
        ({"sub": "sync"}, "process.call_cycle", "sync → sub → sync"),
        ({"sub": "nowhere"}, "engine.process_unreadable", "nowhere"),
        ({"sub": "s1", **{f"s{n}": f"s{n + 1}" for n in range(1, 8)}, "s8": ""}, "process.call_too_deep", "s7"),
    ],
)
def test_calls_that_do_not_end_are_refused_by_name_before_anything_is_read(
    calling: Any, calls: dict[str, str], code: str, said: str
) -> None:
    calling.called = {
        name: STARTS + (CALL.replace("sub%s", inner).replace("id: call", "id: c") if inner else "  steps: []\n")
        for name, inner in calls.items()
    }
    execution = calling.run(CALL % "" + WRITE)
    assert execution.failure["code"] == code, execution.failure
    assert said in execution.failure["message"]
    assert execution.counts.read == 0


def test_calls_that_multiply_are_refused_at_the_bound_of_steps(calling: Any) -> None:
    many = "".join(f"    - {{id: c{number}, process_call: {{process: next%s}}}}\n" for number in range(12))
    calling.called = {"sub": STARTS + "  steps:\n" + many.replace("%s", "1"), "next4": STARTS + "  steps: []\n"}
    for level in range(1, 4):
        calling.called[f"next{level}"] = STARTS + "  steps:\n" + many.replace("%s", str(level + 1))
    execution = calling.run(CALL % "" + WRITE)
    assert execution.failure["code"] == "process.call_too_deep"


def test_a_process_that_starts_by_itself_can_not_be_called(calling: Any) -> None:
    calling.called = {"sub": "  source: {id: in, nothing: {}}\n  steps: []\n"}
    assert calling.run(CALL % "" + WRITE).failure["code"] == "process.not_callable"


def test_a_value_without_a_process_takes_the_default_or_fails(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n    - {id: m, map: {fields: {Id: Id, way: \"'sub'\"}}}\n"}
    route = "  steps:\n    - {id: sort, process_route: {key: other, processes: {p: sub}%s}}\n"
    execution = calling.run(route % "" + WRITE)
    assert [letter.parked.code for letter in calling.journal.dead_letters()] == ["shape.no_process"] * 2
    calling.afresh()
    calling.called["rest"] = "  source: {id: in, documents: {fields: {Id: text}}}\n  steps: []\n"
    execution = calling.run(route % ", default: rest" + WRITE)
    assert execution.counts.written == 3
    assert [row["way"] for row in written(calling, "write")] == ["sub", None, None]


def test_a_process_of_two_values_gets_its_documents_together(calling: Any) -> None:
    calling.called = {"sub": STARTS + "  steps:\n" + WRITE}
    calling.run("  steps:\n    - {id: sort, process_route: {key: Id, processes: {a: sub, b: sub, c: sub}}}\n")
    assert calling.system.targets["sort:sub.write"].writes == 1
