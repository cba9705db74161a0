"""Reads files that have come to rest, each line once, in the order of the files' last change.

A reader can not reject a document, so a line that does not read stops the run with file and row; who wants single
documents to take the catch route declares text and converts in a map. A file that changes after it was read is a new one.
Many files divide into parts of about as many bytes, never one file: quotes and line ends are only sure from its beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv
from dative.bundle.canonical import canonical_json
from dative.errors.base import StopRun
from dative.errors.connector import POSITION_UNREADABLE
from dative.errors.disk import COLUMN_MISSING, LINE_UNREADABLE, ROOT_MISSING

from dative_atom.connectors.base import PART_BYTES_MAX, Division, Position, Read, RunContext
from dative_atom.connectors.disk.paths import Found, files_at_rest, inside
from dative_atom.connectors.disk.spec import ReadOptions
from dative_atom.connectors.disk.texts import declared_field, typed
from dative_atom.connectors.retry import stop_if
from dative_atom.connectors.sizing import even

BLOCK_BYTES = 4 * 1024 * 1024
LINE_BYTES_MAX = 16 * 1024 * 1024
VERSION = 1
ALL_ROWS = 2**53 - 1
"""Of a file that was read to its end by somebody else, who knows how many they were."""
_ROW = re.compile(r"[Rr]ow #?(\d+)")


class DiskReader:
    """See the module. A `Reader`."""

    def __init__(self, root: Path, options: ReadOptions, context: RunContext) -> None:
        self._root, self._options, self._context = root, options, context
        self._profile = pa.schema([declared_field(name, kind) for name, kind in options.columns.items()])
        self._texts = pa.schema([pa.field(name, pa.string()) for name in options.columns])

    @property
    def profile(self) -> pa.Schema:
        return self._profile

    def read(self, after: Position | None, rows_max: int) -> Iterator[Read]:
        """Files after the saved one, and what is left of it. Position: its change time, name, size and rows read."""
        stands, rows_done = _standing(after)
        for file in self._files(stands, rows_done):
            yield from self._read_file(file, rows_done if file == stands else 0, rows_max)

    def _files(self, stands: Found | None, rows_done: int) -> list[Found]:
        """Those that are not read yet, or not to their end."""
        found = files_at_rest(self._root, self._options.path, self._context.clock.now(), self._options.stable_for)
        if stands is None:
            return found
        at = (stands.changed_ns, stands.name)
        return [
            file
            for file in found
            if (file.changed_ns, file.name) >= at and not (file == stands and rows_done == ALL_ROWS)
        ]

    def divide(self, after: Position | None, parts_max: int) -> Division:
        """Files that follow one another are a part; what is left of one that was begun is read with those after it."""
        stands, rows_done = _standing(after)
        files = self._files(stands, rows_done)
        groups = _grouped(files, parts_max)
        if len(groups) < 2:
            return Division(reason=f"{len(files)} file{'' if len(files) == 1 else 's'}, of which none is cut")
        begins = [after, *(_position(group[-1], ALL_ROWS) for group in groups[:-1])]
        ends = [_position(group[-1], ALL_ROWS) for group in groups]
        parts = [
            canonical_json({"v": VERSION, "after": dict(begin) if begin else None, "end": dict(end)})
            for begin, end in zip(begins, ends, strict=True)
        ]
        if max(len(part) for part in parts) > PART_BYTES_MAX:
            return Division(reason="names of files are too long")
        return Division(parts, ends[-1])

    def read_part(self, part: bytes, after: Position | None, rows_max: int) -> Iterator[Read]:
        try:
            described = json.loads(part)
            begin, end = described["after"], described["end"]
        except (ValueError, KeyError, TypeError) as error:
            raise StopRun("a part is not one of reading files", code=POSITION_UNREADABLE) from error
        last, _ = _standing(end)
        assert last is not None  # noqa: S101 - a part has an end
        stands, rows_done = _standing(after if after is not None else begin)
        for file in self._files(stands, rows_done):
            if (file.changed_ns, file.name) <= (last.changed_ns, last.name):
                yield from self._read_file(file, rows_done if file == stands else 0, rows_max)
        if after != end:
            empty = [pa.array([], field.type) for field in self._profile]
            yield Read(pa.RecordBatch.from_arrays(empty, schema=self._profile), end)

    def _read_file(self, file: Found, rows_done: int, rows_max: int) -> Iterator[Read]:
        row = 0
        for texts in self._blocks(file):
            done = min(max(0, rows_done - row), texts.num_rows)
            at, row = row + done, row + texts.num_rows
            for part in even(texts.slice(done), rows_max):
                stop_if(self._context.cancelled)
                batch = typed(part, self._profile, file.name, at)
                at += part.num_rows
                yield Read(batch, _position(file, at))

    def _blocks(self, file: Found) -> Iterator[pa.RecordBatch]:
        path = inside(self._root, file.name)
        try:
            yield from (
                self._csv(path, file.name) if self._options.format == "csv" else self._json_lines(path, file.name)
            )
        except OSError as error:
            raise StopRun(
                f"{file.name} can not be read: {error.strerror or 'the file system failed'}", code=ROOT_MISSING
            ) from error

    def _csv(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        """An empty field is null, a quoted empty one is an empty text."""
        if path.stat().st_size == 0:
            return
        columns = list(self._options.columns)
        try:
            with pacsv.open_csv(
                path,
                pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=self._options.encoding),
                pacsv.ParseOptions(delimiter=self._options.delimiter, newlines_in_values=True),
                pacsv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=columns,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            ) as reader:
                yield from reader
        except KeyError as error:
            raise StopRun(f"{name} has no column that is declared: {error.args[0]}", code=COLUMN_MISSING) from error
        except pa.ArrowException as error:
            # Arrow's text quotes the line; only its number is repeated.
            found = _ROW.search(str(error))
            raise StopRun(
                f"{name}{f' row {found[1]}' if found else ''} is not CSV of its header's columns", code=LINE_UNREADABLE
            ) from error
        except UnicodeDecodeError as error:
            raise StopRun(f"{name} is not {self._options.encoding} text", code=LINE_UNREADABLE) from error

    def _json_lines(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        """Numbers are read with all their digits. Empty lines are passed over; a missing field is null."""
        decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
        rows: list[dict[str, Any]] = []
        size = 0
        with path.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LINE_BYTES_MAX), b""), start=1):
                if not line.strip():
                    continue
                try:
                    rows.append(decoder.decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError) as error:
                    raise StopRun(f"{name} line {number} is no JSON object", code=LINE_UNREADABLE) from error
                size += len(line)
                if size >= BLOCK_BYTES:
                    yield self._rows(rows)
                    rows, size = [], 0
        if rows:
            yield self._rows(rows)

    def _rows(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        columns = [pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in self._texts.names]
        return pa.RecordBatch.from_arrays(columns, schema=self._texts)

    def acknowledge(self, position: Position) -> None:
        """Files stay where they are; the position alone says what was read."""

    def close(self) -> None:
        """Files are closed when their reading ends."""


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return msgspec.json.encode(value).decode()


def _grouped(files: Sequence[Found], parts_max: int) -> list[list[Found]]:
    """Runs of files, at most parts_max, each begun when those before it have their share of the bytes."""
    total, passed = sum(file.size for file in files) or 1, 0
    groups: list[list[Found]] = []
    for file in files:
        if len(groups) <= min(passed * parts_max // total, parts_max - 1):
            groups.append([])
        groups[-1].append(file)
        passed += file.size
    return groups


def _position(file: Found, rows: int) -> Position:
    return {"v": VERSION, "changed_ns": file.changed_ns, "name": file.name, "size": file.size, "rows": rows}


def _standing(position: Position | None) -> tuple[Found | None, int]:
    if position is None:
        return None, 0
    try:
        if position["v"] == VERSION:
            return Found(int(position["changed_ns"]), str(position["name"]), int(position["size"])), int(
                position["rows"]
            )
    except (KeyError, TypeError, ValueError) as error:
        raise StopRun("the saved position is not one of reading files", code=POSITION_UNREADABLE) from error
    raise StopRun("the saved position is of another version", code=POSITION_UNREADABLE)
