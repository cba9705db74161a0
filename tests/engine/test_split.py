"""split: the parts of every form, and what is no such form fails its own document only."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from dative_atom.engine.making.parts import CSV_FIELD_MAX
from dative_atom.engine.making.xml_parts import declares_type

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: []}}\n"


def split(
    engine: Any, settings: str, values: Any, **more: list[Any]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """What was written, and (code, reason) of what failed."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    engine.system.rows = pa.table({"Id": pa.array(range(len(column))), "v": column, **more})
    execution = engine.run(f"  steps:\n    - {{id: parts, split: {{field: v, {settings}}}}}\n" + WRITE)
    assert execution.failure is None, execution.failure
    assert execution.counts.unexplained == 0
    letters = sorted(engine.journal.dead_letters(), key=lambda letter: letter.parked.document)
    target = engine.system.targets.get("write")
    rows = list(target.rows.values()) if target else []
    return rows, [(letter.parked.code, letter.parked.reason) for letter in letters]


ORDER = (
    '<?xml version="1.0" encoding="UTF-16"?><!-- c --><o:Orders xmlns:o="u">'
    '<o:Order no="1"><Sku>x &amp; y</Sku></o:Order><o:Order/></o:Orders>'
)
CASES: list[tuple[str, list[str], list[list[Any]]]] = [
    ("by: lines, into: line", ["a\r\nb\n\n", "", "c"], [["a"], ["b"], ["c"]]),
    ("by: text, separator: '||', into: part", ["a||b||", "||"], [["a"], ["b"], [""], [""], [""]]),
    (
        "by: json, path: $.o, into: o",
        ['{"o": [1, "t", {"a": null}]}', '{"o": null}', "{}"],
        [["1"], ['"t"'], ['{"a": null}']],
    ),
    (
        "by: json, path: $, fields: {a: $.a, b: '$.b[0].c'}",
        ['[{"a": 1.50, "b": [{"c": "é"}]}, 7]'],
        [["1.50", "é"], [None, None]],
    ),
    ("by: xml, path: Orders/Order, fields: {no: '@no', sku: Sku}", [ORDER], [["1", "x & y"], [None, None]]),
    ("by: xml, path: a/b, into: b", ["<a><b>1</b>tail<c/><b x='2'/></a>", "<z/>"], [["<b>1</b>"], ['<b x="2"/>']]),
    ("by: csv, columns: [b, a]", ['a,x,b\r\n1,,"t, ""q""\n2"\r\n,,\r\n'], [['t, "q"\n2', "1"], [None, None]]),
    ("by: csv, separator: ';', header: false, columns: [a, b]", ["1;2\n3;\n"], [["1", "2"], ["3", None]]),
    ("by: fixed, widths: {a: 2, b: 3}", ["x 12 \ny\n"], [["x", "12"], ["y", None]]),
]


@pytest.mark.parametrize(
    ("settings", "values", "expected"), CASES, ids=lambda case: case if isinstance(case, str) else ""
)
def test_every_form_gives_its_parts_in_order(
    engine: Any, settings: str, values: list[str], expected: list[list[Any]]
) -> None:
    rows, failed = split(engine, settings, [*values, None])
    assert failed == []
    assert [list(row.values())[1:] for row in rows] == expected


def test_elements_of_a_list_keep_their_types(engine: Any) -> None:
    kind = pa.list_(pa.struct([("sku", pa.string()), ("n", pa.int64())]))
    lists = pa.array([[{"sku": "x", "n": 1}, None], [], None, [{"sku": None, "n": None}]], kind)
    rows, failed = split(engine, "by: list, fields: {what: sku, n: n}, number: line", lists)
    assert failed == []
    assert [(row["Id"], row["what"], row["n"], row["line"]) for row in rows] == [
        (0, "x", 1, 1), (0, None, None, 2), (3, None, None, 1),
    ]  # fmt: skip


BAD: list[tuple[str, str, str]] = [
    ("by: json, path: $, into: x", "[1", "shape.unreadable"),
    ("by: json, path: $, into: x", '{"a": 1}', "shape.unreadable"),
    ("by: json, path: $, into: x", '[1, "\\ud800", {"a": 01}]', "shape.unreadable"),
    ("by: json, path: $.a, into: x", '{"a": "[1]"}', "shape.unreadable"),
    ("by: json, path: $, into: x", "[" * 100_000, "shape.unreadable"),
    ("by: json, path: $, into: x, parts_max: 2", "[1,2,3]", "shape.too_many_parts"),
    ("by: lines, into: x, parts_max: 2", "a\nb\nc", "shape.too_many_parts"),
    ("by: lines, into: x, bytes_max: 5", "ääää", "shape.too_large"),
    ("by: csv, columns: [a], parts_max: 1", "a\n1\n2", "shape.too_many_parts"),
    ("by: csv, columns: [a, b]", "a,b\n1\n", "shape.unreadable"),
    ("by: csv, columns: [a, nothere]", "a,b\n1,2\n", "shape.unreadable"),
    ("by: csv, columns: [a]", 'a\n"open', "shape.unreadable"),
    ("by: csv, columns: [a]", "a\n" + "x" * (CSV_FIELD_MAX + 1), "shape.unreadable"),
    ("by: fixed, widths: {a: 2}", "abc", "shape.unreadable"),
    ("by: xml, path: a/b, into: x", "<a><b></a>", "shape.unreadable"),
    ("by: xml, path: a/b, into: x", "no xml", "shape.unreadable"),
    ("by: xml, path: a/b, into: x, parts_max: 2", "<a>" + "<b/>" * 3 + "</a>", "shape.too_many_parts"),
    ("by: xml, path: a/b, into: x", "<a>" * 5000 + "</a>" * 5000, "shape.unreadable"),
]


@pytest.mark.parametrize(("settings", "value", "code"), BAD, ids=lambda case: case[:40])
def test_what_can_not_be_read_fails_alone_with_none_of_its_parts_and_none_of_its_text(
    engine: Any, settings: str, value: str, code: str
) -> None:
    good = next(values[0] for known, values, _ in GOOD if settings.startswith(known))
    rows, failed = split(engine, settings, [good, value, good])
    assert [found for found, _ in failed] == [code]
    assert {row["Id"] for row in rows} == {0, 2}
    assert all(value[:8] not in reason for _, reason in failed if len(value) > 8)


GOOD: list[tuple[str, list[str], Any]] = [
    ("by: json, path: $,", ["[1]"], None),
    ("by: json, path: $.a", ['{"a": [1]}'], None),
    ("by: lines", ["a"], None),
    ("by: csv, columns: [a, nothere]", ["a,nothere\n1,2"], None),
    ("by: csv, columns: [a, b]", ["a,b\n1,2"], None),
    ("by: csv", ["a\n1"], None),
    ("by: fixed", ["ab"], None),
    ("by: xml", ["<a><b/></a>"], None),
]

BOMBS = {
    "billion laughs": '<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><a><b>&y;</b></a>',
    "a file": '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><b>&x;</b></a>',
    "behind a comment": "<!-- > --><?p ?> <!DOCTYPE a []><a><b/></a>",
    "a parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://localhost/x"> %x;]><a><b/></a>',
    "an external type": '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a><b/></a>',
    "behind a byte order mark": '\ufeff<!DOCTYPE a [<!ENTITY x "y">]><a><b c="&x;"/></a>',
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_xml_that_declares_a_type_is_refused_before_it_is_parsed(engine: Any, bomb: str) -> None:
    rows, failed = split(engine, "by: xml, path: a/b, into: x", ["<a><b/></a>", bomb])
    assert [code for code, _ in failed] == ["shape.xml_refused"]
    assert [row["x"] for row in rows] == ["<b/>"]


def test_a_type_that_stands_in_text_is_text() -> None:
    assert not declares_type("<a><![CDATA[<!DOCTYPE html>]]></a>")
    assert not declares_type("<!-- <!DOCTYPE a> --><a/>")
    assert not declares_type("<!--")
    assert not declares_type("")


@pytest.mark.parametrize(("empty", "counts"), [("filter", (1, 1, 0)), ("keep", (2, 0, 0)), ("fail", (1, 0, 1))])
def test_a_document_without_parts_rests_goes_on_or_fails(engine: Any, empty: str, counts: tuple[int, ...]) -> None:
    rows, failed = split(engine, f"by: lines, into: line, number: n, empty: {empty}", ["a", None])
    assert (len(rows), len(failed)) == (counts[0], counts[2])
    if empty == "keep":
        assert rows[1] == {"Id": 1, "line": None, "n": None}


def test_other_fields_are_not_copied_without_bound(engine: Any) -> None:
    many = json.dumps([0] * 9_000)
    rows, failed = split(engine, "by: json, path: $, into: x", [many, "[1]"], big=["b" * 40_000, "c"])
    assert [code for code, _ in failed] == ["shape.too_large"]
    assert [row["x"] for row in rows] == ["1"]
    engine.afresh()
    rows, failed = split(engine, "by: json, path: $, into: x, keep: none", [many, "[1]"], big=["b" * 40_000, "c"])
    assert (len(rows), failed) == (9_001, [])


def test_a_part_that_fails_later_is_caught_as_the_document_it_was_made_of(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": ["a", "b"], "v": ["1,2", "3,x"]})
    body = (
        "  steps:\n    - id: t\n      try:\n"
        "        - {id: parts, split: {field: v, by: text, separator: ',', into: n}}\n"
        "        - {id: strict, map: {fields: {Id: Id, n: number(n)}}}\n"
        "        - {id: good, database.upsert: {connection: erp, table: t, key: []}}\n"
        "      catch:\n        - {id: bad, database.upsert: {connection: erp, table: u, key: [Id]}}\n"
    )
    execution = engine.run(body)
    assert execution.failure is None, execution.failure
    assert [(row["Id"], float(row["n"])) for row in engine.system.targets["good"].rows.values()] == [
        ("a", 1), ("a", 2), ("b", 3),
    ]  # fmt: skip
    assert [row["v"] for row in engine.system.targets["bad"].rows.values()] == ["3,x"]
    assert execution.counts.written == 2


def test_what_is_no_list_or_has_no_such_element_is_refused_before_anything_is_read(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": ["a"], "v": ["x"], "n": [1]})
    for settings in ("field: v, by: list, into: x", "field: n, by: lines, into: x", "field: no, by: lines, into: x"):
        execution = engine.run(f"  steps:\n    - {{id: parts, split: {{{settings}}}}}\n" + WRITE)
        assert execution.failure["code"] == "engine.compile_failed"
