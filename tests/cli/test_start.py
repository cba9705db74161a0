"""What starting costs, what help shows, and what a pipe gets."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

import pytest

RUN = [sys.executable, "-m", "dative_controller.cli.main"]
CPU_S_MAX = 0.150


def start(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DATIVE_", "NO_COLOR"))}
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False, env={**clean, **env})


def test_help_costs_under_150_ms_of_cpu() -> None:
    start("--help")  # once for the byte code
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert start("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < CPU_S_MAX, costs


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("--help",), {"grpc", "rich", "pydantic", "msgspec", "cryptography", "google.protobuf", "ruamel", "keyring"}),
        (("deploy", "--help"), {"grpc", "rich", "pydantic"}),
        (("env", "secret", "--help"), {"grpc", "rich", "pydantic"}),
        (("completion", "bash"), {"grpc", "rich", "pydantic"}),
        (("context", "list"), {"grpc", "rich", "pydantic"}),
    ],
)
def test_what_is_not_needed_is_not_imported(arguments: tuple[str, ...], absent: set[str], tmp_path: Any) -> None:
    script = (
        "import sys\nfrom dative_controller.cli.main import dative\n"
        "try: dative(sys.argv[1:], prog_name='dative')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DATIVE_HOME": str(tmp_path)},
    )
    assert not absent & set(run.stderr.split("\n"))


def test_every_command_of_the_tree_has_help_with_a_sentence() -> None:
    import click
    from dative_controller.cli.main import dative

    def walk(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        ctx = click.Context(command, info_name=path[-1] if path else "dative")
        assert command.get_help(ctx)
        assert command.help, path
        if not isinstance(command, click.Group):
            return [path]
        names = command.list_commands(ctx)
        below = [(name, command.get_command(ctx, name)) for name in names]
        return [found for name, one in below if one is not None for found in walk(one, (*path, name))]

    leaves = {" ".join(path) for path in walk(dative, ())}
    promised = """
        serve login logout whoami status plan diff deploy undeploy rollback promote find doctor explain completion version
        context-list context-use context-show context-create context-delete context-set
        trust-init trust-show trust-rotate-release
        env-list env-show env-create env-set env-secret-set env-secret-list env-secret-delete
        atom-invite atom-list atom-show atom-approve atom-revoke atom-drain atom-resume atom-test
        molecule-create molecule-list molecule-show molecule-set molecule-remove
        process-validate process-test process-run process-list process-schema process-docs process-lineage process-dry-run
        process-profile
        vault-key-create vault-key-rotate vault-key-list vault-enrol vault-allow vault-forbid vault-readers vault-reveal
        xref-list xref-show xref-export xref-import xref-set xref-remove
        deployment-list deployment-show execution-list execution-show execution-watch execution-cancel execution-receipts
        trace-show dlq-list dlq-show dlq-edit dlq-retry dlq-discard dlq-assign dlq-expire audit-list audit-verify
    """
    # "rotate-release" and "dry-run" hold a dash themselves.
    assert leaves == {
        word.replace("-", " ").replace("rotate release", "rotate-release").replace("dry run", "dry-run")
        for word in promised.split()
    }


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [
        (("deply",), 'no command "deply"; did you mean "dative deploy"?'),
        (("env", "lst"), 'no command "lst"; did you mean "dative env list"?'),
        (("env", "secret", "sett"), 'no command "sett"; did you mean "dative env secret set"?'),
        (("trace", "xyzzy"), 'no command "xyzzy"; known: show'),
    ],
)
def test_an_unknown_command_names_the_nearest_and_exits_2(cli: Any, typed: tuple[str, ...], suggestion: str) -> None:
    assert suggestion in cli(*typed, code=2).stderr


@pytest.mark.parametrize(("alias", "verb"), [("ls", "list"), ("get", "show"), ("rm", "delete")])
def test_what_fingers_type_anyway_works_and_is_hidden(cli: Any, alias: str, verb: str) -> None:
    assert (
        cli("context", alias, "--help").stdout.partition("\n")[2]
        == cli("context", verb, "--help").stdout.partition("\n")[2]
    )
    assert f"  {alias} " not in cli("context", "--help").stdout


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete -o nosort"), ("zsh", "#compdef dative"), ("fish", "complete --no-files")]
)
def test_completion_scripts_are_printed_for_each_shell(cli: Any, shell: str, sign: str) -> None:
    script = cli("completion", shell).stdout
    assert sign in script
    assert "_DATIVE_COMPLETE" in script


def test_completion_completes_nouns_and_verbs() -> None:
    done = start(_DATIVE_COMPLETE="bash_complete", COMP_WORDS="dative env s", COMP_CWORD="2")
    assert [line.rpartition(",")[2] for line in done.stdout.split()] == ["show", "set", "secret"] or sorted(
        line.rpartition(",")[2] for line in done.stdout.split()
    ) == ["secret", "set", "show"]


def test_a_pipe_gets_no_colour_unless_it_is_forced(tmp_path: Any) -> None:
    home = {"DATIVE_HOME": str(tmp_path)}
    assert "\x1b[" not in start("whoami", **home).stderr
    assert "\x1b[" in start("whoami", **home, FORCE_COLOR="1").stderr
    assert "\x1b[" not in start("whoami", **home, FORCE_COLOR="1", NO_COLOR="1").stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Any) -> None:
    command = f"{' '.join(RUN)} explain | head -1"
    run = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DATIVE_HOME": str(tmp_path)},
    )
    assert "Traceback" not in run.stderr
    assert run.stdout.startswith("code")
