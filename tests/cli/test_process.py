"""Offline work on process files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from dative.errors.cli import ENGINE_MISSING, CliError
from dative_controller.cli.commands.process import find_engine


def test_all_findings_of_all_files_come_at_once_with_place_code_and_remedy(cli: Any, write: Any) -> None:
    write("good")
    first = write("bad", "nope(Name)")
    text = Path(first).read_text()
    Path(first).write_text(text.replace("track: [Id]", "trak: [Id]"))
    told = cli("process", "validate", code=1)
    assert "3 checked" not in told.stderr
    assert "2 checked, " in told.stderr
    assert told.stdout.count("bad.yaml:") >= 2
    assert "  next: " in told.stdout
    findings = json.loads(cli("process", "validate", "-o", "json", code=1).stdout)["items"]
    assert {"severity", "code", "message", "file", "line", "column", "next"} <= findings[0].keys()
    assert all(finding["line"] > 0 for finding in findings)


def test_a_clean_file_is_exit_0_without_any_controller(cli: Any, write: Any) -> None:
    assert "1 checked, 0 errors" in cli("process", "validate", write()).stderr


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"a: &a [*a]", b"- [" * 4000, b"", b"kind: Process\n", b"x" * 2_000_000]
)
def test_bad_input_is_findings_and_never_a_crash(cli: Any, content: bytes) -> None:
    Path("p.yaml").write_bytes(content)
    told = cli("process", "validate", "p.yaml", code=1)
    assert "internal.unexpected" not in told.stderr
    assert "p.yaml:" in told.stdout


def test_a_process_is_found_by_its_name_or_a_unique_prefix(admin: Any, write: Any) -> None:
    Path("deep/er").mkdir(parents=True)
    Path(write("account-to-erp")).rename("deep/er/anything.yaml")
    write("order-export")
    admin("plan", "account-to-erp", "--env", "dev")
    admin("plan", "acc", "--env", "dev")
    write("account-from-erp")
    told = admin("plan", "account", "--env", "dev", code=5).stderr
    assert "fits more than one process" in told


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_process_tests_run_in_the_engine_and_their_failure_is_exit_1(
    cli: Any, tmp_path: Path, passed: bool, code: int
) -> None:
    report = {
        "cases": [{"process": "p", "name": "no country", "passed": passed, "message": "" if passed else "got DE"}]
    }
    engine = tmp_path / "bin" / "dative-atom"
    engine.parent.mkdir()
    engine.write_text(f"#!/bin/sh\necho '{json.dumps(report)}'\n")
    engine.chmod(0o755)
    told = cli("process", "test", ".", code=code, PATH=f"{engine.parent}:{os.environ['PATH']}")
    assert "no country" in told.stdout


def test_without_the_engine_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refused:
        find_engine("", tmp_path)
    assert refused.value.code is ENGINE_MISSING
    assert "dative[atom]" in refused.value.next


def test_an_engine_that_breaks_off_is_no_pass(cli: Any, tmp_path: Path) -> None:
    engine = tmp_path / "bin" / "dative-atom"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    engine.chmod(0o755)
    told = cli("process", "test", code=1, PATH=f"{engine.parent}:{os.environ['PATH']}")
    assert "cli.tests_failed" in told.stderr
    assert "broken" in told.stderr


def test_schema_and_reference_are_printed(cli: Any) -> None:
    assert json.loads(cli("process", "schema").stdout)["$schema"]
    assert "every-boundary" in cli("process", "schema", "--tests").stdout
    assert "dead_letter" in cli("process", "docs").stdout
    assert "mask" in cli("process", "docs", "mask").stdout
    cli("process", "docs", "xyzzyxyzzy", code=2)


def test_lineage_is_told_offline_for_every_target_or_for_one_field(cli: Any, write: Any) -> None:
    write()
    items = json.loads(cli("process", "lineage", "account-to-erp", "-o", "json").stdout)["items"]
    assert {item["step"] for item in items} == {"upsert"}
    (one,) = json.loads(cli("process", "lineage", "account-to-erp", "name", "-o", "json").stdout)["items"]
    assert (one["sources"], one["functions"]) == (["Name"], ["upper"])
    assert (
        "no step nowhere; it has read"
        in cli("process", "lineage", "account-to-erp", "--step", "nowhere", code=2).stderr
    )
    assert "has a field nothing" in cli("process", "lineage", "account-to-erp", "nothing", code=2).stderr
