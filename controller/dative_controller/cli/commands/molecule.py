"""`dative molecule`: atoms that coordinate through etcd: their settings, and what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App, command, env_option, yes_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column

if TYPE_CHECKING:
    from collections.abc import Callable

    from dative.molecule_settings import MoleculeSettings
    from dative.v1.control_pb2 import Molecule

_COLUMNS: list[Column] = [
    ("name", "name"),
    ("environment", "environment"),
    ("etcd", "settings.etcd_endpoints"),
    ("journal", "settings.journal"),
    ("lease ttl", lambda item: f"{item['settings']['lease_ttl']:g} s" if item["settings"] else ""),
    (
        "atoms",
        lambda item: f"{sum(one['state'] in ('online', 'draining') for one in item['atoms'])}/{len(item['atoms'])}",
    ),
    ("version", "settings.version"),
]


@click.group(cls=NounGroup, name="molecule")
def group() -> None:
    """Molecules: atoms that share their work through etcd."""


def _settings_options(required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    options = [
        click.option(
            "--etcd", required=required, metavar="URL,URL", help="Endpoints of etcd, https://host:2379, all of them."
        ),
        click.option(
            "--etcd-ca",
            type=click.Path(exists=True, dir_okay=False),
            help="CA certificate that etcd is verified with, PEM.",
        ),
        click.option("--etcd-user", metavar="NAME", help="User of etcd; its password stays on the atoms' hosts."),
        click.option(
            "--journal", required=required, metavar="URL", help="postgresql://user@host/database, without a password."
        ),
        click.option(
            "--lease-ttl", metavar="5s", help="How long a member counts as alive unseen; default 5s, at least 2s."
        ),
    ]

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return wrap


@command("create", of=group, mutates=True)
@click.argument("name")
@env_option
@_settings_options(required=True)
def create(app: App, name: str, environment: str | None, **given: str | None) -> None:
    """Give a molecule its settings: where its atoms meet, and where their journal is. Nothing secret."""
    from dative.v1.control_pb2 import CreateMoleculeRequest, CreateMoleculeResponse

    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    settings = _settings(None, given)
    request = CreateMoleculeRequest(
        request_id=app.request_id(), environment=found.environment_id, name=name, settings=settings.to_wire()
    )
    answer = app.client.write("MoleculeService/CreateMolecule", request, CreateMoleculeResponse)
    app.done(f"molecule {name} of {found.name} created by {app.context.subject}")
    _warn(app, answer.warnings)
    app.undo(f"dative molecule remove {name} --env {found.name}")
    app.say(f"  next   dative atom invite --env {found.name} --molecule {name} --count 3")
    _print(app, answer.molecule)


@command("set", of=group, mutates=True)
@click.argument("name")
@env_option
@_settings_options(required=False)
@click.option("--no-etcd-ca", is_flag=True, help="Trust the hosts' own authorities again.")
@click.option("--no-etcd-user", is_flag=True, help="Name no user of etcd any more.")
def set_(
    app: App, name: str, environment: str | None, no_etcd_ca: bool, no_etcd_user: bool, **given: str | None
) -> None:
    """Change settings; what is not given stays. Its atoms are told at once, and each needs a restart."""
    from dative.errors import DativeError
    from dative.errors.control import NOT_FOUND
    from dative.molecule_settings import MoleculeSettings
    from dative.v1.control_pb2 import SetMoleculeRequest, SetMoleculeResponse

    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    former = estate.molecule(app, found.environment_id, name)
    if not former.HasField("settings"):
        raise DativeError(
            f"molecule {name} has no settings yet",
            code=NOT_FOUND,
            next=f"dative molecule create {name} --env {found.name}",
        )
    before = MoleculeSettings.from_wire(former.settings)
    removed = [key for key, gone in (("etcd_ca", no_etcd_ca), ("etcd_user", no_etcd_user)) if gone]
    settings = _settings(before, {**given, **dict.fromkeys(removed, "")})
    request = SetMoleculeRequest(
        request_id=app.request_id(),
        environment=found.environment_id,
        name=name,
        expected_version=before.version,
        settings=settings.to_wire(),
    )
    answer = app.client.write("MoleculeService/SetMolecule", request, SetMoleculeResponse)
    app.done(
        f"molecule {name} of {found.name} set to version {answer.molecule.settings.version} by {app.context.subject}"
    )
    _warn(app, answer.warnings)
    app.say("  next   restart its atoms one after the other; `dative-atom status` says which still need it")
    app.undo(f"dative molecule set {name} --env {found.name} {_as_options(before)}")
    _print(app, answer.molecule)


@command("remove", of=group, mutates=True, prints=False)
@click.argument("name")
@env_option
@yes_option
def remove(app: App, name: str, environment: str | None, yes: bool) -> None:
    """Take a molecule's settings away, and its invitations with them. Refused while atoms are in it."""
    from dative.molecule_settings import MoleculeSettings
    from dative.v1.control_pb2 import RemoveMoleculeRequest, RemoveMoleculeResponse

    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    former = estate.molecule(app, found.environment_id, name)
    app.confirm(f"remove molecule {name}", found, yes=yes)
    request = RemoveMoleculeRequest(request_id=app.request_id(), environment=found.environment_id, name=name)
    app.client.write("MoleculeService/RemoveMolecule", request, RemoveMoleculeResponse)
    app.done(f"molecule {name} of {found.name} removed by {app.context.subject}")
    options = _as_options(MoleculeSettings.from_wire(former.settings))
    app.undo(f"dative molecule create {name} --env {found.name} {options}")


@command("list", of=group)
@env_option
def list_(app: App, environment: str | None) -> None:
    """Molecules, of one environment or of all; those without settings are names that atoms share."""
    from dative.v1.control_pb2 import ListMoleculesRequest, ListMoleculesResponse

    from dative_controller.cli.plain import plain

    request = ListMoleculesRequest(environment=environment or "")
    answer = app.client.read("MoleculeService/ListMolecules", request, ListMoleculesResponse)
    app.out.items("Molecule", [plain(one) for one in answer.molecules], _COLUMNS)


@command("show", of=group)
@click.argument("name")
@env_option
def show(app: App, name: str, environment: str | None) -> None:
    """One molecule: members with their load, leader with term and history, quorum, how many losses it survives."""
    from dative_controller.cli import estate

    _print(app, estate.molecule(app, estate.environment(app, environment).environment_id, name))


# ---- parts ----------------------------------------------------------------------------------------------------------


def _settings(before: MoleculeSettings | None, given: dict[str, str | None]) -> MoleculeSettings:
    """Checked here too, so that a password on the command line is refused before anything is sent."""
    from dataclasses import replace
    from pathlib import Path

    from dative.molecule_settings import MoleculeSettings

    changes: dict[str, Any] = {}
    if (etcd := given["etcd"]) is not None:
        changes["etcd_endpoints"] = tuple(part.strip() for part in etcd.split(",") if part.strip())
    if (ca := given["etcd_ca"]) is not None:
        changes["etcd_ca_pem"] = Path(ca).read_text() if ca else ""
    changes |= {key: given[key] for key in ("etcd_user", "journal") if given[key] is not None}
    if (ttl := given["lease_ttl"]) is not None:
        changes["lease_ttl_s"] = _seconds(ttl)
    settings = MoleculeSettings(**changes) if before is None else replace(before, **changes)
    settings.check()
    return settings


def _seconds(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError as wrong:
        raise click.UsageError(f"--lease-ttl {text}: give seconds, as 5s") from wrong


def _as_options(settings: MoleculeSettings) -> str:
    """What gives these settings again; the CA is a file that this command does not know the name of."""
    parts = [f"--etcd {','.join(settings.etcd_endpoints)}", f"--journal {settings.journal}"]
    parts += ["--etcd-ca FILE"] if settings.etcd_ca_pem else []
    parts += [f"--etcd-user {settings.etcd_user}"] if settings.etcd_user else []
    return " ".join([*parts, f"--lease-ttl {settings.lease_ttl_s:g}s"])


def _warn(app: App, warnings: Any) -> None:
    for warning in warnings:
        app.say(click.style(f"  ! {warning}", fg="yellow"))


def _print(app: App, molecule: Molecule) -> None:
    from dative_controller.cli import members
    from dative_controller.cli.plain import plain

    item = plain(molecule)
    app.out.item("Molecule", item, members.FACTS)
    if app.out.is_table:
        for line in members.lines(item, app.clock.now()):
            click.echo(line)
