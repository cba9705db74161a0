"""`make bench`: every table of this folder, measured in one run and printed as ratios.

python -m tests.benchmarks [accounts|peers|memory|single|idle|cli|telemetry|find …]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

from tests.benchmarks import accounts, books, find, idle, ours, peers, single
from tests.benchmarks.postgres import postgres

LARGE, SMALL = 1_000_000, 100_000
FOUND_AMONG = 10_000_000
ROUNDS = 3


def _timed(contender: str, uri: str, rows: int) -> float:
    accounts.reset_target(uri)
    started = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.peers", contender, uri, str(rows)]
    with tempfile.TemporaryFile() as log:
        ended = subprocess.run(command, check=False, stdout=log, stderr=log)
        if ended.returncode:
            log.seek(0)
            raise RuntimeError(f"{contender} ended with {ended.returncode}: {log.read()[-2000:].decode()}")
    return time.perf_counter() - started


def _ours(uri: str, rows: int, text: str = ours.PROCESS) -> ours.Measured:
    accounts.reset_target(uri)
    measured = ours.run(uri, rows, text)
    accounts.check(uri, rows)
    return measured


def bench_accounts() -> None:
    """Ours against the copies, in turn, so that a machine that slows down slows all of them."""
    print(f"\naccounts sync, {LARGE:,} rows, median of {ROUNDS} (worker start not counted)")
    with postgres() as uri:
        accounts.make(uri, LARGE)
        peers.prepare_copies(uri)
        rounds = [
            (_ours(uri, LARGE), _timed("copy_upsert", uri, LARGE), _timed("copy", uri, LARGE)) for _ in range(ROUNDS)
        ]
    mine = median(one.seconds for one, _, _ in rounds)
    print(f"  ours                                     {mine:6.2f} s   {LARGE / mine:>9,.0f} rows/s", end="")
    print(
        f"   own CPU {median(one.cpu_s for one, _, _ in rounds):.1f} s   RSS {max(one.rss_mib for one, _, _ in rounds):.0f} MiB"
    )
    for position, name in (
        (1, "limit: binary COPY | COPY + one upsert"),
        (2, "bare binary COPY | COPY, no upsert    "),
    ):
        ratio = median(each[0].seconds / each[position] for each in rounds)  # type: ignore[operator]
        print(f"  {name}   {median(each[position] for each in rounds):6.2f} s   ours ÷ it {ratio:.2f}")  # type: ignore[type-var]


def bench_peers() -> None:
    print(f"\naccounts sync, {LARGE:,} rows, side by side")
    with postgres() as uri:
        accounts.make(uri, LARGE)
        mine = median(_ours(uri, LARGE).seconds for _ in range(ROUNDS))
        print(f"  ours      {mine:6.2f} s")
        for name in ("dlt", "row_loop"):
            try:
                seconds = _timed(name, uri, LARGE)
            except RuntimeError as broken:
                print(f"  {name:9} did not run: {str(broken).splitlines()[-1]}")
                continue
            print(f"  {name:9} {seconds:6.2f} s   it ÷ ours {seconds / mine:.1f}")


def bench_memory() -> None:
    print("\nhigh water of a worker's memory, its cross-reference as large as the source")
    with postgres() as uri:
        found = {}
        for rows in (SMALL, LARGE):
            accounts.make(uri, rows)
            found[rows] = _ours(uri, rows).rss_mib
    print(
        f"  {SMALL:,} rows {found[SMALL]:.0f} MiB, {LARGE:,} rows {found[LARGE]:.0f} MiB: × {found[LARGE] / found[SMALL]:.2f}"
    )


def bench_telemetry() -> None:
    """What the books and the kept trace cost, each measured by itself, as a part of a whole run's own CPU."""
    print(f"\ntracking, receipts and telemetry of *accounts sync*, {LARGE:,} rows")
    with postgres() as uri:
        accounts.make(uri, LARGE)
        engine_s = median(_ours(uri, LARGE).cpu_s for _ in range(ROUNDS))
    costs = [books.cost(LARGE) for _ in range(ROUNDS)]
    books_s = median(seconds for seconds, _ in costs)
    spans, trace_s = single.trace_cost(batches=-(-LARGE // books.BATCH_ROWS))
    print(f"  own CPU of the run {engine_s:.2f} s")
    print(
        f"  tracked documents and receipts, made and settled {books_s:.2f} s: {100 * books_s / engine_s:.1f} %", end=""
    )
    print(f"   {costs[0][1]:.0f} bytes a document on the atom's disk")
    print(f"  a trace of {spans} spans, recorded and encoded {trace_s:.3f} s: {100 * trace_s / engine_s:.2f} %")
    print(f"  together {100 * (books_s + trace_s) / engine_s:.1f} %; the aim is 5 %")


def bench_find() -> None:
    """Ten million tracked documents taken in as atoms send them, then searched."""
    print(f"\na record among {FOUND_AMONG:,} tracked documents")
    print("  SQLite")
    for line in find.run(FOUND_AMONG):
        print(f"    {line}")
    print("  PostgreSQL")
    with postgres() as uri:
        for line in find.run(FOUND_AMONG, uri):
            print(f"    {line}")


def bench_single() -> None:
    print("\none document at a time through map, decision and upsert into PostgreSQL (commit and journal included)")
    with postgres() as uri:
        accounts.make(uri, 150)
        accounts.reset_target(uri)
        for name, times in single.run(uri, 150).items():
            print(
                f"  {name:24} median {1000 * median(times):6.2f} ms   p99 {1000 * sorted(times)[int(len(times) * 0.99)]:6.2f} ms"
            )


def bench_idle() -> None:
    print("\nan idle atom with one deployed process")
    for line in idle.run():
        print(f"  {line}")


def bench_cli() -> None:
    print("\nstart of the command line")
    times = []
    for _ in range(7):
        before = ours.children_cpu_s()
        subprocess.run([idle.program("dative"), "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(ours.children_cpu_s() - before)
    print(f"  dative --help: {1000 * median(times):.0f} ms CPU")


TABLES: dict[str, Callable[[], None]] = {
    "cli": bench_cli,
    "idle": bench_idle,
    "single": bench_single,
    "peers": bench_peers,
    "memory": bench_memory,
    "telemetry": bench_telemetry,
    "find": bench_find,
    "accounts": bench_accounts,
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or TABLES:
        TABLES[wanted]()
        sys.stdout.flush()
