"""Tests of a process, beside it in `tests/*.yaml`: records in, what must be written out.

`dative process test` runs them in the engine, offline. Here is what such a file says and whether it speaks of steps,
fields and tables that the process has. A fraction in a record is the text that was written, never a float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints

from dative.errors import process as codes
from dative.errors.base import code_named
from dative.process.datatypes import parse_type
from dative.process.findings import Finding, Path, Report, SourceMap, in_file_order, nearest
from dative.process.fit import Fitter
from dative.process.lineage import follow
from dative.process.model import Process
from dative.process.scalars import FieldName, Name
from dative.process.shapes import OperationSettings, Settings
from dative.process.text import read_yaml

Record = dict[FieldName, JsonValue]
CASES_MAX = 1000


class ExpectedDeadLetter(Settings):
    """One document that must be parked: the code of its error, and the field where there is one."""

    code: str = Field(description="Error code, expression.rate_missing.")
    field: FieldName | None = Field(default=None, description="Target field; left out, it is not compared.")


class Expectation(Settings):
    """What must have become of the input. What is left out is not looked at, but the accounts must always add up."""

    written: dict[Name, tuple[Record, ...]] = Field(
        default_factory=dict,
        description="Target step: its documents in the order of the input. Only the fields that are named are compared.",
    )
    filtered: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Documents that were filtered.")
    dead_lettered: tuple[ExpectedDeadLetter, ...] | None = Field(
        default=None, description="Documents that were dead-lettered, in the order of the input."
    )


class Case(Settings):
    """One test: records as the source would deliver them, and what must come of them."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="The promise it keeps.")
    input: tuple[Record, ...] = Field(min_length=1, max_length=10_000, description="Records of the source, in order.")
    tables: dict[Name, tuple[dict[str, JsonValue], ...]] = Field(
        default_factory=dict, description="Rows of tables, instead of those in the tables' files."
    )
    parameters: dict[Name, str] = Field(default_factory=dict, description="Parameters, instead of their defaults.")
    started_at: AwareDatetime | None = Field(
        default=None, description="When the execution starts, for rates and property(); default 2024-01-01T00:00:00Z."
    )
    expect: Expectation = Field(description="What must come of it.")


class ProcessTest(Settings):
    """A file of tests of one process."""

    api_version: Literal["dative/v1"] = Field(alias="apiVersion")
    kind: Literal["ProcessTest"]
    fields: dict[FieldName, str] = Field(
        default_factory=dict, description="Type of source fields that are not text: {AnnualRevenue: decimal(18,2)}."
    )
    cases: tuple[Case, ...] = Field(min_length=1, max_length=CASES_MAX, description="The tests.")


@dataclass(frozen=True)
class LoadedTest:
    """test: None when there is an error among the findings."""

    test: ProcessTest | None
    findings: list[Finding]
    source_map: SourceMap


def default_start() -> datetime:
    """When a case starts that does not say: 2024-01-01T00:00:00Z."""
    return datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def load_test(source: str | bytes, *, filename: str, process: Process | None = None) -> LoadedTest:
    """Read a test file; with the process it belongs to, also whether the two fit. Never raises for bad input."""
    report = Report(filename)
    data = read_yaml(source, report)
    test = None
    if data is not None or not report.failed:
        test = Fitter(report).model(ProcessTest, data, ())
    if test is not None and process is not None:
        _Match(test, process, report).run()
    return LoadedTest(None if report.failed else test, in_file_order(report.findings), report.source_map)


class _Match:
    def __init__(self, test: ProcessTest, process: Process, report: Report) -> None:
        self._test, self._process, self._report = test, process, report
        self._lineage = follow(process)

    def run(self) -> None:
        source = self._fields(self._process.spec.source.id)
        self._known(self._test.fields, source, ("fields",), "the source delivers no field")
        for name, text in self._test.fields.items():
            try:
                parse_type(text)
            except ValueError as wrong:
                self._report.value(codes.WRONG_VALUE, str(wrong), ("fields", name))
        for index, case in enumerate(self._test.cases):
            self._case(case, ("cases", index), source)

    def _case(self, case: Case, path: Path, source: set[str] | None) -> None:
        for index, record in enumerate(case.input):
            self._known(record, source, (*path, "input", index), "the source delivers no field")
        spec = self._process.spec
        self._known(case.tables, set(spec.tables), (*path, "tables"), "the process has no table")
        self._known(case.parameters, set(spec.parameters), (*path, "parameters"), "the process has no parameter")
        targets = set(self._targets())
        written = (*path, "expect", "written")
        self._known(case.expect.written, targets, written, "no step writes under the id")
        for step, records in case.expect.written.items():
            for index, record in enumerate(records):
                if step in targets:
                    self._known(record, self._fields(step), (*written, step, index), f'"{step}" writes no field')
        for index, letter in enumerate(case.expect.dead_lettered or ()):
            if code_named(letter.code) is None:
                here = (*path, "expect", "dead_lettered", index, "code")
                self._report.value(codes.TEST_MISMATCH, f'there is no error code "{letter.code}"', here)

    def _targets(self) -> Iterator[str]:
        for step, path in self._process.steps():
            if isinstance(step.settings, OperationSettings) and path != ("spec", "source"):
                yield step.id

    def _fields(self, step: str) -> set[str] | None:
        """The fields after a step; None when a source that does not list its own lets any come."""
        return None if step in self._lineage.open else set(self._lineage.sources[step])

    def _known(self, names: Mapping[str, object], known: set[str] | None, path: Path, what: str) -> None:
        for name in names:
            if known is not None and name not in known:
                self._report.key(codes.TEST_MISMATCH, f'{what} "{name}"{nearest(name, known)}', (*path, name))
