"""`dative deployment`: what was deployed, when and by whom."""

from __future__ import annotations

import click

from dative_controller.cli.app import App, command, env_option, molecule_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, moment

_COLUMNS: list[Column] = [
    ("generation", "generation"),
    ("deployment", "deployment_id"),
    ("kind", lambda item: item["kind"] + (f" to {item['rollback_of']}" if item["rollback_of"] else "")),
    ("processes", "processes"),
    ("by", "created_by"),
    ("at", moment("created_at")),
    ("why", "reason"),
]


@click.group(cls=NounGroup, name="deployment")
def group() -> None:
    """What was deployed, when and by whom."""


@command("list", of=group)
@env_option
@molecule_option
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="At most so many, newest first."
)
def list_(app: App, environment: str | None, molecule: str, limit: int) -> None:
    """Deployments of an environment, newest first; the first one is what is desired now."""
    from dative_controller.cli import estate
    from dative_controller.cli.plain import plain

    found = estate.environment(app, environment)
    items = [plain(one) for one in estate.deployments(app, found.environment_id, molecule, rows=limit)]
    app.out.items("Deployment", items, _COLUMNS, name="deployment_id")


@command("show", of=group)
@click.argument("deployment_id", metavar="DEPLOYMENT")
@click.option("--watch/--no-watch", default=False, help="Follow it to its end.")
def show(app: App, deployment_id: str, watch: bool) -> None:
    """One deployment, and how far each atom is with it."""
    from dative.v1.control_pb2 import WatchDeploymentRequest, WatchDeploymentResponse

    from dative_controller.cli import watching
    from dative_controller.cli.plain import plain

    if watch:
        code = watching.deployment(app, deployment_id)
        click.get_current_context().exit(code)
    request = WatchDeploymentRequest(deployment_id=deployment_id)
    states = app.client.stream("DeploymentService/WatchDeployment", request, WatchDeploymentResponse)
    state = next(states)
    item = {**plain(state.deployment), "done": state.done, "atoms": [plain(atom) for atom in state.atoms]}
    rows: list[Column] = [
        (key, key)
        for key in (
            "deployment_id",
            "generation",
            "kind",
            "processes",
            "created_by",
            "reason",
            "manifest_digest",
            "trace_id",
        )
    ]
    app.out.item("Deployment", item, [*rows, ("created", moment("created_at"))], name="deployment_id")
    if app.out.is_table:
        for atom in state.atoms:
            click.echo(f"  {watching.line(atom)}")
