"""`dative vault`: the environment's mask key, who may read what a token stands for, and reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command, env_option, yes_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, moment

if TYPE_CHECKING:
    from dative.v1.control_pb2 import Environment

_DEPLOY = "  note   atoms get it with the next deployment"


@click.group(cls=NounGroup, name="vault")
def group() -> None:
    """Tokens of masks: the key they are made with, and who may read what they stand for."""


@group.group(cls=NounGroup, name="key")
def key() -> None:
    """The environment's mask key: hash, token and date_shift need it."""


@command("create", of=key, mutates=True, prints=False)
@env_option
def key_create(app: App, environment: str | None) -> None:
    """Make the mask key, sealed on this machine to the environment's atoms. Nobody ever sees it."""
    from dative.errors.cli import CliError
    from dative.errors.masks import KEY_EXISTS

    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    if versions := _versions(found):
        raise CliError(f"environment {found.name} has version {versions[-1]} of a mask key", code=KEY_EXISTS)
    _add_key(app, found, 1)
    app.undo("none: what was masked with it needs it; a key that nothing used does no harm")


@command("rotate", of=key, mutates=True, prints=False)
@env_option
@yes_option
def key_rotate(app: App, environment: str | None, yes: bool) -> None:
    """Make a new version. Old tokens stay readable; equal values get other tokens, hashes and date shifts from now on."""
    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    version = max(_versions(found), default=0) + 1
    app.confirm(f"change every token, hash and date shift that {found.name} makes from now on", found, yes=yes)
    _add_key(app, found, version)
    app.undo("none: a deployment that ran meanwhile may have used it")


@command("list", of=key)
@env_option
def key_list(app: App, environment: str | None) -> None:
    """Versions of the mask key; the newest makes new tokens."""
    from dative.secrets.mask_keys import MASK_KEY

    from dative_controller.cli import estate
    from dative_controller.cli.plain import plain

    found = estate.environment(app, environment)
    items = [
        {**plain(one), "version": int(one.name.removeprefix(MASK_KEY))}
        for one in found.secrets
        if one.name.startswith(MASK_KEY)
    ]
    columns: list[Column] = [("version", "version"), ("made by", "set_by"), ("made at", moment("set_at"))]
    app.out.items("MaskKey", sorted(items, key=lambda item: item["version"]), columns, name="version")


@command("enrol", of=group)
def enrol(app: App) -> None:
    """Make this person's reader key, kept on this machine, and print its public half for a deployer."""
    from dative.secrets import SealKey

    from dative_controller.cli.reader_key import READER_KEY

    ring = app.keys.ring
    data = ring.get(READER_KEY)
    if data is None:
        made = SealKey.generate()
        ring.put(READER_KEY, made.to_bytes())
        data = made.to_bytes()
    mine = SealKey.from_bytes(data)
    item = {"public_key": mine.public_raw.hex(), "fingerprint": mine.fingerprint, "subject": app.context.subject}
    rows: list[Column] = [("public key", "public_key"), ("fingerprint", "fingerprint")]
    app.out.item("Reader", item, rows, name="public_key")
    app.say(
        f"  next   a deployer: dative vault allow {app.context.subject} {item['public_key']} --env ENV, then deploys"
    )


@command("allow", of=group, mutates=True, prints=False)
@click.argument("name")
@click.argument("public_key", metavar="PUBLIC_KEY")
@env_option
@yes_option
def allow(app: App, name: str, public_key: str, environment: str | None, yes: bool) -> None:
    """Admit a reader to the vault of an environment: the atoms answer to this key from the next deployment on.

    The reader needs the role `revealer` at the controller as well.
    """
    from dative.errors.secrets import SecretsRefused
    from dative.secrets import fingerprint, seal, seal_info
    from dative.secrets.mask_keys import VAULT_READER

    from dative_controller.cli import estate, sealing

    try:
        raw = bytes.fromhex(public_key)
        seal(b"", raw, seal_info("dative/vault-reader-check/v1"))
    except (ValueError, SecretsRefused):
        raise click.UsageError("PUBLIC_KEY is 64 hexadecimal digits, as `dative vault enrol` prints them") from None
    found = estate.environment(app, environment)
    app.say(f"reader {name}: key {fingerprint(raw)}")
    app.confirm(f"let {name} read what masks hide in {found.name}", found, yes=yes)
    sealing.reseal(app, found, {_reader(name): raw.hex()})
    app.done(f"{name} may read the vault of {found.name} ({VAULT_READER}{name})")
    app.undo(f"dative vault forbid {name} --env {found.name}")
    app.say(_DEPLOY)


@command("forbid", of=group, mutates=True, prints=False)
@click.argument("name")
@env_option
def forbid(app: App, name: str, environment: str | None) -> None:
    """Take a reader off the list; atoms refuse the key from the next deployment on."""
    from dative.errors.cli import CliError
    from dative.errors.masks import READER_UNKNOWN

    from dative_controller.cli import estate, sealing

    found = estate.environment(app, environment)
    if _reader(name) not in {one.name for one in found.secrets}:
        raise CliError(f"environment {found.name} admits no reader {name}", code=READER_UNKNOWN)
    sealing.reseal(app, found, {_reader(name): None})
    app.done(f"{name} is off the list of {found.name}")
    app.undo(f"dative vault allow {name} PUBLIC_KEY --env {found.name}")
    app.say(_DEPLOY)


@command("readers", of=group)
@env_option
def readers(app: App, environment: str | None) -> None:
    """Who may read the vault of an environment, and who said so."""
    from dative.secrets.mask_keys import VAULT_READER

    from dative_controller.cli import estate
    from dative_controller.cli.plain import plain

    found = estate.environment(app, environment)
    items = [
        {**plain(one), "name": one.name.removeprefix(VAULT_READER)}
        for one in found.secrets
        if one.name.startswith(VAULT_READER)
    ]
    columns: list[Column] = [("reader", "name"), ("admitted by", "set_by"), ("admitted at", moment("set_at"))]
    app.out.items("Reader", items, columns)


@command("reveal", of=group)
@click.argument("token")
@env_option
def reveal(app: App, token: str, environment: str | None) -> None:
    """What a token stands for. Audited; opened on this machine, with the reader's key alone."""
    from dative.secrets import open_sealed, seal_info
    from dative.v1.control_pb2 import ControlRevealTokenRequest, ControlRevealTokenResponse

    from dative_controller.cli.reader_key import reader_key

    mine = reader_key(app)
    request = ControlRevealTokenRequest(
        environment=app.environment_name(environment), token=token, reader_public_key=mine.public_raw
    )
    answer = app.client.read("VaultService/RevealToken", request, ControlRevealTokenResponse)
    info = seal_info("dative/vault-reveal/v1", answer.environment_id, token)
    item = {"token": token, "value": open_sealed(answer.sealed_value, mine, info).decode(), "atom": answer.atom}
    rows: list[Column] = [("token", "token"), ("value", "value"), ("atom", "atom")]
    app.out.item("RevealedToken", item, rows, name="value")


def _versions(environment: Environment) -> list[int]:
    from dative.secrets.mask_keys import versions_in

    return versions_in(one.name for one in environment.secrets)


def _add_key(app: App, environment: Environment, version: int) -> None:
    from dative.secrets.mask_keys import MASK_KEY, new_key

    from dative_controller.cli import sealing

    sealed = sealing.reseal(app, environment, {f"{MASK_KEY}{version}": new_key()})
    recipients = len(sealed.recipients) - 1
    atoms = f"{recipients} atom{'s' if recipients != 1 else ''}"
    app.done(f"mask key version {version} of {environment.name} sealed to {atoms} and your recovery key")
    app.say(_DEPLOY)


def _reader(name: str) -> str:
    """The secret's name for a reader. Raises click.UsageError for a name that no secret can have."""
    from dative.secrets.mask_keys import VAULT_READER
    from dative.secrets.reference import NAME

    full = f"{VAULT_READER}{name}"
    if NAME.match(full) is None:
        raise click.UsageError(f"{name}: a reader's name is lower case, digits, . _ and -")
    return full
