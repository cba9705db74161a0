"""`make bench`: every table of this folder, measured in one run and printed as ratios.

python -m tests.benchmarks [accounts|peers|memory|single|idle|cli|telemetry|tracking|find|nested …]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median, quantiles

from tests.benchmarks import accounts, books, files, find, idle, nested, ours, peers, single
from tests.benchmarks.postgres import postgres

LARGE, SMALL = 1_000_000, 100_000
FOUND_AMONG = 10_000_000
ROUNDS = 3
PAIRS = 12
WIDE_ROWS = 20_000


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


def bench_tracking() -> None:
    """Runs with tracking against runs without. One run's CPU differs from the next by more than tracking costs, so pairs
    are many and small, begun by either in turn, and the spread is printed with the median."""
    print(f"\ntracking on against off, {SMALL:,} rows, {PAIRS} pairs")
    without = ours.PROCESS.replace("  track: [id]\n", "")
    with postgres() as uri:
        accounts.make(uri, SMALL)
        pairs = []
        for pair in range(PAIRS):
            texts = (ours.PROCESS, without) if pair % 2 else (without, ours.PROCESS)
            used = {text: _ours(uri, SMALL, text).cpu_s for text in texts}
            pairs.append((used[ours.PROCESS], used[without]))
    low, middle, high = quantiles((100 * (a / b - 1) for a, b in pairs), n=4)
    whole = 100 * (sum(a for a, _ in pairs) / sum(b for _, b in pairs) - 1)
    print(
        f"  own CPU {median(a for a, _ in pairs):.2f} s: {middle:+.1f} % (quartiles {low:+.1f} to {high:+.1f}),", end=""
    )
    print(f" all pairs together {whole:+.1f} %")


def bench_file() -> None:
    """The same map over a CSV file into JSON lines, ours and bare DuckDB in turn."""
    print(f"\nfile job, {LARGE:,} rows CSV to JSON lines")
    with files.folder(files.MAKE, rows=LARGE, bad=0) as directory:
        theirs = {**files.FIELDS, **files.BARE}
        rounds = [
            (files.job(directory, files.PLAIN, files.FIELDS), files.bare(directory, theirs)) for _ in range(ROUNDS)
        ]
    _against_bare(rounds)


def bench_wide() -> None:
    columns, mine, theirs, make = files.wide_fields()
    print(f"\nwide job, {WIDE_ROWS:,} rows of {files.WIDE} fields, all of them mapped, CSV to JSON lines")
    with files.folder(make, rows=WIDE_ROWS) as directory:
        rounds = [(files.job(directory, columns, mine), files.bare(directory, theirs)) for _ in range(ROUNDS)]
    _against_bare(rounds)


def _against_bare(rounds: list[tuple[ours.Measured, tuple[float, float]]]) -> None:
    print(
        f"  ours {median(one.seconds for one, _ in rounds):.2f} s, CPU {median(one.cpu_s for one, _ in rounds):.2f} s,",
        end="",
    )
    print(
        f" RSS {max(one.rss_mib for one, _ in rounds):.0f} MiB; bare DuckDB {median(b[0] for _, b in rounds):.2f} s,",
        end="",
    )
    print(
        f" CPU {median(b[1] for _, b in rounds):.2f} s: × {median(one.seconds / b[0] for one, b in rounds):.2f} wall,",
        end="",
    )
    print(f" × {median(one.cpu_s / b[1] for one, b in rounds):.2f} CPU")


def bench_bad() -> None:
    """Bad rows are parked: reason, sealed payload and dead letter each, tracking and all."""
    rows = LARGE // 5
    print(f"\nbad-rows job, {rows:,} rows, half of the bad ones in the number, half in the date")
    rounds: list[dict[int, ours.Measured]] = []
    for _ in range(ROUNDS):
        found = {}
        for per_thousand in (0, 1, 10, 100):
            with files.folder(files.MAKE, rows=rows, bad=per_thousand / 2) as directory:
                found[per_thousand] = files.job(directory, files.PLAIN, files.FIELDS)
        rounds.append(found)
    for per_thousand in (0, 1, 10, 100):
        mine = median(one[per_thousand].cpu_s for one in rounds)
        ratio = median(one[per_thousand].cpu_s / one[0].cpu_s for one in rounds)
        wall = median(one[per_thousand].seconds / one[0].seconds for one in rounds)
        print(f"  {per_thousand / 10:4} % bad: own CPU {mine:.2f} s, × {ratio:.2f} of the clean run, wall × {wall:.2f}")


def bench_events() -> None:
    print("\nevents: map, decision, mask, rates and cross-reference, journal and target apart")
    for batch_rows, per_second, batches in ((1, 100, 300), (10, 50, 200), (100, 20, 60)):
        found = single.paced(batch_rows, per_second, batches)
        print(
            f"  {batch_rows:3} a batch, {per_second} batches/s: engine CPU {found.cpu_ms:.3f} ms a document,"
            f" p50 {1000 * median(found.latency_s):.2f} ms, p99 {1000 * _p99(found.latency_s):.2f} ms"
        )
    print("events into PostgreSQL, upsert, commit and journal included, one batch after the other")
    with postgres() as uri:
        for batch_rows, rows in ((1, 150), (100, 6000)):
            accounts.make(uri, rows)
            accounts.reset_target(uri)
            started = time.perf_counter()
            steps = single.run(uri, rows, batch_rows)
            seconds = time.perf_counter() - started
            parts = ", ".join(f"{name} {1000 * median(times):.2f}" for name, times in steps.items())
            together = 1000 * _p99(steps["together"])
            print(
                f"  {batch_rows:3} a batch: p50 ms {parts}; p99 {together:.2f} ms; {rows / seconds:,.0f} documents/s",
                end="",
            )
            print(" (start of the execution included)")
        accounts.make(uri, 1000)
        accounts.reset_target(uri)
        cpu_ms, times = peers.events(uri, 1000)
        print(
            f"  row loop, commit each: own CPU {cpu_ms:.2f} ms a document, p50 {1000 * median(times):.2f} ms,", end=""
        )
        print(f" p99 {1000 * _p99(times):.2f} ms")


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


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


def bench_nested() -> None:
    """Orders with lines over columns, beside a loop over rows."""
    table = nested.orders(SMALL)
    print(f"\nnested job, {SMALL:,} orders × {nested.LINES} lines: header + lines, xref and currency a line")
    mine, made = min(nested.ours(table) for _ in range(ROUNDS))
    loop, same = min(nested.row_loop(table.to_pylist()) for _ in range(ROUNDS))
    assert made == same == SMALL * nested.LINES
    for name, seconds in (("ours", mine), ("row loop in Python, no read, no write", loop)):
        print(f"  {name:<40} {seconds:6.2f} s   {SMALL / seconds:>9,.0f} orders/s   {made / seconds:>9,.0f} lines/s")
    print(f"  ours ÷ row loop: {mine / loop:.2f}")


TABLES: dict[str, Callable[[], None]] = {
    "cli": bench_cli,
    "idle": bench_idle,
    "file": bench_file,
    "wide": bench_wide,
    "bad": bench_bad,
    "events": bench_events,
    "peers": bench_peers,
    "memory": bench_memory,
    "telemetry": bench_telemetry,
    "tracking": bench_tracking,
    "find": bench_find,
    "nested": bench_nested,
    "accounts": bench_accounts,
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or TABLES:
        TABLES[wanted]()
        sys.stdout.flush()
