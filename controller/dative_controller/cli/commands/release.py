"""`dative rollback` and `dative promote`: content that exists already, signed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command, env_option, molecule_option, yes_option
from dative_controller.cli.commands.deploy import _show_plan, deployed_name, finish, following_of, refuse_incomplete

if TYPE_CHECKING:
    from dative.bundle.manifest import Manifest

    from dative_controller.cli.deploying import Part
    from dative_controller.cli.release import Situation


@command("rollback", mutates=True)
@click.argument("name", metavar="[PROCESS]", required=False)
@click.option("--to", "generation", type=int, metavar="GENERATION", help="Everything as it was in this generation.")
@env_option
@molecule_option
@click.option("--watch/--no-watch", default=False, help="Follow it atom by atom.")
@click.option("-m", "--message", default="", help="Why; kept with the deployment.")
@yes_option
def rollback(
    app: App,
    name: str | None,
    generation: int | None,
    environment: str | None,
    molecule: str,
    watch: bool,
    message: str,
    yes: bool,
) -> None:
    """Bring back what ran before: PROCESS as it was before its last change, or all of it with --to.

    A rollback is a new generation with the old content, signed by you. Connections, overrides and secrets stay as they
    are set now: a password that was changed must not come back.
    """
    from dative_controller.cli import release

    if (name is None) == (generation is None):
        raise click.UsageError("name a PROCESS or give --to GENERATION, one of the two")
    here = release.situation(app, environment, molecule)
    if name is not None:
        put, remove, back_to = _process_before(app, here, deployed_name(here, name))
    else:
        put, remove, back_to = _all_of(app, here, generation or 0)
    following = following_of(app, here, put=put, remove=remove, message=message, back_to=back_to)
    plan = release.plan(app, here, following)
    _show_plan(app, plan)
    refuse_incomplete(plan, tuple(part.name for part in put))
    app.confirm(f"roll back to generation {back_to}", here.environment, yes=yes)
    undo = f"dative rollback --to {here.frame.generation} --env {here.environment.name}"
    finish(app, here, following, kind="rollback", message=message, undo=undo, watch=watch)


def _process_before(app: App, here: Situation, name: str) -> tuple[list[Part], tuple[str, ...], int]:
    """The process as the newest earlier generation with other content had it."""
    from dative.errors.cli import NOTHING_BEFORE, CliError

    from dative_controller.cli import release
    from dative_controller.cli.deploying import parts_of

    running = here.parts[name]
    for manifest in release.earlier(app, _current(here)):
        former = parts_of(manifest).get(name)
        if former is not None and former.digests != running.digests:
            return [former], (), manifest.generation
    raise CliError(f"process {name} had no other content before in {here.environment.name}", code=NOTHING_BEFORE)


def _all_of(app: App, here: Situation, generation: int) -> tuple[list[Part], tuple[str, ...], int]:
    """Every process as that generation had it; those that it did not have leave."""
    from dative.errors.cli import NOTHING_BEFORE, CliError

    from dative_controller.cli import release
    from dative_controller.cli.deploying import parts_of

    if generation < here.frame.generation:
        for manifest in release.earlier(app, _current(here)):
            if manifest.generation == generation:
                parts = parts_of(manifest)
                return list(parts.values()), tuple(here.parts.keys() - parts.keys()), generation
    raise CliError(
        f"there is no generation {generation} before {here.frame.generation} in {here.environment.name}",
        code=NOTHING_BEFORE,
    )


def _current(here: Situation) -> Manifest:
    from dative.errors.cli import NOT_DEPLOYED, CliError

    if here.frame.current is None:
        raise CliError(f"nothing was deployed in {here.environment.name} yet", code=NOT_DEPLOYED)
    return here.frame.current


@command("promote", mutates=True)
@click.argument("name", metavar="PROCESS")
@click.option("--from", "source", required=True, metavar="NAME", help="Environment where it runs.")
@click.option("--to", "environment", required=True, metavar="NAME", help="Environment where it shall run.")
@molecule_option
@click.option("--watch/--no-watch", default=False, help="Follow it atom by atom.")
@click.option("-m", "--message", default="", help="Why; kept with the deployment.")
@yes_option
def promote(
    app: App, name: str, source: str, environment: str, molecule: str, watch: bool, message: str, yes: bool
) -> None:
    """Deploy to one environment exactly what runs in another: the same digests; only what the environment sets differs."""
    from dative_controller.cli import release
    from dative_controller.cli.deploying import renumbered, versions_of

    there = release.situation(app, source, molecule)
    part = there.parts[deployed_name(there, name)]
    here = release.situation(app, environment, molecule)
    part = renumbered(part, here.frame.current, versions_of(part.name, here.deployed))
    following = following_of(app, here, put=[part], message=message)
    plan = release.plan(app, here, following, _differences(there, here, part.name))
    _show_plan(app, plan)
    digest = part.digests[part.entry.artifact]
    app.say(f"  same    {part.name} {digest[:19]}… in {there.environment.name} and {here.environment.name}")
    refuse_incomplete(plan, (part.name,))
    app.confirm(f"promote {part.name} from {there.environment.name}", here.environment, yes=yes)
    verb = "rollback" if part.name in here.parts else "undeploy"
    undo = f"dative {verb} {part.name} --env {here.environment.name}"
    finish(app, here, following, kind="promote", message=message, undo=undo, watch=watch)


def _differences(there: Situation, here: Situation, process: str) -> list[str]:
    """What the two environments set differently for this process."""
    from dative_controller.cli.plan import override_differences

    return override_differences(process, there.frame.environment, here.frame.environment)
