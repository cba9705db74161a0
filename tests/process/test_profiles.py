"""Profiles recorded beside a process: read strictly, told when stale, compared field by field."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dative.errors import DativeError
from dative.process.findings import Report
from dative.process.load import check, load
from dative.process.model import Process
from dative.process.profiles import (
    FILES_MAX,
    Answer,
    Profile,
    Recorded,
    answered,
    compare,
    drift,
    profile_path,
    questions,
    read_profile,
    read_recorded,
    record,
    rendered,
    write_profile,
)

TEXT = """
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: database, erp: database}
  source: {id: read, database.query: {connection: crm, table: account, where: "x > 1"}}
  steps:
    - id: write
      database.insert: {connection: erp, table: customer}
      verify: {key: [id]}
"""
GOOD = """
apiVersion: dative/v1
kind: Profile
step: write
operation: database.insert
about: {table: customer}
recorded: "2026-03-01"
fields: {id: text(18)!, at: timestamp read_only}
"""


@pytest.fixture
def process() -> Process:
    loaded = load(TEXT, filename="sync.yaml")
    assert loaded.process is not None, loaded.findings
    return loaded.process


def read(text: str, process: Process) -> tuple[Profile | None, list[tuple[str, str, str]]]:
    report = Report("write.yaml")
    profile = read_profile(text.encode(), report, {one.step: one for one in questions(process)})
    return profile, [(one.severity, one.code.name, one.message) for one in report.findings]


@pytest.mark.parametrize(
    ("was", "is_", "severity", "code", "words"),
    [
        ("step: write", "step: wirte", "warning", "profile.stale", 'did you mean "write"'),
        ("table: customer", "table: client", "warning", "profile.stale", "recorded for database.insert of client"),
        ("database.insert", "database.upsert", "warning", "profile.stale", "the step is database.insert of customer"),
        ("fields:", "feilds:", "error", "profile.invalid", 'did you mean "fields"'),
        ("text(18)!", "txt", "error", "profile.invalid", "is no type"),
        ("kind: Profile", "kind: Process", "error", "profile.invalid", "kind is"),
        ("{id: text(18)!, at: timestamp read_only}", "[id]", "error", "profile.invalid", "mapping of names to types"),
        ("fields:", "more: 1\nfields:", "error", "profile.invalid", 'unknown key "more"'),
    ],
)
def test_a_profile_that_does_not_hold_is_told_and_left_out(
    process: Process, was: str, is_: str, severity: str, code: str, words: str
) -> None:
    assert was in GOOD
    profile, found = read(GOOD.replace(was, is_), process)
    assert profile is None
    assert (severity, code) in [one[:2] for one in found]
    assert any(words in message for _, _, message in found), found


def test_what_marks_a_target_is_no_type_of_a_source(process: Process) -> None:
    text = GOOD.replace("write", "read").replace("insert", "query").replace("customer", "account")
    assert read(text, process)[0] is None
    assert read(text.replace("text(18)!", "text(18)").replace(" read_only", ""), process) == (
        Profile("read", "database.query", {"table": "account"}, "2026-03-01", {"id": "text(18)", "at": "timestamp"}),
        [],
    )


@pytest.mark.parametrize(
    "name",
    ["id", "true", "Owner.Name", 'a "quoted": #name', "null", "12", "ключ", "- x", "", "a\u2028b\x85c\x7f", "\x1b[31m"],
)
def test_a_written_profile_reads_back_as_it_was(process: Process, name: str) -> None:
    profile = Profile("write", "database.insert", {"table": "customer"}, "2026-03-01", {name: "{a: text, b: integer}"})
    assert read(rendered(profile), process) == (profile, [])


def test_drift_is_named_field_by_field() -> None:
    assert drift({"a": "text", "b": "text(80)", "c": "date"}, {"a": "text", "b": "text(20)!", "d": "integer"}) == [
        "~ b: text(80) → text(20)!",
        "- c: date",
        "+ d: integer",
    ]


def test_what_was_recorded_is_used_by_a_check_and_a_new_day_is_written_only_for_what_changed(
    process: Process, tmp_path: Path
) -> None:
    asked = questions(process)
    answers = [Answer("read", {"id": "text(18)"}), Answer("write", {"id": "text(10)!", "tax": "text!"})]
    first = compare(asked, read_recorded(tmp_path, process), answers)
    assert [one.state for one in first] == ["new", "new"]
    assert record(tmp_path, process, first, "2026-03-01") == [
        profile_path(tmp_path, "sync", s) for s in ("read", "write")
    ]
    recorded = read_recorded(tmp_path, process)
    assert recorded.days == {"read": "2026-03-01", "write": "2026-03-01"}
    found = check(TEXT, filename="sync.yaml", recorded=lambda one: read_recorded(tmp_path, one)).findings
    assert sorted(one.code.name for one in found) == ["target.required_missing", "target.too_long"]
    later = [answers[0], Answer("write", {"id": "text(18)!"})]
    second = compare(asked, recorded, later)
    assert [(one.state, one.changes) for one in second] == [
        ("same", ()),
        ("drifted", ("~ id: text(10)! → text(18)!", "- tax: text!")),
    ]
    assert record(tmp_path, process, second, "2026-03-02") == [profile_path(tmp_path, "sync", "write")]
    assert read_recorded(tmp_path, process).days == {"read": "2026-03-01", "write": "2026-03-02"}
    assert check(TEXT, filename="sync.yaml", recorded=lambda one: read_recorded(tmp_path, one)).findings == []


def test_findings_of_a_profile_file_are_among_those_of_its_process(process: Process, tmp_path: Path) -> None:
    path = profile_path(tmp_path, "sync", "write")
    path.parent.mkdir(parents=True)
    path.write_text(GOOD.replace("table: customer", "table: client"))
    loaded = check(TEXT, filename="sync.yaml", recorded=lambda one: read_recorded(tmp_path, one))
    assert [(one.file, one.line, one.code.name) for one in loaded.findings] == [(str(path), 5, "profile.stale")]
    assert loaded.process is not None


def test_a_file_that_is_none_or_has_a_twin_is_a_finding_and_never_waited_for(process: Process, tmp_path: Path) -> None:
    folder = profile_path(tmp_path, "sync", "write").parent
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yml").write_text(GOOD)
    (folder / "c.yaml").mkdir()
    os.mkfifo(folder / "d.yaml")
    (folder / "e.yaml").symlink_to(folder / "gone")
    (folder / "f.yaml").write_bytes(b"# " + b"x" * (1 << 20))
    (folder / "g.yaml").write_text("a: " + "[" * 100_000)
    recorded = read_recorded(tmp_path, process)
    assert set(recorded.profiles) == {"write"}
    assert {(Path(one.file).name, one.severity) for one in recorded.findings} == {
        (name, "error") for name in ("b.yml", "c.yaml", "d.yaml", "e.yaml", "f.yaml", "g.yaml")
    }


def test_of_very_many_files_some_are_read_and_that_is_said(process: Process, tmp_path: Path) -> None:
    folder = profile_path(tmp_path, "sync", "write").parent
    folder.mkdir(parents=True)
    for number in range(FILES_MAX + 50):
        (folder / f"{number:04}.yaml").write_text("x")
    found = read_recorded(tmp_path, process).findings
    assert len({one.file for one in found}) == FILES_MAX + 1
    assert f"at most {FILES_MAX} are read" in found[-1].message


def test_a_profile_that_would_not_read_back_is_not_written(process: Process, tmp_path: Path) -> None:
    found = compare(questions(process), Recorded(), [Answer("write", {"x" * 300: "text"})])
    with pytest.raises(DativeError, match="longer than 256") as refused:
        record(tmp_path, process, found, "2026-03-01")
    assert refused.value.code.name == "profile.unwritable"
    assert list(tmp_path.rglob("*.yaml")) == []


def test_two_who_record_at_once_leave_one_whole_file(process: Process, tmp_path: Path) -> None:
    profiles = [
        Profile("write", "database.insert", {"table": "customer"}, "2026-03-01", {f"f{n}": kind for n in range(500)})
        for kind in ("text", "integer")
    ]
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda number: write_profile(tmp_path, "sync", profiles[number % 2]), range(40)))
    recorded = read_recorded(tmp_path, process)
    assert recorded.findings == ()
    assert recorded.profiles["write"] in [one.fields for one in profiles]
    assert [path.name for path in profile_path(tmp_path, "sync", "write").parent.iterdir()] == ["write.yaml"]


def test_an_answer_with_a_type_that_is_none_is_a_reason_and_no_profile(process: Process) -> None:
    source, target = questions(process)
    fields = {"id": "text!", "place": "geometry"}
    assert [answered(source, {"id": "text!"}).code, answered(target, fields).code] == ["profile.unknown_type"] * 2
    assert "place" in answered(target, fields).reason
    assert answered(target, {"id": "text!"}) == Answer("write", {"id": "text!"})


def test_names_of_a_foreign_system_do_not_steer_the_terminal(process: Process) -> None:
    recorded = Recorded({"write": {"id": "text"}})
    answers = [Answer("read", code="x.y", reason="no\x1b]0;hi\x07"), Answer("write", {"a\x1b[2Jb\nc": "text"})]
    lines = [line for one in compare(questions(process), recorded, answers) for line in one.lines()]
    assert all(line.isprintable() for line in lines)


def test_a_question_carries_no_condition(process: Process) -> None:
    asked: list[Any] = [(one.step, one.operation, dict(one.options), one.is_source) for one in questions(process)]
    assert asked == [
        ("read", "database.query", {"table": "account"}, True),
        ("write", "database.insert", {"table": "customer"}, False),
    ]
