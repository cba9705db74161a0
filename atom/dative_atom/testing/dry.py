"""`python -m dative_atom.testing.dry`: a dry run of a process file on this machine, with no controller and no atom.

It starts where a first execution would: no position, no cross-references but those that the tables begin with. Masks use
a key that is no environment's, so that a hash or a token never equals the one that a target has.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dative.clock import SystemClock
from dative.dry_run import lines
from dative.errors.base import DativeError

from dative_atom.connectors.connection import open_connection
from dative_atom.engine.dry.dry_run import DryRun, dry_run
from dative_atom.engine.run import Surroundings
from dative_atom.testing.bindings import read_bindings
from dative_atom.testing.files import ProcessFile, read_process


def main(arguments: list[str]) -> int:
    """Exit codes: 0 it would run, 1 it would fail as a whole, 8 documents of it would, 2 usage; else the error's own."""
    parser = argparse.ArgumentParser(prog="dative-atom dry-run")
    parser.add_argument("path", type=Path)
    parser.add_argument("--connection", action="append", default=[])
    parser.add_argument("--param", action="append", default=[])
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--show", type=int, default=20)
    parser.add_argument("--output", default="text")
    given = parser.parse_args(arguments)
    try:
        file = read_process(given.path)
        parameters = dict(pair.partition("=")[::2] for pair in given.param)
        found = run_dry(file, given.connection, parameters, given.documents, given.show)
    except DativeError as error:
        print(told(error), file=sys.stderr)
        return error.code.exit_code
    outcome = found.as_json()
    if given.output == "json":
        print(json.dumps({"apiVersion": "dative-atom/v1", "process": file.process.name, **outcome}))
    else:
        print("\n".join(lines(outcome)))
    return 1 if outcome["failure"] else 8 if outcome["counts"]["dead_lettered"] else 0


def run_dry(
    file: ProcessFile, connections: Sequence[str], parameters: dict[str, str], documents: int, shown: int
) -> DryRun:
    """connections: "crm=crm.yaml". Errors: testing.binding_invalid, engine.*."""
    with tempfile.TemporaryDirectory(prefix="dative-dry-") as place:
        bindings = read_bindings(file.process, connections)
        stage = file.stage(Path(place), datetime.now(UTC), parameters=parameters, bindings=bindings)
        message = stage.prepare(None)
        journal = stage.journal()
        try:
            return dry_run(message, journal, Surroundings(SystemClock(), open_connection), shown, documents)
        finally:
            journal.close()


def told(error: DativeError) -> str:
    """What – why – next – code."""
    return f"error: {error.message}\nwhy:   {error.code.means}\nnext:  {error.next}\ncode:  {error.code.name}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
