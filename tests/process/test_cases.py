"""Test files of a process: read whole, and held to the process they belong to."""

from __future__ import annotations

import json

import jsonschema
import pytest
from dative.process.cases import load_test, test_schema
from dative.process.load import load

TEST = """\
apiVersion: dative/v1
kind: ProcessTest
fields: {AnnualRevenue: "decimal(18,2)"}
cases:
  - name: a customer arrives
    now: 2025-06-01T08:00:00Z
    input:
      - {Id: 001A, AnnualRevenue: 1000.10, Industry: Retail}
    tables: {rates: [{from: USD, to: EUR, date: 2025-01-01, rate: "0.9"}]}
    expect:
      written: {upsert: [{source_id: 001A, revenue_eur: 900.09}]}
      filtered: 0
      dead_lettered: [{code: expression.rate_missing, field: revenue_eur}]
"""

CASES: list[tuple[str, str, str, list[tuple[str, int]]]] = [
    ("an unknown key", "filtered: 0", "filterd: 0", [("process.unknown_key", 12)]),
    ("a negative count", "filtered: 0", "filtered: -1", [("process.wrong_value", 12)]),
    ("another kind", "kind: ProcessTest", "kind: Process", [("process.wrong_value", 2)]),
    ("no cases", "cases:", "casees:", [("process.missing_key", 1), ("process.unknown_key", 4)]),
    ("a start without zone", "08:00:00Z", "08:00:00", [("process.wrong_value", 6)]),
    ("a type that is none", "decimal(18,2)", "money", [("process.wrong_value", 3)]),
    ("a field that the source does not have", "Industry:", "Industrie:", [("process.test_mismatch", 8)]),
    ("a typed field that it does not have", "{AnnualRevenue: \"dec", "{Annual: \"dec", [("process.test_mismatch", 3)]),
    ("a table that the process does not have", "{rates: [", "{rate: [", [("process.test_mismatch", 9)]),
    ("a step that does not write", "upsert: [", "map-customer: [", [("process.test_mismatch", 11)]),
    ("a field that is not written", "revenue_eur: 9", "revenue: 9", [("process.test_mismatch", 11)]),
    ("a code that does not exist", "expression.rate_missing", "rate_missing", [("process.test_mismatch", 13)]),
    ("a parameter that does not exist", "    tables:", "    parameters: {a: b}\n    tables:", [("process.test_mismatch", 9)]),
    ("an anchor", "name: a", "name: &a a", [("process.alias", 5)]),
    ("a list", TEST, "- a\n", [("process.wrong_value", 1)]),
    ("nothing", TEST, "", [("process.empty", 1)]),
]  # fmt: skip


def test_a_fraction_in_a_record_is_the_text_that_was_written(example: str) -> None:
    process = load(example, filename="process.yaml").process
    loaded = load_test(TEST, filename="t.yaml", process=process)
    assert loaded.findings == []
    assert loaded.test is not None
    (case,) = loaded.test.cases
    assert case.input[0] == {"Id": "001A", "AnnualRevenue": "1000.10", "Industry": "Retail"}
    assert case.expect.dead_lettered is not None
    assert case.expect.dead_lettered[0].field == "revenue_eur"


@pytest.mark.parametrize(("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_with_a_test_file_is_told_at_its_line(
    old: str, new: str, expected: list[tuple[str, int]], example: str
) -> None:
    process = load(example, filename="process.yaml").process
    assert TEST.count(old) == 1
    found = load_test(TEST.replace(old, new), filename="t.yaml", process=process).findings
    assert [(finding.code.name, finding.line) for finding in found] == expected


def test_the_schema_of_a_test_file_takes_what_the_reader_takes() -> None:
    schema = json.loads(test_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {"apiVersion": "dative/v1", "kind": "ProcessTest", "cases": [{"name": "a", "input": [{"Id": "1"}]}]}
    assert list(validator.iter_errors(good)) == []
    bad = {**good, "cases": [{"name": "a", "inputs": []}]}
    assert list(validator.iter_errors(bad)) != []
