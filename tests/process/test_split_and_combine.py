"""What the language says of split and combine before anything runs, and that a class stays with the parts and the whole."""

from __future__ import annotations

import pytest
from dative.process.lineage import follow
from dative.process.load import canonical_process, check, load
from dative.process.model import Process

HEAD = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  connections: {erp: database}
  source: {id: in, documents: {fields: {Id: text, v: text, n: integer, day: date}}}
  classify: {phi: [v]}
  steps:
"""
WRITE = "    - id: write\n      database.upsert: {connection: erp, table: t, key: [Id]}\n"


def codes(step: str, after: str = "") -> list[str]:
    found = check(HEAD + step + after, filename="p.yaml").findings
    return [finding.code.name for finding in found if finding.severity == "error"]


def split(settings: str) -> str:
    return f"    - {{id: parts, split: {{field: v, {settings}}}}}\n"


def combine(settings: str) -> str:
    return f"    - {{id: whole, combine: {{{settings}}}}}\n"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("by: lines", "process.wrong_value"),
        ("by: lines, into: x, separator: ','", "process.wrong_value"),
        ("by: text, into: x", "process.wrong_value"),
        ("by: json, into: x", "process.wrong_value"),
        ("by: json, path: orders, into: x", "process.wrong_value"),
        ("by: json, path: '$.a[*]', into: x", "process.wrong_value"),
        ("by: json, path: $, fields: {a: b}", "process.wrong_value"),
        ("by: xml, path: //a, into: x", "process.wrong_value"),
        ("by: xml, path: a, fields: {x: 'b[1]'}", "process.wrong_value"),
        ("by: csv, columns: [a], separator: '||'", "process.wrong_value"),
        ("by: csv", "process.wrong_value"),
        ("by: fixed, widths: {a: 0}", "process.wrong_value"),
        ("by: list", "process.wrong_value"),
        ("by: edi, into: x", "process.wrong_value"),
        ("by: lines, into: x, parts_max: 0", "process.wrong_value"),
        ("by: lines, into: _x", "process.reserved_field"),
        ("by: lines, into: x, number: X", "process.field_twice"),
    ],
)
def test_a_split_that_can_not_be_is_a_finding(settings: str, code: str) -> None:
    assert codes(split(settings)) == [code]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("by: [Id]", "process.wrong_value"),
        ("by: [nothere], into: x", "process.unknown_field"),
        ("into: x, fields: [nothere]", "process.unknown_field"),
        ("totals: {x: sum(nothere)}", "process.unknown_field"),
        ("totals: {x: sum(Id)}", "process.wrong_value"),
        ("totals: {x: avg(n)}", "process.wrong_value"),
        ("into: x, form: text", "process.wrong_value"),
        ("into: x, form: fixed", "process.wrong_value"),
        ("into: x, form: fixed, widths: {n: 0}", "process.wrong_value"),
        ("into: x, form: xml, root: '1'", "process.wrong_value"),
        ("by: [Id], into: id", "process.field_twice"),
    ],
)
def test_a_combine_that_can_not_be_is_a_finding(settings: str, code: str) -> None:
    assert codes(combine(settings)) == [code]


def test_the_parts_of_a_classified_value_are_classified_and_so_is_the_whole() -> None:
    parts = split("by: text, separator: ',', into: x, number: no")
    assert codes(parts, WRITE) == ["process.classified_unmasked"]
    assert codes(parts + "    - {id: hide, mask: {x: redact}}\n", WRITE) == []
    assert codes(combine("by: [Id], into: all"), WRITE) == ["process.classified_unmasked"]
    assert codes(combine("by: [Id], into: all, fields: [n]"), WRITE) == []
    assert codes(combine("by: [Id], totals: {x: min(v)}"), WRITE) == ["process.classified_unmasked"]


def test_lineage_and_types_go_through() -> None:
    process = load(
        HEAD + split("by: lines, into: x, number: no") + combine("by: [Id], totals: {s: sum(n), c: count()}"),
        filename="p",
    ).process
    assert process is not None
    found = follow(process)
    assert set(found.sources["parts"]) == {"Id", "n", "day", "x", "no"}
    assert found.sources["parts"]["x"] == {"v"}
    assert {name: str(kind) for name, kind in found.types["whole"].items()} == {
        "Id": "text",
        "s": "decimal(38,0)",
        "c": "integer",
    }
    assert Process.model_validate_json(canonical_process(process)) == process
