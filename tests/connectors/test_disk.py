"""Files: whole or not at all, none outside of the folder, none while somebody writes it, and what a bad line costs."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.errors.base import DativeError, StopRun

COLUMNS = {"id": "text", "n": "decimal(9,2)", "d": "date", "t": "timestamp", "ok": "boolean", "i": "integer"}


def _reader(bench: Any, folder: Path, clock: Any = None, **options: Any) -> Any:
    disk = bench.connect("disk", {"root": str(folder)})
    given = {"path": "*.csv", "format": "csv", "columns": COLUMNS, "stable_for": "0s", **options}
    context = bench.context(**({"clock": clock} if clock else {}))
    return disk.reader(bench.operation("disk", "read", given), context)


def _rows(reads: list[Any]) -> list[dict[str, Any]]:
    return [row for read in reads for row in read.batch.to_pylist()]


def test_declared_types_are_read_exactly_and_empty_is_not_nothing(tmp_path: Path, bench: Any) -> None:
    (tmp_path / "a.csv").write_text(
        'id,n,extra,d,t,ok,i\n"two\nlines",1.10,x,2026-02-28,2026-03-01T12:00:00+02:00,true,9007199254740993\n'
        '"",,x,,2026-03-01 12:00:00,,\n'
    )
    first, second = _rows(bench.read_all(_reader(bench, tmp_path)))
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert first == {
        "id": "two\nlines",
        "n": Decimal("1.10"),
        "d": date(2026, 2, 28),
        "t": noon - timedelta(hours=2),
        "ok": True,
        "i": 2**53 + 1,
    }
    assert second == {"id": "", "n": None, "d": None, "t": noon, "ok": None, "i": None}


def test_json_numbers_keep_their_digits(tmp_path: Path, bench: Any) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1234567.10, "j": {"a": [1]}}\n\n{"n": 2e2}\n')
    reader = _reader(bench, tmp_path, path="*.jsonl", format="jsonl", columns={"n": "decimal(9,2)", "j": "json"})
    assert _rows(bench.read_all(reader)) == [
        {"n": Decimal("1234567.10"), "j": '{"a":[1]}'},
        {"n": Decimal("200.00"), "j": None},
    ]


BAD = [
    ("id,n\na,1\nb,twelve\n", {"id": "text", "n": "decimal(9,2)"}, "csv", "disk.line_unreadable", "row 2"),
    ("id,n\na,1\nb,1.999\n", {"id": "text", "n": "decimal(9,2)"}, "csv", "disk.line_unreadable", "row 2"),
    ("id,n\na,1\nb,2,3\n", {"id": "text"}, "csv", "disk.line_unreadable", "row"),
    ("id\na\n", {"idd": "text"}, "csv", "disk.column_missing", "idd"),
    ('{"id": 1}\n{"id": \n', {"id": "text"}, "jsonl", "disk.line_unreadable", "line 2"),
    ("[1]\n", {"id": "text"}, "jsonl", "disk.line_unreadable", "line 1"),
]


@pytest.mark.parametrize(
    ("text", "columns", "form", "code", "says"), BAD, ids=[f"{case[3]} {case[4]} {case[0]!r}" for case in BAD]
)
def test_a_line_that_does_not_read_stops_the_run_with_its_place_not_its_value(
    text: str, columns: Any, form: str, code: str, says: str, tmp_path: Path, bench: Any
) -> None:
    (tmp_path / f"in.{form}").write_text(text)
    with pytest.raises(StopRun) as stopped:
        bench.read_all(_reader(bench, tmp_path, path="in.*", format=form, columns=columns))
    assert stopped.value.code.name == code
    assert says in stopped.value.message
    assert "twelve" not in stopped.value.message


def test_a_file_is_left_alone_until_it_has_come_to_rest(tmp_path: Path, bench: Any) -> None:
    (tmp_path / "a.csv").write_text("id\na\n")
    clock = ManualClock(datetime.now(UTC))
    reader = _reader(bench, tmp_path, clock, columns={"id": "text"}, stable_for="30s")
    assert bench.read_all(reader) == []
    clock.advance(60)
    assert _rows(list(reader.read(None, 10))) == [{"id": "a"}]


@pytest.mark.parametrize("path", ["../*.csv", "/etc/*.csv", "in/../../*.csv"])
def test_a_pattern_that_leads_out_is_refused(path: str, tmp_path: Path, bench: Any) -> None:
    with pytest.raises(StopRun) as refused:
        bench.read_all(_reader(bench, tmp_path, path=path))
    assert refused.value.code.name == "disk.path_outside"


def test_a_link_that_leads_out_is_refused(tmp_path: Path, bench: Any) -> None:
    (tmp_path / "secret.csv").write_text("id\nx\n")
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(StopRun) as refused:
        bench.read_all(_reader(bench, folder, columns={"id": "text"}))
    assert refused.value.code.name == "disk.path_outside"


SCHEMA = pa.schema(
    [pa.field("id", pa.string()), pa.field("n", pa.decimal128(9, 2)), pa.field("t", pa.timestamp("us", "UTC"))]
)
DOCUMENTS = [
    {"id": 'a,"b"\n', "n": Decimal("1.10"), "t": datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)},
    {"id": "", "n": None, "t": None},
]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_written_is_read_back_the_same(form: str, tmp_path: Path, bench: Any) -> None:
    disk = bench.connect("disk", {"root": str(tmp_path)})
    options = {"path": f"{{execution}}-{{batch}}.{form}", "format": form}
    writer = bench.opened(disk.writer(bench.operation("disk", "write", options), bench.context(), SCHEMA))
    results = writer.write(pa.RecordBatch.from_pylist(DOCUMENTS, schema=SCHEMA), bench.ticket(4)).results
    writer.commit(bench.ticket(4))
    assert results.column("result.id").to_pylist() == [f"01EXECUTION-4.{form}#1", f"01EXECUTION-4.{form}#2"]
    columns = {"id": "text", "n": "decimal(9,2)", "t": "timestamp"}
    assert _rows(bench.read_all(_reader(bench, tmp_path, path=f"*.{form}", format=form, columns=columns))) == DOCUMENTS


def test_a_crash_between_the_mark_and_the_file_is_finished_by_whoever_asks(tmp_path: Path, bench: Any) -> None:
    disk = bench.connect("disk", {"root": str(tmp_path)})
    operation = bench.operation("disk", "write", {"path": "{execution}-{batch}.csv", "format": "csv"})
    writer = bench.opened(disk.writer(operation, bench.context(), SCHEMA))
    writer.write(pa.RecordBatch.from_pylist(DOCUMENTS, schema=SCHEMA), bench.ticket())
    writer.commit(bench.ticket())
    final = tmp_path / "01EXECUTION-0.csv"
    pending = next(path for path in (tmp_path / ".dative").glob("*.mark"))
    os.replace(
        final, tmp_path / ".dative" / json.loads(pending.read_text())["pending"]
    )  # as if killed before the rename
    assert not final.exists()
    mark = bench.opened(disk.writer(operation, bench.context(), SCHEMA)).committed("env/p/step")
    assert mark is not None
    assert final.exists()


def test_a_missing_folder_is_named(tmp_path: Path, bench: Any) -> None:
    with pytest.raises(DativeError) as missing:
        bench.read_all(_reader(bench, tmp_path / "nowhere"))
    assert missing.value.code.name == "disk.root_missing"
