"""Parts of a read: together they are what the whole read gives, and nothing comes twice, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dative.errors.base import StopRun
from dative_atom.connectors.salesforce.parts import COUNTS_MAX, bounds
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = 4_000
FULL: dict[str, Any] = {"table": "t"}
CHANGED: dict[str, Any] = {"table": "t", "incremental": {"field": "changed", "key": ["id"]}}


def _reader(bench: Any, connector: Any, operation: str, options: dict[str, Any], execution: str = "01PARENT") -> Any:
    system, verb = operation.split(".")
    return bench.opened(connector.reader(bench.operation(system, verb, options), bench.context(execution)))


def _part(reader: Any, part: bytes, key: str, kills_after: int | None = None) -> Counter[Any]:
    """What a part gives; with `kills_after`, read again by a second reader from its last position."""
    found: Counter[Any] = Counter()
    for count, read in enumerate(reader.read_part(part, None, 300)):
        found.update(read.batch.column(key).to_pylist())
        if kills_after is not None and count == kills_after:
            for rest in reader.read_part(part, json.loads(json.dumps(dict(read.position))), 300):
                found.update(rest.batch.column(key).to_pylist())
            break
    return found


def _table(run: Any, stamps: str = "id") -> None:
    run("CREATE TABLE t (id integer PRIMARY KEY, changed integer NOT NULL, v text)")
    run(
        "INSERT INTO t WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n "
        f"WHERE id < {ROWS}) SELECT id * 7, {stamps}, 'v' FROM n"
    )


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
@pytest.mark.parametrize("options", [FULL, CHANGED], ids=["full", "incremental"])
@pytest.mark.parametrize("stamps", ["id", "1", "id % 3"], ids=["rising", "all alike", "ties"])
def test_parts_are_equal_together_the_whole_and_resumed_inside(
    system: str, options: Any, stamps: str, request: pytest.FixtureRequest, bench: Any
) -> None:
    address, run = request.getfixturevalue(system)
    _table(run, stamps)
    erp = bench.connect("database", {"url": address})
    division = _reader(bench, erp, "database.query", options).divide(None, 4)
    parts = [
        _part(_reader(bench, erp, "database.query", options, f"01CHILD{index}"), part, "id", kills_after=index)
        for index, part in enumerate(division.parts)
    ]
    assert [part.total() for part in parts] == [ROWS // 4] * 4
    assert sum(parts, Counter()) == Counter(row[0] for row in run("SELECT id FROM t"))
    rest = bench.read_all(_reader(bench, erp, "database.query", options), division.end)
    assert sum(read.batch.num_rows for read in rest) == 0


@pytest.mark.parametrize("system", ["postgres", "sqlite"])
def test_rows_that_change_while_parts_are_read_come_once_here_or_in_the_next_execution(
    system: str, request: pytest.FixtureRequest, bench: Any
) -> None:
    """One moves its stamp before its part is read, one after, one is deleted, one is new: the last state is delivered."""
    address, run = request.getfixturevalue(system)
    _table(run)
    erp = bench.connect("database", {"url": address})
    division = _reader(bench, erp, "database.query", CHANGED).divide(None, 2)
    first = _part(_reader(bench, erp, "database.query", CHANGED, "01A"), division.parts[0], "id")
    run(f"UPDATE t SET changed = {ROWS + 1}, v = 'later' WHERE id = 7")
    run(f"UPDATE t SET changed = {ROWS + 2}, v = 'later' WHERE id = {ROWS * 7}")
    run(f"DELETE FROM t WHERE id = {(ROWS - 1) * 7}")
    run(f"INSERT INTO t VALUES (3, {ROWS + 3}, 'new')")
    second = _part(_reader(bench, erp, "database.query", CHANGED, "01B"), division.parts[1], "id")
    following = bench.read_all(_reader(bench, erp, "database.query", CHANGED, "01NEXT"), division.end)
    late = Counter(row["id"] for read in following for row in read.batch.to_pylist())
    assert sorted(late) == [3, 7, ROWS * 7]
    assert (first + second)[7] == 1
    assert (first + second)[ROWS * 7] == 0
    assert max((first + second).values()) == 1


def test_a_row_whose_stamp_moves_inside_the_window_stays_with_one_part(postgres: Any, bench: Any) -> None:
    """Divided by stamps, two parts would deliver it, in either order, and the older might stay."""
    address, run = postgres
    _table(run)
    erp = bench.connect("database", {"url": address})
    division = _reader(bench, erp, "database.query", CHANGED).divide(None, 2)
    first = _part(_reader(bench, erp, "database.query", CHANGED, "01A"), division.parts[0], "id")
    run(f"UPDATE t SET changed = {ROWS - 1}, v = 'moved' WHERE id = 7")
    second = _part(_reader(bench, erp, "database.query", CHANGED, "01B"), division.parts[1], "id")
    assert (first[7], second[7]) == (1, 0)


@pytest.mark.parametrize(
    ("options", "rows", "reason"),
    [
        ({"table": "t"}, 10, "too few"),
        ({"sql": "SELECT id FROM t"}, ROWS, "no `key`"),
        ({"table": "t", "columns": ["v"]}, ROWS, "no `key`"),
        ({"table": "t", "key": ["v"]}, ROWS, "have no v"),
        ({"table": "t", "key": ["changed"]}, ROWS, "too few keys"),
        (CHANGED, 0, "nothing to read"),
    ],
)
def test_what_does_not_divide_says_why(options: Any, rows: int, reason: str, sqlite: Any, bench: Any) -> None:
    address, run = sqlite
    _table(run, "1")
    run(f"DELETE FROM t WHERE id > {rows * 7}")
    run("UPDATE t SET v = NULL WHERE id = 7")
    erp = bench.connect("database", {"url": address})
    division = _reader(bench, erp, "database.query", options).divide(None, 4)
    assert (division.parts, division.end) == ((), None)
    assert reason in division.reason


def test_what_is_left_of_a_window_divides_too(sqlite: Any, bench: Any) -> None:
    address, run = sqlite
    _table(run)
    erp = bench.connect("database", {"url": address})
    begun = next(_reader(bench, erp, "database.query", CHANGED).read(None, 500))
    division = _reader(bench, erp, "database.query", CHANGED).divide(begun.position, 2)
    found = sum(
        (_part(_reader(bench, erp, "database.query", CHANGED), part, "id") for part in division.parts), Counter()
    )
    assert found == Counter(id_ for (id_,) in run("SELECT id FROM t WHERE changed > 500"))


def test_a_part_of_another_table_is_refused(sqlite: Any, bench: Any) -> None:
    address, run = sqlite
    _table(run)
    run("CREATE TABLE u (id integer PRIMARY KEY)")
    erp = bench.connect("database", {"url": address})
    part = _reader(bench, erp, "database.query", FULL).divide(None, 2).parts[0]
    with pytest.raises(StopRun) as refused:
        list(_reader(bench, erp, "database.query", {"table": "u"}).read_part(part, None, 10))
    assert refused.value.code.name == "connector.position_unreadable"


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
def test_records_of_an_org_divide_by_the_time_they_were_made_at_and_resume_inside(
    incremental: bool, org: Any, crm: Any, bench: Any
) -> None:
    for number in range(ROWS):
        org.clock.advance(number % 3)
        org.org.put("Account", org.org.complete("Account", {"Id": "", "Name": f"n{number}"}, org.user.id))
    org.clock.advance(600)
    options = {"object": "Account", "fields": ["Id"], **({"incremental": {}} if incremental else {})}
    division = _reader(bench, crm, "salesforce.query", options).divide(None, 3)
    assert len(division.parts) == 3, division.reason
    parts = [
        _part(_reader(bench, crm, "salesforce.query", options, f"01CHILD{index}"), part, "Id", kills_after=index)
        for index, part in enumerate(division.parts)
    ]
    assert sum(parts, Counter()) == Counter(row["Id"] for row in org.org.rows("Account"))
    assert max(part.total() for part in parts) < ROWS / 3 * 1.5
    again = bench.read_all(_reader(bench, crm, "salesforce.query", options), division.end)
    assert sum(read.batch.num_rows for read in again) == 0


def test_files_are_parts_by_their_bytes_and_one_that_changes_meanwhile_is_left_to_the_next(
    tmp_path: Path, bench: Any
) -> None:
    for number in range(20):
        rows = 1000 if number == 3 else 10
        (tmp_path / f"f{number:02d}.csv").write_text("id\n" + "".join(f"{number}-{row}\n" for row in range(rows)))
    disk = bench.connect("disk", {"root": str(tmp_path)})
    options = {"path": "*.csv", "columns": {"id": "text"}, "stable_for": "0s", "format": "csv"}
    division = _reader(bench, disk, "disk.read", options).divide(None, 4)
    (tmp_path / "f19.csv").write_text("id\n19-new\n")
    parts = [_part(_reader(bench, disk, "disk.read", options), part, "id", kills_after=0) for part in division.parts]
    total = sum(parts, Counter())
    assert 2 <= len(parts) <= 4
    assert (total.total(), max(total.values())) == (1000 + 18 * 10, 1)
    following = bench.read_all(_reader(bench, disk, "disk.read", options), division.end)
    assert [row["id"] for read in following for row in read.batch.to_pylist()] == ["19-new"]


@settings(max_examples=100, deadline=None)
@given(places=st.lists(st.integers(0, 10**9), min_size=2, max_size=200), parts_max=st.integers(2, 50))
def test_bounds_rise_leave_no_part_empty_and_cost_few_counts(places: list[int], parts_max: int) -> None:
    asked = 0

    def count(after: int, upto: int) -> int:
        nonlocal asked
        asked += 1
        return sum(after < place <= upto for place in places)

    found = bounds(min(places), max(places), len(places), parts_max, count)
    assert found == sorted(set(found))
    assert len(found) < parts_max
    assert asked <= COUNTS_MAX
    edges = [-1, *found, 10**9]
    asked = 0
    assert all(count(low, high) for low, high in pairwise(edges))
