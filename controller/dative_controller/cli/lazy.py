"""Groups of commands that are imported when they are called, suggest the nearest name, and show themselves in sections.

Start-up is what this file is about: `dative --help` prints from the table it is given and imports no command.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click

ALIASES = {"ls": "list", "get": "show", "rm": "delete", "repair": "edit"}
"""What fingers type anyway; hidden."""


class Entry(NamedTuple):
    """Where a command lives and what its line in the help says. target: "module:attribute"."""

    target: str
    help: str


class NounGroup(click.Group):
    """A noun with its verbs."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ALIASES.get(cmd_name, ""))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(unknown(args[0], self.list_commands(ctx), ctx.command_path))
        return super().resolve_command(ctx, args)


class LazyGroup(NounGroup):
    """The root: commands by name in sections, imported one at a time."""

    def __init__(self, name: str, *, sections: Mapping[str, Mapping[str, Entry]], **settings: object) -> None:
        super().__init__(name, **settings)  # type: ignore[arg-type]
        self._sections = sections
        self._entries = {name: entry for section in sections.values() for name, entry in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Asking the table first keeps an unknown name from importing anything.
        if args and not args[0].startswith("-") and args[0] not in self._entries:
            ctx.fail(unknown(args[0], list(self._entries), ctx.command_path))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        width = max(len(name) for name in self._entries)
        for title, entries in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in entries.items()])


def unknown(name: str, known: Sequence[str], path: str) -> str:
    """ "no command "deply"; did you mean "dative deploy"?" """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f'; did you mean "{path} {near[0]}"?' if near else f"; known: {', '.join(known)}"
    return f'no command "{name}"{hint}'
