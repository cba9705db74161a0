"""What every source promises, each through its harness."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.bundle.canonical import canonical_json
from dative.errors.base import ConfigError, DativeError
from dative.errors.connector import Cancelled

EXPECTED = [f"row {number:03d}" for number in range(25)]


def test_every_document_is_read_once_and_the_profile_is_known_before(source: Any, bench: Any) -> None:
    harness = source()
    reader = bench.opened(harness.reader(bench.context()))
    profile = reader.profile
    reads = bench.read_all(reader)
    assert sorted(harness.names(reads)) == EXPECTED
    assert all(read.batch.schema.equals(profile) for read in reads)


@pytest.mark.parametrize("rows_max", [1, 3, 7, 100_000])
def test_no_read_has_more_rows_than_asked_for(source: Any, bench: Any, rows_max: int) -> None:
    harness = source()
    reads = bench.read_all(harness.reader(bench.context()), rows_max=rows_max)
    assert max(read.batch.num_rows for read in reads) <= rows_max
    assert sorted(harness.names(reads)) == EXPECTED


def test_an_empty_source_gives_no_document_and_no_error(source: Any, bench: Any) -> None:
    harness = source(0)
    assert harness.names(bench.read_all(harness.reader(bench.context()))) == []


def test_a_kill_at_any_position_skips_nothing(source: Any, bench: Any) -> None:
    harness = source()
    whole = bench.read_all(harness.reader(bench.context()), rows_max=3)
    for killed_after in range(len(whole)):
        bench.ledger.entries.clear()
        seen = harness.names(whole[: killed_after + 1])
        # As it comes back from the journal: through canonical JSON.
        position = json.loads(canonical_json(dict(whole[killed_after].position)))
        rest = harness.names(bench.read_all(harness.reader(bench.context()), after=position, rows_max=3))
        assert sorted(set(seen + rest)) == EXPECTED


def test_a_second_execution_reads_nothing_again_and_one_of_a_full_read_everything(source: Any, bench: Any) -> None:
    harness = source()
    last = bench.read_all(harness.reader(bench.context("first")))[-1].position
    again = harness.names(bench.read_all(harness.reader(bench.context("second")), after=last))
    assert sorted(again) == (EXPECTED if harness.full else [])


def test_a_cancelled_read_stops_at_the_next_batch(source: Any, bench: Any) -> None:
    harness = source()
    context = bench.context()
    reads = bench.opened(harness.reader(context)).read(None, 3)
    next(reads)
    context.cancelled.set()
    with pytest.raises(Cancelled):
        list(reads)


@pytest.mark.parametrize("rows_max", [0, 100_001])
def test_a_rows_max_out_of_bounds_is_refused(source: Any, bench: Any, rows_max: int) -> None:
    with pytest.raises(ConfigError):
        bench.read_all(source(1).reader(bench.context()), rows_max=rows_max)


def test_a_position_of_something_else_is_refused_by_name(source: Any, bench: Any) -> None:
    with pytest.raises(DativeError) as refused:
        bench.read_all(source(1).reader(bench.context()), after={"v": 99, "other": True})
    assert refused.value.code.name == "connector.position_unreadable"


def test_acknowledging_and_closing_may_be_repeated(source: Any, bench: Any) -> None:
    reader = source(3).reader(bench.context())
    last = bench.read_all(reader)[-1].position
    reader.acknowledge(last)
    reader.acknowledge(last)
    reader.close()
    reader.close()


def test_a_connection_test_passes_step_by_step(source: Any, bench: Any) -> None:
    steps = list(source(1).connector.check(bench.context().clock))
    assert steps
    assert all(step.passed for step in steps), steps
    assert steps[-1].name == "read"
