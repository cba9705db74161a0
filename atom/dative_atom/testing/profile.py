"""`python -m dative_atom.testing.profile`: the live profiles of a process file's steps, with no controller and no atom.

Here a step's own SQL is looked at too: who runs this holds the connection's secrets anyway.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dative.clock import SystemClock
from dative.errors.base import DativeError
from dative.errors.testing import BINDING_INVALID
from dative.process.profiles import Answer, Compared, Recorded, compare, questions, read_recorded, record

from dative_atom.connectors.connection import open_connection
from dative_atom.testing.bindings import read_bindings
from dative_atom.testing.dry import told
from dative_atom.testing.files import ProcessFile, read_process
from dative_atom.worker.profiles import looked
from dative_atom.worker.protocol import StepLook


def main(arguments: list[str]) -> int:
    """Exit codes: 0 as recorded or written, 1 a step could not be looked at, 3 drift, 2 usage; else the error's own."""
    parser = argparse.ArgumentParser(prog="dative-atom profile")
    parser.add_argument("path", type=Path)
    parser.add_argument("--connection", action="append", default=[])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--output", default="text")
    given = parser.parse_args(arguments)
    try:
        file = read_process(given.path)
        recorded = read_recorded(file.folder, file.process)
        found = look(file, given.connection, recorded)
        written = record(file.folder, file.process, found, f"{datetime.now(UTC):%Y-%m-%d}") if given.write else []
    except DativeError as error:
        print(told(error), file=sys.stderr)
        return error.code.exit_code
    for finding in recorded.findings:
        print(finding, file=sys.stderr)
    if given.output == "json":
        steps = [dataclasses.asdict(one) for one in found]
        print(json.dumps({"apiVersion": "dative-atom/v1", "process": file.process.name, "steps": steps}))
    else:
        print("\n".join([*(line for one in found for line in one.lines()), *(f"wrote {path}" for path in written)]))
    if any(one.state == "failed" for one in found):
        return 1
    return 3 if not given.write and any(one.state == "drifted" for one in found) else 0


def look(file: ProcessFile, connections: Sequence[str], recorded: Recorded) -> list[Compared]:
    """connections: "crm=crm.yaml"; a step whose connection is not bound fails. Errors: testing.binding_invalid."""
    bindings = read_bindings(file.process, connections)
    asked = questions(file.process)
    looks = [
        StepLook(
            one.step, one.operation.partition(".")[2], json.dumps(dict(one.options)).encode(), bindings[one.connection]
        )
        for one in asked
        if one.connection in bindings
    ]
    answers = [
        Answer(one.step, None if one.fields is None else dict(one.fields), one.code, one.reason)
        for one in looked(looks, open_connection, SystemClock())
    ]
    answers += [
        Answer(one.step, code=BINDING_INVALID.name, reason=f"give --connection {one.connection}=FILE")
        for one in asked
        if one.connection not in bindings
    ]
    return compare(asked, recorded, answers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
