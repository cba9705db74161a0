"""`dative plan`, `diff`, `deploy`, `undeploy`: one process into an environment, or out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from dative_controller.cli.app import App, command, env_option, molecule_option, yes_option
from dative_controller.cli.output import Column

if TYPE_CHECKING:
    from dative.bundle.manifest import Manifest

    from dative_controller.cli.deploying import Next, Part
    from dative_controller.cli.plan import Plan
    from dative_controller.cli.release import Situation
    from dative_controller.cli.rolling import Rolling


def _show_plan(app: App, plan: Plan) -> None:
    """On stderr, in colour where there is some."""
    colours = {"+": "green", "-": "red", "~": "yellow"}
    for process in plan.processes:
        if process.changed:
            before = f"r{process.before}" if process.before else "new"
            after = f"r{process.after}" if process.after else "removed"
            app.say(click.style(f"  {process.name}  {before} → {after}", bold=True))
            for line in process.lines:
                app.say(click.style(f"    {line.sign} {line.text}", fg=colours[line.sign]))
    kept = sum(not process.changed for process in plan.processes)
    if kept:
        app.say(click.style(f"  {kept} process{'es' if kept != 1 else ''} unchanged", dim=True))
    for line in plan.settings:
        app.say(click.style(f"  environment {line.sign} {line.text}", fg=colours[line.sign]))
    for need in plan.needs:
        app.say(click.style(f"  needs ✗ {need}", fg="red"))
    for note in plan.notes:
        app.say(f"  note    {note}")
    for place, source in plan.profiles.items():
        app.say(click.style(f"  profile {place}: {source}", dim=True))


profiles_option = click.option(
    "--profiles/--no-profiles",
    default=True,
    help="Ask an atom which fields the systems have now; else what was recorded beside the process is taken.",
)


class Planned(NamedTuple):
    """names: of the process that was asked for, then of those that it calls: they travel with it."""

    names: tuple[str, ...]
    here: Situation
    following: Next
    plan: Plan


def planned(app: App, target: str, environment: str | None, molecule: str, *, profiles: bool = True) -> Planned:
    """Read, check and compare; deploys nothing. Errors: those of the steps it takes.

    profiles: ask an atom for the live profiles that the processes are checked with; else what was recorded is taken.
    """
    from dative.errors.cli import CliError
    from dative.process.profiles import Recorded

    from dative_controller.cli import release, sources
    from dative_controller.cli.deploying import packed, versions_of
    from dative_controller.cli.profiles import Live

    path = sources.named(target)
    # What is wrong by itself is told before anybody is asked for anything.
    sources.ready_with_called(path, lambda *_: Recorded())
    here = release.situation(app, environment, molecule)
    live = Live(app, here.environment.name, molecule, profiles, is_first=here.frame.current is None)
    try:
        together = sources.ready_with_called(path, live.of)
    except CliError as refused:
        if live.was_asked:
            # Found with profiles that are not beside the file: `validate` would find less.
            refused.next = (
                f"dative process profile {path} --env {here.environment.name} --write, then {refused.next}; "
                "--no-profiles goes by what was recorded"
            )
        raise
    parts = []
    for ready in together:
        versions = versions_of(ready.name, here.deployed)
        parts.append(packed(ready.name, ready.definition, ready.tables, here.frame.current, versions))
    following = following_of(app, here, put=parts)
    warnings = [
        f"{finding.message} ({finding.code.name}, line {finding.line})"
        for ready in together
        for finding in ready.warnings
    ]
    names = tuple(ready.name for ready in together)
    return Planned(names, here, following, release.plan(app, here, following, [*warnings, *live.notes], live.sources))


def following_of(
    app: App,
    here: Situation,
    *,
    put: list[Part],
    remove: tuple[str, ...] = (),
    message: str = "",
    back_to: int | None = None,
) -> Next:
    """The next manifest, stamped and named. back_to: the generation whose content comes back."""
    from dative_controller.cli import release
    from dative_controller.cli.deploying import next_manifest

    return next_manifest(
        here.frame,
        put=put,
        remove=remove,
        now=app.clock.now(),
        signer=release.signer(app, message),
        request_id=app.request_id(),
        rollback_of=back_to,
    )


def refuse_incomplete(plan: Plan, names: tuple[str, ...]) -> None:
    """What the environment lacks for these processes is found here, not at the first execution."""
    from dative.errors.cli import MISSING_BINDING, CliError

    needs = [need for need in plan.needs if need.partition(":")[0] in names]
    if needs:
        listed = "\n".join(f"  ✗ {need}" for need in needs)
        raise CliError(f"environment {plan.environment} lacks:\n{listed}", code=MISSING_BINDING)


def finish(
    app: App,
    here: Situation,
    following: Next,
    *,
    kind: str,
    message: str,
    undo: str,
    watch: bool,
    check_index: int | None = None,
    rollout: Rolling | None = None,
) -> None:
    """Sign and create; tell who, what, where and the way back; follow it when asked."""
    from dative_controller.cli import release, watching

    answer = release.deploy(
        app, here, following, kind=kind, check_index=check_index or here.check_index, reason=message, rollout=rollout
    )
    processes = ", ".join(f"{entry.process_id} r{entry.version}" for entry in following.manifest.processes) or "nothing"
    app.done(
        f"generation {answer.generation} of {here.environment.name}/{here.frame.molecule_id}"
        f" signed by {app.context.subject}: {processes}"
    )
    app.say("  note   running executions finish on their version")
    if rollout is not None:
        back = "back to all by itself" if rollout.way_back and here.frame.current else "halt"
        app.say(
            f"  note   {rollout.max_unavailable} member at a time, {rollout.gate.total_seconds():g} s each; goes bad: {back}"
        )
    app.undo(undo)
    _print(app, here, following.manifest, answer.deployment_id)
    if watch:
        code = watching.deployment(app, answer.deployment_id)
        if code:
            click.get_current_context().exit(code)


def _print(app: App, here: Situation, manifest: Manifest, deployment_id: str) -> None:
    """The deployment as data. deployment_id: empty when nothing had to be deployed."""
    item = {
        "deployment_id": deployment_id,
        "generation": manifest.generation,
        "environment": here.environment.name,
        "manifest_digest": manifest.digest,
        "processes": [f"{entry.process_id}@{entry.version}" for entry in manifest.processes],
        "trace_id": app.trace.trace_id,
    }
    rows: list[Column] = [
        ("deployment", "deployment_id"),
        ("generation", "generation"),
        ("manifest", "manifest_digest"),
    ]
    app.out.item("Deployment", item, rows, name="deployment_id")


def _plan(app: App, target: str, environment: str | None, molecule: str, *, exit_code: bool, profiles: bool) -> None:
    plan = planned(app, target, environment, molecule, profiles=profiles).plan
    if app.out.is_table:
        _show_plan(app, plan)
        app.say("  no change" if not plan.changed else "")
        click.echo(f"check-index {plan.check_index}")
    else:
        app.out.item("Plan", plan.as_data(), [], name="check_index")
    if exit_code and plan.changed:
        click.get_current_context().exit(3)


def _plan_command(name: str) -> click.Command:
    @command(name, help="What `dative deploy` would change. PROCESS is a file, or the name of a process below here.")
    @click.argument("target", metavar="PROCESS")
    @env_option
    @molecule_option
    @click.option("--exit-code", is_flag=True, help="Exit 3 when there are changes.")
    @profiles_option
    def run(app: App, target: str, environment: str | None, molecule: str, exit_code: bool, profiles: bool) -> None:
        _plan(app, target, environment, molecule, exit_code=exit_code, profiles=profiles)

    return run


plan = _plan_command("plan")
diff = _plan_command("diff")


@command("deploy", mutates=True)
@click.argument("target", metavar="PROCESS")
@env_option
@molecule_option
@click.option("--check-index", type=int, help="From `dative plan`: refuse when anything changed since.")
@click.option(
    "--rolling/--at-once", default=None, help="Member by member; so by default where a molecule has settings."
)
@click.option("--max-unavailable", default=1, show_default=True, type=click.IntRange(1, 100), help="Members at a time.")
@click.option("--gate", "gate_s", default=30.0, show_default=True, help="Seconds that each member must be well.")
@click.option(
    "--return/--no-return",
    "way_back",
    default=True,
    help="Sign the way back with it.",
)
@click.option("--watch/--no-watch", default=False, help="Follow it atom by atom.")
@click.option("-m", "--message", default="", help="Why; kept with the deployment.")
@profiles_option
@yes_option
def deploy(
    app: App,
    target: str,
    environment: str | None,
    molecule: str,
    check_index: int | None,
    rolling: bool | None,
    max_unavailable: int,
    gate_s: float,
    way_back: bool,
    watch: bool,
    message: str,
    profiles: bool,
    yes: bool,
) -> None:
    """Validate, pack, sign and deploy PROCESS: a file, or the name of a process below here.

    Processes that it calls are deployed with it; the others of the molecule stay as they are.
    """
    from datetime import timedelta

    from dative_controller.cli.rolling import Rolling

    names, here, following, plan = planned(app, target, environment, molecule, profiles=profiles)
    name = names[0]
    _show_plan(app, plan)
    if not plan.changed and here.frame.current and here.frame.current.artifacts == following.manifest.artifacts:
        app.done(f"{here.environment.name} runs exactly this already; nothing was deployed")
        _print(app, here, here.frame.current, "")
        return
    refuse_incomplete(plan, names)
    app.confirm(f"deploy {name}", here.environment, yes=yes)
    finish(
        app,
        here,
        following,
        kind="deploy",
        message=message,
        undo=_undo(here, plan, name),
        watch=watch,
        check_index=check_index,
        rollout=Rolling(max_unavailable, timedelta(seconds=gate_s), way_back) if _rolls(app, here, rolling) else None,
    )


def _rolls(app: App, here: Situation, wanted: bool | None) -> bool:
    """As it was said; unsaid, where several atoms coordinate."""
    from dative.errors import DativeError
    from dative.errors.control import NOT_FOUND

    from dative_controller.cli import estate

    if wanted is not None or here.atoms < 2:
        return bool(wanted)
    try:
        found = estate.molecule(app, here.environment.environment_id, here.frame.molecule_id)
    except DativeError as unknown:
        if unknown.code is not NOT_FOUND:
            raise
        return False
    return found.HasField("settings")


def _undo(here: Situation, plan: Plan, name: str) -> str:
    """A new process goes, a changed one goes back, changed settings alone leave the content as it is."""
    changed = any(process.name == name and process.changed for process in plan.processes)
    if name not in here.parts:
        return f"dative undeploy {name} --env {here.environment.name}"
    if changed:
        return f"dative rollback {name} --env {here.environment.name}"
    return f"dative env set {here.environment.name} …, then deploy again"


@command("undeploy", mutates=True)
@click.argument("name", metavar="PROCESS")
@env_option
@molecule_option
@click.option("--watch/--no-watch", default=False, help="Follow it atom by atom.")
@click.option("-m", "--message", default="", help="Why; kept with the deployment.")
@yes_option
def undeploy(app: App, name: str, environment: str | None, molecule: str, watch: bool, message: str, yes: bool) -> None:
    """Take a process out of an environment, as a new signed generation. Running executions finish."""
    from dative_controller.cli import release

    here = release.situation(app, environment, molecule)
    name = deployed_name(here, name)
    following = following_of(app, here, put=[], remove=(name,), message=message)
    release.refuse_broken_calls(app, following)
    app.confirm(f"undeploy {name}", here.environment, yes=yes)
    undo = f"dative rollback --to {here.frame.generation} --env {here.environment.name}"
    finish(app, here, following, kind="deploy", message=message, undo=undo, watch=watch)


def deployed_name(here: Situation, text: str) -> str:
    """The deployed process that a name or a unique prefix means. Errors: cli.not_deployed."""
    from dative.errors.cli import NOT_DEPLOYED, CliError

    names = sorted(here.parts)
    fitting = [text] if text in names else [name for name in names if name.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(fitting or names) or "nothing"
    raise CliError(f"no single process {text} in {here.environment.name}; there is: {there}", code=NOT_DEPLOYED)
