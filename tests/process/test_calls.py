"""What is said of a call before anything runs: with the files beside it, and without."""

from __future__ import annotations

from typing import Any

import pytest
from dative.process.lineage import follow
from dative.process.load import check, load
from dative.process.model import Process

HEAD = """\
apiVersion: dative/v1
kind: Process
metadata: {name: %s}
spec:
  connections: {erp: database}
  source: %s
  classify: {phi: [%s]}
  steps:
"""
GIVEN = "{id: in, documents: {fields: {Id: text, Phone: text}}}"
WRITE = "    - id: write\n      database.upsert: {connection: erp, table: t, key: [Id]}\n"
CALL = "    - {id: call, process_call: {process: sub}}\n"


def text(name: str, steps: str, source: str = GIVEN, classify: str = "") -> str:
    return (HEAD % (name, source, classify)).replace("  classify: {phi: []}\n", "") + (steps or "    []\n")


def beside(**steps: str) -> Any:
    def find(name: str) -> Process | None:
        return load(text(name, steps[name]), filename=f"{name}.yaml").draft if name in steps else None

    return find


def told(steps: str, processes: Any, classify: str = "") -> list[tuple[str, str]]:
    found = check(text("main", steps, classify=classify), filename="p.yaml", processes=processes).findings
    return [(finding.code.name, finding.message) for finding in found if finding.severity == "error"]


def test_without_other_files_nothing_is_said_of_them() -> None:
    assert told(CALL + WRITE, None) == []


@pytest.mark.parametrize(
    ("sub", "code", "said"),
    [
        ({}, "process.unknown_process", "sub"),
        ({"sub": CALL}, "process.call_cycle", "sub → sub"),
        ({"sub": CALL.replace("sub", "main")}, "process.call_cycle", "main → sub → main"),
        ({"sub": "    - {id: m, map: {fields: {x: Id}}}\n"}, "process.unknown_field", '"Id"'),
    ],
)
def test_a_call_that_can_not_be_is_a_finding_at_its_name(sub: dict[str, str], code: str, said: str) -> None:
    ((found, message),) = told(CALL + WRITE, beside(**sub))
    assert found == code
    assert said in message


def test_a_called_process_needs_its_fields_and_a_callable_start() -> None:
    few = "    - {id: m, map: {fields: {Id: Id}}}\n"
    assert told(few + CALL + WRITE, beside(sub="")) == [
        ("process.unknown_field", 'process sub needs the field "Phone"; known: Id')
    ]
    found = check(
        text("main", CALL),
        filename="p",
        processes=lambda _: load(text("sub", "", "{id: s, nothing: {}}"), filename="s").draft,
    ).findings
    assert [finding.code.name for finding in found if finding.severity == "error"] == ["process.not_callable"]


def test_a_class_follows_the_value_into_a_called_process_and_out_of_it() -> None:
    ((code, message),) = told(CALL + WRITE, beside(sub=WRITE), classify="Phone")[:1]
    assert code == "process.classified_unmasked"
    assert "in process sub" in message
    masked = "    - {id: hide, mask: {Phone: redact}}\n"
    assert told(CALL + WRITE, beside(sub=masked + WRITE), classify="Phone") == []
    assert [code for code, _ in told(CALL + WRITE, beside(sub=""), classify="Phone")] == ["process.classified_unmasked"]


def test_lineage_goes_through_a_call_and_names_its_steps() -> None:
    process = load(text("main", CALL), filename="p").process
    assert process is not None
    sub = "    - {id: m, map: {fields: {Id: Id, both: Id || Phone}}}\n    - {id: back, return_documents: {}}\n"
    found = follow(process, processes=beside(sub=sub))
    assert found.sources["call"]["both"] == found.sources["call.m"]["both"] == {"Id", "Phone"}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("{process: sub, abort: true, wait: false}", "process.wrong_value"),
        ("{process: sub, parameters: {x: a}}", "process.unknown_parameter"),
        ("{process: 'No Name'}", "process.wrong_value"),
    ],
)
def test_settings_that_do_not_fit_are_findings(settings: str, code: str) -> None:
    assert [found for found, _ in told(f"    - {{id: call, process_call: {settings}}}\n" + WRITE, beside(sub=""))] == [
        code
    ]


def test_a_route_calls_each_of_its_processes() -> None:
    route = "    - {id: r, process_route: {key: Id, processes: {a: sub, b: two}, default: three}}\n"
    assert [code for code, _ in told(route + WRITE, beside(sub=""))] == ["process.unknown_process"] * 2


def test_processes_deeper_inside_one_another_than_the_bound_are_a_finding() -> None:
    deep = {f"p{level}": CALL.replace("sub", f"p{level + 1}") for level in range(10)}
    found = told(CALL.replace("sub", "p0") + WRITE, beside(**deep))
    assert {code for code, _ in found} == {"process.call_too_deep"}
