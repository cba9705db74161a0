"""The command against the real controller, as it is served: the main road, once, with what only it checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server
RUN = [sys.executable, "-m", "dative_controller.cli.main"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """`dative serve` in a process of its own: (public address, data directory)."""
    data = tmp_path / "data"
    process = subprocess.Popen(
        [*RUN, "serve", "--data-dir", str(data), "--listen-public", "127.0.0.1:0", "--listen-atoms", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("DATIVE_")},
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("ready "), ready
    yield ready.split()[1].removeprefix("public="), data
    process.terminate()
    assert process.wait(timeout=20) == 0
    process.stdout.close()


def test_from_an_empty_machine_to_a_signed_deployment_and_back(served: tuple[str, Path], cli: Any, write: Any) -> None:
    address, data = served
    cli("login", "--server", address, "--data-dir", str(data), "--subject", "anna", "--init-trust")
    assert "access.token_invalid" in cli("login", "--data-dir", str(data), code=4).stderr  # a bootstrap token dies
    cli("env", "create", "dev")
    cli(
        "env",
        "set",
        "dev",
        "crm.connector=salesforce",
        "crm.client_id=3MVG9",
        "crm.username=sync@example.com",
        "erp.connector=database",
        "erp.url=postgresql://db/erp",
    )
    cli("env", "secret", "set", "erp.password", "--env", "dev", stdin="correct-horse-battery")
    index = json.loads(cli("plan", write(), "--env", "dev", "-o", "json", "--exit-code", code=3).stdout)["check_index"]
    cli("deploy", "account-to-erp", "--env", "dev", "--check-index", str(index), "-m", "first")
    stale = cli("deploy", write(expression="lower(Name)"), "--env", "dev", "--check-index", str(index), code=6)
    assert "deployment.plan_is_old" in stale.stderr
    cli("deploy", "account-to-erp", "--env", "dev", "-m", "second", "--watch")
    cli("rollback", "account-to-erp", "--env", "dev")
    cli("trust", "rotate-release", "--yes", "--stolen")
    cli("env", "create", "prod", "--production")
    cli(
        "env",
        "set",
        "prod",
        "crm.connector=salesforce",
        "crm.client_id=3MVG9",
        "crm.username=sync@example.com",
        "erp.connector=database",
        "erp.url=postgresql://db/prod",
        "--yes",
    )
    promoted = cli("promote", "account-to-erp", "--from", "dev", "--to", "prod", "--yes")
    assert "generation 1 of prod/default" in promoted.stderr
    kinds = [
        item["kind"] for item in json.loads(cli("deployment", "list", "--env", "dev", "-o", "json").stdout)["items"]
    ]
    assert kinds == ["deploy", "rollback", "deploy", "deploy"]
    assert "the chain holds" in cli("audit", "verify").stderr
    checks = json.loads(cli("doctor", "-o", "json").stdout)["items"]
    assert all(check["passed"] for check in checks)
    assert "correct-horse-battery" not in "".join(cli.out)
    assert not any(b"correct-horse-battery" in file.read_bytes() for file in data.rglob("*") if file.is_file())


def test_a_pin_from_an_invitation_is_enough_to_log_in_from_elsewhere(served: tuple[str, Path], cli: Any) -> None:
    address, data = served
    cli("login", "--server", address, "--data-dir", str(data), "--subject", "anna", "--init-trust")
    cli("env", "create", "dev")
    pin = json.loads(cli("atom", "invite", "--env", "dev", "-o", "json").stdout)["ca_pin"]
    cli("context", "create", "elsewhere", "--server", address, "--ca-pin", pin)
    assert "cli.login_needed" in cli("whoami", "--context", "elsewhere", code=4).stderr


def test_the_commands_span_is_in_the_trace_that_it_names(served: tuple[str, Path], cli: Any) -> None:
    address, data = served
    cli("login", "--server", address, "--data-dir", str(data), "--subject", "anna", "--init-trust")
    trace_id = cli("env", "create", "dev").stderr.rpartition("trace")[2].strip()
    spans = json.loads(cli("trace", "show", trace_id, "-o", "json").stdout)["items"]
    names = {span["name"] for span in spans}
    assert "dative env create" in names
    assert len({span["service"] for span in spans}) == 2  # the command's and the controller's
