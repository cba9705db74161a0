"""A journal whose processes are killed, and which several of them write at once (Invariant 5)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from dative.clock import ManualClock
from dative_atom.journal.contract import Execution

from tests.journal.places import AnyJournal, Place

# Settles batches as fast as it can and says each on stdout after it is settled.
SETTLER = """
import sys
from dative.clock import SystemClock
from dative_atom.journal.contract import Counts, LinkRows, Receipts, Settlement
from dative_atom.journal.open import open_journal
journal = open_journal(sys.argv[-2], SystemClock(), key=sys.argv[-1])
execution_id, batches = sys.argv[1], int(sys.argv[2])
first = journal.resume(execution_id).batch
for batch in range(first, first + batches):
    settlement = Settlement(execution_id, "env/sync", batch, b"%d" % batch, batch + 1, Counts(read=1, written=1),
        links=[LinkRows("x", {"a": [str(batch)]})], receipts=[Receipts("upsert", 0, 1, b"%d" % batch)],
        receipts_keep_s=86400.0, attempt=1)
    journal.prepare(settlement)
    journal.settle(execution_id=execution_id)
    print(batch, flush=True)
"""


def start(place: Place, execution: Execution, batches: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", SETTLER, execution.execution_id, str(batches), *place.arguments]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_a_kill_leaves_every_settled_batch_and_no_half_one(
    journal: AnyJournal, execution: Execution, place: Place
) -> None:
    for _ in range(3):
        process = start(place, execution, 100_000)
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(20)][-1]
        os.kill(process.pid, signal.SIGKILL)
        seen = max([seen, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.wait()
        process.stdout.close()
        place.quiet()
        resumed = journal.resume(execution.execution_id)
        assert resumed.batch in (seen + 1, seen + 2)
        assert resumed.counts.read == resumed.batch == resumed.document == journal.xref_rows("x")
        assert resumed.position == b"%d" % (resumed.batch - 1)
        kept = journal.receipts(execution.execution_id, limit=1_000_000)
        assert [(one.batch, one.receipts.body) for one in kept] == [(n, b"%d" % n) for n in range(resumed.batch)]


def test_two_processes_write_at_once_and_neither_loses(
    journal: AnyJournal, execution: Execution, place: Place, clock: ManualClock
) -> None:
    process = start(place, execution, 60)
    for number in range(60):
        journal.report("event", b"%d" % number)
    process.communicate()
    assert process.returncode == 0
    assert journal.resume(execution.execution_id).batch == 60
    assert [record.sequence for record in journal.outbox(0)] == list(range(1, 61))
