"""What a test run says: lines for a person, JSON for a program, JUnit's XML for a build server."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from dative_atom.testing.cases import Verdict

ROWS_SHOWN: Final = 20
CELL_LENGTH_MAX: Final = 40
_CONTROL: Final = {code: " " for code in range(32) if code not in (9, 10)}


def as_json(verdicts: Sequence[Verdict], *, steps: bool) -> str:
    """{"apiVersion", "cases": [{process, file, name, passed, message, differences, kills, seconds, steps}]}."""
    return json.dumps({"apiVersion": "dative-atom/v1", "cases": [_case(one, steps=steps) for one in verdicts]})


def _case(verdict: Verdict, *, steps: bool) -> dict[str, Any]:
    case = {
        "process": verdict.process,
        "file": verdict.file,
        "name": verdict.name,
        "passed": verdict.passed,
        "message": verdict.message,
        "differences": [dataclasses.asdict(one) for one in verdict.differences],
        "kills": verdict.kills,
        "seconds": round(verdict.seconds, 3),
    }
    return {**case, "steps": verdict.steps} if steps else case


def as_text(verdicts: Sequence[Verdict], *, steps: bool) -> Iterator[str]:
    """One line a case; below a failed one its differences, field by field; the documents after each step if asked for."""
    for verdict in verdicts:
        kills = f" ({verdict.kills} kills)" if verdict.kills else ""
        yield f"{'pass' if verdict.passed else 'FAIL'}  {verdict.process}: {verdict.name}{kills}"
        for one in verdict.differences:
            yield from _difference(one)
        if steps:
            for step, rows in verdict.steps.items():
                yield f"      {step}: {len(rows)} documents"
                yield from (f"        {line}" for line in table(rows))


def _difference(one: Any) -> Iterator[str]:
    if one.note:
        yield f"      {one.where}: {one.note}"
        return
    yield f"      {one.where}, {one.field}:"
    yield f"        - {one.expected!r}"
    yield f"        + {one.actual!r}"


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The first rows as aligned text; what is cut ends with …"""
    names = list(dict.fromkeys(name for row in rows[:ROWS_SHOWN] for name in row))
    if not names:
        return
    lines = [names, *([_cell(row.get(name)) for name in names] for row in rows[:ROWS_SHOWN])]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    if len(rows) > ROWS_SHOWN:
        yield f"… and {len(rows) - ROWS_SHOWN} more"


def _cell(value: Any) -> str:
    text = "∅" if value is None else str(value).translate(_CONTROL).replace("\n", "⏎")
    return text if len(text) <= CELL_LENGTH_MAX else f"{text[: CELL_LENGTH_MAX - 1]}…"


def as_junit(verdicts: Sequence[Verdict]) -> str:
    """One test suite a process, as build servers read it. Characters that XML forbids become spaces."""
    suites: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        suites.setdefault(verdict.process, []).append(verdict)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for process, cases in suites.items():
        failed = sum(not case.passed for case in cases)
        seconds = sum(case.seconds for case in cases)
        lines.append(
            f'  <testsuite name={_attribute(process)} tests="{len(cases)}" failures="{failed}" time="{seconds:.3f}">'
        )
        lines += [line for case in cases for line in _junit_case(case)]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _junit_case(case: Verdict) -> Iterator[str]:
    head = f'    <testcase classname={_attribute(case.process)} name={_attribute(case.name)} time="{case.seconds:.3f}"'
    if case.passed:
        yield f"{head}/>"
        return
    body = "\n".join(str(one) for one in case.differences).translate(_CONTROL)
    yield f"{head}>"
    yield f"      <failure message={_attribute(case.message[:200])}>{escape(body)}</failure>"
    yield "    </testcase>"


def _attribute(text: str) -> str:
    return quoteattr(text.translate(_CONTROL))
