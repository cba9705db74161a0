"""The deadline that a worker inherits, and real workers and agents that are stopped beyond it."""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dative.clock import SystemClock
from dative.errors.base import StopRun
from dative.errors.molecule import FENCED as CODE
from dative_atom.engine.books.receipt_export import receipts_of_execution
from dative_atom.journal.sqlite import SqliteJournal
from dative_atom.worker.deadline import LOST, SESSIONS, Deadline
from dative_atom.worker.main import fenced
from dative_atom.worker.protocol import FENCED, Finished

WRITTEN = 30
CHECK_MAX_S = 2e-6


@pytest.fixture
def deadline() -> Iterator[Deadline]:
    made = Deadline.make()
    yield made
    made.close()


def boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize(
    ("published", "valid"),
    [(math.inf, True), (LOST, False), (1.0, False), (math.nan, False), (-math.inf, False)],
)
def test_a_member_may_act_before_its_deadline_and_at_no_other_time(
    deadline: Deadline, published: float, valid: bool
) -> None:
    seen = Deadline.open(deadline.fd, 0)
    deadline.publish(published)
    assert seen.valid is valid
    if not valid:
        with pytest.raises(StopRun) as stopped:
            seen.check()
        assert stopped.value.code is CODE
    seen.close()


def test_an_atom_without_a_molecule_may_always_act(deadline: Deadline) -> None:
    deadline.check()
    assert deadline.session == 0


def test_a_worker_of_a_session_that_was_lost_does_not_live_on_the_next_ones_deadline(deadline: Deadline) -> None:
    first = deadline.begin()
    deadline.publish(math.inf)
    frozen = Deadline.open(deadline.fd, first)
    assert frozen.valid
    second = deadline.begin()
    assert not deadline.valid, "a session is valid from its first deadline on"
    deadline.publish(math.inf)
    assert (frozen.valid, Deadline.open(deadline.fd, second).valid) == (False, True)


def test_after_a_page_of_sessions_the_words_are_used_again(deadline: Deadline) -> None:
    for _ in range(2 * SESSIONS):
        deadline.publish(math.inf)
        session = deadline.begin()
        assert not Deadline.open(deadline.fd, session).valid


def test_who_inherits_it_can_not_prolong_it_nor_take_it_away(deadline: Deadline) -> None:
    asked = (
        f"import mmap, os\nfor act in (lambda: mmap.mmap({deadline.fd}, 4096), lambda: os.ftruncate({deadline.fd}, 0),\n"
        f"            lambda: os.pwrite({deadline.fd}, b'x' * 8, 0)):\n"
        "    try:\n        act()\n        print('done')\n    except OSError:\n        print('refused')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", asked], pass_fds=[deadline.fd], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["refused"] * 3
    assert deadline.valid


def test_a_look_costs_less_than_two_microseconds(deadline: Deadline) -> None:
    seen, looks, best = Deadline.open(deadline.fd, 0), 2000, math.inf
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(looks):
            seen.check()
        best = min(best, (time.perf_counter() - started) / looks)
    assert best < CHECK_MAX_S
    seen.close()


@pytest.mark.parametrize("boundary", ["journal.begun", "journal.committing"])
def test_whatever_the_journal_is_asked_for_in_a_transaction_is_undone_without_a_lease(
    tmp_path: Path, deadline: Deadline, boundary: str
) -> None:
    """Numbers of a sequence, tokens of the vault, records for the controller: nobody has to think of the fence for them."""
    reached = fenced(deadline)

    def lose(name: str) -> None:
        if name == boundary:
            deadline.publish(LOST)
        reached(name)

    plain = SqliteJournal(tmp_path / "journal.db", SystemClock())
    armed = False
    watched = SqliteJournal(tmp_path / "journal.db", SystemClock(), lambda name: lose(name) if armed else None)
    armed = True
    for write in (
        lambda: watched.sequence_take("s", 5, 1, 1),
        lambda: watched.keep_tokens(["t"], 1, b"x"),
        lambda: watched.report("event", b"x"),
    ):
        deadline.publish(math.inf)
        with pytest.raises(StopRun) as refused:
            write()
        assert refused.value.code is CODE
    assert (plain.sequence_take("s", 1, 1, 1), plain.unknown_tokens(["t"]), plain.spooled()[0]) == (1, ["t"], 0)
    plain.close()
    watched.close()


# --- real workers -----------------------------------------------------------------------------------------------------


def stopped(pid: int, parent: int | None = None) -> None:
    """Wait until the kernel has stopped every thread of it. parent: where that is not this process."""
    if parent is None:
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        return
    status = Path(f"/proc/{pid}/status")
    while "State:\tT" not in status.read_text(encoding="ascii"):
        select.select([], [], [], 0.01)


def effects_of(site: Any) -> tuple[int, int]:
    target = site.database("target")
    found = target.execute("SELECT count(*), count(DISTINCT id) FROM effect").fetchone()
    target.close()
    return found


def with_token(message: Any, token: int, session: int = 0) -> Any:
    return msgspec.structs.replace(message, fencing_token=token, session=session, atom_id=f"hq-{token}")


STOPPED_AT = [
    ("execution.begun", 0),
    ("batch.transformed", 0),
    ("write.after:upsert:2", 8),
    ("commit.before:upsert", 0),
    ("commit.after:upsert:2", 15),
    ("batch.settled", 8),
    ("execution.finishing", WRITTEN),
]
"""Where it is paused, and what the target had by then: eight documents of the first batch, seven of the second."""


@pytest.mark.parametrize(("boundary", "before"), STOPPED_AT)
def test_a_worker_that_was_stopped_beyond_its_deadline_has_no_effect_after_waking(
    site: Any, deadline: Deadline, boundary: str, before: int
) -> None:
    message = with_token(site.plan(), 7)
    worker = site.worker(f"stop@{boundary}", deadline)
    worker.send(message)
    stopped(worker.process.pid)
    deadline.publish(boottime_s())
    settled = settled_of(site, message)
    worker.process.send_signal(signal.SIGCONT)
    ended = worker.until(Finished)
    assert isinstance(ended, Finished)
    assert (ended.state, ended.failure["code"]) == (FENCED, "molecule.fenced")
    assert effects_of(site) == (before, before)
    assert settled_of(site, message) == settled
    # Whoever has it now goes on, in a process that knows nothing of the first one.
    session = deadline.begin()
    deadline.publish(math.inf)
    successor = site.worker(deadline=deadline)
    successor.send(with_token(message, 9, session))
    assert successor.until(Finished).counts["written"] == WRITTEN
    assert effects_of(site) == (WRITTEN, WRITTEN)
    told = receipts_of(site, message)
    assert {row["token"] for row in told} <= {7, 9}
    assert sum(row["outcome"] == "applied" for row in told) == WRITTEN


def settled_of(site: Any, message: Any) -> tuple[Any, ...]:
    """What the journal has of it, and how many records for the controller."""
    journal = site.journal()
    known = journal.execution(message.execution_id)
    found = (known.state.value, known.counts, journal.prepared(message.execution_id), journal.spooled())
    journal.close()
    return found


def receipts_of(site: Any, message: Any) -> list[dict[str, Any]]:
    journal = site.journal()
    records = {record.batch: record.fencing_token for record in journal.receipts(message.execution_id)}
    told = [{**one, "token": records[one["batch"]]} for one in receipts_of_execution(journal, message.execution_id)]
    journal.close()
    return told


@pytest.mark.parametrize(
    "boundary", ["write.after:upsert:2", "commit.before:upsert", "batch.committed", "batch.settled"]
)
def test_a_worker_that_is_blind_to_its_deadline_is_refused_by_the_target_and_by_the_journal(
    site: Any, boundary: str
) -> None:
    """The successor, who has a higher token, goes on while the first one sleeps, and ends before it wakes up."""
    message = with_token(site.plan(), 7)
    blind = site.worker(f"stop@{boundary}")  # it inherits no deadline
    blind.send(message)
    stopped(blind.process.pid)
    open_transaction = boundary != "batch.committed" and boundary != "batch.settled"
    if open_transaction:
        # SQLite has one writer a file, and the sleeper holds its lock: the successor has come by the journal only.
        journal = site.journal()
        journal.begin(message.execution_id, journal.clock.now(), "ab" * 16, 9, atom_id="hq-9")
        journal.close()
    else:
        assert site.finished(with_token(message, 9)).counts["written"] == WRITTEN
    before = effects_of(site)
    blind.process.send_signal(signal.SIGCONT)
    ended = blind.until(Finished)
    assert ended.state in (FENCED, "failed"), ended
    assert effects_of(site)[0] == effects_of(site)[1]
    if open_transaction:
        assert site.finished(with_token(message, 10)).counts["written"] == WRITTEN
    else:
        assert effects_of(site) == before
    assert effects_of(site) == (WRITTEN, WRITTEN)


def test_the_worker_lives_on_and_the_next_session_has_every_effect_once(site: Any, deadline: Deadline) -> None:
    """Neighbours are unharmed: the same process runs what it is given in the next session."""
    message = with_token(site.plan(), 7)
    worker = site.worker(deadline=deadline)
    deadline.publish(LOST)
    worker.send(message)
    assert worker.until(Finished).state == FENCED
    session = deadline.begin()
    deadline.publish(math.inf)
    worker.send(with_token(message, 9, session))
    ended = worker.until(Finished)
    assert (ended.state, ended.counts["written"]) == ("partial", WRITTEN)
    assert effects_of(site) == (WRITTEN, WRITTEN)


AGENT = """
import os, socket, subprocess, sys, time
from dative_atom.engine.books.receipt_export import receipts_of_execution
from dative_atom.worker.deadline import Deadline
# An agent as far as its worker sees it: it prolongs the deadline for as long as it runs.
deadline = Deadline.make()
now = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
deadline.publish(now() + 60)
worker = subprocess.Popen(
    [sys.executable, "-m", "dative_atom.worker", "--fd", sys.argv[1], "--deadline-fd", str(deadline.fd)],
    pass_fds=[int(sys.argv[1]), deadline.fd],
)
os.close(int(sys.argv[1]))
print(worker.pid, flush=True)
for line in sys.stdin:
    deadline.publish(now() + float(line))
    print(now(), flush=True)
"""


@pytest.mark.parametrize("agent_ends_by", [signal.SIGSTOP, signal.SIGKILL])
def test_an_agent_that_is_stopped_or_killed_prolongs_nothing_and_its_worker_stops_by_itself(
    site: Any, agent_ends_by: signal.Signals
) -> None:
    message = with_token(site.plan(), 7)
    worker, agent = site.worker_of(AGENT, "stop@commit.before:upsert")
    pid = int(agent.stdout.readline())
    worker.receive()
    worker.send(message)
    stopped(pid, agent.pid)
    # The last deadline that it ever publishes is over when they wake up, as after a pause beyond the lease.
    agent.stdin.write("0\n")
    agent.stdin.flush()
    agent.stdout.readline()
    agent.send_signal(agent_ends_by)
    os.kill(pid, signal.SIGCONT)
    ended = worker.until(Finished)
    assert isinstance(ended, Finished)
    assert ended.state == FENCED
    assert effects_of(site) == (0, 0)
    agent.send_signal(signal.SIGCONT)
    agent.stdin.close()
    agent.wait(timeout=30)
