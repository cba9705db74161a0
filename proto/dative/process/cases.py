"""Reads the test files of a process, and holds them to it: do they speak of steps, fields and tables that it has?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from dative.errors import process as codes
from dative.errors.base import code_named
from dative.process.calls import steps_of
from dative.process.case_model import Case, Documents, ExpectedDocuments, Fault, ProcessTest
from dative.process.datatypes import parse_type
from dative.process.findings import Finding, Path, Report, SourceMap, in_file_order, nearest
from dative.process.fit import Fitter
from dative.process.flow import Processes
from dative.process.lineage import follow
from dative.process.model import Process
from dative.process.shapes import OperationSettings
from dative.process.text import read_yaml


@dataclass(frozen=True)
class LoadedTest:
    """test: None when there is an error among the findings."""

    test: ProcessTest | None
    findings: list[Finding]
    source_map: SourceMap


def default_start() -> datetime:
    """Where the clock of a case stands that does not say: 2024-01-01T00:00:00Z."""
    return datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def load_test(
    source: str | bytes, *, filename: str, process: Process | None = None, processes: Processes | None = None
) -> LoadedTest:
    """Read a test file; with the process it belongs to, also whether the two fit. Never raises for bad input.

    processes: finds those that the process calls.
    """
    report = Report(filename)
    data = read_yaml(source, report)
    test = None
    if data is not None or not report.failed:
        test = Fitter(report).model(ProcessTest, data, ())
    if test is not None:
        _names_are_unique(test, report)
        if process is not None:
            _Match(test, process, report, processes or (lambda _: None)).run()
    return LoadedTest(None if report.failed else test, in_file_order(report.findings), report.source_map)


def _names_are_unique(test: ProcessTest, report: Report) -> None:
    """A case is found by its name: in a report, in a filter, by whoever writes its expectation anew."""
    names: set[str] = set()
    for index, case in enumerate(test.cases):
        if case.name in names:
            report.value(codes.TEST_MISMATCH, f'two cases are called "{case.name}"', ("cases", index, "name"))
        names.add(case.name)


def test_schema() -> str:
    """JSON Schema of a test file, so that editors complete and lint; what depends on the process only `load_test` says."""
    schema = ProcessTest.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=1) + "\n"


test_schema.__test__ = False  # type: ignore[attr-defined]  # pytest: a function of the product, no test


class _Match:
    def __init__(self, test: ProcessTest, process: Process, report: Report, processes: Processes) -> None:
        self._test, self._process, self._report = test, process, report
        self._lineage = follow(process, processes=processes)
        self._steps = dict(steps_of(process, processes))

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
        for index, record in enumerate(case.input or ()):
            self._known(record, source, (*path, "input", index), "the source delivers no field")
        if case.input_file is not None and _leads_out(case.input_file):
            message = f"{case.input_file} leads out of the folder of the test"
            self._report.value(codes.TEST_MISMATCH, message, (*path, "input_file"))
        spec = self._process.spec
        self._known(case.tables, set(spec.tables), (*path, "tables"), "the process has no table")
        self._known(case.parameters, set(spec.parameters), (*path, "parameters"), "the process has no parameter")
        for index, fault in enumerate(case.faults):
            self._fault(fault, (*path, "faults", index))
        self._expectation(case, (*path, "expect"))

    def _fault(self, fault: Fault, path: Path) -> None:
        targets, connections = set(self._targets()), set(self._process.spec.connections)
        if fault.step is not None:
            self._one(fault.step, targets, (*path, "step"), "no step writes under the id")
        if fault.connection is not None:
            self._one(fault.connection, connections, (*path, "connection"), "the process has no connection")
        self._code(fault.code, (*path, "code"))

    def _expectation(self, case: Case, path: Path) -> None:
        expect = case.expect
        targets = set(self._targets())
        steps = set(self._steps)
        self._known(expect.written, targets, (*path, "written"), "no step writes under the id")
        self._known(expect.steps, steps, (*path, "steps"), "the process has no step")
        for key, known, by_step in (("written", targets, expect.written), ("steps", steps, expect.steps)):
            for step, documents in by_step.items():
                if step in known:
                    self._documents(documents, (*path, key, step), step)
        for index, letter in enumerate(expect.dead_lettered or ()):
            self._code(letter.code, (*path, "dead_lettered", index, "code"))
        if expect.failure is not None:
            self._code(expect.failure, (*path, "failure"))

    def _documents(self, documents: Documents, path: Path, step: str) -> None:
        known, what = self._fields(step), f'"{step}" writes no field'
        if isinstance(documents, ExpectedDocuments):
            for key in ("exactly", "includes"):
                for index, record in enumerate(getattr(documents, key) or ()):
                    self._known(record, known, (*path, key, index), what)
            return
        for index, record in enumerate(documents):
            self._known(record, known, (*path, index), what)

    def _targets(self) -> Iterator[str]:
        for name, step in self._steps.items():
            if isinstance(step.settings, OperationSettings) and step is not self._process.spec.source:
                yield name

    def _fields(self, step: str) -> set[str] | None:
        """The fields after a step; None when any may come: a source that does not list its own, a step never recorded."""
        if step in self._lineage.open or step not in self._lineage.sources:
            return None
        return set(self._lineage.sources[step])

    def _known(self, names: Mapping[str, object], known: set[str] | None, path: Path, what: str) -> None:
        for name in names:
            if known is not None and name not in known:
                self._report.key(codes.TEST_MISMATCH, f'{what} "{name}"{nearest(name, known)}', (*path, name))

    def _one(self, name: str, known: set[str], path: Path, what: str) -> None:
        if name not in known:
            self._report.value(codes.TEST_MISMATCH, f'{what} "{name}"{nearest(name, known)}', path)

    def _code(self, name: str, path: Path) -> None:
        if code_named(name) is None:
            self._report.value(codes.TEST_MISMATCH, f'there is no error code "{name}"', path)


def _leads_out(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.is_absolute() or ".." in pure.parts
