"""A worker is killed at every boundary of a retry of dead letters; resumed, nothing is lost and nothing is written twice."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest
from dative.ids import ExecutionId, ProcessName
from dative_atom.engine.failpoints import NAMES
from dative_atom.journal.contract import Execution, ExecutionState
from dative_atom.journal.letters import Retry, Selection
from dative_atom.worker.protocol import Finished, Limits, Rehearse, Rehearsed, RunExecution

GOOD, BAD = 18, 31  # the accounts whose letters are edited well, and not at all


def parked(site) -> dict[int, str]:
    """Run the process once; its dead letters by account, one of them edited."""
    assert site.finished(site.plan()).counts["dead_lettered"] == 2
    journal = site.journal()
    letters = {letter.parked.payload["id"]: letter.dead_letter_id for letter in journal.dead_letters()}
    journal.repair(letters[GOOD], {"since": "02/29/2024"})
    journal.close()
    return letters


def chunk(site) -> RunExecution:
    """A retry of everything, and the message that runs its one chunk, a document a batch."""
    message = site.plan(2)
    journal = site.journal()
    now = datetime.now(UTC)
    journal.finish(message.execution_id, ExecutionState.CANCELLED, now, None)
    journal.start_retry(Retry("R", ProcessName("sync"), Selection(), "anna", now))
    execution = Execution(
        execution_id=ExecutionId(f"01JX{3:022d}"),
        process=ProcessName("sync"),
        process_version=1,
        stream="env/sync",
        trigger="retry",
        planned_at=now,
        manifest_digest="sha256:00",
    )
    planned = journal.next_chunk("R", execution)
    journal.close()
    values = {name: getattr(message, name) for name in message.__struct_fields__}
    return RunExecution(**{**values, "execution_id": planned.execution_id, "limits": Limits(batch_rows=1)})


@pytest.mark.parametrize("name", NAMES)
def test_a_retry_killed_at_any_boundary_ends_with_each_letter_accounted_for_once(site, name: str) -> None:
    letters = parked(site)
    message = chunk(site)
    killed = site.worker(name)
    killed.send(message)
    assert killed.until(Finished) is None, "the failpoint was never reached"
    assert killed.process.wait(timeout=30) == -signal.SIGKILL

    journal = site.journal()
    if not journal.execution(message.execution_id).state.final:
        assert {journal.dead_letter(one).state for one in letters.values()} <= {"retrying", "waiting", "resolved"}
        finished = site.finished(message)
        assert finished.state == "partial", finished.failure
    counts = journal.execution(message.execution_id).counts
    assert (counts.read, counts.written, counts.dead_lettered, counts.unexplained) == (2, 1, 1, 0)
    good, bad = journal.dead_letter(letters[GOOD]), journal.dead_letter(letters[BAD])
    assert (good.state, good.attempts) == ("resolved", 1)
    assert (bad.state, bad.attempts) == ("waiting", 2)
    assert [event.kind for event in bad.history] == ["failed", "retried", "failed"]
    target = site.database("target")
    assert target.execute("SELECT count(*) FROM effect WHERE id = ?", (GOOD,)).fetchone() == (1,)
    assert target.execute("SELECT count(*) FROM effect WHERE id = ?", (BAD,)).fetchone() == (0,)
    target.close()
    assert journal.prepared(message.execution_id) is None
    journal.close()


def test_a_worker_says_where_an_edited_letter_would_end_and_lives_on(site) -> None:
    letters = parked(site)
    message = chunk(site)
    journal = site.journal()
    journal.finish(message.execution_id, ExecutionState.CANCELLED, datetime.now(UTC), None)
    journal.close()
    worker = site.worker()
    asked = [
        (b'{"since": "03/01/2024"}', "written", ""),
        (b'{"since": "soon"}', "dead_lettered", ""),
        (b'{"born": "soon"}', "", "dead_letters.unknown_field"),
    ]
    for fields, ends, code in asked:
        worker.send(Rehearse("Q", message, "env/sync", letters[BAD], fields))
        answer = worker.until(Rehearsed)
        assert (answer.failure or {}).get("code", "") == code
        assert (f'"ends":"{ends}"'.encode() in answer.outcome) == bool(ends)
    target = site.database("target")
    assert target.execute("SELECT count(*) FROM effect WHERE id = ?", (BAD,)).fetchone() == (0,)
    target.close()
