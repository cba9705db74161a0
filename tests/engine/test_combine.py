"""combine: one document of several, in their order, bounded, and each of them accounted for."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: []}}\n"
ROWS = pa.table(
    {
        "k": ["x", "y", "x", None, None],
        "a": ['1,"q"', None, "b\nc", "<&\x01>", "e"],
        "n": [1, 2, None, 4, 5],
    }
)


def combined(engine: Any, settings: str, rows: pa.Table = ROWS) -> list[dict[str, Any]]:
    engine.system.rows = rows
    engine.execution = engine.run(f"  steps:\n    - {{id: one, combine: {{{settings}}}}}\n" + WRITE)
    assert engine.execution.failure is None, engine.execution.failure
    target = engine.system.targets.get("write")
    return list(target.rows.values()) if target else []


def test_documents_of_one_key_are_one_in_the_order_in_which_they_came(engine: Any) -> None:
    rows = combined(engine, "by: [k], into: all")
    assert [row["k"] for row in rows] == ["x", "y", None]
    assert rows[0]["all"] == [{"a": '1,"q"', "n": 1}, {"a": "b\nc", "n": None}]
    assert (engine.execution.counts.read, engine.execution.counts.written) == (5, 5)


def test_without_a_key_a_unit_is_one_document(engine: Any) -> None:
    (row,) = combined(
        engine, "totals: {n: count(), sum: sum(n), least: min(n), most: max(n), one: first(a), end: last(n)}"
    )
    assert {name: str(value) for name, value in row.items()} == {
        "n": "5", "sum": "12", "least": "1", "most": "5", "one": '1,"q"', "end": "5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("form: text, fields: [a], separator: ' | '", '1,"q" |  | b\nc | <&\x01> | e'),
        ("form: csv", 'k,a,n\nx,"1,""q""",1\ny,,2\nx,"b\nc",\n,<&\x01>,4\n,e,5\n'),
        ("form: csv, header: false, separator: ';', fields: [n, k]", "1;x\n2;y\n;x\n4;\n5;\n"),
        ("form: fixed, widths: {k: 2, n: 3}", "x 1  \ny 2  \nx    \n  4  \n  5  \n"),
    ],
)
def test_every_text_form_reads_back_as_what_went_in(engine: Any, form: str, expected: str) -> None:
    (row,) = combined(engine, f"into: all, {form}")
    assert row["all"] == expected


def test_json_and_xml_hold_values_that_would_break_them(engine: Any) -> None:
    (row,) = combined(engine, "into: all, form: json")
    assert json.loads(row["all"])[0] == {"k": "x", "a": '1,"q"', "n": 1}
    engine.afresh()
    (row,) = combined(engine, "into: all, form: xml, root: Orders, element: Order, fields: [a]")
    found = ElementTree.fromstring(row["all"])
    assert [element.findtext("a") for element in found] == ['1,"q"', "", "b\nc", "<&\ufffd>", "e"]


def test_a_value_that_its_width_would_cut_fails_its_document_alone(engine: Any) -> None:
    rows = combined(engine, "into: all, form: fixed, widths: {a: 3}", pa.table({"a": ["abc", "abcd", "a\nb", None]}))
    assert rows[0]["all"] == "abc\n   \n"
    assert [letter.parked.code for letter in engine.journal.dead_letters()] == ["shape.too_large"] * 2


@pytest.mark.parametrize("bound", ["documents_max: 2", "bytes_max: 40"])
def test_a_group_beyond_a_bound_fails_whole_and_its_neighbours_go_on(engine: Any, bound: str) -> None:
    rows = pa.table({"k": ["x"] * 3 + ["y"], "a": ["v" * 10] * 4})
    (row,) = combined(engine, f"by: [k], into: all, form: text, fields: [a], {bound}", rows)
    assert row["k"] == "y"
    assert sorted(letter.parked.document for letter in engine.journal.dead_letters()) == [0, 1, 2]
    assert engine.execution.counts.dead_lettered == 3


def test_a_split_and_a_combine_give_the_documents_back(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list("abc"), "v": ["1,2", "3", "4,5,6"]})
    execution = engine.run(
        "  steps:\n    - {id: parts, split: {field: v, by: text, separator: ',', into: n}}\n"
        "    - {id: back, combine: {by: [Id], into: v, form: text, fields: [n], separator: ','}}\n" + WRITE
    )
    assert execution.failure is None, execution.failure
    assert [(row["Id"], row["v"]) for row in engine.system.targets["write"].rows.values()] == [
        ("a", "1,2"), ("b", "3"), ("c", "4,5,6"),
    ]  # fmt: skip
    assert (execution.counts.read, execution.counts.written) == (3, 3)


def test_a_unit_of_all_is_combined_whole_however_it_was_read(engine: Any) -> None:
    engine.batch_rows = 2
    engine.system.rows = ROWS
    engine.run("  flow_control: {unit: all}\n  steps:\n    - {id: one, combine: {totals: {n: count()}}}\n" + WRITE)
    assert [row["n"] for row in engine.system.targets["write"].rows.values()] == [5]


def test_a_combined_document_that_fails_fails_all_that_are_in_it(engine: Any) -> None:
    engine.system.rows = ROWS
    execution = engine.run(
        "  steps:\n    - {id: one, combine: {by: [k], totals: {a: first(a)}}}\n"
        "    - {id: strict, map: {fields: {n: number(a)}}}\n" + WRITE
    )
    # The document of y has no text at all, which is no number and no error.
    assert (execution.counts.dead_lettered, execution.counts.written) == (4, 1)
