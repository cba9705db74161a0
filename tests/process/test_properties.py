"""Findings about properties: what is set, what is read, and in which order."""

from __future__ import annotations

import pytest
from dative.process.load import check, load

from tests.process.customers import CUSTOMERS


def found(*steps: str) -> list[str]:
    lines = "".join(f"    {line}\n" for step in steps for line in step.splitlines())
    return [finding.code.name for finding in check(CUSTOMERS + lines, filename="p.yaml").findings]


def sets(name: str, sql: str, step: str = "s") -> str:
    return f'- {{id: {step}, set_properties: {{{name}: "{sql}"}}}}'


def reads(name: str, step: str = "m") -> str:
    return f"- {{id: {step}, map: {{keep: rest, fields: {{seen: \"property('{name}')\"}}}}}}"


WRITE = (
    "- {id: w, database.upsert: {connection: erp, table: t, key: [Id]}, "
    "discloses: {Phone: the ledger is allowed to have it}}"
)
PARALLEL = "- id: fan\n  branch:\n    - name: one\n      steps:\n        - {id: s, set_properties: {%s: Name}}\n  parallel: true"

# (what, steps, codes)
CASES = [
    ("set and read", [sets("process.p", "Name"), reads("process.p")], []),
    ("set and read in one step later", [sets("document.p", "Name"), sets("document.q", "property('document.p')", "t")], []),
    ("of a document through a map", [sets("document.p", "Name"), "- {id: k, map: {fields: {Id: Id}}}",
        "- {id: m, map: {keep: rest, fields: {Phone: \"property('document.p')\"}}}"], []),
    ("never set", [reads("process.p")], ["process.property_unset"]),
    ("never set, persisted", [reads("persisted.p")], ["process.property_unset"]),
    ("mistyped", [sets("document.region", "Name"), reads("document.regoin")], ["process.property_unset"]),
    ("read before", [sets("process.p", "Name"), reads("process.p"), sets("process.p", "Id", "t")],
        ["process.property_read_before"]),
    ("a counter", [sets("process.n", "property('process.n') + 1")],
        ["process.property_unset"]),
    ("persisted, read before", [reads("persisted.p"), sets("persisted.p", "Name")], []),
    ("of the execution", [sets("process.name", "Name")], ["process.reserved_property"]),
    ("of another type", [sets("process.p", "Name = 'a'"), sets("process.p", "length(Name)", "t")],
        ["process.property_types"]),
    ("classified and kept", [sets("persisted.p", "Phone")], ["process.property_classified"]),
    ("a scope that is none", [sets("global.p", "Name")], ["process.wrong_value"]),
    ("a name in capitals", [sets("process.P", "Name")], ["process.wrong_value"]),
    ("no value", ["- {id: s, set_properties: {}}"], ["process.wrong_value"]),
    ("an unknown field", [sets("process.p", "Nam")], ["process.unknown_field"]),
    ("a time of day", [sets("process.p", "CAST(Name AS TIME)")], ["process.wrong_value"]),
    ("in parallel arms", [PARALLEL % "process.p"], ["process.property_parallel"]),
    ("of documents in parallel arms", [PARALLEL % "document.p"], []),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "codes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_properties_are_set_before_they_are_read(steps: list[str], codes: list[str]) -> None:
    assert found(*steps, WRITE) == codes


@pytest.mark.parametrize("name", ["document.p", "process.p"])
def test_the_class_of_a_value_follows_it_through_a_property(name: str) -> None:
    steps = [sets(name, "Phone"), "- {id: k, map: {fields: {Id: Id}}}",
        f"- {{id: m, map: {{keep: rest, fields: {{tel: \"property('{name}')\"}}}}}}",
        "- {id: w, database.upsert: {connection: erp, table: t, key: [Id]}}"]  # fmt: skip
    assert found(*steps) == ["process.classified_unmasked"]


def test_a_property_is_no_field_and_not_disclosed_to_a_target() -> None:
    text = CUSTOMERS + "    - {id: s, set_properties: {document.p: Phone}}\n    - {id: k, map: {fields: {Id: Id}}}\n"
    text += "    - {id: w, database.upsert: {connection: erp, table: t, key: [Id]}}\n"
    loaded = load(text, filename="p.yaml")
    assert not loaded.findings
    assert found(sets("process.p", "length(Name)"), reads("process.p", "a"), "- {id: d, decide: seen > 3}", WRITE) == []
