"""The program behind `dative-atom test`: options in, a report and an exit code out.

Exit codes: 0 every case passed, 1 one failed or there is none, 2 usage. A case that `--update` wrote anew has failed in
this run; the next one shows whether it passes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from dative_atom.testing.cases import Verdict, judged, test_files
from dative_atom.testing.report import as_json, as_junit, as_text
from dative_atom.testing.update import rewritten


def main(arguments: list[str]) -> int:
    """See `dative-atom test --help`, which has the same options."""
    given = _parser().parse_args(arguments)
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
                text = rewritten(found.path.read_text(encoding="utf-8"), index, case, played)
                found.path.write_text(text, encoding="utf-8")
                print(f"updated {found.path.name}: {case.name}", file=sys.stderr)
            yield verdict
