"""The tree of the `dative` command, and the one place where an error becomes text and an exit code.

Nothing heavy may be imported here: `dative --help` must cost under 150 ms of CPU, and it needs neither gRPC nor rich.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from dative_controller.cli.lazy import Entry, LazyGroup

_AT = "dative_controller.cli.commands."

SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Every day": {
        "status": Entry(_AT + "overview:status", "One page: environments, atoms, what runs, what waits for a person."),
        "plan": Entry(_AT + "deploy:plan", "What a deployment would change. Deploys nothing."),
        "diff": Entry(_AT + "deploy:diff", "The same as plan."),
        "deploy": Entry(_AT + "deploy:deploy", "Validate, sign and deploy a process."),
        "undeploy": Entry(_AT + "deploy:undeploy", "Take a process out of an environment."),
        "rollback": Entry(_AT + "release:rollback", "Bring back what ran before, as a new signed generation."),
        "promote": Entry(_AT + "release:promote", "Deploy to one environment exactly what runs in another."),
        "find": Entry(_AT + "document:find", "Where a record went, by any tracked key."),
    },
    "Processes and runs": {
        "process": Entry(_AT + "process:group", "Validate, test, run and describe processes."),
        "execution": Entry(_AT + "execution:group", "Runs: list, show, watch, cancel."),
        "trace": Entry(_AT + "trace:group", "The trace of an execution as a waterfall."),
        "dlq": Entry(_AT + "dlq:group", "Dead letters: look at them, edit, retry, assign or discard them."),
        "deployment": Entry(_AT + "deployment:group", "What was deployed, when and by whom."),
    },
    "The estate": {
        "env": Entry(_AT + "env:group", "Environments: connections, overrides, secrets."),
        "vault": Entry(_AT + "vault:group", "Mask keys, and what tokens stand for."),
        "xref": Entry(_AT + "xref:group", "Cross-reference tables of an atom: look, export, import, set, remove."),
        "atom": Entry(_AT + "atom:group", "Atoms: invite, approve, drain, revoke."),
        "molecule": Entry(_AT + "molecule:group", "Molecules: atoms that share their work through etcd."),
        "trust": Entry(_AT + "trust:group", "The keys that may sign, and their rotation."),
        "audit": Entry(_AT + "audit:group", "Who did what; and whether the log is whole."),
        "serve": Entry(_AT + "serve:serve", "Run a controller."),
    },
    "This command": {
        "login": Entry(_AT + "login:login", "Log in; the first time, become the first admin."),
        "logout": Entry(_AT + "login:logout", "Forget the session of a context."),
        "whoami": Entry(_AT + "login:whoami", "Who the controller takes you for."),
        "context": Entry(_AT + "context:group", "Which controller this command talks to."),
        "doctor": Entry(_AT + "doctor:doctor", "Check connection, clock, session and keys."),
        "explain": Entry(_AT + "explain:explain", "What an error code means and what helps."),
        "completion": Entry(_AT + "completion:completion", "Print the completion script of a shell."),
        "version": Entry(_AT + "explain:version", "Print the version."),
    },
}


class Root(LazyGroup):
    """The root group. Every error of every command ends here, once."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.color = wants_colour(os.environ)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort, EOFError):
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except Exception as failed:
            if isinstance(failed, OSError) and failed.errno == 32:  # the reader of a pipe left: click ends quietly
                raise
            from dative_controller.cli.errors import show

            ctx.exit(show(failed, ctx.obj))


def wants_colour(environ: Mapping[str, str]) -> bool | None:
    """False with NO_COLOR, True with FORCE_COLOR, None lets each stream decide by being a terminal."""
    if environ.get("NO_COLOR"):
        return False
    return True if environ.get("FORCE_COLOR") else None


@click.command(
    cls=Root,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 differences, 4 login needed, 5 not found, 6 refused, "
    "7 unreachable (retry is safe), 8 partly done, 130 interrupted.",
)
@click.option("--context", "context_name", metavar="NAME", help="Which controller; see `dative context list`.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but data and errors.")
@click.pass_context
def dative(ctx: click.Context, context_name: str | None, debug: bool, quiet: bool) -> None:
    """Dative moves business records between systems. This command deploys, watches and repairs."""
    ctx.obj = {"context_name": context_name, "debug": debug, "quiet": quiet}


def main() -> None:
    """The console script."""
    dative(prog_name="dative", auto_envvar_prefix=None)


if __name__ == "__main__":
    main()
