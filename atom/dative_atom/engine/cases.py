"""Runs the test files beside a process and says which cases keep their promise: `dative-atom test PATH`.

A case's records become typed documents, `run_case` leads them through, and only what the case names is compared.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from dative.clock import ManualClock
from dative.process.cases import Case, ProcessTest, default_start, load_test
from dative.process.datatypes import DataType, parse_type
from dative.process.load import load
from dative.process.model import Process
from dative.process.shapes import OperationSettings

from dative_atom.documents.json import from_json
from dative_atom.engine.process_test import CaseResult, run_case

_ARROW: Final = {
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "binary": pa.binary(),
}


@dataclass(frozen=True)
class Verdict:
    """One case of one process. message: why it failed, empty when it passed."""

    process: str
    name: str
    message: str

    @property
    def passed(self) -> bool:
        return not self.message


def run_path(path: Path) -> list[Verdict]:
    """Every case of the process file, or of all processes in the folder and below. A file that does not load fails."""
    files = [path] if path.is_file() else sorted(path.rglob("*.y*ml"))
    return [verdict for file in files for verdict in _process(file, required=path.is_file())]


def _process(file: Path, *, required: bool) -> Iterator[Verdict]:
    text = file.read_bytes()
    if not required and b"kind: Process\n" not in text.replace(b"\r", b""):
        return
    loaded = load(text, filename=file.name)
    if loaded.process is None:
        yield Verdict(file.name, "loads", "; ".join(finding.message for finding in loaded.findings))
        return
    tests = [*file.parent.glob("tests/*.yaml"), *file.parent.glob("tests/*.yml")]
    for test in sorted(tests):
        found = load_test(test.read_bytes(), filename=test.name, process=loaded.process)
        if found.test is None:
            yield Verdict(loaded.process.name, test.name, "; ".join(finding.message for finding in found.findings))
            continue
        for case in found.test.cases:
            yield Verdict(loaded.process.name, case.name, _judged(loaded.process, file.parent, found.test, case))


def _judged(process: Process, folder: Path, test: ProcessTest, case: Case) -> str:
    rows, unreadable = from_json(case.input, _schema(process, test, case))
    if unreadable:
        return f"input {unreadable[0].row + 1}: {unreadable[0].field} is no {unreadable[0].type}"
    clock = ManualClock(case.started_at or default_start())
    tables = _tables(process, folder, case)
    result = run_case(process, tables, pa.Table.from_batches([rows]), clock=clock, parameters=case.parameters)
    if result.failure is not None:
        return f"{result.failure['message']} ({result.failure['code']})"
    return "; ".join(_differences(case, result))


def _schema(process: Process, test: ProcessTest, case: Case) -> pa.Schema:
    """Every field that the source lists, the test types or a record has; text where nothing else is said."""
    settings = process.spec.source.settings
    listed = settings.options.get("fields") if isinstance(settings, OperationSettings) else None
    names = dict.fromkeys([*(listed if isinstance(listed, list) else ()), *test.fields])
    names.update(dict.fromkeys(name for record in case.input for name in record))
    return pa.schema([pa.field(str(name), _arrow(parse_type(test.fields.get(str(name), "text")))) for name in names])


def _arrow(kind: DataType) -> pa.DataType:
    return pa.decimal128(kind.precision, kind.scale) if kind.kind == "decimal" else _ARROW.get(kind.kind, pa.string())


def _tables(process: Process, folder: Path, case: Case) -> dict[str, str]:
    """CSV text of every table: the case's own rows, or the file beside the process."""
    texts = {}
    for name, table in process.spec.tables.items():
        if name in case.tables:
            texts[name] = _csv(case.tables[name])
        elif table.file is not None:
            texts[name] = (folder / table.file).read_text(encoding="utf-8")
    return texts


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _differences(case: Case, result: CaseResult) -> Iterator[str]:
    for step, expected in case.expect.written.items():
        given = result.targets.get(step, ())
        if len(given) != len(expected):
            yield f"{step}: {len(given)} documents written, {len(expected)} expected"
        for number, (wanted, row) in enumerate(zip(expected, given, strict=False), 1):
            for name, value in wanted.items():
                if not _equal(value, row.get(name)):
                    yield f"{step} {number}: {name} is {row.get(name)!r}, expected {value!r}"
    if case.expect.filtered is not None and case.expect.filtered != result.counts.filtered:
        yield f"{result.counts.filtered} documents filtered, {case.expect.filtered} expected"
    if case.expect.dead_lettered is not None:
        letters = sorted(result.dead_letters, key=lambda letter: letter.document)
        got = [(letter.code, letter.field) for letter in letters]
        wanted_codes = [(letter.code, letter.field) for letter in case.expect.dead_lettered]
        same = len(got) == len(wanted_codes) and all(
            code == wanted and field in (None, where)
            for (code, where), (wanted, field) in zip(got, wanted_codes, strict=True)
        )
        if not same:
            yield f"dead-lettered {got}, expected {wanted_codes}"


def _equal(expected: Any, actual: Any) -> bool:
    """A fraction equals the same number with more zeros, a moment the same moment written otherwise."""
    if expected == actual:
        return True
    if isinstance(expected, bool) or isinstance(actual, bool) or expected is None or actual is None:
        return False
    return _same(expected, actual, _number) or _same(expected, actual, _moment)


def _same(expected: Any, actual: Any, read: Any) -> bool:
    first, second = read(str(expected)), read(str(actual))
    return first is not None and first == second


def _number(text: str) -> Decimal | None:
    # 007 is a key and no number.
    if text.startswith("0") and text[1:2].isdigit():
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
