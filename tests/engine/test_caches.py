"""Document caches: what is kept is found by key, the same however batches are cut, within bounds, and after a kill."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from dative.ids import ExecutionId
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.telemetry.recorder import Recorder

WRITE = "- {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}"
ADD = "- {id: keep, cache_add: {cache: c, key: [Kind], fields: [Id, Name]}}"
ROWS = pa.table(
    {
        "Id": [0, 1, 2, 3, 4, 5],
        "Kind": ["a", "b", "a", None, "a", "b"],
        "Name": ["n0", None, "n2", "n3", "n4", "n5"],
        "Want": ["a", "a", "b", "a", "z", None],
    }
)


class Killed(BaseException):
    """The process is gone."""


def steps(*lines: str) -> str:
    return "  steps:\n" + "".join(f"    {line}\n" for text in lines for line in text.splitlines())


def written(engine: Any) -> list[dict[str, Any]]:
    target = engine.system.targets.get("write")
    return list(target.rows.values()) if target else []


def get(more: str, fields: str = "{f: Name, n: Id}") -> str:
    return f"- {{id: find, cache_get: {{cache: c, key: {{Kind: Want}}, fields: {fields}, {more}}}}}"


# What each document finds: it and those before it have added by then.
FOUND = [
    ('take: first, miss: "null"', [("n0", 0), ("n0", 0), (None, 1), ("n0", 0), (None, None), (None, None)]),
    ('take: last, miss: "null"', [("n0", 0), ("n0", 0), (None, 1), ("n2", 2), (None, None), (None, None)]),
]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("after_a_target", [False, True])
@pytest.mark.parametrize(("more", "expected"), FOUND)
def test_a_document_finds_what_it_or_one_before_it_added(
    engine: Any, more: str, expected: list[tuple[Any, Any]], batch_rows: int, after_a_target: bool
) -> None:
    engine.system.rows, engine.batch_rows = ROWS, batch_rows
    early = ["- {id: early, database.upsert: {connection: erp, table: e, key: [Id]}}"] if after_a_target else []
    ended = engine.run(steps(*early, ADD, get(more), WRITE))
    assert ended.failure is None, ended.failure
    assert [(row["f"], row["n"]) for row in written(engine)] == expected


@pytest.mark.parametrize("batch_rows", [1, 4, 100])
def test_all_matches_are_a_list_in_the_order_in_which_they_were_kept(engine: Any, batch_rows: int) -> None:
    engine.system.rows, engine.batch_rows = ROWS, batch_rows
    ended = engine.run(steps(ADD, get('take: all, into: found, miss: "null"', "{n: Id}"), WRITE))
    assert ended.failure is None, ended.failure
    one, two = [{"n": 0}], [{"n": 0}, {"n": 2}]
    assert [row["found"] for row in written(engine)] == [one, one, [{"n": 1}], two, None, None]


@pytest.mark.parametrize(("miss", "counts"), [("error", (4, 0, 2)), ("filter", (4, 2, 0)), ('"null"', (6, 0, 0))])
def test_a_miss_is_what_the_step_says(engine: Any, miss: str, counts: tuple[int, int, int]) -> None:
    engine.system.rows = ROWS
    ended = engine.run(steps(ADD, get(f"miss: {miss}"), WRITE))
    assert (ended.counts.written, ended.counts.filtered, ended.counts.dead_lettered) == counts
    assert {letter.parked.code for letter in engine.journal.dead_letters()} <= {"shape.cache_miss"}


REMOVE = "- id: d\n  decide: Id = 3\n  then: [{id: forget, cache_remove: {cache: c%s}}]"


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (", key: {Kind: Want}", [0, 0, 1, None, None, None]),
        ("", [0, 0, 1, None, None, None]),
        (", key: {Kind: \"'b'\"}", [0, 0, 1, 2, None, None]),
    ],
)
def test_what_was_removed_is_gone_for_that_document_and_those_after_it(
    engine: Any, key: str, expected: list[int | None], batch_rows: int
) -> None:
    engine.system.rows, engine.batch_rows = ROWS, batch_rows
    ended = engine.run(steps(ADD, REMOVE % key, get('miss: "null"'), WRITE))
    assert ended.failure is None, ended.failure
    assert [row["n"] for row in written(engine)] == expected


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_the_function_finds_the_last_match_and_tells_a_miss_from_a_null(engine: Any, batch_rows: int) -> None:
    engine.system.rows, engine.batch_rows = ROWS, batch_rows
    made = "{id: m, map: {keep: rest, fields: {f: \"cache('c', key => Want, want => 'Name')\"}}}"
    ended = engine.run(steps(ADD, f"- {made}", WRITE))
    assert ended.failure is None, ended.failure
    # Document 2 finds a document without a name; document 4 finds none; document 5 looks for nothing.
    assert [(row["Id"], row["f"]) for row in written(engine)] == [(0, "n0"), (1, "n0"), (2, None), (3, "n2"), (5, None)]
    assert [letter.parked.code for letter in engine.journal.dead_letters()] == ["expression.lookup_missing"]


def test_the_function_gives_null_for_a_miss_where_it_is_told_so(engine: Any) -> None:
    engine.system.rows = ROWS
    made = (
        "{id: m, map: {keep: rest, fields: {f: \"cache('c', key => upper(Want), want => 'Id', missing => 'null')\"}}}"
    )
    assert engine.run(steps(ADD, f"- {made}", WRITE)).counts.written == 6
    assert [row["f"] for row in written(engine)] == [None] * 6


@pytest.mark.parametrize("settled", [1, 2])
def test_after_a_kill_the_cache_holds_what_settled_batches_did(engine: Any, settled: int) -> None:
    engine.system.rows, engine.batch_rows = ROWS, 2
    body = steps(ADD, REMOVE % ", key: {Kind: Kind}", get('miss: "null"'), WRITE)
    execution_id, left = engine.plan(), [settled]

    def progress(_: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    surroundings = Surroundings(engine.clock, engine.system.connect, Control(), progress=progress)
    with pytest.raises(Killed):
        run_execution(engine.message(body, execution_id), engine.journal, surroundings, Recorder())
    assert engine.journal.cached(execution_id)
    ended = engine.run(body, execution_id=execution_id)
    assert (ended.failure, ended.attempt) == (None, 2)
    assert [row["n"] for row in written(engine)] == [0, 0, 1, 2, None, None]
    # It was the execution's cache: nothing of it is left.
    assert engine.journal.cached(execution_id) == []
    assert engine.journal.cached(ExecutionId("another")) == []


@pytest.mark.parametrize("bound", ["rows_max: 3", "mebibytes_max: 1"])
def test_a_cache_beyond_its_bound_ends_the_execution_with_its_code(engine: Any, bound: str) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2, 3], "Kind": list("abcd"), "Name": ["x" * 400_000] * 4})
    ended = engine.run(steps(f"- {{id: keep, cache_add: {{cache: c, key: [Kind], fields: [Name], {bound}}}}}", WRITE))
    assert ended.failure is not None
    assert (ended.failure["code"], ended.counts.read) == ("shape.cache_full", 0)


def test_documents_that_were_removed_make_room(engine: Any) -> None:
    engine.system.rows, engine.batch_rows = ROWS.slice(0, 4), 1
    add = "- {id: keep, cache_add: {cache: c, key: [Id], rows_max: 1}}"
    ended = engine.run(steps("- {id: forget, cache_remove: {cache: c}}", add, WRITE))
    assert (ended.failure, ended.counts.written) == (None, 4)


def test_more_matches_than_a_list_may_have_fail_their_document_only(engine: Any) -> None:
    many = 10_001
    engine.system.rows = pa.table({"Id": list(range(many)), "Kind": ["a"] * many, "Name": ["x"] * many})
    found = "- {id: find, cache_get: {cache: c, key: {Kind: Kind}, fields: {n: Id}, take: all, into: l}}"
    ended = engine.run(
        steps(
            ADD, f"- id: d\n  decide: Id >= {many - 2}\n  then: [{found[2:]}]\n  else: [{{id: s, stop: {{}}}}]", WRITE
        )
    )
    assert (ended.counts.written, ended.counts.dead_lettered) == (1, 1)
    assert [letter.parked.code for letter in engine.journal.dead_letters()] == ["shape.cache_matches"]


# (steps past the validator, what the compiler says)
REFUSED = [
    ([get('miss: "null"')], "no step before fills the cache c"),
    ([ADD, "- {id: f, cache_get: {cache: c, key: {Kind: Id}, fields: {n: Id}}}"], "CAST it"),
    ([ADD, "- {id: f, cache_get: {cache: c, key: {Id: Id}, fields: {n: Id}}}"], "is found by Kind"),
    ([ADD, "- {id: f, cache_get: {cache: c, key: {Kind: Want}, fields: {n: Nothing}}}"], "keeps no Nothing"),
    ([ADD, "- {id: m, map: {fields: {Id: Id, f: \"cache('c', key => Id, want => 'Name')\"}}}"], "CAST it"),
]


@pytest.mark.parametrize(("lines", "why"), REFUSED)
def test_what_does_not_fit_the_cache_is_refused_before_anything_is_read(
    engine: Any, lines: list[str], why: str
) -> None:
    engine.system.rows = ROWS
    ended = engine.run(steps(*lines, WRITE))
    assert ended.failure is not None
    assert (ended.failure["code"], ended.counts.read) == ("engine.compile_failed", 0)
    assert why in ended.failure["message"]
