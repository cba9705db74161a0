"""What a target would refuse or lose is said before anything runs: field, from, to, remedy."""

from __future__ import annotations

import pytest
from dative.process.load import check

PROCESS = """
apiVersion: dative/v1
kind: Process
metadata: {name: p}
spec:
  connections: {crm: salesforce, erp: database}
  source: {id: read, salesforce.query: {connection: crm, object: Account, fields: [Id, Name, Amount, Ratio, At, Lines]}}
  steps:
    - {id: make, map: {fields: {FIELDS}}}
    - {id: write, database.upsert: {connection: erp, table: t, key: [id]}}
"""
SOURCE = {
    "Id": "text(18)", "Name": "text(255)", "Amount": "decimal(18,4)", "Ratio": "double", "At": "timestamp",
    "Lines": "list({sku: text})",
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "target", "found"),
    [
        ("id: Id, name: Name", {"id": "text(18)!", "name": "text(255)"}, []),
        ("id: Id", {"id": "text!", "name": "text!"}, [("error", "target.required_missing")]),
        ("id: Id, name: NULL", {"id": "text!", "name": "text!"}, [("error", "target.required_null")]),
        ("id: Id, nmae: Name", {"id": "text!", "name": "text"}, [("error", "target.unknown_field")]),
        ("id: Id, name: Name", {"id": "text!", "name": "text(80)"}, [("warning", "target.too_long")]),
        ("id: Id, a: Amount", {"id": "text", "a": "decimal(18,2)"}, [("warning", "target.loses_scale")]),
        ("id: Id, a: Amount", {"id": "text", "a": "decimal(10,4)"}, [("warning", "target.may_overflow")]),
        ("id: Id, a: Amount", {"id": "text", "a": "integer"}, [("warning", "target.loses_scale")]),
        ("id: Id, a: Amount", {"id": "text", "a": "double"}, []),
        # Digits before the point fit, and as many behind it: nothing is lost.
        ("id: Id, a: Amount", {"id": "text", "a": "decimal(20,6)"}, []),
        ("id: Id, a: 'precision(Amount, 2)'", {"id": "text", "a": "decimal(16,2)"}, []),
        (
            "id: Id, a: 'precision(Amount, 2)'",
            {"id": "text", "a": "decimal(15,2)"},
            [("warning", "target.may_overflow")],
        ),
        (
            "id: Id, a: 'precision(Amount, 3)'",
            {"id": "text", "a": "decimal(18,2)"},
            [("warning", "target.loses_scale")],
        ),
        ("id: Id, a: 'round(Amount, 2)'", {"id": "text", "a": "decimal(16,2)"}, []),
        ("id: Id, a: \"round_currency(Amount, 'EUR')\"", {"id": "text", "a": "decimal(16,2)"}, []),
        ("id: Id, a: 'Amount * 2'", {"id": "text", "a": "decimal(19,4)"}, []),
        ("id: Id, a: 100", {"id": "text", "a": "decimal(5,2)"}, []),
        ("id: Id, a: '-1000'", {"id": "text", "a": "decimal(5,2)"}, [("warning", "target.may_overflow")]),
        ("id: Id, a: '0.05'", {"id": "text", "a": "decimal(2,2)"}, []),
        ("id: Id, a: '1.005'", {"id": "text", "a": "decimal(5,2)"}, [("warning", "target.loses_scale")]),
        ("id: Id, a: Ratio", {"id": "text", "a": "decimal(18,2)"}, [("warning", "target.inexact")]),
        ("id: Id, a: At", {"id": "text", "a": "date"}, [("warning", "target.loses_time")]),
        ("id: Id, a: Name", {"id": "text", "a": "date"}, [("warning", "target.unreadable_text")]),
        ("id: Id, a: Name", {"id": "text", "a": "text read_only"}, [("error", "target.read_only")]),
        ("id: Id, a: Amount", {"id": "text", "a": "boolean"}, [("error", "target.wrong_type")]),
        ("id: Id, a: Amount", {"id": "text", "a": "text"}, []),
        ("id: Id, a: Lines", {"id": "text", "a": "text"}, [("error", "target.nested")]),
        ("id: Id, a: Lines", {"id": "text", "a": "json"}, []),
        ("id: Id, ID2: Name", {"ID": "text!", "id2": "text"}, []),
    ],
)
def test_what_a_target_would_refuse_or_lose_is_a_finding(fields: str, target, found) -> None:
    text = PROCESS.replace("FIELDS", fields)
    findings = check(text, filename="p.yaml", profiles={"read": SOURCE, "write": target}).findings
    assert [(finding.severity, finding.code.name) for finding in findings] == found, findings
    for finding in findings:
        assert finding.line == 10
        assert finding.next
        assert '"' in finding.message


def test_without_a_profile_nothing_is_said_of_a_target() -> None:
    assert (
        check(PROCESS.replace("FIELDS", "id: Id, a: Lines"), filename="p.yaml", profiles={"read": SOURCE}).findings
        == []
    )


def test_a_bounded_text_is_a_text_wherever_one_is_wanted() -> None:
    text = PROCESS.replace(
        "FIELDS", "id: 'coalesce(Name, Id)', b: Name = Id, c: 'if(Id = Name, Id, Name)', d: upper(Name)"
    )
    assert check(text, filename="p.yaml", profiles={"read": SOURCE}).findings == []
