"""`dative serve`: run a controller in the foreground."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from dative_controller.cli.app import App, command

_TIMES = ("atom-certificate-lifetime", "heartbeat", "access-token-lifetime", "refresh-token-lifetime",
          "bootstrap-token-lifetime", "command-timeout", "poll", "stop-grace")  # fmt: skip

LEVELS = ("debug", "info", "warning", "error")


def _times(function: Any) -> Any:
    for name in reversed(_TIMES):
        function = click.option(f"--{name}", type=float, metavar="SECONDS", help="See `dative_controller.config`.")(
            function
        )
    return function


@command("serve", prints=False)
@click.option("--config", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Where everything is kept, 0700.")
@click.option("--listen-public", metavar="HOST:PORT", help="Enrolment, this command and the console.")
@click.option("--listen-atoms", metavar="HOST:PORT", help="Atoms, mutual TLS.")
@click.option(
    "--host-name", "host_names", multiple=True, metavar="NAME", help="A name or address in the certificate; repeat it."
)
@click.option("--atom-endpoint", metavar="HOST:PORT", help="What atoms are told to dial.")
@click.option(
    "--database", metavar="URL", help="sqlite:///… or postgresql://…; keep a password in the environment or the file."
)
@click.option(
    "--blobs-dir", type=click.Path(file_okay=False, path_type=Path), help="Shared by all controllers of one database."
)
@click.option("--otel-endpoint", metavar="URL", help="Forward spans here too.")
@click.option("--otel-protocol", type=click.Choice(["grpc", "http"]), help="Default: grpc.")
@click.option("--log-level", default="info", show_default=True, type=click.Choice(LEVELS), help="Least to log.")
@_times
def serve(app: App, file: Path | None, log_level: str, **flags: object) -> None:
    """Run a controller until it is told to stop. Settings: defaults, --config, DATIVE_CONTROLLER_…, flags; later ones win."""
    from dative_controller.config import load
    from dative_controller.server.run import serve as run

    config = load(file, app.environ, given(flags))
    code = run(config, log_level=log_level)
    click.get_current_context().exit(code)


def given(flags: dict[str, object]) -> dict[str, object]:
    """The configuration's keys of the flags that were given."""
    values: dict[str, object] = {}
    otel = {name: flags.pop(f"otel_{name}") for name in ("endpoint", "protocol")}
    for name, value in flags.items():
        if value is None or value == ():
            continue
        values[name] = timedelta(seconds=value) if isinstance(value, float) else value
    if any(otel.values()):
        values["otel"] = {name: value for name, value in otel.items() if value}
    return values
