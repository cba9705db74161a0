"""`dative env`: environments, what they connect to, what they override, and their secrets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command, env_option, yes_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, known, moment

if TYPE_CHECKING:
    from dative.v1.control_pb2 import Environment

VALUE_BYTES_MAX = 64 << 10
_COLUMNS: list[Column] = [
    ("name", "name"),
    ("production", "production"),
    ("connections", lambda item: [one["name"] for one in item["connections"]]),
    ("secrets", lambda item: len(item["secrets"])),
    ("approval", "require_approval"),
    ("version", "version"),
]


@click.group(cls=NounGroup, name="env")
def group() -> None:
    """Environments: connections, overrides, secrets."""


@command("list", of=group)
def list_(app: App) -> None:
    """Environments."""
    from dative_controller.cli import estate
    from dative_controller.cli.plain import plain

    app.out.items("Environment", [plain(one) for one in estate.environments(app)], _COLUMNS)


@command("show", of=group)
@click.argument("environment", metavar="NAME", required=False)
def show(app: App, environment: str | None) -> None:
    """One environment: its connections with their settings, its overrides, its secrets' names."""
    from dative_controller.cli import estate

    _print(app, estate.environment(app, environment))


@command("create", of=group, mutates=True)
@click.argument("name")
@click.option("--production", is_flag=True, help="Asks for its name before changes, and approves each atom.")
def create(app: App, name: str, production: bool) -> None:
    """Make an environment."""
    from dative.v1.control_pb2 import CreateEnvironmentRequest, CreateEnvironmentResponse

    request = CreateEnvironmentRequest(request_id=app.request_id(), name=name, production=production)
    made = app.client.write("EnvironmentService/CreateEnvironment", request, CreateEnvironmentResponse).environment
    app.done(f"environment {made.name}{' (production)' if made.production else ''} made by {app.context.subject}")
    app.say(f"  next   dative env set {made.name} CONNECTION.connector=…   ·   dative atom invite --env {made.name}")
    if not app.out.is_table:
        _print(app, made)


@command("set", of=group, mutates=True)
@click.argument("environment", metavar="NAME")
@click.argument("assignments", nargs=-1, metavar="[CONNECTION.SETTING=VALUE]...")
@click.option(
    "--override", "overrides", multiple=True, metavar="PROCESS.PARAMETER=VALUE", help="A process' parameter here."
)
@click.option(
    "--unset", multiple=True, metavar="NAME", help="A connection, a CONNECTION.SETTING or a PROCESS.PARAMETER."
)
@click.option(
    "--allow", multiple=True, metavar="WHAT", help="What processes may do here: scripts, or command:/absolute/path."
)
@click.option("--disallow", multiple=True, metavar="WHAT", help="Take that back.")
@click.option("--require-approval/--no-require-approval", default=None, help="Whether atoms wait for an admin.")
@yes_option
def set_(
    app: App,
    environment: str,
    assignments: tuple[str, ...],
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    allow: tuple[str, ...],
    disallow: tuple[str, ...],
    require_approval: bool | None,
    yes: bool,
) -> None:
    """Set what connections are and need: `dative env set dev erp.connector=database erp.url=postgresql://db/erp`.

    Nothing secret belongs here: give a secret setting a reference, `erp.password=sealed:erp.password`, `env:ERP_PASSWORD`
    or `file:/run/secrets/erp`. Atoms get the new settings with the next deployment.
    What is allowed here, an atom must allow as well (allow_scripts, allow_commands).
    """
    from dative.v1.control_pb2 import SetEnvironmentRequest, SetEnvironmentResponse

    from dative_controller.cli import estate, settings

    before = estate.environment(app, environment)
    change = settings.change(before, assignments, overrides, unset)
    app.confirm(f"change settings of {before.name}", before, yes=yes)
    request = SetEnvironmentRequest(
        request_id=app.request_id(),
        environment=before.environment_id,
        expected_version=before.version,
        set_connections=change.connections,
        delete_connections=change.removed,
        set_overrides=change.overrides,
        delete_overrides=change.removed_overrides,
        require_approval=require_approval,
        allow=allow,
        disallow=disallow,
    )
    after = app.client.write("EnvironmentService/SetEnvironment", request, SetEnvironmentResponse).environment
    app.done(f"environment {after.name} is at version {after.version}, changed by {app.context.subject}")
    undo = settings.undo(before, after)
    if undo:
        app.undo(undo)
    app.say("  note   atoms get it with the next deployment: dative plan PROCESS")
    if not app.out.is_table:
        _print(app, after)


def _print(app: App, environment: Environment) -> None:
    from dative_controller.cli.plain import plain

    item = plain(environment)
    rows: list[Column] = [(key, key) for key in ("name", "environment_id", "production", "require_approval", "version")]
    for one in item["connections"]:
        told = {"connector": one["connector"], **one["settings"], **one["secrets"]}
        rows.append((f"connection {one['name']}", known(told)))
    rows += [("allows", known(", ".join(item["allows"])))] if item["allows"] else []
    rows += [(f"override {key}", known(value)) for key, value in item["overrides"].items()]
    rows += [(f"secret {one['name']}", known(f"version {one['version']}")) for one in item["secrets"]]
    app.out.item("Environment", item, rows)


@group.group(cls=NounGroup, name="secret")
def secret() -> None:
    """Secrets, sealed on this machine to the environment's atoms. Nobody reads one back."""


@command("list", of=secret)
@env_option
def secret_list(app: App, environment: str | None) -> None:
    """Names and versions of an environment's secrets."""
    from dative_controller.cli import estate
    from dative_controller.cli.plain import plain

    found = estate.environment(app, environment)
    columns: list[Column] = [
        ("name", "name"),
        ("version", "version"),
        ("set by", "set_by"),
        ("set at", moment("set_at")),
    ]
    app.out.items("SecretName", [plain(one) for one in found.secrets], columns)


@command("set", of=secret, mutates=True, prints=False)
@click.argument("name", metavar="NAME")
@env_option
@click.option("--from-file", metavar="FILE", help="Read the value from FILE; - is stdin, the default.")
@yes_option
def secret_set(app: App, name: str, environment: str | None, from_file: str | None, yes: bool) -> None:
    """Set a secret: `dative env secret set erp.password --env dev < file`. The value is never an argument."""
    from dative.errors.cli import SECRET_IN_ARGV, CliError

    from dative_controller.cli import estate, sealing

    if "=" in name:
        raise CliError(f"a value for {name.partition('=')[0]} was given as an argument", code=SECRET_IN_ARGV)
    _not_reserved(name)
    found = estate.environment(app, environment)
    value = _value(app, name, from_file)
    app.confirm(f"set secret {name} of {found.name}", found, yes=yes)
    sealed = sealing.reseal(app, found, {name: value})
    recipients = len(sealed.recipients) - 1
    app.done(
        f"secret {name} of {found.name} sealed to {recipients} atom{'s' if recipients != 1 else ''} and your recovery key"
    )
    _bind(app, found, name)
    app.undo(f"dative env secret delete {name} --env {found.name}   (the former value is not kept anywhere)")
    app.say("  note   atoms get it with the next deployment")


@command("delete", of=secret, mutates=True, prints=False)
@click.argument("name", metavar="NAME")
@env_option
@yes_option
def secret_delete(app: App, name: str, environment: str | None, yes: bool) -> None:
    """Delete a secret. Its value is not kept anywhere."""
    from dative.errors import control
    from dative.errors.cli import CliError

    from dative_controller.cli import estate, sealing

    _not_reserved(name)
    found = estate.environment(app, environment)
    if name not in {one.name for one in found.secrets}:
        raise CliError(f"environment {found.name} has no secret {name}", code=control.NOT_FOUND)
    app.confirm(f"delete secret {name} of {found.name}", found, yes=yes)
    sealing.reseal(app, found, {name: None})
    app.done(f"secret {name} of {found.name} is deleted")
    app.undo(f"dative env secret set {name} --env {found.name}   (with the value from its source)")


def _not_reserved(name: str) -> None:
    """Mask keys and readers of the vault stand in the same set; setting one by hand would lose what it sealed."""
    from dative.secrets.mask_keys import RESERVED

    if name.startswith(RESERVED):
        raise click.UsageError(f"{name}: names that begin with {RESERVED} belong to `dative vault`")


def _value(app: App, name: str, from_file: str | None) -> str:
    from dative.errors.cli import NO_INPUT, CliError

    if from_file not in (None, "-"):
        with Path(str(from_file)).open("rb") as file:
            data = file.read(VALUE_BYTES_MAX + 1)
    elif app.interactive and from_file is None:
        data = click.prompt(f"value of {name}", hide_input=True, err=True).encode()
    else:
        data = sys.stdin.buffer.read(VALUE_BYTES_MAX + 1)
    try:
        # One newline at the end is the editor's or echo's, not the secret's.
        value = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CliError(f"the value of {name} is not UTF-8 text", code=NO_INPUT) from None
    if not value or len(data) > VALUE_BYTES_MAX:
        raise CliError(f"no value for {name}, or over {VALUE_BYTES_MAX} bytes", code=NO_INPUT)
    return value


def _bind(app: App, environment: Environment, name: str) -> None:
    """Refer to the secret from the setting of the same name, where a connection has one and nothing is set."""
    from dative.v1.control_pb2 import SetEnvironmentRequest, SetEnvironmentResponse

    from dative_controller.cli import settings

    bound = settings.bound_to(environment, name)
    if bound is None:
        return
    request = SetEnvironmentRequest(
        request_id=app.request_id(),
        environment=environment.environment_id,
        expected_version=environment.version,
        set_connections=[bound],
    )
    app.client.write("EnvironmentService/SetEnvironment", request, SetEnvironmentResponse)
    app.done(f"connection {bound.name} uses it: {name}=sealed:{name}")
