"""`dative atom`: invite, approve, watch over and take out atoms."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command, env_option, yes_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dative.v1.control_pb2 import Atom, Environment

    from dative_controller.cli.plain import Plain

_DURATION = re.compile(r"\A(\d{1,6})(s|m|h)\Z")
_COLUMNS: list[Column] = [
    ("name", "name"),
    ("environment", "environment"),
    ("molecule", "molecule_id"),
    ("state", "state"),
    ("generation", lambda item: _generation(item)),  # noqa: PLW0108 -- defined below
    ("phase", "phase"),
    ("why", "status.code"),
    ("version", "description.version"),
    ("last seen", moment("last_seen_at")),
]


@click.group(cls=NounGroup, name="atom")
def group() -> None:
    """Atoms: invite, approve, drain, revoke."""


@command("invite", of=group, mutates=True)
@env_option
@click.option("--molecule", default="default", show_default=True, metavar="NAME", help="Molecule they belong to.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many may join with it.")
@click.option("--ttl", default="15m", show_default=True, metavar="15m|2h", help="How long it is good for, at most 24h.")
@click.option("--require-approval", is_flag=True, help="Wait for `dative atom approve`; always so in production.")
def invite(app: App, environment: str | None, molecule: str, count: int, ttl: str, require_approval: bool) -> None:
    """Make a join token. It is shown once."""
    from dative.v1.control_pb2 import CreateJoinTokenRequest, CreateJoinTokenResponse

    from dative_controller.cli import estate

    found = estate.environment(app, environment)
    request = CreateJoinTokenRequest(
        request_id=app.request_id(),
        environment=found.environment_id,
        molecule=molecule,
        max_uses=count,
        require_approval=require_approval or found.require_approval,
    )
    request.ttl.FromTimedelta(_duration(ttl))
    answer = app.client.write("FleetService/CreateJoinToken", request, CreateJoinTokenResponse)
    item = {
        "join_token": answer.join_token,
        "ca_pin": answer.ca_pin,
        "expires_at": answer.expires_at.ToJsonString(),
        "controller": app.context.server,
        "environment": found.name,
        "molecule": molecule,
        "max_uses": count,
    }
    rows: list[Column] = [("token", "join_token"), ("ca-pin", "ca_pin"), ("controller", "controller")]
    rows.append(("good until", moment("expires_at")))
    app.out.item("Invitation", item, rows, name="join_token")
    app.say("  next   on the atom's host, with the token on stdin:")
    app.say(f"         dative-atom join --controller {app.context.server} --ca-pin {answer.ca_pin} --token-file -")
    for line in _needs(app, found, molecule):
        app.say(line)


def _needs(app: App, environment: Environment, molecule: str) -> Iterator[str]:
    """What an installer has to bring beside the token: secrets of etcd and the journal are nowhere but on the hosts."""
    from dative.errors import DativeError
    from dative.errors.control import NOT_FOUND
    from dative.molecule_settings import MoleculeSettings

    from dative_controller.cli import estate

    try:
        found = estate.molecule(app, environment.environment_id, molecule)
    except DativeError as unknown:
        if unknown.code is not NOT_FOUND:
            raise
        found = None
    if found is None or not found.HasField("settings"):
        if molecule != "default":
            yield f"  note   {molecule} has no settings, so its atoms work alone; to coordinate them:"
            yield f"         dative molecule create {molecule} --env {environment.name} --etcd URL,URL --journal URL"
        return
    settings = MoleculeSettings.from_wire(found.settings)
    if settings.etcd_user:
        yield f"  needs  the password of etcd's user {settings.etcd_user}: add --etcd-password-file FILE"
    elif settings.etcd_tls:
        yield "  needs  a client certificate of etcd, if it asks for one: add --etcd-cert FILE --etcd-key FILE"
    if settings.journal_shared:
        yield "  needs  the password of the journal's user: add --journal-password-file FILE"
    yield "  check  dative-atom doctor, on the host, once it has joined: it tries etcd and the journal"


@command("list", of=group)
@env_option
def list_(app: App, environment: str | None) -> None:
    """Atoms, of one environment or of all."""
    from dative_controller.cli import estate
    from dative_controller.cli.plain import plain

    app.out.items("Atom", [plain(one) for one in estate.atoms(app, environment or "")], _COLUMNS)


@command("show", of=group)
@click.argument("name")
def show(app: App, name: str) -> None:
    """One atom: what it runs, how it is, and the fingerprint of its sealing key."""
    from dative_controller.cli import estate

    _print(app, estate.atom(app, name))


@command("approve", of=group, mutates=True)
@click.argument("name")
@click.option("--fingerprint", metavar="xx:xx:…", help="As `dative-atom status` shows it on its host.")
@yes_option
def approve(app: App, name: str, fingerprint: str | None, yes: bool) -> None:
    """Let an atom in, after comparing its fingerprint; seals the environment's secrets to it too."""
    from dative.errors.cli import FINGERPRINT, NOT_CONFIRMED, CliError
    from dative.secrets import fingerprint as fingerprint_of
    from dative.v1.control_pb2 import ApproveAtomRequest, ApproveAtomResponse

    from dative_controller.cli import estate, sealing

    atom = estate.atom(app, name)
    # Computed here from the key that will be sealed to; what the controller calls its fingerprint proves nothing.
    shown = fingerprint_of(atom.seal_public_key)
    app.say(f"atom {atom.name} in {atom.environment}: sealing key {shown}")
    if fingerprint is not None and fingerprint.strip().lower() != shown:
        raise CliError(f"atom {atom.name} has {shown}", code=FINGERPRINT)
    if fingerprint is None and not yes:
        if not app.interactive:
            raise CliError(
                f"nobody compared the fingerprint of {atom.name}",
                code=NOT_CONFIRMED,
                next=f"Give --fingerprint {shown}",
            )
        if not click.confirm("Is that what `dative-atom status` shows on its host?", err=True):
            raise CliError(f"atom {atom.name} was not approved", code=NOT_CONFIRMED)
    if atom.state == "pending":
        request = ApproveAtomRequest(request_id=app.request_id(), atom=atom.atom_id, seal_key_fingerprint=shown)
        atom = app.client.write("FleetService/ApproveAtom", request, ApproveAtomResponse).atom
    app.done(f"atom {atom.name} approved by {app.context.subject}")
    sealed = sealing.reseal(app, estate.environment(app, atom.environment_id), {}, compared=[atom])
    app.done(
        f"the environment's secrets are sealed to it too (set {sealed.version}); it gets them with the next deployment"
    )
    app.undo(f"dative atom revoke {atom.name}")
    if not app.out.is_table:
        _print(app, atom)


@command("revoke", of=group, mutates=True, prints=False)
@click.argument("name")
@click.option("--reason", default="", help="Kept in the audit log.")
@yes_option
def revoke(app: App, name: str, reason: str, yes: bool) -> None:
    """Take an atom out for good: its stream ends, and secrets are sealed anew without it."""
    from dative.v1.control_pb2 import RevokeAtomRequest, RevokeAtomResponse

    from dative_controller.cli import estate, sealing

    atom = estate.atom(app, name)
    environment = estate.environment(app, atom.environment_id)
    _sure(app, f"revoke atom {atom.name}", environment, yes)
    request = RevokeAtomRequest(request_id=app.request_id(), atom=atom.atom_id, reason=reason)
    app.client.write("FleetService/RevokeAtom", request, RevokeAtomResponse)
    app.done(f"atom {atom.name} of {atom.environment} revoked by {app.context.subject}")
    if sealing.stored(app, environment)[0] is not None:
        sealed = sealing.reseal(app, environment, {}, gone=(atom.atom_id,))
        if sealed.exposed:
            app.say(f"  next   change these at their source, it could open them: {', '.join(sealed.exposed)}")
    app.undo(f"dative atom invite --env {atom.environment}   (it joins again under a new identity)")


@command("drain", of=group, mutates=True, prints=False)
@click.argument("name")
def drain(app: App, name: str) -> None:
    """Let an atom finish what it runs and take nothing new."""
    _drain(app, name, resume=False)


@command("resume", of=group, mutates=True, prints=False)
@click.argument("name")
def resume(app: App, name: str) -> None:
    """Let a drained atom take work again."""
    _drain(app, name, resume=True)


@command("test", of=group, mutates=True)
@click.argument("connection")
@env_option
@click.option("--from", "atom", default="", metavar="ATOM", help="The atom that tries it; default: any online one.")
def test(app: App, connection: str, environment: str | None, atom: str) -> None:
    """Try a connection from an atom: name, TLS, login, read."""
    from dative.errors.cli import CHECKS_FAILED, CliError
    from dative.v1.control_pb2 import FleetTestConnectionRequest, FleetTestConnectionResponse

    from dative_controller.cli.plain import plain

    request = FleetTestConnectionRequest(
        environment=app.environment_name(environment), connection=connection, atom=atom
    )
    answer = app.client.write("FleetService/TestConnection", request, FleetTestConnectionResponse)
    checks = [plain(check) for check in answer.result.checks]
    columns: list[Column] = [("", lambda item: "✔" if item["passed"] else "✖"), ("check", "name"), ("detail", "detail")]
    app.out.items("Check", checks, columns)
    failed = [check["name"] for check in checks if not check["passed"]]
    if failed:
        raise CliError(f"connection {connection} from {answer.atom}: {failed[0]} failed", code=CHECKS_FAILED)


def _drain(app: App, name: str, *, resume: bool) -> None:
    from dative.v1.control_pb2 import DrainAtomRequest, DrainAtomResponse

    from dative_controller.cli import estate

    atom = estate.atom(app, name)
    request = DrainAtomRequest(request_id=app.request_id(), atom=atom.atom_id, resume=resume)
    app.client.write("FleetService/DrainAtom", request, DrainAtomResponse)
    app.done(
        f"atom {atom.name} of {atom.environment} {'takes work again' if resume else 'drains: it takes nothing new'}"
    )
    app.undo(f"dative atom {'drain' if resume else 'resume'} {atom.name}")


def _sure(app: App, action: str, environment: Environment, yes: bool) -> None:
    """An atom's environment is not an option of the command, so that in production it is typed or --yes is given."""
    from dative.errors.cli import NOT_CONFIRMED, CliError

    if yes:
        return
    if environment.production:
        app.confirm(action, environment, yes=False)
    elif not app.interactive or not click.confirm(f"{action}?", err=True):
        raise CliError(f"{action}: not confirmed", code=NOT_CONFIRMED, next=f"Repeat it with --yes: {action}")


def _print(app: App, atom: Atom) -> None:
    from dative_controller.cli.plain import plain

    rows: list[Column] = [(key, key) for key in ("name", "atom_id", "environment", "molecule_id", "state", "phase")]
    rows += [
        ("generation", _generation),
        ("why", lambda item: f"{item['status']['message']} ({item['status']['code']})" if _coded(item) else ""),
        ("next", "status.next"),
        ("sealing key", "seal_key_fingerprint"),
        ("version", "description.version"),
        ("host", "description.host"),
        ("running", "heartbeat.running_executions"),
        ("spool", lambda item: f"{item['heartbeat']['spooled_records']} records" if item["heartbeat"] else ""),
        ("last seen", moment("last_seen_at")),
        ("certificate until", moment("certificate_expires_at")),
    ]
    app.out.item("Atom", plain(atom), rows)


def _coded(item: Plain) -> bool:
    return bool(item["status"] and item["status"]["code"])


def _generation(item: Plain) -> str:
    """ "7", or "6 of 7" while it is behind."""
    runs = (item["observed"] or {}).get("generation", 0)
    wanted = item["desired_generation"]
    return str(runs or "") if runs == wanted else f"{runs} of {wanted}"


def _duration(text: str) -> timedelta:
    found = _DURATION.match(text)
    if found is None:
        raise click.UsageError(f"--ttl {text}: give seconds, minutes or hours, as 90s, 15m or 2h")
    return timedelta(seconds=int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]])
