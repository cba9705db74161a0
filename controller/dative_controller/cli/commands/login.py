"""`dative login`, `logout`, `whoami`: the session with a controller."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command

if TYPE_CHECKING:
    from dative_controller.cli.context import Context

TOKEN_BYTES_MAX = 8192


@command("login", prints=False)
@click.option("--server", metavar="HOST:PORT", help="The controller's public address.")
@click.option("--name", "wanted", metavar="NAME", help="Name of the context that is made; default: default.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The controller's ca.pem.")
@click.option("--ca-pin", metavar="sha256:…", help="Pin of the controller's authority, in place of --ca.")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Default: stdin.")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="On the controller's host: takes ca.pem and bootstrap-token from here.",
)
@click.option("--subject", metavar="NAME", help="Who you are; for the first admin. Default: this system's user name.")
@click.option("--init-trust", is_flag=True, help="Also make the signing keys and the first trust document.")
def login(
    app: App,
    server: str | None,
    wanted: str | None,
    ca: Path | None,
    ca_pin: str | None,
    token_file: Path | None,
    data_dir: Path | None,
    subject: str | None,
    init_trust: bool,
) -> None:
    """Log in to a controller with a token from stdin or a file, never from an argument.

    The bootstrap token that a new controller writes to its data directory makes its first admin.
    """
    from dative.v1.control_pb2 import LoginRequest, LoginResponse

    from dative_controller.cli import context as contexts

    context = _context(app, server, wanted, _authority(server, ca, ca_pin, data_dir))
    token = _token(app, token_file or (data_dir / "bootstrap-token" if data_dir else None))
    client = app.client_of(context)
    request = LoginRequest(token=token, subject=subject or getpass.getuser())
    answer = client.login("AccessService/Login", request, LoginResponse)
    client.close()
    context = replace(context, subject=answer.subject, organization_id=answer.organization_id)
    contexts.write(app.home, contexts.read(app.home).with_context(context, use=True))
    app.session_of(context.name).keep(answer)
    app.done(f"{answer.subject} logged in to {context.server} as context {context.name}")
    _trust(app, context, init_trust)


def _context(app: App, server: str | None, wanted: str | None, ca: str | None) -> Context:
    """The context that this login makes or renews."""
    from dative.errors.cli import NO_CONTEXT, CliError

    from dative_controller.cli import context as contexts

    stored = contexts.read(app.home)
    name = wanted or app.context_name or (stored.current or "default")
    if not contexts.is_name(name):
        raise click.UsageError(f"{name!r} is no name for a context: lower-case letters, digits, dots and dashes")
    known = stored.contexts.get(name, contexts.Context(name=name))
    address = server or app.environ.get("DATIVE_SERVER") or known.server
    if not address:
        raise CliError("which controller?", code=NO_CONTEXT)
    moved = bool(known.server) and known.server != address
    return replace(known, server=address, ca=ca or ("" if moved else known.ca))


def _authority(server: str | None, ca: Path | None, pin: str | None, data_dir: Path | None) -> str | None:
    if pin:
        from dative_controller.cli.pinning import authority_of

        if not server:
            raise click.UsageError("--ca-pin needs --server")
        return authority_of(server, pin)
    file = ca or (data_dir / "ca.pem" if data_dir else None)
    return file.read_text() if file else None


def _token(app: App, file: Path | None) -> str:
    from dative.errors.cli import NO_INPUT, CliError

    if file is not None:
        text = file.read_text()
    elif app.interactive:
        text = click.prompt("token", hide_input=True, err=True)
    else:
        text = sys.stdin.read(TOKEN_BYTES_MAX + 1)
    token = text.strip()
    if not 0 < len(token) <= TOKEN_BYTES_MAX:
        raise CliError("no login token was given", code=NO_INPUT)
    return str(token)


def _trust(app: App, context: Context, wanted: bool) -> None:
    from dative_controller.cli import trusted

    there = App({"context_name": context.name, "quiet": app.quiet}, app.trace, app.clock, app.environ)
    if trusted.fetch(there).trust_envelope:
        trusted.accepted(there)
    elif wanted or (
        app.interactive and click.confirm("This controller has no signing keys yet. Make them now?", err=True)
    ):
        from dative_controller.cli.commands.trust import tell_made

        tell_made(there, trusted.init(there))
    else:
        app.say("  next   dative trust init    (makes the keys that sign deployments)")
    there.client.close()


@command("logout", prints=False)
def logout(app: App) -> None:
    """Forget the session on this machine. Keys stay."""
    app.session_of(app.context.name).forget()
    app.done(f"the session of context {app.context.name} is forgotten; its keys stay")


@command("whoami")
def whoami(app: App) -> None:
    """Who the controller takes you for."""
    from dative.v1.control_pb2 import WhoAmIRequest, WhoAmIResponse

    from dative_controller.cli.plain import plain

    answer = app.client.read("AccessService/WhoAmI", WhoAmIRequest(), WhoAmIResponse)
    item = {**plain(answer), "context": app.context.name, "server": app.context.server}
    rows = [(name, name) for name in ("subject", "roles", "organization_id", "context", "server", "controller_version")]
    app.out.item("Identity", item, rows, name="subject")
