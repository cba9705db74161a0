"""What every command of `dative-atom` shares: its options, how it talks, how an error is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import rich_click as click
from dative.errors import DativeError

P = ParamSpec("P")
CONTEXT = {"help_option_names": ["-h", "--help"]}


def say(text: str) -> None:
    """Talk goes to stderr."""
    click.echo(text, err=True)


def coded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a coded error into words and its exit code."""

    @wraps(command)
    def inner(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except DativeError as error:
            show(error)
            sys.exit(error.code.exit_code)
        except KeyboardInterrupt:
            say("interrupted")
            sys.exit(130)

    return inner


def show(error: DativeError) -> None:
    """What – where – why – next – code."""
    lines = [f"error: {error.message}"]
    if error.where:
        lines.append(f"where: {error.where}")
    lines += [f"why:   {error.code.means}", f"next:  {error.next}", f"code:  {error.code.name}"]
    say("\n".join(lines))


data_dir = click.option("--data-dir", type=click.Path(), help="Where the atom keeps everything it has.")
config_file = click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="YAML file of settings.")
proxy_option = click.option("--proxy", help='http://[user:password@]host:port, or "none"; default: the environment.')
output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


def directory_of(given: str | None) -> Path:
    """The atom's data directory: as given, from the environment, or where the platform keeps such things."""
    from dative_atom.agent.config import default_data_dir

    return Path(given or os.environ.get("DATIVE_ATOM_DATA_DIR") or default_data_dir())
