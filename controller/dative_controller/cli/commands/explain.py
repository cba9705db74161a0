"""`dative explain` and `dative version`: what a code means, and which program this is."""

from __future__ import annotations

import difflib

import click

from dative_controller.cli.app import App, command
from dative_controller.cli.output import Column


@command("explain")
@click.argument("code", required=False)
def explain(app: App, code: str | None) -> None:
    """What an error code means and what helps. Without CODE: all of them."""
    from dative.errors.base import load_all_codes
    from dative.errors.cli import UNKNOWN_CODE, CliError

    codes = load_all_codes()
    rows: list[Column] = [("code", "name"), ("means", "means"), ("next", "next"), ("exit code", "exit_code")]
    if code is None:
        items = [_item(codes[name]) for name in sorted(codes)]
        app.out.items("Code", items, [("code", "name"), ("exit", "exit_code"), ("means", "means")])
        return
    found = codes.get(code)
    if found is None:
        near = difflib.get_close_matches(code, codes, n=1)
        raise CliError(f"no code {code}" + (f'; did you mean "{near[0]}"?' if near else ""), code=UNKNOWN_CODE)
    app.out.item("Code", _item(found), rows)


def _item(code: object) -> dict[str, object]:
    return {name: getattr(code, name) for name in ("name", "grpc", "means", "next", "exit_code")}


@command("version")
def version(app: App) -> None:
    """Print the version."""
    from dative import __version__

    app.out.item("Version", {"version": __version__}, [("dative", "version")], name="version")
