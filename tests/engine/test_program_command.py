"""What a program may do to an execution: hang, fork, flood, vanish, refuse; and what values may not do to a program."""

from __future__ import annotations

import os
import select
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dative.clock import ManualClock
from dative.errors.base import Code
from dative.ids import ExecutionId, StepId
from dative.process.load import check
from dative.process.shapes import ProgramCommandSettings
from dative_atom.documents.batch import DOCUMENT
from dative_atom.engine.effects.effects import Effects
from dative_atom.engine.effects.program import run_program
from dative_atom.engine.effects.retry import Waits
from dative_atom.engine.routing import Flow
from dative_atom.engine.shapes.program_command import ProgramCommand
from dative_atom.telemetry.recorder import Recorder
from hypothesis import example, given, settings
from hypothesis import strategies as st

SH = "/bin/sh"
WRITE = "      - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}"


def _ran(script: str, given: bytes = b"", timeout_s: float = 20.0, output_max: int = 1000) -> Any:
    return run_program([SH, "-c", script], given, timeout_s, output_max)


def _name(code: Code | None) -> str | None:
    return code.name if code else None


@pytest.mark.parametrize(
    ("script", "bounds", "code"),
    [
        ("while :; do :; done", {"timeout_s": 0.2}, "command.out_of_time"),
        ("trap '' TERM INT HUP; while :; do :; done", {"timeout_s": 0.2}, "command.out_of_time"),
        ("exec >&-; while :; do :; done", {"timeout_s": 0.2}, "command.out_of_time"),
        ("while :; do echo flood; done", {}, "command.output"),
        ("exit 3", {}, None),
        ("kill -9 $$", {}, None),
        ("exit 0", {"given": b"x" * 1_000_000}, None),
    ],
)
def test_a_program_is_stopped_at_each_bound(script: str, bounds: dict[str, Any], code: str | None) -> None:
    assert _name(_ran(script, **bounds).code) == code


@pytest.mark.parametrize(("script", "timeout_s"), [("CHILD & wait", 0.3), ("CHILD & exit 0", 20.0)])
def test_its_children_end_with_it(script: str, timeout_s: float, tmp_path: Path) -> None:
    told = tmp_path / "child"
    child = f"({SH} -c 'echo $$ > {told}.new; mv {told}.new {told}; while :; do :; done')"
    body = script.replace("CHILD &", f"{child} & until [ -s {told} ]; do :; done;").replace("/bin/mv", "mv")
    _ran(f"PATH=/bin:/usr/bin; {body}", timeout_s=timeout_s)
    try:
        child_end = os.pidfd_open(int(told.read_text()))
    except ProcessLookupError:
        return
    with open(child_end, "rb", buffering=0):
        assert select.select([child_end], [], [], 10.0)[0] == [child_end]


def test_it_has_no_environment_no_files_and_its_own_group() -> None:
    os.environ["DATIVE_CANARY"] = "secret"
    try:
        said = run_program(["/usr/bin/env"], b"", 20.0, 1000)
    finally:
        del os.environ["DATIVE_CANARY"]
    assert said.output == b""
    assert _ran("pwd; echo /proc/$$/fd/*").output.count(b"/fd/") <= 4


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
@settings(max_examples=30, deadline=None)
@example("a\nb")
@example("'\"`$(id)`;&|*?~{}\\ -x")
def test_any_value_is_one_argument_and_comes_back_as_it_was(value: str) -> None:
    ended = run_program([SH, "-c", 'printf "%s:%s" $# "$1"', "sh", value], b"", 20.0, 10_000)
    assert ended.output == f"1:{value}".encode()


def _engine(engine: Any, settings: str, *rows: dict[str, Any]) -> Any:
    engine.system.rows = pa.Table.from_pylist(list(rows))
    return engine.run(f"  steps:\n      - id: run\n        program_command: {settings}\n{WRITE}")


def test_each_document_fails_by_its_own_exit_code_and_the_others_go_on(engine: Any) -> None:
    codes = ["0", "3", "4", "0", None, "n\0l", "-1"]
    run = _engine(
        engine,
        '{command: [/bin/sh, -c, "exit $1", sh, "{Code}"], reject_on: [3]}',
        *({"Id": str(row), "Code": code} for row, code in enumerate(codes)),
    )
    assert (run.counts.written, run.counts.dead_lettered) == (2, 5)


@pytest.mark.parametrize(
    ("suspect", "repeatable", "runs", "left"),
    [(False, False, 1, 2), (True, False, 0, 0), (True, True, 1, 2)],
)
def test_a_batch_that_a_killed_attempt_may_have_run_is_unknown_and_one_that_starts_over_is_not_run_again(
    tmp_path: Path, suspect: bool, repeatable: bool, runs: int, left: int
) -> None:
    ran = tmp_path / "ran"
    command = (SH, "-c", f"echo x >> {ran}")
    made = ProgramCommandSettings(command=command, per="batch", fields=("Id",), repeatable=repeatable)
    batch = pa.record_batch({DOCUMENT: pa.array([0, 1], pa.uint64()), "Id": pa.array(["a", "b"])})
    waits = Waits(ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), lambda _: True)
    effects = Effects("env/p", ExecutionId("01X"), 0, {}, 0, waits, suspect=suspect)
    shape = ProgramCommand(StepId("run"), made, batch.schema)
    for _ in range(2):
        flow = Flow(0, batch, None, Recorder(), "p", effects)  # type: ignore[arg-type]
        assert shape.apply(batch, flow).num_rows == left
    assert (len(ran.read_text().split()) if ran.exists() else 0) == runs


def test_a_dry_run_runs_no_program(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    made = ProgramCommandSettings(command=(SH, "-c", f"echo x >> {ran}"))
    batch = pa.record_batch({DOCUMENT: pa.array([0], pa.uint64()), "Id": pa.array(["a"])})
    waits = Waits(ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), lambda _: True)
    effects = Effects("env/p", ExecutionId("01X"), 0, {}, 0, waits)
    flow = Flow(0, batch, None, Recorder(), "p", effects)  # type: ignore[arg-type]
    assert ProgramCommand(StepId("run"), made, batch.schema, dry=True).apply(batch, flow).num_rows == 1
    assert not ran.exists()


@pytest.mark.parametrize(
    ("arguments", "values", "code"),
    [
        (["{A}"], {"A": "-rf"}, "command.argument"),
        (["--", "{A}"], {"A": "-rf"}, None),
        (["--name={A}"], {"A": "-rf"}, None),
        (["{A}"], {"A": "n\0l"}, "command.argument"),
        (["{A}"], {"A": None}, "command.argument"),
        (["{A}"], {"A": "x" * 3_000_000}, "command.argument"),
        (["{A}{B}"], {"A": "{B}", "B": "{A}"}, None),
    ],
)
def test_a_value_that_can_be_no_argument_fails_its_document_alone(
    arguments: list[str], values: dict[str, Any], code: str | None
) -> None:
    made = ProgramCommandSettings(command=("/bin/true", *arguments))
    plain = dict.fromkeys(values, "plain")
    rows = pa.RecordBatch.from_pylist([plain, values, plain])
    batch = pa.record_batch(
        {DOCUMENT: pa.array([0, 1, 2], pa.uint64()), **dict(zip(rows.schema.names, rows.columns, strict=True))}
    )
    waits = Waits(ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), lambda _: True)
    effects = Effects("env/p", ExecutionId("01X"), 0, {}, 0, waits)
    flow = Flow(0, batch, None, Recorder(), "p", effects)  # type: ignore[arg-type]
    out = ProgramCommand(StepId("run"), made, batch.schema).apply(batch, flow)
    assert out.column(DOCUMENT).to_pylist() == ([0, 2] if code else [0, 1, 2])
    assert effects.applied[StepId("run")].column("code").to_pylist() == [None, code, None]


def test_a_batch_is_read_as_json_lines_by_one_program(engine: Any) -> None:
    rows = [{"Id": "a", "N": 1}, {"Id": "b", "N": 2}]
    run = _engine(engine, "{command: [/bin/cat], per: batch, fields: [Id, N], into: said}", *rows)
    assert run.counts.written == 2
    kept = list(engine.system.targets["write"].rows.values())
    assert {row["said"] for row in kept} == {'{"Id":"a","N":1}\n{"Id":"b","N":2}'}


@pytest.mark.parametrize(
    ("path", "allowed", "code"),
    [
        ("/bin/ls", False, "command.not_allowed"),
        ("/nowhere/program", True, "command.unusable"),
        ("/etc/passwd", True, "command.unusable"),
        ("/etc", True, "command.unusable"),
    ],
)
def test_what_can_not_run_is_refused_before_anything_is_read(engine: Any, path: str, allowed: bool, code: str) -> None:
    if allowed:
        engine.allows.append(f"command:{path}")
    run = _engine(engine, f"{{command: [{path}]}}", {"Id": "a"})
    assert run.failure is not None
    assert run.failure["code"] == code
    assert run.counts.read == 0


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("{command: [cat]}", "process.wrong_value"),
        ("{command: [/bin/../bin/cat]}", "process.wrong_value"),
        ('{command: ["/bin/{Id}"]}', "process.wrong_value"),
        ("{command: [/bin/cat], per: batch}", "process.wrong_value"),
        ("{command: [/bin/cat], timeout: 1h}", "process.wrong_value"),
        ('{command: [/bin/cat, "{Ssn}"]}', "process.classified_unmasked"),
        ("{command: [/bin/cat], stdin: Ssn}", "process.classified_unmasked"),
        ('{command: [/bin/cat, "{Nam}"]}', "process.unknown_field"),
        ("{command: [/bin/cat], stdin: Id, into: said}", None),
    ],
)
def test_the_language_finds_what_is_wrong_with_a_command(settings: str, code: str | None) -> None:
    text = f"""apiVersion: dative/v1
kind: Process
metadata: {{name: p}}
spec:
  connections: {{crm: disk}}
  source: {{id: read, disk.read: {{connection: crm, path: in.csv, format: csv, columns: {{Id: text, Ssn: text}}}}}}
  classify: {{pii: [Ssn]}}
  steps:
    - id: run
      program_command: {settings}
    - return_documents:
"""
    found = [one.code.name for one in check(text, filename="p.yaml").findings if one.severity == "error"]
    assert found == ([code] if code else [])
