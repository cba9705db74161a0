"""The documents that a case gives: records in the test, or a sample file beside it, as typed columns.

Sample files are CSV with a header line (an empty field is null) or JSON lines; a value is text unless `fields` of the
test types it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from dative.errors.base import StopRun
from dative.errors.testing import SAMPLE_UNREADABLE
from dative.process.case_model import Case, ProcessTest
from dative.process.datatypes import TEXT, parse_type
from dative.process.model import Process
from dative.process.shapes import DocumentsSettings, OperationSettings
from dative.process.tables import FileTable

from dative_atom.documents.json import from_json
from dative_atom.documents.profile import profile_of

SAMPLE_BYTES_MAX: Final = 64 * 1024**2
SAMPLE_ROWS_MAX: Final = 100_000
Row = Mapping[str, Any]


def case_rows(process: Process, test: ProcessTest, case: Case, folder: Path) -> pa.RecordBatch:
    """What the source of the case delivers. folder: of the test file. StopRun testing.sample_unreadable."""
    rows = case.input if case.input is not None else read_sample(folder, case.input_file or "")
    batch, unreadable = from_json(rows, _schema(process, test, rows))
    if unreadable:
        first = unreadable[0]
        raise StopRun(f"document {first.row + 1}: {first.field} is no {first.type}", code=SAMPLE_UNREADABLE)
    return batch


def read_sample(folder: Path, name: str) -> Sequence[Row]:
    """The rows of a sample file below the folder. Over a bound it is refused, never cut."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise StopRun(f"{name} leads out of the folder of the test", code=SAMPLE_UNREADABLE)
    try:
        if path.stat().st_size > SAMPLE_BYTES_MAX:
            raise StopRun(f"{name} has more than {SAMPLE_BYTES_MAX} bytes", code=SAMPLE_UNREADABLE)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StopRun(f"{name} can not be read: {type(error).__name__}", code=SAMPLE_UNREADABLE) from error
    rows = list(_csv(text, name) if path.suffix == ".csv" else _json_lines(text, name))
    if len(rows) > SAMPLE_ROWS_MAX:
        raise StopRun(f"{name} has {len(rows)} rows; at most {SAMPLE_ROWS_MAX}", code=SAMPLE_UNREADABLE)
    return rows


def _csv(text: str, name: str) -> Iterator[Row]:
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text), strict=True), 1):
            if None in row or None in row.values():
                raise StopRun(f"{name}, row {number} has not as many fields as the header", code=SAMPLE_UNREADABLE)
            yield {field: value or None for field, value in row.items()}
    except csv.Error as error:
        raise StopRun(f"{name} is no CSV: {error}", code=SAMPLE_UNREADABLE) from error


def _json_lines(text: str, name: str) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.MsgspecError, ArithmeticError) as error:
            raise StopRun(f"{name}, line {number} is no JSON object", code=SAMPLE_UNREADABLE) from error
        # A fraction is the text that was written, as in a test file.
        yield {field: format(value, "f") if isinstance(value, Decimal) else value for field, value in row.items()}


def _schema(process: Process, test: ProcessTest, rows: Sequence[Row]) -> pa.Schema:
    """Every field that the source lists, the test types or a record has; text where nothing else is said."""
    settings = process.spec.source.settings
    listed = settings.options.get("fields") if isinstance(settings, OperationSettings) else None
    declared = dict(settings.types) if isinstance(settings, DocumentsSettings) else {}
    names = dict.fromkeys([*(listed if isinstance(listed, list) else ()), *declared, *test.fields])
    names.update(dict.fromkeys(name for record in rows for name in record))
    types = {str(name): declared.get(str(name), TEXT) for name in names}
    return profile_of({**types, **{name: parse_type(text) for name, text in test.fields.items()}})


def table_texts(process: Process, folder: Path, given: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """CSV text of every table: the given rows, or the file beside the process. folder: of the process."""
    texts = {}
    for name, table in process.spec.tables.items():
        if name in given:
            texts[name] = _as_csv(given[name])
        elif isinstance(table, FileTable) and table.file is not None:
            texts[name] = (folder / table.file).read_text(encoding="utf-8")
    return texts


def _as_csv(rows: Sequence[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
