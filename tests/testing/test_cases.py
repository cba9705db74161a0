"""`dative-atom test`: the shipped examples keep their promises, and a broken promise is told field by field."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from dative_atom.testing.cases import Verdict, run_path
from dative_atom.testing.compare import equal
from dative_atom.testing.report import as_json, as_junit, as_text

EXAMPLES = Path(__file__).parents[2] / "examples"
Play = Callable[[str], list[Verdict]]
TWO = "input: [{Id: A1, Name: ada, Since: 01/31/2024}, {Id: A2, Name: bob, Since: 02/28/2024, Active: 'no'}]"

PASSES = {
    "the written ones in order": "written: {upsert: [{id: A1, name: ADA, since: 2024-01-31}]}",
    "exactly": "written: {upsert: {exactly: [{id: A1, name: ADA, since: 2024-01-31}]}}",
    "a subset": "written: {upsert: {includes: [{name: ADA}]}}",
    "a number": "written: {upsert: {count: 1}}",
    "the documents after a step": "steps: {read: {count: 2}, shape: [{id: A1}], only-active: {includes: [{Name: ada}]}}",
    "the counts": "counts: {read: 2, written: 1, filtered: 1, dead_lettered: 0, returned: 0}",
    "nothing parked": "dead_lettered: []",
}
FAILS = {
    "another value": ("written: {upsert: [{name: BOB}]}", "upsert 1: name is 'ADA', expected 'BOB'"),
    "one more": ("written: {upsert: [{id: A1}, {id: A2}]}", "upsert: 1 documents written, 2 expected"),
    "a field too many": (
        "written: {upsert: {exactly: [{id: A1, name: ADA}]}}",
        "upsert 1: since is '2024-01-31' and was not expected",
    ),
    "not among them": (
        "written: {upsert: {includes: [{id: A1, name: EVE}]}}",
        "upsert includes 1 (nearest: document 1): name is 'ADA', expected 'EVE'",
    ),
    "a number": ("written: {upsert: {count: 3}}", "upsert: 1 documents written, 3 expected"),
    "a document after a step": ("steps: {shape: [{name: Ada}]}", "shape 1: name is 'ADA', expected 'Ada'"),
    "counts": ("counts: {filtered: 0}", "counts: filtered is 1, expected 0"),
    "a dead letter": (
        "dead_lettered: [{code: expression.date_unreadable}]",
        "dead letters: 0 documents dead-lettered (none), 1 expected",
    ),
    "a failure": ("failure: connector.timeout", "execution: failure is None, expected 'connector.timeout'"),
    "a pause": ("waited: 1s", "clock: waited is '0 s', expected '1 s'"),
}


def test_the_shipped_examples_keep_every_promise() -> None:
    verdicts = list(run_path(EXAMPLES))
    assert verdicts
    assert [(verdict.name, verdict.message) for verdict in verdicts if not verdict.passed] == []


@pytest.mark.parametrize("expect", PASSES.values(), ids=PASSES)
def test_what_came_as_expected_passes(play: Play, expect: str) -> None:
    (verdict,) = play(f"- name: a\n  {TWO}\n  expect: {{{expect}}}")
    assert verdict.message == ""


@pytest.mark.parametrize(("expect", "message"), FAILS.values(), ids=FAILS)
def test_what_came_otherwise_is_told_with_document_and_field(play: Play, expect: str, message: str) -> None:
    (verdict,) = play(f"- name: a\n  {TWO}\n  expect: {{{expect}}}")
    assert verdict.message == message


def test_a_dead_letter_is_compared_by_code_field_step_and_document(play: Play) -> None:
    given = "input: [{Id: A1, Since: soon}]"
    good = "{code: expression.date_unreadable, field: since, step: shape, document: {Id: A1}}"
    bad = "{code: expression.date_unreadable, field: name, document: {Id: A2}}"
    first, second = play(
        f"- name: a\n  {given}\n  expect: {{dead_lettered: [{good}]}}\n"
        f"- name: b\n  {given}\n  expect: {{dead_lettered: [{bad}]}}"
    )
    assert first.passed, first.message
    assert second.message == (
        "dead letter 1: field is 'since', expected 'name'; dead letter 1: Id is 'A1', expected 'A2'"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'Id,Name,Since\nA1,ada,01/31/2024\nA2,"bob, jr",\n'),
        ("a.jsonl", '{"Id": "A1", "Name": "ada", "Since": "01/31/2024"}\n\n{"Id": "A2", "Name": "bob, jr"}\n'),
    ],
)
def test_sample_files_give_the_documents(folder: Path, play: Play, name: str, text: str) -> None:
    (folder / "tests" / name).write_text(text)
    wanted = "[{id: A1, name: ADA, since: 2024-01-31}, {id: A2, name: 'BOB, JR', since: null}]"
    (verdict,) = play(f"- name: a\n  input_file: {name}\n  expect: {{written: {{upsert: {wanted}}}}}")
    assert verdict.message == ""


HOSTILE = [
    ("missing.csv", None, "missing.csv can not be read: FileNotFoundError"),
    ("a.csv", b"Id,Name\nA1\n", "a.csv, row 1 has not as many fields as the header"),
    ("a.csv", b"\xff\xfe\x00", "a.csv can not be read: UnicodeDecodeError"),
    ("a.jsonl", b'{"Id": 1}\n[1]\n', "a.jsonl, line 2 is no JSON object"),
    ("a.jsonl", b'{"Id": "A1"', "a.jsonl, line 1 is no JSON object"),
]


@pytest.mark.parametrize(("name", "data", "message"), HOSTILE)
def test_a_sample_file_that_does_not_read_is_told_by_row(
    folder: Path, play: Play, name: str, data: bytes | None, message: str
) -> None:
    if data is not None:
        (folder / "tests" / name).write_bytes(data)
    (verdict,) = play(f"- name: a\n  input_file: {name}")
    assert verdict.message.startswith(f"case: {message}")
    assert "testing.sample_unreadable" in verdict.message


REFUSED = {
    "an unknown key": ("- {name: a, input: [{Id: A1}], expects: {}}", 'unknown key "expects"; did you mean "expect"?'),
    "two cases of one name": (
        "- {name: a, input: [{Id: A1}]}\n- {name: a, input: [{Id: A2}]}",
        'two cases are called "a"',
    ),
    "no documents": ("- {name: a}", "give one of input, input_file and recording; here is none"),
    "two sources": ("- {name: a, input: [{Id: A1}], input_file: a.csv}", "give one of input, input_file"),
    "a file elsewhere": ("- {name: a, input_file: ../../a.csv}", "leads out of the folder"),
    "a fault nowhere": ("- {name: a, input: [{Id: A1}], faults: [{kind: timeout}]}", "give either step or connection"),
    "a fault at no target": (
        "- {name: a, input: [{Id: A1}], faults: [{kind: timeout, step: shape}]}",
        'no step writes under the id "shape"',
    ),
    "a fault of no kind": (
        "- {name: a, input: [{Id: A1}], faults: [{kind: tired, step: upsert}]}",
        "kind: must be 'timeout'",
    ),
    "a step that is none": ("- {name: a, input: [{Id: A1}], expect: {steps: {shap: []}}}", 'has no step "shap"'),
    "nothing expected of documents": (
        "- {name: a, input: [{Id: A1}], expect: {written: {upsert: {}}}}",
        "give exactly, includes or count",
    ),
    "kill with a lost commit": (
        "- {name: a, input: [{Id: A1}], kill: every-boundary, faults: [{kind: commit_lost, step: upsert}]}",
        "kill goes together with faults of kind reject only",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_test_file_that_does_not_hold_together_fails_with_its_line(play: Play, text: str, message: str) -> None:
    (verdict,) = play(text)
    assert message in verdict.message
    assert "sync.yaml:" in verdict.message


def test_a_report_shows_steps_and_differences(play: Play) -> None:
    verdicts = play(f"- name: a <b>\n  {TWO}\n  expect: {{written: {{upsert: [{{name: BOB}}]}}}}")
    text = "\n".join(as_text(verdicts, steps=True))
    assert "FAIL  sync: a <b>\n      upsert 1, name:\n        - 'BOB'\n        + 'ADA'\n" in text
    assert "read: 2 documents" in text
    (case,) = json.loads(as_json(verdicts, steps=True))["cases"]
    assert case["steps"]["shape"] == [{"id": "A1", "name": "ADA", "since": "2024-01-31"}]
    assert case["differences"][0]["field"] == "name"
    suite = ElementTree.fromstring(as_junit(verdicts))[0]
    assert suite.attrib["failures"] == "1"
    assert suite[0].attrib["name"] == "a <b>"
    assert "name is 'ADA'" in (suite[0][0].text or "")


def test_a_broken_promise_is_exit_1_and_junit_says_it(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "account-to-erp", tmp_path / "example")
    test = tmp_path / "example" / "tests" / "customers.yaml"
    test.write_text(test.read_text().replace("revenue_eur: 962.60", "revenue_eur: 962.61"))
    report = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "dative_atom.testing", str(tmp_path), "--output", "json", "--junit", str(report)]
    run = subprocess.run(command, capture_output=True, check=False)
    assert run.returncode == 1, run.stderr
    failed = [case for case in json.loads(run.stdout)["cases"] if not case["passed"]]
    assert [case["message"] for case in failed] == ["upsert 1: revenue_eur is '962.60', expected '962.61'"]
    assert ElementTree.parse(report).getroot()[0].attrib["failures"] == "1"


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [("2500.00", "2500.000000", True), (5, "5", True), ("007", "7", False), (None, "", False), (True, 1, False),
     ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+00:00", True), ("a", "b", False), ({"a": "1.0"}, {"a": "1"}, True),
     (["1"], ["1", "2"], False), ({"a": 1}, {"b": 1}, False)],
)  # fmt: skip
def test_a_value_equals_what_means_the_same(expected: object, actual: object, same: bool) -> None:
    assert equal(expected, actual) is same
