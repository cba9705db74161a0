"""flow_control: what is together settles together, whatever the source gave at once and wherever it is killed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from dative.errors import StopRun
from dative_atom.connectors.base import Position
from dative_atom.documents.batch import DOCUMENT, number_documents
from dative_atom.engine.books.ledger import Seen
from dative_atom.engine.sources.source import INSIDE, Piece
from dative_atom.engine.sources.units import Cut, UnitSource, key_cut, rows_cut, update, whole_cut
from hypothesis import given
from hypothesis import strategies as st

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}\n"
BODY = "  flow_control: %s\n  steps:\n" + WRITE


class Reads:
    """A source of given reads. after: the position is the number of rows before it, as a real one's would be."""

    def __init__(self, keys: list[int | None], sizes: list[int]) -> None:
        self.rows = pa.record_batch({"k": pa.array(keys, pa.int64()), "n": pa.array(range(len(keys)), pa.int64())})
        self.sizes = sizes
        self.told: list[Position] = []

    def open(self) -> pa.Schema:
        return self.rows.schema

    def pieces(self, after: Position | None, first_document: int, rows_max: int) -> Iterator[Piece]:
        start, sizes = (int(after["row"]) if after else 0), iter(self.sizes)
        while start < self.rows.num_rows:
            count = next(sizes, rows_max)
            rows = self.rows.slice(start, count)
            start += rows.num_rows
            seen = Seen([f"s{start}"], ["1"])
            yield Piece(number_documents(rows, first_document), {"row": start}, seen)

    def settled(self, position: Position) -> None:
        self.told.append(position)

    def close(self) -> None:
        """Nothing is held."""


KEYS = st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=40)
SIZES = st.lists(st.integers(0, 9), max_size=12)
CUTS = st.sampled_from(
    [
        rows_cut(1),
        rows_cut(3),
        whole_cut(100, 1 << 30),
        key_cut(("k",), 4, 100, 1 << 30),
        key_cut(("k",), 1, 100, 1 << 30),
    ]
)


def units(source: Reads, cut: Cut, after: Position | None = None, first: int = 0) -> Iterator[Piece]:
    return (piece for piece in UnitSource(source, cut).pieces(after, first, 5) if piece.documents.num_rows)


@given(KEYS, SIZES, CUTS)
def test_units_hold_every_document_once_in_order_and_numbered(
    keys: list[int | None], sizes: list[int], cut: Cut
) -> None:
    source = Reads(keys, sizes)
    found = list(units(source, cut, first=7))
    assert [row for unit in found for row in unit.documents.column("n").to_pylist()] == list(range(len(keys)))
    assert [row for unit in found for row in unit.documents.column(DOCUMENT).to_pylist()] == [
        number + 7 for number in range(len(keys))
    ]


@given(KEYS, SIZES, st.integers(1, 6))
def test_no_run_of_equal_keys_is_parted(keys: list[int | None], sizes: list[int], batch: int) -> None:
    found = [
        unit.documents.column("k").to_pylist()
        for unit in units(Reads(keys, sizes), key_cut(("k",), batch, 100, 1 << 30))
    ]
    for one, other in pairwise(found):
        assert one[-1] != other[0]


@given(KEYS, SIZES, SIZES, CUTS, st.data())
def test_a_resume_after_any_unit_goes_on_exactly_behind_it_however_the_source_reads_then(
    keys: list[int | None], sizes: list[int], other_sizes: list[int], cut: Cut, data: st.DataObject
) -> None:
    found = list(units(Reads(keys, sizes), cut))
    if not found:
        return
    settled = data.draw(st.integers(1, len(found)))
    done = [row for unit in found[:settled] for row in unit.documents.column("n").to_pylist()]
    again = Reads(keys, other_sizes)
    rest = list(units(again, cut, found[settled - 1].position, len(done)))
    assert done + [row for unit in rest for row in unit.documents.column("n").to_pylist()] == list(range(len(keys)))


@given(KEYS, SIZES, CUTS)
def test_what_a_source_has_seen_settles_no_earlier_than_its_last_document(
    keys: list[int | None], sizes: list[int], cut: Cut
) -> None:
    read = 0
    for unit in units(Reads(keys, sizes), cut):
        read += unit.documents.num_rows
        assert all(int(key[1:]) <= read for key in unit.seen.keys)


def test_changed_documents_are_read_again_and_none_is_skipped() -> None:
    found = list(units(Reads([1, 1, 2, 2, 3], [5]), key_cut(("k",), 1, 100, 1 << 30)))
    position = found[0].position
    assert position is not None
    assert position[INSIDE]["rows"] == 2
    changed = Reads([1, 9, 2, 2, 3], [5])
    rest = list(units(changed, key_cut(("k",), 1, 100, 1 << 30), position, 2))
    assert [row for unit in rest for row in unit.documents.column("n").to_pylist()] == [0, 1, 2, 3, 4]


def test_the_source_is_told_its_own_positions_only() -> None:
    source = Reads([1, 1, 2], [3])
    cut = UnitSource(source, key_cut(("k",), 1, 100, 1 << 30))
    for unit in list(cut.pieces(None, 0, 5)):
        assert unit.position is not None
        cut.settled(unit.position)
    assert source.told == [{"row": 3}]


@given(st.lists(st.integers(1, 4), max_size=8))
def test_the_hash_of_documents_does_not_depend_on_their_portions(sizes: list[int]) -> None:
    rows = pa.record_batch(
        {"a": ["x", None, "", "y"] * 5, "b": [{"c": [1, None]}, None] * 10, "d": [b"\xff", b"", None, b"a"] * 5}
    )
    whole, parted = hashlib.sha256(), hashlib.sha256()
    update(whole, rows)
    start = 0
    for size in [*sizes, rows.num_rows]:
        update(parted, rows.slice(start, size))
        start += size
    assert whole.hexdigest() == parted.hexdigest()


@pytest.mark.parametrize("cut", [whole_cut(3, 1 << 30), key_cut(("k",), 2, 3, 1 << 30), whole_cut(100, 8)])
def test_what_does_not_fit_a_unit_ends_the_execution_with_its_number(cut: Cut) -> None:
    with pytest.raises(StopRun) as stopped:
        list(units(Reads([1] * 9, [2, 2, 2]), cut))
    assert stopped.value.code.name == "shape.unit_too_large"


@pytest.mark.parametrize(
    ("control", "sizes"),
    [
        ("{unit: one_by_one}", [1] * 7),
        ("{rows: 3}", [3, 3, 1]),
        ("{unit: all}", [7]),
        ("{by: [k]}", [1, 3, 3]),
    ],
)
def test_each_unit_settles_for_itself(engine: Any, control: str, sizes: list[int]) -> None:
    engine.batch_rows = 2
    engine.system.rows = pa.table({"Id": list("abcdefg"), "k": [1, 2, 2, 2, 3, 3, 3]})
    execution = engine.run(BODY % control)
    assert execution.failure is None, execution.failure
    assert (execution.counts.written, execution.counts.batches) == (7, len(sizes))
    assert [len(numbers) for step, numbers in engine.seen if step == "write"] == sizes


def test_an_execution_that_ended_inside_a_read_is_gone_on_with_behind_the_last_whole_unit(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list("abcdefg"), "k": [1, 2, 2, 2, 3, 3, 3]})
    engine.batch_rows = 100
    engine.target("write", key=("Id",)).faults.write = [None, None, RuntimeError("boom")]
    body = BODY % "{by: [k], rows_max: 3}"
    engine.batch_rows = 3
    failed = engine.run(body)
    assert failed.failure is not None
    assert failed.counts.written == 4
    ended = engine.run(body)
    assert (ended.counts.read, ended.counts.written) == (3, 3)
    assert engine.system.targets["write"].effects == 7


def test_a_position_inside_a_read_is_none_to_a_process_without_units(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list("abc"), "k": [1, 1, 2]})
    engine.target("write", key=("Id",)).faults.write = [None, RuntimeError("boom")]
    engine.batch_rows = 100
    body = BODY % "{by: [k], rows_max: 3}"
    engine.run(body)
    engine.system.targets["write"].faults.write = []
    ended = engine.run("  steps:\n" + WRITE)
    assert ended.failure is None, ended.failure
    assert sorted(row["Id"] for row in engine.system.targets["write"].rows.values()) == ["a", "b", "c"]


LANES = "  flow_control: {partitions: {count: 3, by: [k]}}\n  steps:\n"
MAKE = "    - {id: make, map: {keep: rest, fields: {twice: Id || Id}}}\n"


def test_lanes_write_at_the_same_time_keep_the_order_by_key_and_come_together_in_order(engine: Any) -> None:
    keys = [row % 11 for row in range(200)]
    engine.system.rows = pa.table({"Id": [f"{row:03d}" for row in range(200)], "k": keys})
    engine.batch_rows = 64
    execution = engine.run(
        LANES + MAKE + WRITE + "    - {id: after, database.upsert: {connection: erp, table: u, key: [Id]}}\n"
    )
    assert execution.failure is None, execution.failure
    assert execution.counts.written == 200
    lanes = [engine.system.targets[step].rows for step in ("write", "write~2", "write~3")]
    assert sorted(row["Id"] for rows in lanes for row in rows.values()) == [f"{row:03d}" for row in range(200)]
    assert all(rows for rows in lanes)
    for rows in lanes:
        assert [row["Id"] for row in rows.values()] == sorted(row["Id"] for row in rows.values())
    assert not {row["k"] for row in lanes[0].values()} & {row["k"] for row in lanes[1].values()}


def test_a_target_with_a_transaction_takes_the_unit_whole_behind_the_lanes(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list("abcdef"), "k": [1, 2, 3, 4, 5, 6]})
    engine.target("write", key=("Id",), transactional=True)
    execution = engine.run(LANES + MAKE + WRITE + "    - {id: end, stop: {}}\n")
    assert execution.failure is None, execution.failure
    assert execution.counts.written == 6
    assert [row["Id"] for row in engine.system.targets["write"].rows.values()] == list("abcdef")
    assert "write~2" not in engine.system.targets
    assert sorted(step for step, _ in engine.seen if step.startswith("make")) == ["make", "make~2", "make~3"]


def test_what_fails_in_a_lane_waits_and_its_neighbours_go_on(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": ["1", "x", "3", None], "k": [1, None, 3, 4]})
    body = LANES + "    - {id: strict, map: {keep: rest, fields: {n: number(Id)}}}\n" + WRITE
    execution = engine.run(body)
    assert execution.failure is None, execution.failure
    assert (execution.counts.written, execution.counts.dead_lettered) == (3, 1)


def test_an_error_in_one_lane_ends_the_unit_and_nothing_settles(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list("abcdef"), "k": [1, 2, 3, 4, 5, 6]})
    engine.target("write~2", key=("Id",)).faults.write = [RuntimeError("boom")]
    execution = engine.run(LANES + WRITE)
    assert execution.failure is not None
    assert execution.counts.read == 0


@pytest.mark.parametrize(
    ("control", "code"),
    [
        ("{unit: all, rows: 5}", "process.wrong_value"),
        ("{unit: some}", "process.wrong_value"),
        ("{by: [nothere]}", None),
        ("{rows: 0}", "process.wrong_value"),
        ("{rows_max: 2000000}", "process.wrong_value"),
        ("{partitions: {count: 1, by: [k]}}", "process.wrong_value"),
        ("{partitions: {count: 2}}", "process.missing_key"),
    ],
)
def test_what_is_no_unit_is_a_finding(control: str, code: str | None) -> None:
    from dative.process.load import check

    head = "apiVersion: dative/v1\nkind: Process\nmetadata: {name: p}\nspec:\n"
    source = "  source: {id: in, documents: {fields: {k: text}}}\n"
    found = check(head + source + f"  flow_control: {control}\n  steps: []\n", filename="p.yaml").findings
    assert [finding.code.name for finding in found] == [code or "process.unknown_field"]
