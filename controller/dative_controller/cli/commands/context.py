"""`dative context`: which controller this command talks to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from dative_controller.cli.app import App, command
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, known

SETTABLE = ("server", "environment", "subject")


@click.group(cls=NounGroup, name="context")
def group() -> None:
    """Which controller this command talks to."""


@command("list", of=group)
def list_(app: App) -> None:
    """Contexts on this machine."""
    from dative_controller.cli import context as contexts

    stored = contexts.read(app.home)
    items = [
        {"name": one.name, "current": one.name == stored.current, "server": one.server, "subject": one.subject,
         "environment": one.environment, "organization_id": one.organization_id}
        for one in stored.contexts.values()
    ]  # fmt: skip
    columns: list[Column] = [("", lambda item: "*" if item["current"] else ""), ("name", "name"), ("server", "server")]
    app.out.items("Context", items, [*columns, ("subject", "subject"), ("environment", "environment")])


@command("use", of=group, prints=False)
@click.argument("name")
def use(app: App, name: str) -> None:
    """Make NAME the context that is used when none is named."""
    from dative_controller.cli import context as contexts

    stored = contexts.read(app.home)
    chosen = stored.named(name)
    contexts.write(app.home, contexts.Contexts(chosen.name, stored.contexts))
    app.done(f"context {chosen.name}: {chosen.server}")
    if stored.current and stored.current != chosen.name:
        app.undo(f"dative context use {stored.current}")


@command("show", of=group)
def show(app: App) -> None:
    """The context in force, and where each of its values came from."""
    origins = app.resolved.origins
    values = {
        name: getattr(app.context, name) for name in ("name", "server", "subject", "organization_id", "environment")
    }
    item = {**values, "ca": bool(app.context.ca), "home": str(app.home), "origins": dict(origins)}
    rows: list[Column] = [
        (name, known(f"{value}  ({origins.get(name, 'contexts.yaml')})" if value else ""))
        for name, value in values.items()
    ]
    app.out.item("Context", item, [*rows, ("home", "home")])


@command("create", of=group, prints=False)
@click.argument("name")
@click.option("--server", required=True, metavar="HOST:PORT", help="The controller's public address.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The controller's ca.pem.")
@click.option("--ca-pin", metavar="sha256:…", help="Pin of the controller's authority, in place of --ca.")
@click.option("--environment", default="", help="Default of --env.")
def create(app: App, name: str, server: str, ca: Path | None, ca_pin: str | None, environment: str) -> None:
    """Add a context; `dative login` does it too."""
    from dative.errors.cli import CA_UNKNOWN, CliError

    from dative_controller.cli import context as contexts

    if not contexts.is_name(name):
        raise click.UsageError(f"{name!r} is no name for a context: lower-case letters, digits, dots and dashes")
    if ca_pin:
        from dative_controller.cli.pinning import authority_of

        authority = authority_of(server, ca_pin)
    elif ca:
        authority = ca.read_text()
    else:
        raise CliError(f"how is {server} recognised?", code=CA_UNKNOWN)
    made = contexts.Context(name=name, server=server, ca=authority, environment=environment)
    contexts.write(app.home, contexts.read(app.home).with_context(made))
    app.done(f"context {name}: {server}")
    app.undo(f"dative context delete {name}")


@command("set", of=group, prints=False)
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
def set_(app: App, assignments: tuple[str, ...]) -> None:
    """Change server, environment or subject of the context in force."""
    from dative_controller.cli import context as contexts

    values = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or key not in SETTABLE:
            raise click.UsageError(f"{key}: give one of {', '.join(SETTABLE)} as KEY=VALUE")
        values[key] = value
    stored = contexts.read(app.home)
    former = stored.named(app.context.name)
    contexts.write(app.home, stored.with_context(replace(former, **values)))
    app.done(f"context {former.name}: {', '.join(assignments)}")
    app.undo("dative context set " + " ".join(f"{key}={getattr(former, key)}" for key in values))


@command("delete", of=group, prints=False)
@click.argument("name")
@click.option("--keys", is_flag=True, help="Delete its keys too. Without a copy they are gone for good.")
def delete(app: App, name: str, keys: bool) -> None:
    """Forget a context and its session. Its keys stay unless --keys is given."""
    from dative_controller.cli import context as contexts

    stored = contexts.read(app.home)
    chosen = stored.named(name)
    app.session_of(chosen.name).forget()
    if keys:
        for entry in ("root.pem", "release.pem", "release-next.pem", "recovery.key"):
            app.keys_of(chosen.name).ring.delete(entry)
    contexts.write(app.home, stored.without(chosen.name))
    app.done(f"context {chosen.name} is forgotten{' with its keys' if keys else '; its keys stay'}")
