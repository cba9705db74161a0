"""Findings about document caches: filled before they are read, by the same key, with the same fields."""

from __future__ import annotations

import pytest
from dative.process.load import check

from tests.process.customers import CUSTOMERS

ADD = "- {id: a, cache_add: {cache: c, key: [Id], fields: [Name]}}"
GET = "- {id: g, cache_get: {cache: c, key: {Id: Name}, fields: {n: Name}}}"
CALL = "- {id: m, map: {keep: rest, fields: {n: \"cache('%s', key => Name, want => '%s')\"}}}"
END = "- {id: x, mask: {Phone: drop}}\n- {id: w, database.upsert: {connection: erp, table: t, key: [Id]}}"


def found(*steps: str) -> list[str]:
    lines = "".join(f"    {line}\n" for step in (*steps, END) for line in step.splitlines())
    return [finding.code.name for finding in check(CUSTOMERS + lines, filename="p.yaml").findings]


CASES = [
    ("filled and read", [ADD, GET], []),
    ("filled and called", [ADD, CALL % ("c", "Name")], []),
    ("read and not filled", [GET], ["process.cache_empty"]),
    ("called and not filled", [CALL % ("d", "Name")], ["process.cache_empty"]),
    ("filled after it is read", [ADD, GET, ADD.replace("id: a", "id: b")], ["process.cache_read_before"]),
    ("emptied after it is read", [ADD, GET, "- {id: r, cache_remove: {cache: c}}"], ["process.cache_read_before"]),
    ("found by another key", [ADD, GET.replace("{Id: Name}", "{Name: Name}")], ["process.cache_mismatch"]),
    ("emptied by another key", [ADD, "- {id: r, cache_remove: {cache: c, key: {Name: Name}}}"], ["process.cache_mismatch"]),
    ("filled with other fields", [ADD, "- {id: b, cache_add: {cache: c, key: [Id]}}"], ["process.cache_mismatch"]),
    ("an unknown field is kept", [ADD.replace("[Name]", "[Nam]")], ["process.unknown_field"]),
    ("an unknown field is wanted", [ADD, GET.replace("{n: Name}", "{n: Nam}")], ["process.unknown_field"]),
    ("an unknown field is called", [ADD, CALL % ("c", "Nam")], ["process.unknown_field"]),
    ("a list without a field", [ADD, GET[:-2] + ", take: all}}"], ["process.wrong_value"]),
    ("a field without a list", [ADD, GET[:-2] + ", into: l}}"], ["process.wrong_value"]),
    ("in parallel arms", ["- id: fan\n  branch:\n    - name: one\n      steps:\n        " + ADD + "\n  parallel: true"],
        ["process.property_parallel"]),
    ("two keys and a call", ["- {id: a, cache_add: {cache: c, key: [Id, Name]}}", CALL % ("c", "Name")],
        ["process.cache_mismatch"]),
    ("a classified value by a join", [ADD.replace("[Name]", "[Phone]"), GET.replace("{n: Name}", "{n: Phone}")],
        ["process.classified_unmasked"]),
    ("a classified value in a list", [ADD.replace("[Name]", "[Phone]"),
        GET.replace("{n: Name}", "{n: Phone}")[:-2] + ", take: all, into: l}}"], ["process.classified_unmasked"]),
    ("a classified value by a call", [ADD.replace("[Name]", "[Phone]"), CALL % ("c", "Phone")],
        ["process.classified_unmasked"]),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "codes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_cache_is_filled_before_it_is_read(steps: list[str], codes: list[str]) -> None:
    assert found(*steps) == codes
