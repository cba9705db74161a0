"""How errors are told, and which exit code each ends with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.errors.base import EXIT_CODES, load_all_codes


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (("env", "create", "dev"), 1, "control.name_taken"),
        (("env", "show", "--nope"), 2, ""),
        (("env", "show", "nowhere"), 5, "control.not_found"),
        (("deploy", "nothing-here", "--env", "dev"), 5, "cli.process_not_found"),
        (("undeploy", "x", "--env", "dev"), 5, "cli.not_deployed"),
        (("atom", "show", "ghost"), 5, "control.not_found"),
        (("execution", "show", "01J"), 5, "control.not_found"),
        (("find", "nobody"), 5, "control.not_found"),
        (("explain", "no.code"), 5, "cli.unknown_code"),
        (("context", "use", "nowhere"), 5, "cli.unknown_context"),
        (("trust", "init"), 1, "cli.trust_exists"),
        (("env", "secret", "set", "erp.password=hunter2", "--env", "dev"), 1, "cli.secret_in_arguments"),
        (("env", "set", "dev", "erp.password=hunter2"), 1, "secrets.bad_reference"),
        (("env", "set", "dev", "erp.api_key=hunter2"), 1, "environment.looks_secret"),
        (("env", "set", "dev", "nope.url=x"), 2, ""),
        (("env", "set", "dev", "nope.connector=salesfroce"), 2, ""),
        (("atom", "test", "broken", "--env", "dev"), 6, "cli.checks_failed"),
        (("execution", "list", "--since", "yesterday"), 2, ""),
    ],
)
def test_each_failure_has_its_exit_code_and_its_code(
    admin: Any, arguments: tuple[str, ...], code: int, name: str
) -> None:
    told = admin(*arguments, code=code)
    assert name in told.stderr


def test_without_a_login_the_exit_code_is_4(cli: Any) -> None:
    assert "cli.no_context" in cli("whoami", code=4).stderr


def test_an_error_says_what_where_why_next_and_code(admin: Any, fake: Any, write: Any) -> None:
    admin("deploy", write(), "--env", "dev")
    told = admin("deploy", write("b"), "--env", "dev", "--check-index", "1", code=6).stderr
    lines = [
        line
        for line in told.splitlines()
        if "deployment.plan_is_old" in line or "✖" in line or line.startswith(("  wh", "  next   Look"))
    ]
    trace = lines[-1].rpartition(" ")[2]
    assert len(trace) == 32
    assert lines == [
        "✖ the plan was made from an older state",
        "  where  dev",
        "  why    Deployment, environment or secrets changed since the plan was made; nothing was deployed.",
        "  next   Look at the difference and deploy again: dative diff",
        f"  code   deployment.plan_is_old · trace {trace}",
    ]


def test_an_error_as_json_is_one_line_on_stderr_and_stdout_stays_empty(admin: Any) -> None:
    told = admin("env", "show", "nowhere", "-o", "json", code=5)
    assert told.stdout == ""
    error = json.loads(told.stderr)["error"]
    assert error["code"] == "control.not_found"
    assert error["exit_code"] == 5
    assert error["next"]
    assert len(error["trace_id"]) == 32


def test_an_unreachable_controller_is_exit_7_and_names_it(admin: Any, fake: Any) -> None:
    admin("context", "set", "server=127.0.0.1:1")
    told = admin("whoami", code=7).stderr
    assert "where  controller 127.0.0.1:1" in told
    assert "rpc.unreachable" in told


def test_reads_are_tried_again_while_the_controller_is_away(admin: Any, fake: Any) -> None:
    fake.state.unavailable = 2
    calls = fake.state.calls.get("ListEnvironments", 0)
    admin("env", "list")
    assert fake.state.calls["ListEnvironments"] == calls + 3


def test_reads_are_not_tried_for_ever(admin: Any, fake: Any) -> None:
    fake.state.unavailable = 99
    admin("env", "list", code=7)
    assert fake.state.unavailable == 96


def test_writes_are_sent_once_with_a_request_id(admin: Any, fake: Any) -> None:
    calls = fake.state.calls["CreateEnvironment"]
    fake.state.unavailable = 1
    admin("env", "create", "test", code=7)
    assert fake.state.calls["CreateEnvironment"] == calls + 1
    admin("env", "create", "test")


def test_debug_shows_the_traceback_and_without_it_there_is_none(admin: Any) -> None:
    assert "Traceback" not in admin("env", "show", "nowhere", code=5).stderr
    assert "Traceback" in admin("env", "show", "nowhere", "--debug", code=5).stderr
    assert "Traceback" in admin("--debug", "env", "show", "nowhere", code=5).stderr


def test_a_broken_settings_file_is_named(cli: Any) -> None:
    cli.home.mkdir()
    (cli.home / "contexts.yaml").write_text("contexts: [1, 2")
    assert "contexts.yaml" in cli("context", "list", code=1).stderr


def test_explain_knows_every_code_and_its_exit_code(cli: Any) -> None:
    listed = json.loads(cli("explain", "-o", "json").stdout)["items"]
    codes = load_all_codes()
    assert {item["name"] for item in listed} == set(codes)
    assert all(item["exit_code"] == EXIT_CODES[item["grpc"]] for item in listed)
    told = cli("explain", "bundle.bad_signature").stdout
    assert "means" in told
    assert "dative trust show" in told
    assert "did you mean" in cli("explain", "bundle.bad_signatur", code=5).stderr


@pytest.mark.parametrize("program", ["dative", "dative-atom"])
def test_every_next_step_that_names_a_command_names_one_that_exists(program: str) -> None:
    """A remedy that can not be typed is worse than none."""
    import re

    import click
    from dative_atom.agent.cli import main
    from dative_controller.cli.main import dative

    def exists(words: list[str]) -> bool:
        command: click.Command | None = dative if program == "dative" else main
        for word in words:
            if not isinstance(command, click.Group):
                return True
            command = command.get_command(click.Context(command), word)
            if command is None:
                return False
        return True

    named = [
        (name, found[1])
        for name, code in load_all_codes().items()
        for found in re.finditer(rf"(?<![\w-]){program} ([a-z-]+(?: [a-z-]+)?)", code.next)
    ]
    assert named
    assert [f"{name}: {program} {words}" for name, words in named if not exists(words.split())] == []
