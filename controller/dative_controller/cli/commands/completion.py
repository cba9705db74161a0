"""`dative completion`: the completion script of a shell."""

from __future__ import annotations

import click

from dative_controller.cli.app import App, command


@command("completion", prints=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(_app: App, shell: str) -> None:
    """Print the completion script, for example: `dative completion bash > ~/.local/share/bash-completion/completions/dative`."""
    from click.shell_completion import get_completion_class

    from dative_controller.cli.main import dative

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(made(dative, {}, "dative", "_DATIVE_COMPLETE").source())
