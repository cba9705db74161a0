"""find_changes: what one snapshot tells after another, and that neither a kill nor half a snapshot tells a lie."""

from __future__ import annotations

import resource
from typing import Any

import pyarrow as pa
import pytest
from dative.process.load import check
from dative_atom.engine.dry.dry_run import dry_run
from dative_atom.engine.run import Surroundings
from dative_atom.journal.contract import Counts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: []}}\n"
ALL = ", deletes_max_percent: 100"
STEPS = "  steps:\n    - {id: changes, find_changes: {key: [k]%s}}\n"


def told(engine: Any, rows: dict[str, Any] | pa.Table, more: str = ALL, after: str = WRITE) -> list[tuple[Any, ...]]:
    """(key, other fields, change) of everything that went on, in order."""
    engine.system.rows = rows if isinstance(rows, pa.Table) else pa.table(rows)
    if "write" in engine.system.targets:
        engine.system.targets["write"].rows.clear()
    engine.execution = engine.run(STEPS % more + after)
    target = engine.system.targets.get("write")
    return [tuple(row.values()) for row in target.rows.values()] if target else []


def snapshot(*rows: tuple[str | None, int | None]) -> dict[str, Any]:
    return {
        "k": pa.array([key for key, _ in rows], pa.string()),
        "v": pa.array([value for _, value in rows], pa.int64()),
    }


def test_additions_updates_and_deletions_go_on_and_the_unchanged_are_filtered(engine: Any) -> None:
    first = told(engine, snapshot(("a", 1), ("b", 2), ("c", None)))
    assert first == [("a", 1, "add"), ("b", 2, "add"), ("c", None, "add")]
    assert told(engine, snapshot(("a", 1), ("b", 2), ("c", None))) == []
    assert engine.execution.counts == Counts(read=3, filtered=3, batches=1)
    assert told(engine, snapshot(("a", 1), ("b", 3), ("d", 4))) == [
        ("b", 3, "update"),
        ("d", 4, "add"),
        ("c", None, "delete"),
    ]
    counts = engine.execution.counts
    assert (counts.read, counts.written, counts.filtered) == (4, 3, 1)
    assert told(engine, snapshot(("a", 1), ("b", 3), ("d", 4))) == []


def test_a_deletion_has_its_key_and_what_was_kept_of_it(engine: Any) -> None:
    amounts = pa.array(["1.50", "2"]).cast(pa.decimal128(9, 2))
    keep = ", keep: [d], deletes_max_percent: 100"
    told(engine, {"k": ["a", "b"], "n": ["x", "y"], "d": amounts}, keep)
    rows = told(engine, {"k": ["a"], "n": ["x"], "d": amounts.slice(0, 1)}, keep)
    assert [tuple(map(str, row)) for row in rows] == [("b", "None", "2.00", "delete")]


def test_only_compared_fields_make_an_update(engine: Any) -> None:
    told(engine, {"k": ["a"], "v": [1], "stamp": ["x"]}, ", compare: [v]")
    assert told(engine, {"k": ["a"], "v": [1], "stamp": ["y"]}, ", compare: [v]") == []
    assert told(engine, {"k": ["a"], "v": [2], "stamp": ["y"]}, ", compare: [v]") == [("a", 2, "y", "update")]


@pytest.mark.parametrize(
    ("there", "missing", "percent", "refused"),
    [
        (10, 1, 10, False),
        (10, 2, 10, True),
        (10, 10, 99, True),
        (10, 10, 100, False),
        (10, 1, 0, True),
        (1, 1, 50, True),
    ],
)
def test_a_partial_snapshot_ends_the_execution_and_nothing_moves(
    engine: Any, there: int, missing: int, percent: int, refused: bool
) -> None:
    rows = [(f"k{number}", number) for number in range(there)]
    told(engine, snapshot(*rows))
    found = told(engine, snapshot(*rows[missing:], ("new", 1)), f", deletes_max_percent: {percent}")
    if refused:
        assert engine.execution.failure["code"] == "changes.too_many_deletions"
        assert f"{missing} of {there}" in engine.execution.failure["message"]
        assert (engine.execution.counts.read, found) == (0, [])
        assert engine.journal.snapshot_count("env/sync/changes") == there
    else:
        assert [row[2] for row in found] == ["add"] + ["delete"] * missing


def test_an_empty_snapshot_is_a_partial_one(engine: Any) -> None:
    told(engine, snapshot(("a", 1)))
    assert told(engine, snapshot(), "") == []
    assert engine.execution.failure["code"] == "changes.too_many_deletions"


def test_ignored_deletions_are_neither_told_nor_forgotten(engine: Any) -> None:
    told(engine, snapshot(("a", 1), ("b", 2)))
    assert told(engine, snapshot(("a", 1)), ", deletes: ignore") == []
    assert told(engine, snapshot(("a", 1), ("b", 2)), ", deletes: ignore") == []


def test_keys_that_are_missing_or_stand_twice_fail_alone_in_any_batch(engine: Any) -> None:
    rows = snapshot(("a", 1), (None, 2), ("a", 3), ("b", 4), (None, 5), ("b", 6))
    for batch_rows in (100, 2):
        engine.afresh()
        engine.batch_rows = batch_rows
        assert told(engine, rows) == [("a", 1, "add"), ("b", 4, "add")]
        codes = {letter.parked.document: letter.parked.code for letter in engine.journal.dead_letters()}
        assert codes == {
            1: "changes.no_key",
            2: "changes.duplicate_key",
            4: "changes.no_key",
            5: "changes.duplicate_key",
        }


def test_a_deletion_that_failed_at_a_target_is_tried_again_as_a_deletion(engine: Any) -> None:
    told(engine, snapshot(("a", 1), ("b", 2)))
    engine.system.targets["write"].faults.reject = lambda row: ("engine.rejected", "no")
    assert told(engine, snapshot(("a", 1))) == []
    (letter,) = engine.journal.dead_letters()
    assert letter.parked.payload == {"k": "b", "v": None, "change": "delete"}
    engine.system.targets["write"].faults.reject = None
    again = engine.run(STEPS % "" + WRITE, retry_of=[letter.dead_letter_id])
    assert again.failure is None, again.failure
    assert [tuple(row.values()) for row in engine.system.targets["write"].rows.values()] == [("b", None, "delete")]


def test_an_execution_that_ended_in_the_middle_tells_the_rest_the_next_time_and_nothing_twice(engine: Any) -> None:
    engine.batch_rows = 2
    told(engine, snapshot(*((f"k{number}", 0) for number in range(6))))
    changed = snapshot(*((f"k{number}", 1) for number in range(5)), ("new", 1))
    engine.system.targets["write"].faults.write = [None, RuntimeError("boom")]
    first = told(engine, changed)
    assert engine.execution.failure is not None
    rest = told(engine, changed)
    assert engine.execution.failure is None
    assert sorted(first + rest) == sorted(
        [*((f"k{number}", 1, "update") for number in range(5)), ("new", 1, "add"), ("k5", None, "delete")]
    )


def test_a_dry_run_tells_changes_keeps_nothing_and_takes_no_cut_read_for_deletions(engine: Any) -> None:
    told(engine, snapshot(("a", 1), ("b", 2), ("c", 3)))
    engine.system.rows = pa.table(snapshot(("a", 9), ("b", 2)))
    engine.batch_rows = 1
    for documents_max, counts in ((None, (3, 2, 1)), (1, (1, 1, 0))):
        message = engine.message(STEPS % ALL + WRITE, "01DRY")
        ran = dry_run(
            message, engine.journal, Surroundings(engine.clock, engine.system.connect), documents_max=documents_max
        )
        assert ran.execution.failure is None, ran.execution.failure
        found = ran.execution.counts
        assert (found.read, found.written, found.filtered) == counts
        assert engine.journal.snapshot_count("env/sync/changes") == 3


SNAPSHOTS = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 2)), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(SNAPSHOTS, st.integers(1, 5))
def test_told_one_after_the_other_the_changes_make_every_snapshot(
    engine: Any, snapshots: list[dict[str, int]], batch: int
) -> None:
    engine.afresh()
    engine.batch_rows = batch
    held: dict[str, int] = {}
    for one in snapshots:
        for key, value, change in told(engine, snapshot(*one.items())):
            assert (change == "add") == (key not in held)
            held = {other: number for other, number in held.items() if other != key} | (
                {} if change == "delete" else {key: value}
            )
        assert held == one


def test_memory_stays_flat_however_long_the_documents_are(engine: Any) -> None:
    def rows(count: int) -> pa.Table:
        return pa.table({"k": [f"{number:07d}" for number in range(count)], "v": ["x" * 1000] * count})

    engine.batch_rows = 4096
    end = "    - {id: end, stop: {}}\n"
    told(engine, rows(4096), after=end)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table = rows(60_000)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told(engine, table, after=end)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert engine.execution.failure is None, engine.execution.failure
    # 60 MB of documents: what was added to the table itself is batches on their way, not the snapshot.
    assert after - max(before, made) < 100_000


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (
            "  steps: [{id: m, map: {keep: rest, fields: {x: '1'}}}, {id: c, find_changes: {key: [k]}}]\n",
            "process.misplaced",
        ),
        ("  flow_control: {rows: 5}\n  steps: [{id: c, find_changes: {key: [k]}}]\n", "process.misplaced"),
        ("  steps: [{id: c, find_changes: {key: [nothere]}}]\n", "process.unknown_field"),
        ("  steps: [{id: c, find_changes: {key: [k], into: K}}]\n", "process.field_twice"),
        ("  steps: [{id: c, find_changes: {key: []}}]\n", "process.wrong_value"),
        ("  steps: [{id: c, find_changes: {key: [k], deletes_max_percent: 101}}]\n", "process.wrong_value"),
    ],
)
def test_what_can_not_be_is_a_finding(spec: str, code: str) -> None:
    head = "apiVersion: dative/v1\nkind: Process\nmetadata: {name: p}\nspec:\n  connections: {crm: salesforce}\n"
    source = "  source: {id: in, salesforce.query: {connection: crm, object: Account, fields: [k]}}\n"
    found = check(head + source + spec, filename="p.yaml").findings
    assert [finding.code.name for finding in found] == [code]
