"""`dative process`: validate, test, run and describe processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from dative_controller.cli.app import App, command, env_option, molecule_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column
from dative_controller.cli.plain import Plain


@click.group(cls=NounGroup, name="process")
def group() -> None:
    """Validate, test, run and describe processes."""


@command("validate", of=group)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
def validate(app: App, paths: tuple[str, ...]) -> None:
    """Check process files offline; all findings at once. PATH is a file or a folder, default: here."""
    from dative_controller.cli import sources

    checked = [sources.check(path) for path in sources.files(paths)]
    findings = [finding for source in checked for finding in source.findings]
    if app.out.is_table:
        for finding in findings:
            colour = "red" if finding.severity == "error" else "yellow"
            head, *rest = sources.finding_lines(finding)
            click.echo(click.style(head, fg=colour))
            for line in rest:
                click.echo(line)
    else:
        items = [
            {"severity": one.severity, "code": one.code.name, "message": one.message, "file": one.file,
             "line": one.line, "column": one.column, "next": one.next}
            for one in findings
        ]  # fmt: skip
        app.out.items("Finding", items, [], name="code")
    errors = sum(finding.severity == "error" for finding in findings)
    app.say(f"{len(checked)} checked, {errors} error{'s' if errors != 1 else ''}, {len(findings) - errors} warnings")
    if errors:
        click.get_current_context().exit(1)


@command("lineage", of=group)
@click.argument("target", metavar="PROCESS")
@click.argument("field", required=False, default="")
@click.option("--step", default="", metavar="ID", help="After this step; default: at every target.")
def lineage(app: App, target: str, field: str, step: str) -> None:
    """Where a target's field comes from: source fields, functions, classes and masks. Offline, from the file."""
    import dataclasses

    from dative.process.lineage import explain

    from dative_controller.cli import sources

    process = sources.built(sources.named(target))
    try:
        found = explain(process, step=step, field=field)
    except KeyError:
        known = ", ".join(one.id for one, _ in process.steps())
        raise click.UsageError(f"{process.name} has no step {step}; it has {known}") from None
    if field and not found:
        known = ", ".join(dict.fromkeys(one.field for one in explain(process, step=step)))
        raise click.UsageError(f"no target of {process.name} has a field {field}; there are {known}")
    columns: list[Column] = [
        ("step", "step"),
        ("field", "field"),
        ("from", "sources"),
        ("by", "functions"),
        ("classes", "classes"),
        ("masks", "masks"),
        ("unmasked", "unmasked"),
    ]
    app.out.items("FieldLineage", [dataclasses.asdict(one) for one in found], columns, name="field")


@command("test", of=group)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--case", "part", default="", metavar="TEXT", help="Only cases whose name holds this.")
@click.option("--show", is_flag=True, help="Show the documents after every step.")
@click.option("--update", is_flag=True, help="Write the expected part of failed cases anew.")
@click.option("--junit", metavar="FILE", help="Write a JUnit report; of one PATH.")
def test(app: App, paths: tuple[str, ...], part: str, show: bool, update: bool, junit: str | None) -> None:
    """Run the processes' own tests offline, in the engine that runs them in production (needs dative[atom])."""
    if junit and len(paths) > 1:
        raise click.UsageError("--junit takes the report of one PATH")
    options = ["--case", part] * bool(part) + ["--show-steps"] * show + ["--update"] * update
    options += ["--junit", junit] if junit else []
    engine = find_engine(app.environ.get("PATH", ""), Path(sys.executable).parent)
    cases: list[Plain] = []
    for path in paths or (".",):
        cases += _run_tests(engine, path, options)
    columns: list[Column] = [
        ("", lambda item: "✔" if item.get("passed") else "✖"),
        ("process", "process"),
        ("case", "name"),
        ("why", "message"),
    ]
    app.out.items("TestCase", cases, columns)
    if app.out.is_table:
        for case in cases:
            for line in _told(case, show=show):
                click.echo(line)
    failed = sum(not case.get("passed") for case in cases)
    app.say(f"{len(cases)} cases, {failed} failed")
    if failed:
        click.get_current_context().exit(1)


def find_engine(search: str, beside: Path) -> str:
    """The `dative-atom` of the path, else the one beside this program's Python. Errors: cli.engine_missing."""
    from dative.errors.cli import ENGINE_MISSING, CliError

    engine = (shutil.which("dative-atom", path=search) if search else None) or shutil.which(
        "dative-atom", path=str(beside)
    )
    if engine is None:
        raise CliError("dative-atom is not on this machine's path", code=ENGINE_MISSING)
    return engine


def _told(case: Plain, *, show: bool) -> list[str]:
    """What a failed case has and should have, field by field; the documents after each step where they are wanted."""
    found = []
    for one in case.get("differences", ()) if not case.get("passed") else ():
        if one["note"]:
            found.append(f"  {one['where']}: {one['note']}")
        else:
            found += [f"  {one['where']}, {one['field']}:", f"    - {one['expected']!r}", f"    + {one['actual']!r}"]
    for step, rows in case.get("steps", {}).items() if show else ():
        found.append(f"  {step}: {len(rows)} documents")
        found += [f"    {json.dumps(row, ensure_ascii=False)}" for row in rows]
    return [f"{case['process']}: {case['name']}", *found] if found else []


def _run_tests(engine: str, path: str, options: list[str]) -> list[Plain]:
    """The cases of one path. What the engine says on stderr is its own words, passed on when it gave no report."""
    from dative.errors.cli import TESTS_FAILED, CliError

    run = subprocess.run([engine, "test", path, "--output", "json", *options], capture_output=True, check=False)
    try:
        cases: list[Plain] = json.loads(run.stdout)["cases"]
    except (ValueError, KeyError, TypeError):
        click.echo(run.stderr.decode(errors="replace"), err=True, nl=False)
        raise CliError(
            f"dative-atom test {path} gave no report and exit code {run.returncode}", code=TESTS_FAILED
        ) from None
    if run.returncode and all(case.get("passed") for case in cases):
        raise CliError(f"dative-atom test {path} failed with exit code {run.returncode}", code=TESTS_FAILED)
    return cases


def deployed(function: Callable[..., None]) -> Callable[..., None]:
    """What says which deployed process an atom is to run, where, and with which parameters."""
    for option in (
        click.option(
            "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter for this run only."
        ),
        click.option("--atom", default="", metavar="NAME", help="Where; default: the least loaded one."),
        molecule_option,
        env_option,
        click.argument("name", metavar="PROCESS"),
    ):
        function = option(function)
    return function


@command("run", of=group, mutates=True)
@deployed
@click.option("--trace", "keep_trace", is_flag=True, help="Keep the whole trace whatever the sampler says.")
@click.option("--watch/--no-watch", default=False, help="Follow the run to its end.")
def run(
    app: App,
    name: str,
    environment: str | None,
    molecule: str,
    atom: str,
    parameters: tuple[str, ...],
    keep_trace: bool,
    watch: bool,
) -> None:
    """Run a deployed process now."""
    from dative.v1.control_pb2 import ControlRunProcessRequest, ControlRunProcessResponse

    from dative_controller.cli import watching

    request = ControlRunProcessRequest(
        request_id=app.request_id(),
        environment=app.environment_name(environment),
        process=name,
        molecule=molecule,
        atom=atom,
        trace=keep_trace,
        parameters=dict(_parameter(text) for text in parameters),
    )
    answer = app.client.write("ExecutionService/RunProcess", request, ControlRunProcessResponse)
    app.done(f"{name} runs on {answer.atom} as {answer.execution_id}")
    if not watch:
        app.say(f"  next   dative execution watch {answer.execution_id}")
        app.undo(f"dative execution cancel {answer.execution_id}")
        item = {"execution_id": answer.execution_id, "atom": answer.atom}
        app.out.item("Run", item, [("execution", "execution_id"), ("atom", "atom")], name="execution_id")
        return
    from dative_controller.cli.commands.execution import print_execution

    last = watching.execution(app, answer.execution_id)
    print_execution(app, last)
    code = watching.EXIT_CODES.get(last.execution.state, 7)
    if code:
        click.get_current_context().exit(code)


@command("dry-run", of=group)
@deployed
@click.option("--documents", default=1000, show_default=True, help="At most so many documents of the source.")
@click.option("--show", "shown", default=20, show_default=True, help="So many documents per target and answer.")
def dry_run(
    app: App,
    name: str,
    environment: str | None,
    molecule: str,
    atom: str,
    parameters: tuple[str, ...],
    documents: int,
    shown: int,
) -> None:
    """What would it change now? Reads the real source, looks at the real targets, and writes nothing."""
    from dative.v1.control_pb2 import ControlDryRunRequest

    from dative_controller.cli.dry_run import show

    request = ControlDryRunRequest(
        request_id=app.request_id(),
        environment=app.environment_name(environment),
        process=name,
        molecule=molecule,
        atom=atom,
        parameters=dict(_parameter(text) for text in parameters),
        documents_max=documents,
        shown_max=shown,
    )
    show(app, request)


@command("profile", of=group)
@click.argument("target", metavar="PROCESS")
@env_option
@molecule_option
@click.option("--atom", default="", metavar="NAME", help="Who looks; default: the least loaded one.")
@click.option("--write", is_flag=True, help="Write what is not as recorded to profiles/ beside the process.")
def profile(app: App, target: str, environment: str | None, molecule: str, atom: str, write: bool) -> None:
    """Which fields do the steps' systems have now, beside what was recorded? Exit 3 on drift, 1 where one can not say.

    PROCESS is a file, or the name of a process below here. Names and types only; no document is read.
    """
    from dative_controller.cli import profiles, sources

    path = sources.named(target)
    process = sources.built(path)
    found = profiles.look(app, process, path.parent, app.environment_name(environment), molecule, atom)
    code = profiles.show(app, process, path.parent, found, write=write)
    if code:
        click.get_current_context().exit(code)


@command("list", of=group)
@env_option
@molecule_option
def list_(app: App, environment: str | None, molecule: str) -> None:
    """What is deployed in an environment."""
    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    newest = estate.deployments(app, found.environment_id, molecule, rows=1)
    items = []
    for entry in newest[0].processes if newest else ():
        name, _, version = entry.rpartition("@")
        items.append(
            {"name": name, "version": int(version), "environment": found.name, "generation": newest[0].generation}
        )
    columns: list[Column] = [(key, key) for key in ("name", "version", "environment", "generation")]
    app.out.items("Process", items, columns)


@command("schema", of=group, prints=False)
@click.option("--tests", is_flag=True, help="Of a test file.")
def schema(_app: App, tests: bool) -> None:
    """Print the JSON Schema of a process file, for editors."""
    from dative.process.cases import test_schema
    from dative.process.schema import rendered

    click.echo((test_schema() if tests else rendered()).rstrip())


@command("docs", of=group, prints=False)
@click.argument("word", required=False)
def docs(_app: App, word: str | None) -> None:
    """Print the reference of the process language; WORD keeps the parts that name it."""
    from dative.process.reference import reference

    text = reference()
    if word is None:
        click.echo(text)
        return
    parts = [part for part in _sections(text) if word.lower() in part.partition("\n")[0].lower()]
    parts = parts or [part for part in _sections(text) if word.lower() in part.lower()]
    if not parts:
        raise click.UsageError(f"the reference does not name {word}")
    click.echo("\n".join(parts).rstrip())


def _sections(text: str) -> list[str]:
    """The text cut at its headings, each with what stands under it."""
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("#"):
            parts.append([])
        parts[-1].append(line)
    return ["\n".join(part) for part in parts if part]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--param {name}: give NAME=VALUE")
    return name, value
