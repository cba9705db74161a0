"""`dative trust`: the keys that may sign, and their rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App, command, yes_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import known

if TYPE_CHECKING:
    from dative.bundle.trust import TrustDocument
    from dative.v1.control_pb2 import Environment


@click.group(cls=NounGroup, name="trust")
def group() -> None:
    """The keys that may sign, and their rotation."""


def tell_made(app: App, document: TrustDocument) -> None:
    """What was made, and the one thing that a person must do now."""
    app.done(f"trust document {document.version} of organization {document.organization_id}, digest {document.digest}")
    app.say("  keys    root, release and recovery are on this machine only; the controller has none of them")
    app.say(f"  backup  copy them to a safe place: {app.home / 'keys' / app.context.name} (or the system's keyring)")


@command("init", of=group, mutates=True, prints=False)
def init(app: App) -> None:
    """Make root, release and recovery keys on this machine, and the organization's first trust document."""
    from dative_controller.cli import trusted

    tell_made(app, trusted.init(app))


@command("show", of=group)
@click.option("--accept", metavar="DIGEST", help="Take the controller's document: you compared its digest elsewhere.")
def show(app: App, accept: str | None) -> None:
    """The trust document in force, proven from the one accepted before, and which of its keys are here."""
    from dative_controller.cli import trusted

    document = trusted.accept(app, accept) if accept else trusted.accepted(app)
    mine = _mine(app)
    roles: dict[str, Any] = {
        name: {"threshold": document.role(name).threshold, "keyids": list(document.role(name).keyids)}
        for name in ("root", "release", "online")
    }
    item = {
        "version": document.version,
        "digest": document.digest,
        "organization_id": document.organization_id,
        "release_epoch": document.release_epoch,
        "expires_at": document.expires_at.isoformat(),
        "roles": roles,
        "here": sorted(mine.values()),
    }
    rows: list[Any] = [(name, name) for name in ("version", "digest", "organization_id", "release_epoch", "expires_at")]
    for name, role in roles.items():
        keys = ", ".join(keyid[:12] + (" (here)" if keyid in mine else "") for keyid in role["keyids"])
        rows.append((name, known(f"{role['threshold']} of: {keys}")))
    app.out.item("TrustDocument", item, rows, name="digest")


@command("rotate-release", of=group, mutates=True, prints=False)
@click.option("--stolen", is_flag=True, help="The old key was stolen: nothing it signed counts any more.")
@yes_option
def rotate_release(app: App, stolen: bool, yes: bool) -> None:
    """Put a fresh release key in place of this machine's, and sign anew what runs.

    Every environment gets the content it has as a new generation, because the old key's signature counts no more.
    """
    from dative.errors.cli import NOT_CONFIRMED, CliError

    from dative_controller.cli import estate, release, sealing, trusted

    current = trusted.accepted(app)
    if not yes and not (
        app.interactive and click.confirm("Replace the release key and sign anew what runs?", err=True)
    ):
        raise CliError("the rotation was not confirmed", code=NOT_CONFIRMED, next="dative trust rotate-release --yes")
    # What runs is verified under the old keys first, and remembered: nothing unsigned is carried over by this.
    places = [
        (environment, molecule)
        for environment in estate.environments(app)
        for molecule in _molecules(app, environment.environment_id)
        if release.situation(app, environment.name, molecule).frame.current is not None
    ]
    for environment in estate.environments(app):
        sealing.verified_recipients(app, current, environment, sealing.stored(app, environment)[0])
    document = trusted.rotate_release(app, current, stolen=stolen)
    app.done(f"trust document {document.version}, release epoch {document.release_epoch}, digest {document.digest}")
    _sign_anew(app, places)


def _sign_anew(app: App, places: list[tuple[Environment, str]]) -> None:
    """Recipient lists first, because the manifests name the sealed sets that carry them."""
    from dative_controller.cli import estate, release, sealing
    from dative_controller.cli.commands.deploy import following_of

    why = "release key replaced"
    for environment in estate.environments(app):
        if sealing.stored(app, environment)[0] is not None:
            sealing.reseal(app, environment, {}, sign_anew=True)
    for environment, molecule in places:
        here = release.situation(app, environment.name, molecule)
        following = following_of(app, here, put=list(here.parts.values()), message=why)
        answer = release.deploy(app, here, following, kind="deploy", check_index=here.check_index, reason=why)
        app.done(f"{environment.name}/{molecule}: the same content as generation {answer.generation}")


def _molecules(app: App, environment_id: str) -> list[str]:
    from dative_controller.cli import estate

    return sorted({"default", *(atom.molecule_id for atom in estate.atoms(app, environment_id))})


def _mine(app: App) -> dict[str, str]:
    from dative.bundle.keys import SigningKey

    found: dict[str, str] = {}
    for role in ("root", "release"):
        pem = app.keys.ring.get(f"{role}.pem")
        if pem:
            found[SigningKey.from_pem(pem).keyid] = role
    if app.keys.ring.get("recovery.key"):
        found["recovery"] = "recovery"
    return found
