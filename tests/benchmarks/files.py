"""Jobs from a CSV file to JSON lines: a plain one, one of 300 fields, one with bad rows; and the same in bare DuckDB.

Bare DuckDB runs in a process of its own with as many threads as it likes: `python -m tests.benchmarks.files SQL`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from dative_atom.worker.protocol import Binding

from tests.benchmarks import ours

PLAIN = ("id", "first_name", "last_name", "industry", "amount", "since", "phone", "note")
MAKE = """
COPY (SELECT lpad(g::text, 18, '0') AS id, 'First' || g % 977 AS first_name, 'Last' || g % 1009 AS last_name,
  ['Healthcare', 'Energy', 'Retail', 'Banking'][1 + g % 4] AS industry,
  CASE WHEN g % 1000 < {bad} THEN 'n/a' ELSE (g % 900000)::text || '.' || lpad((g % 100)::text, 2, '0') END AS amount,
  CASE WHEN g % 1000 >= 1000 - {bad} THEN '02/30/2021' ELSE strftime(DATE '2001-01-01' + (g % 8000)::int, '%m/%d/%Y')
    END AS since,
  '+1 555 ' || lpad((g % 10000000)::text, 7, '0') AS phone, 'note ' || g AS note FROM range({rows}) t(g))
TO '{path}' (HEADER)
"""
PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {{name: files}}
spec:
  connections: {{here: disk}}
  source:
    id: read
    disk.read: {{connection: here, path: in.csv, format: csv, stable_for: 0s, columns: {{{columns}}}}}
  steps:
    - id: work
      try:
        - id: m
          map: {{fields: {{{fields}}}}}
        - id: w
          disk.write: {{connection: here, path: "out/{{execution}}-{{batch}}.jsonl", format: jsonl}}
      catch: [{{id: park, dead_letter: {{queue: bad}}}}]
"""
FIELDS = {
    "id": "id",
    "full_name": "concat_ws(' ', first_name, last_name)",
    "industry": "upper(industry)",
    "amount": "number(amount, scale => 2)",
    "since": "date(since, '%m/%d/%Y')",
    "phone": "regexp_replace(phone, '[^0-9+]', '', 'g')",
    "note": "note",
}
BARE = {
    "amount": "CAST(amount AS DECIMAL(38, 2))::VARCHAR",
    "since": "strptime(since, '%m/%d/%Y')::DATE",
}
WIDE = 300


@contextmanager
def folder(make: str, **values: object) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dative-bench-") as name:
        duckdb.execute(make.format(path=f"{name}/in.csv", **values))
        yield Path(name)


def job(directory: Path, columns: Iterator[str] | tuple[str, ...], fields: dict[str, str]) -> ours.Measured:
    """Ours, over in.csv of the directory."""
    quoted = ", ".join(f'{name}: "{sql}"' for name, sql in fields.items())
    text = PROCESS.format(columns=", ".join(f"{name}: text" for name in columns), fields=quoted)
    for old in ("journal.db", "out", ".dative"):
        subprocess.run(["rm", "-rf", str(directory / old)], check=True)
    bindings = [Binding("here", "disk", {"root": str(directory)}, {})]
    return ours.measured(ours.message(directory, directory / "journal.db", text, bindings))


def bare(directory: Path, fields: dict[str, str]) -> tuple[float, float]:
    """(seconds, CPU seconds) of the same query in DuckDB, start of its process not counted."""
    listed = ", ".join(f"{sql} AS {name}" for name, sql in fields.items())
    sql = (
        f"COPY (SELECT {listed} FROM read_csv('{directory}/in.csv', all_varchar = true)) "
        f"TO '{directory}/bare.json' (FORMAT json)"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.files", sql],
        check=True,
        capture_output=True,
        text=True,
    )
    wall, cpu = ended.stdout.split()[:2]
    return float(wall), float(cpu)


def wide_fields() -> tuple[tuple[str, ...], dict[str, str], dict[str, str], str]:
    """(columns, our fields, DuckDB's fields, SQL that makes the file): a third texts, a third numbers, a third dates."""
    columns = tuple(f"f{index}" for index in range(WIDE))
    made = (
        "'text ' || g % 1000",
        "(g % 10000)::text || '.5'",
        "strftime(DATE '2001-01-01' + (g % 8000)::int, '%m/%d/%Y')",
    )
    mine = ("{0}", "number({0}, scale => 2)", "date({0}, '%m/%d/%Y')")
    theirs = ("{0}", "CAST({0} AS DECIMAL(38, 2))::VARCHAR", "strptime({0}, '%m/%d/%Y')::DATE")
    listed = ", ".join(f"{made[index % 3]} AS f{index}" for index in range(WIDE))
    make = f"COPY (SELECT {listed} FROM range({{rows}}) t(g)) TO '{{path}}' (HEADER)"
    return (
        columns,
        {name: mine[index % 3].format(name) for index, name in enumerate(columns)},
        {name: theirs[index % 3].format(name) for index, name in enumerate(columns)},
        make,
    )


if __name__ == "__main__":
    started, cpu = time.perf_counter(), os.times()
    duckdb.execute(sys.argv[1])
    now = os.times()
    print(time.perf_counter() - started, now.user + now.system - cpu.user - cpu.system)
