"""The program behind `dative-atom test`: options in, a report and an exit code out.

Exit codes: 0 every case passed, 1 one failed or there is none, 2 usage. A case that `--update` wrote anew has failed in
this run; the next one shows whether it passes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from dative.errors.base import DativeError
from dative.process.case_model import Case

from dative_atom.testing.bindings import read_bindings
from dative_atom.testing.cases import TestFile, Verdict, drift_verdicts, judged, test_files
from dative_atom.testing.dry import told
from dative_atom.testing.files import read_process
from dative_atom.testing.recorded import record
from dative_atom.testing.recording import FOLDER
from dative_atom.testing.report import as_json, as_junit, as_text
from dative_atom.testing.stage import Played
from dative_atom.testing.update import rewritten


def main(arguments: list[str]) -> int:
    """See `dative-atom test --help`, which has the same options."""
    given = _parser().parse_args(arguments)
    try:
        if given.record:
            return _record(given)
    except DativeError as error:
        print(told(error), file=sys.stderr)
        return error.code.exit_code
    if given.drift:
        verdicts = list(drift_verdicts(given.path, given.connection))
    else:
        verdicts = list(_run(given.path, given.case, update=given.update))
    if given.junit is not None:
        given.junit.write_text(as_junit(verdicts), encoding="utf-8")
    if given.output == "json":
        print(as_json(verdicts, steps=given.show_steps))
    else:
        for line in as_text(verdicts, steps=given.show_steps):
            print(line)
        if not verdicts:
            print(f"no cases: put them into tests/*.yaml beside {given.path}")
    return 0 if verdicts and all(verdict.passed for verdict in verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dative-atom test")
    parser.add_argument("path", type=Path)
    parser.add_argument("--output", default="text")
    parser.add_argument("--case", default="")
    parser.add_argument("--show-steps", action="store_true")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--junit", type=Path)
    parser.add_argument("--record", default="")
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("--connection", action="append", default=[])
    parser.add_argument("--param", action="append", default=[])
    return parser


def _run(path: Path, only: str, *, update: bool) -> Iterator[Verdict]:
    for found in test_files(path):
        if isinstance(found, Verdict):
            yield found
            continue
        for index, case in enumerate(found.test.cases):
            if only not in case.name:
                continue
            verdict, played = judged(found, case)
            if update and not verdict.passed and played is not None:
                _update(found.path, index, case, played)
            yield verdict


def _update(path: Path, index: int, case: Case, played: Played) -> None:
    path.write_text(rewritten(path.read_text(encoding="utf-8"), index, case, played), encoding="utf-8")
    print(f"updated {path.name}: {case.name}", file=sys.stderr)


def _record(given: argparse.Namespace) -> int:
    """Record, and write a test file of one case that replays it, unless there is one of that name."""
    file = read_process(given.path)
    parameters = dict(pair.partition("=")[::2] for pair in given.param)
    tests = given.path.parent / "tests"
    now = datetime.now(UTC).replace(microsecond=0)
    empty = Case(name=f"recorded {given.record}", recording=given.record, parameters=parameters)
    folder = tests / FOLDER / given.record
    played = record(file, read_bindings(file.process, given.connection), folder, now, parameters)
    print(f"recorded {played.counts.read} documents into {folder}", file=sys.stderr)
    test = tests / f"{given.record}.yaml"
    if not test.exists():
        test.write_text(_test_text(file.process.name, empty), encoding="utf-8")
        found = next(one for one in test_files(given.path) if isinstance(one, TestFile) and one.path == test)
        replayed = judged(found, empty)[1]
        if replayed is not None:
            _update(test, 0, empty, replayed)
    return 0


def _test_text(process: str, case: Case) -> str:
    parameters = f"    parameters: {json.dumps(dict(case.parameters))}\n" if case.parameters else ""
    return (
        f"apiVersion: dative/v1\nkind: ProcessTest\nprocess: {process}\ncases:\n"
        f"  - name: {case.name}\n    recording: {case.recording}\n{parameters}"
    )
