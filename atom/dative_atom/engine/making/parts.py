"""What a split takes out of a value: one parser a form, each from a column of values to the parts of every row.

Lists, lines, texts and fixed widths are columns; JSON, CSV and XML (`xml_parts`) are read row by row. A value that can not be
read whole has a failure and no part. Nothing that is said of a value holds any of it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from dative.errors import shapes as codes
from dative.errors.base import Code
from dative.process.shapes import SplitSettings

from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.evaluation.query import Failure


@dataclass(frozen=True)
class Parts:
    """The parts of a column's values.

    owners: int64, the row of each part, rising. columns: what each part brings. failures: rows that have no part.
    made: false for what stands for a row without parts; None where all are parts.
    """

    owners: pa.Array
    columns: Sequence[pa.Array]
    failures: Sequence[Failure] = field(default_factory=list)
    made: pa.Array | None = None


Parser = Callable[[pa.Array, Session], Parts]
CSV_FIELD_MAX: Final = csv.field_size_limit()


def failure(row: int, code: Code, reason: str, name: str) -> Failure:
    return Failure(row, code.name, f"{name}: {reason}", name)


def too_many(row: int, name: str, count: int, parts_max: int) -> Failure:
    return failure(row, codes.TOO_MANY_PARTS, f"{count} parts, at most {parts_max} are allowed", name)


def bounded(lists: pa.Array, name: str, parts_max: int) -> tuple[pa.Array, list[Failure]]:
    """The lists, with NULL for those that have too many elements."""
    counts = pc.list_value_length(lists)
    over = pc.fill_null(pc.greater(counts, parts_max), False)
    if not pc.any(over).as_py():
        return lists, []
    rows = pc.indices_nonzero(over).to_pylist()
    found = [too_many(row, name, counts[row].as_py(), parts_max) for row in rows]
    return lists.take(pc.if_else(over, None, pa.arange(0, len(lists)))), found


def list_parser(settings: SplitSettings) -> Parser:
    """Elements of a list; of structs, their fields by name."""

    def parse(values: pa.Array, _: Session) -> Parts:
        lists, failures = bounded(values, settings.field, settings.parts_max)
        owners, elements = pc.list_parent_indices(lists), pc.list_flatten(lists)
        whole = [elements] if settings.into else []
        inner = [pc.struct_field(elements, name) for name in settings.fields.values()]
        return Parts(owners.cast(pa.int64()), [*whole, *inner], failures)

    return parse


def text_parser(settings: SplitSettings) -> Parser:
    """Lines, or what stands between separators."""

    def parse(values: pa.Array, _: Session) -> Parts:
        return (
            _lines(values, settings)
            if settings.by == "lines"
            else _separated(values, settings.separator or "", settings)
        )

    return parse


def _separated(values: pa.Array, separator: str, settings: SplitSettings) -> Parts:
    # An empty text holds nothing, not one empty part.
    filled = pc.if_else(pc.equal(values, ""), None, values)
    lists, failures = bounded(pc.split_pattern(filled, separator), settings.field, settings.parts_max)
    return Parts(pc.list_parent_indices(lists).cast(pa.int64()), [pc.list_flatten(lists)], failures)


def _lines(values: pa.Array, settings: SplitSettings) -> Parts:
    found = _separated(pc.replace_substring(values, "\r\n", "\n"), "\n", settings)
    said = pc.not_equal(found.columns[0], "")
    return Parts(found.owners.filter(said), [found.columns[0].filter(said)], found.failures)


def fixed_parser(settings: SplitSettings) -> Parser:
    """Lines of fields of fixed widths. Blanks around a value are none of it, and an empty one is NULL."""
    width = sum(settings.widths.values())

    def parse(values: pa.Array, _: Session) -> Parts:
        found = _lines(values, settings)
        lines = found.columns[0]
        long = pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_rtrim_whitespace(lines)), width), False)
        wrong = pc.unique(found.owners.filter(long)).to_pylist()
        reason = f"a line has more than the {width} characters of its fields"
        failures = [*found.failures, *(failure(row, codes.UNREADABLE, reason, settings.field) for row in wrong)]
        kept = pc.invert(pc.is_in(found.owners, value_set=pa.array(wrong, pa.int64())))
        owners, lines = found.owners.filter(kept), lines.filter(kept)
        columns, start = [], 0
        for size in settings.widths.values():
            value = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(lines, start, start + size))
            columns.append(pc.if_else(pc.equal(value, ""), None, value))
            start += size
        return Parts(owners, columns, failures)

    return parse


def json_parser(settings: SplitSettings) -> Parser:
    """Elements of the array at `path`, each as the JSON text that was written, or as texts taken out of it.

    Read row by row, by a decoder that leaves a value as its text: a database's JSON functions make a double of 0.10 and
    of a number with twenty digits. A number is the text that was written, a string what it says, NULL what is not there.
    """
    way = _way(settings.path or "$")
    inner = [_way(place) for place in settings.fields.values()]

    def read(text: str) -> Sequence[Sequence[str | None]]:
        elements = _array(text, way, settings.path or "$")
        if len(elements) > settings.parts_max:
            raise Refused(codes.TOO_MANY_PARTS, f"{len(elements)} parts, at most {settings.parts_max} are allowed")
        whole = [[bytes(element).decode()] if settings.into else [] for element in elements]
        return [
            [*own, *(_text_at(element, place) for place in inner)] for own, element in zip(whole, elements, strict=True)
        ]

    def parse(values: pa.Array, _: Session) -> Parts:
        return by_rows(values, settings, read)

    return parse


_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_string = msgspec.json.Decoder(str).decode


def _way(path: str) -> list[str | int]:
    """$.orders[0].lines as keys and places."""
    return [found[1] if found[1] is not None else int(found[2]) for found in _STEP.finditer(path)]


def _array(text: str, way: Sequence[str | int], path: str) -> list[msgspec.Raw]:
    try:
        found = _at(_raw(text), way)
        return [] if found is None or bytes(found) == b"null" else _list(found)
    except msgspec.ValidationError as error:
        raise Refused(codes.UNREADABLE, f"at {path} there is no array") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(codes.UNREADABLE, "this is no JSON, or nested too deep") from error


def _at(value: msgspec.Raw, way: Sequence[str | int]) -> msgspec.Raw | None:
    """The value there; None where there is none."""
    found: msgspec.Raw | None = value
    for name in way:
        if found is None:
            break
        if isinstance(name, str):
            found = _object(found).get(name)
        else:
            places = _list(found)
            found = places[name] if name < len(places) else None
    return found


def _text_at(element: msgspec.Raw, way: Sequence[str | int]) -> str | None:
    try:
        found = _at(element, way)
    except msgspec.ValidationError:
        # Something else stands on the way there.
        return None
    if found is None or bytes(found) == b"null":
        return None
    text = bytes(found)
    return _string(found) if text[:1] == b'"' else text.decode()


def csv_parser(settings: SplitSettings) -> Parser:
    """Lines of CSV, row by row; every line has all its fields. An empty field is NULL."""

    def parse(values: pa.Array, _: Session) -> Parts:
        return by_rows(values, settings, lambda text: _csv_rows(text, settings))

    return parse


class Refused(Exception):
    """A value can not be read. code, reason: without any of it."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def by_rows(values: pa.Array, settings: SplitSettings, read: Callable[[str], Sequence[Sequence[str | None]]]) -> Parts:
    """A parser that reads one value after the other. read: its parts, each as many texts as fields; raises Refused."""
    owners: list[int] = []
    columns: list[list[str | None]] = [[] for _ in settings.made]
    failures = []
    for row, text in enumerate(values.to_pylist()):
        try:
            parts = read(text) if text else ()
        except Refused as refused:
            failures.append(failure(row, refused.code, refused.reason, settings.field))
            continue
        owners.extend([row] * len(parts))
        for index, column in enumerate(columns):
            column.extend(part[index] for part in parts)
    return Parts(pa.array(owners, pa.int64()), [pa.array(column, pa.string()) for column in columns], failures)


def _csv_rows(text: str, settings: SplitSettings) -> Sequence[Sequence[str | None]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=settings.separator or ",", strict=True)
    places: Sequence[int] | None = None if settings.header else range(len(settings.columns))
    width = len(settings.columns)
    found: list[Sequence[str | None]] = []
    try:
        for line in reader:
            if not line:
                continue
            if places is None:
                places, width = _places(line, settings.columns), len(line)
                continue
            if len(line) != width:
                raise Refused(codes.UNREADABLE, f"line {reader.line_num} has {len(line)} fields and not {width}")
            if len(found) == settings.parts_max:
                raise Refused(codes.TOO_MANY_PARTS, f"more than {settings.parts_max} parts")
            found.append([line[place] or None for place in places])
    except csv.Error as error:
        # Python's own words name the fault, never the text: "unexpected end of data".
        raise Refused(codes.UNREADABLE, f"line {reader.line_num} is no CSV: {error}") from error
    return found


def _places(header: Sequence[str], columns: Sequence[str]) -> Sequence[int]:
    known: Mapping[str, int] = {name.strip().lstrip("\ufeff"): place for place, name in enumerate(header)}
    missing = [name for name in columns if name not in known]
    if missing:
        raise Refused(codes.UNREADABLE, f"the first line names no column {', '.join(missing)}")
    return [known[name] for name in columns]
