"""Findings about business rules and cleansing."""

from __future__ import annotations

import pytest
from dative.process.load import check

from tests.process.customers import CUSTOMERS

STEPS = """\
    - {id: s, %s}
    - {id: w, database.upsert: {connection: erp, table: t, key: [Id]},
       discloses: {Phone: the ledger is allowed to have it}}
"""
RULE = "{name: a, check: Id IS NOT NULL}"


def found(step: str) -> list[str]:
    return [finding.code.name for finding in check((CUSTOMERS + STEPS) % step, filename="p.yaml").findings]


CASES = [
    ("business_rules: {rules: [RULE]}", []),
    ("business_rules: {rules: []}", ["process.wrong_value"]),
    ("business_rules: {rules: [{name: a}]}", ["process.wrong_value"]),
    ("business_rules: {rules: [{name: a, check: Id, any: [RULE]}]}", ["process.wrong_value"]),
    ("business_rules: {rules: [RULE, RULE]}", ["process.wrong_value"]),
    ("business_rules: {rules: [{name: a, check: Nam = 'x'}]}", ["process.unknown_field"]),
    ("business_rules: {rules: [{name: a, any: [{name: b, check: length(Id)}]}]}", ["expression.wrong_type"]),
    ("business_rules: {rules: [{name: a, check: Id = 'x', severity: warning}]}", ["process.wrong_value"]),
    ("business_rules: {into: n, rules: [{name: a, check: Id = 'x', severity: warning}]}", []),
    ("business_rules: {into: _n, rules: [RULE]}", ["process.reserved_field"]),
    ("business_rules: {errors: keep, rules: [RULE]}", ["process.wrong_value"]),
    ("cleanse: {Name: {trim: true}}", []),
    ("cleanse: {Nam: {trim: true}}", ["process.unknown_field"]),
    ("cleanse: {Name: {trimm: true}}", ["process.unknown_key"]),
    ("cleanse: {Name: {type: number}}", ["process.wrong_value"]),
    ("cleanse: {Name: {type: json}}", ["process.wrong_value"]),
    ("cleanse: {Name: {min: '1'}}", ["process.wrong_value"]),
    ("cleanse: {Name: {type: date, max: '1'}}", ["process.wrong_value"]),
    ("cleanse: {Name: {length_min: 3, length_max: 2}}", ["process.wrong_value"]),
    ("cleanse: {Name: {otherwise: x}}", ["process.wrong_value"]),
    ("cleanse: {Name: {pad: {length: 100000}}}", ["process.wrong_value"]),
    ("cleanse: {Name: {pattern: '['}}", ["process.wrong_value"]),
    ("cleanse: {}", ["process.wrong_value"]),
]


@pytest.mark.parametrize(("step", "codes"), CASES)
def test_rules_that_can_not_hold_are_found_before_anything_runs(step: str, codes: list[str]) -> None:
    assert found(step.replace("RULE", RULE)) == codes


def test_a_class_stays_with_a_cleansed_field() -> None:
    text = ((CUSTOMERS + STEPS) % "cleanse: {Phone: {trim: true}}").split("    - {id: w")[0]
    text += "    - {id: w, database.upsert: {connection: erp, table: t, key: [Id]}}\n"
    assert [finding.code.name for finding in check(text, filename="p.yaml").findings] == ["process.classified_unmasked"]
