"""Several processes in one journal at once, as a molecule's hosts are: all do the same things, and none undoes another's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from dative.ids import ExecutionId
from dative.v1 import telemetry_pb2
from dative_atom.journal.contract import Counts, Execution, ExecutionState, ParkedDocument, Settlement
from dative_atom.journal.letters import Retry, Selection

from tests.journal.places import Place

HOSTS = 3
# Each plans the same executions, settles one of its own, takes numbers, links, retries and changes the same letters,
# notes schedules, and says what it was told of each.
HOST = """
import json, sys
from datetime import datetime, timedelta, UTC
from dative.clock import SystemClock
from dative.errors import DativeError
from dative_atom.journal.contract import *
from dative_atom.journal.letters import LetterChange, Selection
from dative_atom.journal.open import open_journal
host = int(sys.argv[1])
journal = open_journal(sys.argv[-2], SystemClock(), owner=f"hq-{host}", key=sys.argv[-1])
at = datetime(2026, 3, 1, 12, tzinfo=UTC)
def execution(identity, **changes):
    return Execution(identity, "sync", 1, f"env/{identity}", "manual", at, "sha256:00", **changes)
said = {"planned": [], "taken": [], "given": [], "chunks": [], "assigned": 0, "cluster": [], "refused": 0}
own = f"OWN{host}"
journal.plan(execution(own))
journal.begin(own, at, "", host + 1, atom_id=f"hq-{host}")
print("ready", flush=True)
sys.stdin.readline()
for n in range(40):
    said["planned"] += [n] if journal.plan(execution(f"SHARED{n}")) else []
    said["taken"].append(journal.sequence_take("no", 2, 1, 1))
    said["given"].append(journal.sequence_given("given", [f"k{n}", f"k{n + 1}"], 1, 1))
    links = LinkRows("x", {"a": [f"a{n}", f"a{(n * 7) % 40}"], "b": [f"b{host}-{n}", f"b{n}"]})
    settlement = Settlement(own, f"env/{own}", n, b"%d" % n, n + 1, Counts(read=1, written=1), links=[links],
        persisted={"n": b"%d" % n}, receipts=[Receipts("upsert", 0, 1, b"r")], receipts_keep_s=60.0, attempt=1,
        fencing_token=host + 1, events=[b"settled"])
    journal.prepare(settlement)
    journal.settle(execution_id=own, fencing_token=host + 1)
    chunk = journal.next_chunk("R", execution(f"CHUNK{host}-{n}"))
    if chunk is not None:
        said["chunks"].append([chunk.execution_id, list(chunk.retry_of)])
    said["assigned"] += journal.change_letters(Selection(queue="q"), LetterChange("assign", f"hq-{host}", assignee="anna"))[0]
    try:
        journal.schedule_note({"s": at + timedelta(seconds=n)}, n // 10 * HOSTS + host)
    except DativeError:
        said["refused"] += 1
    said["cluster"].append(journal.cluster("etcd-1"))
    journal.keep_house()
said["records"] = [record.sequence for record in journal.outbox(0, rows_max=100000, bytes_max=10**9)]
print(json.dumps(said), flush=True)
journal.close()
""".replace("HOSTS", str(HOSTS))


def hosts(place: Place) -> list[dict[str, list[object]]]:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, str(number), *place.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(HOSTS)
    ]
    for each in running:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in running:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [json.loads(each.communicate()[0]) for each in running]
    assert [each.returncode for each in running] == [0] * HOSTS
    return said


def test_hosts_that_do_the_same_at_once_do_each_thing_once(place: Place, execution: Execution) -> None:
    journal = place.open()
    letters = [ParkedDocument(n, "q", "s", "c", "r", "f", {"n": n}, [], {}, 86_400.0) for n in range(60)]  # type: ignore[arg-type]
    journal.settle(
        Settlement(execution.execution_id, execution.stream, 0, None, 60, Counts(read=60), dead_letters=letters)
    )
    journal.start_retry(Retry("R", execution.process, Selection(), "anna", journal.clock.now(), chunk=1))
    said = hosts(place)

    def all_of(name: str) -> list[object]:
        return [one for host in said for one in host[name]]

    assert sorted(all_of("planned")) == list(range(40)), "each execution is new to one host"  # type: ignore[type-var]
    assert sorted(all_of("taken")) == list(range(1, 2 * 40 * HOSTS, 2)), "no number twice, none left out"  # type: ignore[type-var]
    given = [tuple(pair) for numbers in all_of("given") for pair in numbers.items()]  # type: ignore[attr-defined]
    assert sorted(number for _, number in set(given)) == list(range(1, 42)), "a key has one number, whoever asks"
    for number in range(HOSTS):
        own = ExecutionId(f"OWN{number}")
        assert journal.resume(own).counts.batches == 40
        assert journal.remembered(own, f"env/{own}") == {"n": b"39"}
        assert len(journal.receipts(own)) == 40
    taken = [letter for _, chunk in all_of("chunks") for letter in chunk]  # type: ignore[misc]
    assert max(Counter(taken).values()) == 1
    assert len(taken) == 60, "each letter is retried once"
    assert set(all_of("cluster")) == {1}
    rows = [row for _, row in journal.xref_page("x", limit=10_000)]
    for column in ("a", "b"):
        assert max(Counter(row[column] for row in rows).values()) == 1, "unique both ways"
    for number, host in enumerate(said):
        assert host["records"] == list(range(1, len(host["records"]) + 1)), f"host {number}: no hole"
    assert journal.schedule_last()["s"].second <= 39


def test_of_hosts_that_settle_one_batch_the_one_that_holds_the_execution_does(
    place: Place, execution: Execution
) -> None:
    """Each settles the same batches of the same execution; all but the newest are fenced from some batch on."""
    script = HOST.split("said =")[0] + (
        "journal.begin(sys.argv[2], at, '', host + 1, atom_id=f'hq-{host}') if host == 0 else None\n"
        "print('ready', flush=True)\nsys.stdin.readline()\nmine = 0\n"
        "try:\n"
        "    journal.begin(sys.argv[2], at, '', host + 1, atom_id=f'hq-{host}')\n"
        "    for n in range(200):\n"
        "        journal.settle(Settlement(sys.argv[2], 'env/sync', n, b'1', n + 1, Counts(read=1, written=1),\n"
        "            events=[b'settled'], fencing_token=host + 1))\n"
        "        mine += 1\n"
        "except DativeError as error:\n"
        "    assert error.code.name == 'molecule.fenced', error\n"
        "print(json.dumps([mine, len(journal.outbox(0, rows_max=1000))]), flush=True)\n"
        "journal.close()\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number), execution.execution_id, *place.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(HOSTS)
    ]
    for each in running:
        assert each.stdout is not None
        each.stdout.readline()
    said = [json.loads(each.communicate("go\n")[0].splitlines()[-1]) for each in running]
    assert said[-1][0] == 200, "nobody fences the newest"
    journal = place.open()
    assert journal.resume(execution.execution_id).counts == Counts(read=200, written=200, batches=200)
    assert sum(records for _, records in said) == 200, "each batch was settled by one of them, once"
    found = journal.execution(execution.execution_id)
    assert found is not None
    assert found.fencing_token == HOSTS
    assert found.attempts[-1].atom_id == f"hq-{HOSTS - 1}"
    ended = journal.finish(execution.execution_id, ExecutionState.SUCCEEDED, journal.clock.now(), None, HOSTS)
    assert ended.state is ExecutionState.SUCCEEDED


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_letter_that_failed_is_told_by_the_host_that_parked_it(place: Place, execution: Execution) -> None:
    one, other = place.open(owner="hq-1"), place.open(owner="hq-2")
    parked = ParkedDocument(1, "q", "s", "c", "r", "f", {"n": 1}, [], {}, 60.0)  # type: ignore[arg-type]
    settlement = Settlement(execution.execution_id, execution.stream, 0, None, 1, Counts(read=1), dead_letters=[parked])
    one.settle(settlement)
    other.settle(replace(settlement))
    assert [record.kind for record in one.outbox(0)] == ["dead_letters"]
    assert telemetry_pb2.Record.FromString(one.outbox(0)[0].body).WhichOneof("kind") == "dead_letters"
    assert other.outbox(0) == []
