"""A process is deployed with what it calls; what is called can not be taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dative_controller.cli.deploying import parts_of

HEAD = "apiVersion: dative/v1\nkind: Process\nmetadata: {{name: {name}}}\nspec:\n{body}"
SUB = "  source: {id: in, documents: {fields: {Id: text}}}\n  steps: [{id: m, map: {fields: {Id: upper(Id)}}}]\n"
CALLS = "    - {id: call, process_call: {process: %s}}\n"


def write(path: Path, name: str, body: str) -> str:
    path.write_text(HEAD.format(name=name, body=body))
    return str(path)


def main_body(called: str) -> str:
    start = "  source: {id: start, nothing: {}}\n  steps:\n    - {id: make, map: {fields: {Id: \"'a'\"}}}\n"
    return start + CALLS % called


def test_called_processes_are_deployed_with_their_caller_and_stay_while_it_does(
    admin: Any, fake: Any, tmp_path: Path
) -> None:
    write(tmp_path / "sub.yaml", "sub", SUB)
    path = write(tmp_path / "main.yaml", "main", main_body("sub"))
    admin("deploy", path, "--env", "dev")
    assert sorted(parts_of(fake.state.manifest())) == ["main", "sub"]
    refused = admin("undeploy", "sub", "--env", "dev", code=None)
    assert refused.exit_code != 0
    assert "main calls sub" in refused.stderr
    assert sorted(parts_of(fake.state.manifest())) == ["main", "sub"]
    # Changed alone, it is deployed alone, and its caller keeps its version.
    kept = parts_of(fake.state.manifest())["main"].entry
    admin("deploy", write(tmp_path / "sub.yaml", "sub", SUB.replace("upper", "lower")), "--env", "dev")
    assert parts_of(fake.state.manifest())["main"].entry == kept
    assert parts_of(fake.state.manifest())["sub"].entry.version == 2


def test_a_call_to_nothing_and_a_circle_of_calls_are_findings(admin: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "main.yaml", "main", main_body("sub"))
    assert "process.unknown_process" in admin("process", "validate", path, code=1).stdout
    circle = SUB.split("  steps:")[0] + "  steps:\n" + CALLS
    write(tmp_path / "sub.yaml", "sub", circle % "two")
    two = write(tmp_path / "two.yaml", "two", circle % "sub")
    found = admin("process", "validate", two, code=1).stdout
    assert "process.call_cycle" in found
    assert "two → sub → two" in found
