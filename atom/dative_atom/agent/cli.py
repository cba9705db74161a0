"""`dative-atom`: what an installer types. stdout is data, stderr is talk; heavy imports happen inside the commands.

An error says what, where, why, the next step and its code; exit codes follow `dative.errors.base.EXIT_CODES`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import rich_click as click
from dative import __version__

from dative_atom.agent.cli_words import (
    CONTEXT,
    coded,
    config_file,
    data_dir,
    directory_of,
    output,
    proxy_option,
    say,
)
from dative_atom.agent.etcd_cli import etcd
from dative_atom.agent.xref_cli import xref


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="dative-atom")
def main() -> None:
    """The Dative atom: joins a controller, verifies signed bundles and runs their processes on this host.

    It only dials out; nothing listens on this host.
    """


@main.command()
@click.option("--controller", default="", help="host:port of the controller's public listener.")
@click.option("--ca-pin", default="", help="sha256:… of the controller's CA, from the invitation.")
@proxy_option
@data_dir
@output
@coded
def doctor(controller: str, ca_pin: str, proxy: str | None, data_dir: str | None, output: str) -> None:
    """Look at everything between this host and the controller, and say what helps."""
    from datetime import UTC, datetime

    from dative_atom.agent.doctor import Subject, examine
    from dative_atom.agent.identity import read_identity
    from dative_atom.agent.paths import DataDir

    directory = directory_of(data_dir)
    if not controller and DataDir(directory).identity.exists():
        identity = read_identity(DataDir(directory))
        controller, ca_pin = identity.controller, ca_pin or identity.ca_pin
    lines = list(examine(Subject(controller, ca_pin, proxy or "", directory, datetime.now(UTC))))
    if output == "json":
        checks = [{"name": one.name, "ok": one.passed, "detail": one.detail, "fix": one.fix} for one in lines]
        click.echo(json.dumps({"apiVersion": "dative-atom/v1", "checks": checks}, indent=2))
    else:
        for one in lines:
            click.echo(f"{'ok' if one.passed else '✗ '} {one.name}: {one.detail}")
            if one.fix:
                click.echo(f"     fix: {one.fix}")
    if not controller:
        say("give --controller HOST:PORT to look at the way there as well")
    sys.exit(0 if all(one.passed for one in lines) else 1)


@main.command()
@click.option("--controller", required=True, help="host:port of the controller's public listener.")
@click.option("--ca-pin", required=True, help="sha256:… of the controller's CA, from the invitation.")
@click.option("--token", help="The join token; better --token-file or stdin, which other users can not see.")
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="File with the token; - is stdin.")
@click.option("--name", default="", help="Wanted name; the controller makes one otherwise.")
@click.option("--label", "labels", multiple=True, help="key=value, may be repeated.")
@click.option("--etcd", default="", metavar="URL,URL", help="Endpoints of etcd as this host reaches them.")
@click.option("--etcd-password-file", default="", metavar="FILE", help="Password of etcd's user; env:NAME works too.")
@click.option("--etcd-cert", default="", metavar="FILE", help="Client certificate for etcd, PEM.")
@click.option("--etcd-key", default="", metavar="FILE", help="Its key, PEM.")
@click.option("--journal", default="", metavar="URL", help="The molecule's journal as this host reaches it.")
@click.option("--journal-password-file", default="", metavar="FILE", help="Its password; env:NAME works too.")
@click.option("--wait", "wait_s", type=float, default=900.0, show_default=True, help="Seconds to wait for an approval.")
@click.option("--print-unit", is_flag=True, help="Print a systemd unit for this atom and do nothing else.")
@proxy_option
@data_dir
@output
@coded
def join(
    controller: str,
    ca_pin: str,
    token: str | None,
    token_file: Path | None,
    name: str,
    labels: tuple[str, ...],
    wait_s: float,
    print_unit: bool,
    proxy: str | None,
    data_dir: str | None,
    output: str,
    **host: str,
) -> None:
    """Make this host an atom of a controller. The key is made here and never leaves. Again: "already joined".

    What a molecule's etcd and journal ask for is kept by reference, never copied. Given again on a joined host, it
    replaces what was given before; the atom takes it at its next start.
    """
    directory = directory_of(data_dir)
    if print_unit:
        click.echo(unit(directory))
        return
    from dative_atom.agent.enrol import Joining
    from dative_atom.agent.molecule_words import host_settings

    pairs = tuple((key, value) for key, _, value in (label.partition("=") for label in labels))
    joining = Joining(
        controller, ca_pin, lambda: _token(token, token_file), name, proxy or "", pairs, wait_s, host_settings(host)
    )
    joined = asyncio.run(_join(directory, joining))
    identity = joined.identity
    if output == "json":
        found = {
            "apiVersion": "dative-atom/v1",
            "already_joined": joined.already,
            "atom_id": identity.atom_id,
            "atom": identity.name,
            "environment": identity.environment,
            "molecule": identity.molecule_id,
            "seal_key_fingerprint": joined.fingerprint,
            "certificate_expires_at": joined.certificate_until,
            "etcd": list(joined.molecule.etcd_endpoints) if joined.molecule else [],
        }
        click.echo(json.dumps(found, indent=2))
        return
    verb = "already joined as" if joined.already else "joined as"
    click.echo(f"{verb} {identity.name} in environment {identity.environment}, molecule {identity.molecule_id}")
    click.echo(f"key made here, never leaves · certificate until {joined.certificate_until}, renews itself")
    click.echo(f"seal key {joined.fingerprint}")
    if joined.molecule is not None:
        click.echo(f"coordinates through {', '.join(joined.molecule.etcd_endpoints)}; check it: dative-atom doctor")
    say(f"next: dative-atom run --data-dir {directory}")


async def _join(directory: Path, joining: Any) -> Any:
    from dative.waiting import SystemWaitingClock

    from dative_atom.agent.enrol import join as enrol
    from dative_atom.agent.lock import AgentLock
    from dative_atom.agent.paths import DataDir

    place = DataDir(directory)
    place.prepare()
    if place.identity.exists():
        return await enrol(place, joining, SystemWaitingClock(), say)
    async with AgentLock(place):
        return await enrol(place, joining, SystemWaitingClock(), say)


def _token(given: str | None, file: Path | None) -> str:
    """From the flag, a file, or stdin."""
    if given:
        return given
    if file is not None and str(file) != "-":
        try:
            return file.read_text()
        except OSError as unreadable:
            raise click.UsageError(f"--token-file {file}: {unreadable.strerror}") from unreadable
    if sys.stdin.isatty():
        raise click.UsageError("give the join token on stdin, with --token-file or with --token")
    return sys.stdin.read(4096)


def unit(directory: Path) -> str:
    """A systemd unit: restarts on failure, drains on stop, no rights it does not need."""
    return f"""[Unit]
Description=Dative atom
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
ExecStart={sys.executable} -m dative_atom.agent run --data-dir {directory}
Restart=on-failure
RestartSec=2
KillMode=mixed
TimeoutStopSec=660
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={directory}
PrivateTmp=yes
UMask=0077

[Install]
WantedBy=multi-user.target"""


@main.command()
@config_file
@click.option("--slots", type=int, help="Executions at once.")
@click.option("--warm", type=int, help="Workers kept ready while idle.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@proxy_option
@data_dir
@coded
def run(
    config: Path | None,
    slots: int | None,
    warm: int | None,
    log_level: str | None,
    proxy: str | None,
    data_dir: str | None,
) -> None:
    """Run the atom until SIGTERM, which drains it: running executions finish, then it leaves."""
    from dative_atom.agent.config import load
    from dative_atom.agent.log import configure

    flags = {"data_dir": data_dir, "proxy": proxy, "slots": slots, "warm": warm, "log_level": log_level}
    settings = load(flags, file=config)
    configure(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: Any) -> None:
    from dative_atom.agent.agent import Agent

    agent = await Agent.open(settings)
    agent.stop_on_signals()
    await agent.run()


@main.command()
@data_dir
@output
@coded
def status(data_dir: str | None, output: str) -> None:
    """What this atom is, runs and waits for. Exit 1 when a part is not well, 6 when it does not run."""
    from dative_atom.agent.status import read, text

    found = read(directory_of(data_dir))
    click.echo(json.dumps(found, indent=2) if output == "json" else text(found))
    if not found["running"]:
        sys.exit(6)
    sys.exit(0 if all(part["healthy"] for part in found["components"]) else 1)


@main.command()
@data_dir
@coded
def drain(data_dir: str | None) -> None:
    """Take no new work, also after a restart, until `resume`. What runs goes on."""
    _tell(data_dir, "drain")


@main.command()
@data_dir
@coded
def resume(data_dir: str | None) -> None:
    """Take work again."""
    _tell(data_dir, "resume")


def _tell(given: str | None, what: str) -> None:
    from dative_atom.agent.local import ask
    from dative_atom.agent.paths import DataDir

    found = ask(DataDir(directory_of(given)).socket, what)
    state = "draining" if found["draining"] else "takes work"
    click.echo(f"{found['atom']} {state}, {found['running_executions']} executions run")


@main.command()
@click.option("--force", is_flag=True, help="Leave although records or executions wait.")
@click.option("--keep-journal", is_flag=True, help="Keep positions, dead letters and cross-references for a new join.")
@data_dir
@coded
def leave(force: bool, keep_journal: bool, data_dir: str | None) -> None:
    """Give up this atom's identity: keys, certificate and bundles are removed from this host."""
    from dative_atom.agent.status import leave as go

    name = asyncio.run(go(directory_of(data_dir), force=force, keep_journal=keep_journal))
    click.echo(f"left: the keys of {name} are gone from this host")
    say(f"an admin removes it from the fleet: dative atom revoke {name}")


@main.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--case", default="", metavar="TEXT", help="Only cases whose name holds this.")
@click.option("--show-steps", is_flag=True, help="Show the documents after every step.")
@click.option("--update", is_flag=True, help="Write the expected part of failed cases anew.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write a JUnit report to this file.")
@click.option("--record", default="", metavar="NAME", help="Run once against the bound systems and keep what was said.")
@click.option("--drift", is_flag=True, help="Look whether the bound systems still have what was recorded.")
@click.option("--connection", multiple=True, metavar="NAME=FILE", help="Binds a connection, for --record and --drift.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter of the recorded run.")
@output
@coded
def test(
    path: Path,
    case: str,
    show_steps: bool,
    update: bool,
    junit: Path | None,
    record: str,
    drift: bool,
    connection: tuple[str, ...],
    param: tuple[str, ...],
    output: str,
) -> None:
    """Run the test cases of a process file or folder, offline, on the engine that will run it.

    A binding FILE has `settings`, and `secrets` as references: {settings: {url: …}, secrets: {password: env:NAME}}.
    """
    command = [sys.executable, "-m", "dative_atom.testing", str(path), "--output", output, "--case", case]
    command += ["--show-steps"] * show_steps + ["--update"] * update + ["--drift"] * drift + ["--record", record]
    command += ["--junit", str(junit)] if junit else []
    command += [f"--connection={pair}" for pair in connection] + [f"--param={pair}" for pair in param]
    # A process of its own: the engine loads DuckDB and Arrow, the agent never does.
    sys.exit(subprocess.run(command, check=False).returncode)


@main.group()
def execution() -> None:
    """Executions of this atom."""


@execution.command()
@click.argument("execution_id", metavar="EXECUTION")
@click.option("-o", "--output", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
@data_dir
@coded
def receipts(execution_id: str, output: str, data_dir: str | None) -> None:
    """What each target has of each document: keys, outcome, target id, batch, attempt, fencing token."""
    from dative_atom.agent.identity import read_identity
    from dative_atom.agent.paths import DataDir

    directory = DataDir(directory_of(data_dir))
    read_identity(directory)
    command = [sys.executable, "-m", "dative_atom.engine.books.receipt_export", str(directory.journal), execution_id]
    # A process of its own, as for `test`: it loads Arrow.
    sys.exit(subprocess.run([*command, "--output", output], check=False).returncode)


@main.command("dry-run")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--connection", multiple=True, metavar="NAME=FILE", help="Binds a connection to a system; once for each.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter of the run.")
@click.option("--documents", default=1000, show_default=True, help="At most so many documents of the source.")
@click.option("--show", default=20, show_default=True, help="So many documents per target and answer.")
@output
@coded
def dry_run(
    path: Path, connection: tuple[str, ...], param: tuple[str, ...], documents: int, show: int, output: str
) -> None:
    """What would a process file change now? Reads the real source, looks at the real targets, and writes nothing."""
    command = [sys.executable, "-m", "dative_atom.testing.dry", str(path), "--output", output]
    command += ["--documents", str(documents), "--show", str(show)]
    command += [f"--connection={pair}" for pair in connection] + [f"--param={pair}" for pair in param]
    sys.exit(subprocess.run(command, check=False).returncode)


@main.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--connection", multiple=True, metavar="NAME=FILE", help="Binds a connection to a system; once for each.")
@click.option("--write", is_flag=True, help="Write what is not as recorded to profiles/ beside the process.")
@output
@coded
def profile(path: Path, connection: tuple[str, ...], write: bool, output: str) -> None:
    """Which fields do the systems of a process file have now, beside what was recorded? Reads no document."""
    command = [sys.executable, "-m", "dative_atom.testing.profile", str(path), "--output", output]
    command += ["--write"] * write + [f"--connection={pair}" for pair in connection]
    sys.exit(subprocess.run(command, check=False).returncode)


@main.command()
@output
def version(output: str) -> None:
    """This program's version."""
    click.echo(json.dumps({"version": __version__}) if output == "json" else f"dative-atom {__version__}")


main.add_command(xref)
main.add_command(etcd)
