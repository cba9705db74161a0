"""`make bench`: every table of this folder, measured in one run and printed as ratios.

python -m tests.benchmarks [accounts|peers|memory|single|idle|cli|telemetry …]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

from tests.benchmarks import accounts, idle, ours, peers, single
from tests.benchmarks.postgres import postgres

LARGE, SMALL = 1_000_000, 100_000
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
    """Tracking on against off, pair by pair; and what making and encoding the kept trace costs."""
    print(f"\ntracking and telemetry, {LARGE:,} rows")
    without = ours.PROCESS.replace("  track: [id]\n", "")
    with postgres() as uri:
        accounts.make(uri, LARGE)
        pairs = [(_ours(uri, LARGE).cpu_s, _ours(uri, LARGE, without).cpu_s) for _ in range(ROUNDS)]
    print(
        f"  own CPU with tracking {median(a for a, _ in pairs):.2f} s, without {median(b for _, b in pairs):.2f} s",
        end="",
    )
    print(f": + {100 * (median(a / b for a, b in pairs) - 1):.1f} %")
    spans, seconds = single.trace_cost(batches=52)
    print(f"  a trace of {spans} spans recorded and encoded: {1000 * seconds:.0f} ms CPU,", end="")
    print(f" {100 * seconds / median(a for a, _ in pairs):.2f} % of it")


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
    "accounts": bench_accounts,
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or TABLES:
        TABLES[wanted]()
        sys.stdout.flush()
