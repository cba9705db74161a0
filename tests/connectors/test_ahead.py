"""A batch that was staged before its turn ends as one that was not, and help that fails is no harm."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
import pytest
from dative.errors.base import RetryLater, StopRun
from dative.errors.connector import UnknownOutcome
from dative_atom.connectors.database.postgres import STALE_OWNERS

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("name", pa.string())])
ROWS = 1200


def batch_of(first: int, rows: int = ROWS, bad: int | None = None) -> pa.RecordBatch:
    names = [None if number == bad else f"name-{number}" for number in range(first, first + rows)]
    return pa.record_batch({"id": pa.array(range(first, first + rows)), "name": pa.array(names, pa.string())}, SCHEMA)


@pytest.fixture
def erp(postgres: Any, bench: Any) -> Any:
    """(writer, run): an upsert into an empty table, and SQL beside it."""
    address, run = postgres
    run("CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL)")
    connector = bench.connect("database", {"url": address})
    operation = bench.operation("database", "upsert", {"table": "t", "key": ["id"]})
    return bench.opened(connector.writer(operation, bench.context(), SCHEMA)), run


def stages(run: Any) -> int:
    """Transactions that are open and wait, a staged batch in each."""
    return int(run("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")[0][0])


def test_batches_staged_ahead_are_written_in_their_turn_with_outcomes_and_mark(erp: Any, bench: Any) -> None:
    writer, run = erp
    batches = [batch_of(number * ROWS, bad=number * ROWS + 7) for number in range(4)]
    writer.ahead(0, batches[0])
    writer.ahead(1, batches[1])
    writer.ahead(2, batches[2])  # beyond the bound: nothing happens
    assert stages(run) == 2
    for number, batch in enumerate(batches):
        results = writer.write(batch, bench.ticket(number)).results
        assert results.column("outcome").to_pylist().count("rejected") == 1
        assert results.column("code")[7].as_py() == "database.null_value"
        writer.commit(bench.ticket(number))
    assert run("SELECT count(*), count(DISTINCT name) FROM t") == [(4 * (ROWS - 1), 4 * (ROWS - 1))]
    assert writer.committed("env/p/step").batch == 3
    assert stages(run) == 0


def test_a_batch_that_turned_out_different_is_written_as_it_is(erp: Any, bench: Any) -> None:
    writer, run = erp
    writer.ahead(0, batch_of(0))
    writer.write(batch_of(0, ROWS - 1), bench.ticket(0))
    writer.commit(bench.ticket(0))
    assert run("SELECT count(*) FROM t") == [(ROWS - 1,)]
    assert stages(run) == 0


def test_what_was_staged_for_a_batch_that_never_came_is_given_up(erp: Any, bench: Any) -> None:
    writer, run = erp
    writer.ahead(0, batch_of(0))
    writer.write(batch_of(5000), bench.ticket(1))
    writer.commit(bench.ticket(1))
    assert run("SELECT min(id) FROM t") == [(5000,)]
    assert stages(run) == 0


def test_a_staged_batch_holds_no_lock_and_nothing_of_it_shows(erp: Any, postgres: Any, bench: Any) -> None:
    writer, run = erp
    writer.ahead(1, batch_of(0))
    run("INSERT INTO t VALUES (1, 'another writer')")
    other = bench.connect("database", {"url": postgres[0]})
    operation = bench.operation("database", "upsert", {"table": "t", "key": ["id"]})
    second = bench.opened(other.writer(operation, bench.context("other"), SCHEMA))
    second.write(batch_of(9000), bench.ticket(0, "other"))
    second.commit(bench.ticket(0, "other"))
    assert run("SELECT count(*) FROM t") == [(ROWS + 1,)]


def test_a_connection_lost_with_its_staged_batch_is_a_batch_that_is_written_again(erp: Any, bench: Any) -> None:
    writer, run = erp
    writer.ahead(0, batch_of(0))
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    with pytest.raises(RetryLater):
        writer.write(batch_of(0), bench.ticket(0))
    writer.rollback()
    writer.write(batch_of(0), bench.ticket(0))
    writer.commit(bench.ticket(0))
    assert run("SELECT count(*) FROM t") == [(ROWS,)]


def test_a_stale_owner_is_refused_with_its_batch_staged(erp: Any, bench: Any) -> None:
    writer, run = erp
    writer.write(batch_of(0, 3), bench.ticket(0, token=9))
    writer.commit(bench.ticket(0, token=9))
    writer.ahead(1, batch_of(0))
    writer.write(batch_of(0), bench.ticket(1, token=8))
    with pytest.raises(StopRun) as refused:
        writer.commit(bench.ticket(1, token=8))
    assert refused.value.code.name == "connector.fenced"
    assert run("SELECT count(*) FROM t") == [(3,)]


@pytest.mark.parametrize("staged", [False, True])
def test_a_former_owner_that_sleeps_in_its_transaction_does_not_keep_its_successor_waiting(
    erp: Any, postgres: Any, bench: Any, staged: bool
) -> None:
    sleeper, run = erp
    sleeper.write(batch_of(0), bench.ticket(0, token=8))
    other = bench.connect("database", {"url": postgres[0]})
    operation = bench.operation("database", "upsert", {"table": "t", "key": ["id"]})
    successor = bench.opened(other.writer(operation, bench.context(), SCHEMA))
    if staged:
        successor.ahead(0, batch_of(9000))
    successor.write(batch_of(9000), bench.ticket(0, token=9))
    successor.commit(bench.ticket(0, token=9))
    with pytest.raises((RetryLater, UnknownOutcome, StopRun)):
        sleeper.commit(bench.ticket(0, token=8))
    assert run("SELECT min(id), count(*) FROM t") == [(9000, ROWS)]
    sleeper.rollback()
    sleeper.write(batch_of(0), bench.ticket(1, token=8))
    with pytest.raises(StopRun) as refused:
        sleeper.commit(bench.ticket(1, token=8))
    assert refused.value.code.name == "connector.fenced"
    assert run("SELECT count(*) FROM t") == [(ROWS,)]


def test_an_owner_of_a_higher_or_of_the_same_token_is_waited_for(erp: Any, postgres: Any, bench: Any) -> None:
    owner, run = erp
    owner.write(batch_of(0), bench.ticket(0, token=9))
    with psycopg.connect(postgres[0], autocommit=True) as other:
        for token in (8, 9):
            ended = other.execute(STALE_OWNERS.format(stream=f"'{bench.ticket(0).stream}'", token=token)).fetchall()
            assert ended == []
        assert len(other.execute(STALE_OWNERS.format(stream="'another'", token=99)).fetchall()) == 0
    owner.commit(bench.ticket(0, token=9))
    assert run("SELECT count(*) FROM t") == [(ROWS,)]


def test_a_closed_writer_leaves_no_connection_behind(erp: Any, bench: Any) -> None:
    writer, run = erp
    writer.ahead(0, batch_of(0))
    writer.close()
    writer.ahead(1, batch_of(0))
    # The server notices a closed connection by itself, a moment later.
    looks = 0
    while stages(run) and looks < 10_000:
        looks += 1
    assert stages(run) == 0
