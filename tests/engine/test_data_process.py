"""data_process: what goes in comes out, bombs end at their bound, and nobody else is harmed."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
import zlib
from typing import Any

import pyarrow as pa
import pytest
from dative.process.load import check
from dative_atom.documents.packing import Bounds, NotDone, compressed, decoded, decompressed, encoded
from hypothesis import given
from hypothesis import strategies as st

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}\n"
BOUNDS = Bounds(4 << 20, 200)


def processed(engine: Any, do: str, values: list[Any], more: str = "") -> tuple[list[Any], list[str]]:
    """The field's values of what was written, and the codes of what failed."""
    engine.system.rows = pa.table({"Id": range(len(values)), "v": pa.array(values)})
    execution = engine.run(f"  steps:\n    - {{id: do, data_process: {{field: v, do: [{do}]{more}}}}}\n" + WRITE)
    assert execution.failure is None, execution.failure
    target = engine.system.targets.get("write")
    letters = sorted(engine.journal.dead_letters(), key=lambda letter: letter.parked.document)
    return [row["v"] for row in target.rows.values()] if target else [], [letter.parked.code for letter in letters]


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "zlib", "zip"]), st.sampled_from(["base64", "hex"]))
def test_what_is_packed_is_unpacked_to_the_same_bytes(data: bytes, packing: str, encoding: str) -> None:
    packed = compressed(packing, data)
    assert packed == compressed(packing, data)
    assert decompressed(packing, BOUNDS, decoded(encoding, encoded(encoding, packed))) == data


@pytest.mark.parametrize(
    ("do", "value", "expected"),
    [
        ("{decode: base64}, {to_text: utf-8}", "aMOp\n bGxv", "héllo"),
        ("{decode: base64}, {to_text: utf-8}", "-_8", None),
        ("{decode: base64}, {to_text: latin-1}", "-_8", "ûÿ"),
        ("{decode: hex}, {to_text: cp1252}", "80 41", "€A"),
        ("{to_bytes: utf-16}, {to_text: utf-16}", "é€", "é€"),
        ("{to_bytes: latin-1, invalid: replace}, {to_text: latin-1}", "a€", "a?"),
        ("{decode: hex}, {to_text: utf-8, invalid: replace}", "41ff", "A\ufffd"),
        (
            "{compress: gzip}, {encode: base64}, {decode: base64}, {decompress: gzip}, {to_text: utf-8}",
            "x" * 99,
            "x" * 99,
        ),
        ("{replace: {text: '.', by: ','}}", "1.5.", "1,5,"),
        ("{replace: {pattern: '(\\w+)@(\\w+)', by: '\\2 at \\1'}}", "me@home", "home at me"),
    ],
)
def test_operations_follow_one_another(engine: Any, do: str, value: str, expected: str | None) -> None:
    rows, failed = processed(engine, do, [value, None])
    assert rows == ([expected, None] if expected is not None else [None])
    assert failed == ([] if expected is not None else ["shape.unreadable"])


def members(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


def lying(data: bytes) -> bytes:
    """A zip whose directory says that its file is small."""
    packed = bytearray(members(a=data))
    at = packed.rfind(b"PK\x01\x02")
    packed[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(packed)


LARGE = b"\0" * (8 << 20)
BOMBS = {
    "gzip": ("gzip", gzip.compress(LARGE)),
    "gzip of many members": ("gzip", gzip.compress(b"\0" * (1 << 20)) * 8),
    "zlib": ("zlib", zlib.compress(LARGE)),
    "zip": ("zip", members(a=LARGE)),
}
BROKEN = {
    "a lying zip": ("zip", lying(LARGE)),
    "half a gzip": ("gzip", gzip.compress(b"hello" * 99)[:-9]),
    "no gzip": ("gzip", b"hello"),
    "nothing": ("zip", b""),
    "two files": ("zip", members(a=b"1", b=b"2")),
    "no file": ("zip", members()),
    "half a zip": ("zip", members(a=b"hello" * 99)[:60]),
    "a wrong checksum": ("gzip", gzip.compress(b"hello")[:-8] + b"\0" * 8),
}


@pytest.mark.parametrize(("form", "bomb"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_ends_at_the_bound(form: str, bomb: bytes) -> None:
    with pytest.raises(NotDone) as stopped:
        decompressed(form, BOUNDS, bomb)
    assert stopped.value.code.name == "shape.too_large"


@pytest.mark.parametrize(("form", "broken"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_unreadable(form: str, broken: bytes) -> None:
    with pytest.raises(NotDone) as stopped:
        decompressed(form, BOUNDS, broken)
    assert stopped.value.code.name in ("shape.unreadable", "shape.too_large")


def test_a_ratio_stops_what_the_bytes_alone_would_let_through() -> None:
    with pytest.raises(NotDone, match="unpacked"):
        decompressed("gzip", Bounds(256 << 20, 2), gzip.compress(b"\0" * (3 << 20)))


def test_a_bomb_fails_alone_and_its_neighbours_go_on(engine: Any) -> None:
    bomb, good = (base64.b64encode(gzip.compress(data)).decode() for data in (b"\0" * (40 << 20), b"good"))
    do = "{decode: base64}, {decompress: gzip}, {to_text: utf-8}"
    rows, failed = processed(engine, do, [good, bomb, good])
    assert (rows, failed) == (["good", "good"], ["shape.too_large"])


@pytest.mark.parametrize(
    ("do", "more"),
    [
        ("{replace: {text: x, by: 'yyyyyyyyyy'}}", ", bytes_max: 1000"),
        ("{replace: {pattern: 'x*', by: '\\0\\0\\0\\0yyyyyyyyyyyyy'}}", ", bytes_max: 1000"),
        ("{encode: hex}", ", bytes_max: 1000"),
        ("{to_bytes: utf-32}", ", bytes_max: 1000"),
    ],
)
def test_nothing_grows_beyond_its_bound(engine: Any, do: str, more: str) -> None:
    rows, failed = processed(engine, do, ["x" * 900, "x"], more)
    assert failed == ["shape.too_large"]
    assert len(rows) == 1


def test_a_pattern_that_would_backtrack_for_ever_is_linear(engine: Any) -> None:
    rows, failed = processed(engine, "{replace: {pattern: '(a+)+$', by: b}}", ["a" * 100_000 + "!"])
    assert (len(rows[0]), failed) == (100_001, [])


@pytest.mark.parametrize(
    "do",
    ["{replace: {pattern: '(a', by: b}}", "{decode: base64}, {replace: {text: a}}", "{encode: hex}, {decompress: zip}"],
)
def test_what_can_not_follow_is_refused_or_done(engine: Any, do: str) -> None:
    engine.system.rows = pa.table({"Id": [1], "v": ["x"]})
    execution = engine.run(f"  steps:\n    - {{id: do, data_process: {{field: v, do: [{do}]}}}}\n" + WRITE)
    if "encode: hex" in do:
        assert execution.failure is None
    else:
        assert execution.failure["code"] == "engine.compile_failed"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("field: v, do: []", "process.wrong_value"),
        ("field: v, do: [{decode: base64, encode: hex}]", "process.wrong_value"),
        ("field: v, do: [{}]", "process.wrong_value"),
        ("field: v, do: [{to_text: klingon}]", "process.wrong_value"),
        ("field: v, do: [{to_text: base64}]", "process.wrong_value"),
        ("field: v, do: [{replace: {text: a, pattern: b}}]", "process.wrong_value"),
        ("field: nothere, do: [{encode: hex}]", "process.unknown_field"),
        ("field: v, do: [{compress: zip}, {replace: {text: a}}]", "process.wrong_value"),
        ("field: v, into: _x, do: [{encode: hex}]", "process.reserved_field"),
    ],
)
def test_what_can_not_be_is_a_finding(settings: str, code: str) -> None:
    head = "apiVersion: dative/v1\nkind: Process\nmetadata: {name: p}\nspec:\n"
    source = "  source: {id: in, documents: {fields: {v: text}}}\n"
    found = check(head + source + f"  steps: [{{id: do, data_process: {{{settings}}}}}]\n", filename="p.yaml").findings
    assert [finding.code.name for finding in found] == [code]
