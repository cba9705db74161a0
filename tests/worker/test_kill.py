"""A worker is killed at every boundary of a database job; resumed, the target has each row once and the counts add up."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from dative.v1 import telemetry_pb2, types_pb2
from dative_atom.engine.books.receipt_export import receipts_of_execution
from dative_atom.engine.failpoints import NAMES
from dative_atom.journal.contract import ExecutionState
from dative_atom.worker.protocol import Finished

READ = 40
FILTERED = 8
DEAD_LETTERED = 2  # rows 18 and 31: row 5 is unreadable too, and was left out before
WRITTEN = READ - FILTERED - DEAD_LETTERED
ONCE_ONLY = ("execution.begun", "batch.acknowledged", "execution.finishing", "execution.finished")
CASES = [(name, count) for name in NAMES for count in ((1,) if name in ONCE_ONLY else (1, 3))]


@pytest.mark.parametrize(("name", "count"), CASES)
def test_killed_at_any_boundary_and_resumed_every_row_is_applied_exactly_once(site, name: str, count: int) -> None:
    message = site.plan()
    killed = site.worker(f"{name}:{count}")
    killed.send(message)
    assert killed.until(Finished) is None, "the failpoint was never reached"
    assert killed.process.wait(timeout=30) == -signal.SIGKILL

    journal = site.journal()
    ended = journal.execution(message.execution_id)
    if not ended.state.final:
        finished = site.finished(message)
        assert finished.state == "partial", finished.failure
        ended = journal.execution(message.execution_id)
        assert ended.attempt == 2
    counts = ended.counts
    assert (counts.read, counts.written, counts.filtered, counts.dead_lettered, counts.unexplained) == (
        READ,
        WRITTEN,
        FILTERED,
        DEAD_LETTERED,
        0,
    )
    target = site.database("target")
    assert target.execute("SELECT count(*) FROM customer").fetchone() == (WRITTEN,)
    assert target.execute("SELECT count(*), count(DISTINCT id) FROM effect").fetchone() == (WRITTEN, WRITTEN)
    # A third hand compares: every effect the target counted has one receipt, and no receipt stands for nothing.
    told = list(receipts_of_execution(journal, message.execution_id))
    applied = Counter(int(one["target"]) for one in told if one["outcome"] == "applied")
    assert applied == Counter(row for (row,) in target.execute("SELECT id FROM effect"))
    assert Counter(one["outcome"] for one in told) == {"applied": WRITTEN, "parked": DEAD_LETTERED}
    assert {(one["attempt"] in (1, 2), one["step"]) for one in told} == {(True, "upsert"), (True, "shape")}
    target.close()
    assert journal.xref_rows("link") == WRITTEN
    assert sorted(letter.parked.payload["id"] for letter in journal.dead_letters()) == [18, 31]
    assert journal.prepared(message.execution_id) is None
    assert _reported(journal)[-1].state == types_pb2.EXECUTION_STATE_PARTIAL
    assert ended.state is ExecutionState.PARTIAL
    journal.close()


def _reported(journal) -> list[types_pb2.Execution]:
    records = [telemetry_pb2.Record.FromString(record.body) for record in journal.outbox(0)]
    return [record.execution for record in records if record.WhichOneof("kind") == "execution"]


def test_killed_again_and_again_it_still_ends_once(site) -> None:
    message = site.plan()
    for name in ("batch.committed", "batch.prepared", "batch.written", "batch.committed", "batch.prepared:2"):
        worker = site.worker(name)
        worker.send(message)
        assert worker.until(Finished) is None
        worker.process.wait(timeout=30)
    finished = site.finished(message)
    assert finished.counts["written"] == WRITTEN
    target = site.database("target")
    assert target.execute("SELECT count(*), count(DISTINCT id) FROM effect").fetchone() == (WRITTEN, WRITTEN)
    target.close()


def test_the_next_execution_begins_where_the_last_one_ended(site) -> None:
    assert site.finished(site.plan(1)).counts["read"] == READ
    journal = site.journal()
    assert journal.position("env/sync") is not None
    journal.close()
