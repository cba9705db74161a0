"""What every command gets: the context in force, the client, the keys, the clock, and how to talk and to ask.

`command` declares one: it adds the options that all share, opens the trace, and sends its spans at the end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from dative.clock import Clock, SystemClock

from dative_controller.cli.output import FORMATS, Output
from dative_controller.cli.tracing import Trace, encode

if TYPE_CHECKING:
    from dative.v1.control_pb2 import Environment

    from dative_controller.cli.client import Client
    from dative_controller.cli.context import Context, Resolved
    from dative_controller.cli.session import Session
    from dative_controller.signing.keyring import ContextKeys

C = TypeVar("C", bound=click.Command)
EXPORT_TIMEOUT_S = 2.0


class App:
    """One run of one command. settings: the root's options, over which the command's own have gone."""

    def __init__(self, settings: dict[str, Any], trace: Trace, clock: Clock, environ: Mapping[str, str]) -> None:
        self.debug = bool(settings.get("debug"))
        self.quiet = bool(settings.get("quiet"))
        self.trace = trace
        self.clock = clock
        self.environ = environ
        self._settings = settings
        self._context_name: str | None = settings.get("context_name")
        self.out = Output(
            settings.get("output") or "table", settings.get("columns") or (), settings.get("headers", True)
        )

    # ---- state on this machine ----------------------------------------------------------------------------------

    @cached_property
    def home(self) -> Path:
        from dative_controller.cli.context import home

        return home(self.environ)

    @cached_property
    def resolved(self) -> Resolved:
        from dative_controller.cli.context import resolve

        return resolve(self.home, self._context_name, self.environ)

    @property
    def context(self) -> Context:
        return self.resolved.context

    @property
    def context_name(self) -> str | None:
        """What --context says; None when it is left to the file."""
        return self._context_name

    def keys_of(self, context: str) -> ContextKeys:
        from dative_controller.signing.keyring import ContextKeys, open_keyring

        return ContextKeys(open_keyring(self.home / "keys" / context, context, self.environ))

    @cached_property
    def keys(self) -> ContextKeys:
        return self.keys_of(self.context.name)

    def session_of(self, context: str) -> Session:
        from dative_controller.cli.session import Session

        return Session(self.keys_of(context).ring, self.home / "keys" / f".{context}.lock", self.clock)

    # ---- the controller -----------------------------------------------------------------------------------------

    def client_of(self, context: Context) -> Client:
        from dative.errors.cli import CA_UNKNOWN, CliError

        from dative_controller.cli.client import Client

        if not context.ca:
            raise CliError(f"no certificate authority is stored for {context.server}", code=CA_UNKNOWN)
        # From here on something may have been sent, so that an error names the trace it left.
        self._settings["trace_id"] = self.trace.trace_id
        return Client(context.server, context.ca.encode(), self.session_of(context.name), self.trace)

    @cached_property
    def client(self) -> Client:
        return self.client_of(self.context)

    def request_id(self) -> str:
        from dative.ids import new_id

        return new_id(self.clock.now())

    # ---- talk ---------------------------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """For the person, on stderr."""
        if not self.quiet:
            click.echo(text, err=True)

    def done(self, text: str) -> None:
        self.say(click.style("✔ ", fg="green") + text)

    def undo(self, command: str) -> None:
        """The exact command that takes the change back."""
        self.say(f"  undo   {command}")

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked. Nothing asks when stdin or stderr is no terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def environment_name(self, given: str | None) -> str:
        """--env, else DATIVE_ENV, else the context's own."""
        name = given or self.context.environment
        if not name:
            raise click.UsageError(
                "which environment? Give --env NAME, set DATIVE_ENV, or: dative context set environment=NAME"
            )
        return name

    def confirm(self, action: str, environment: Environment, *, yes: bool) -> None:
        """Ask before production changes: its name, typed. --yes does instead, when --env was spelled out.

        Errors: cli.not_confirmed.
        """
        from dative.errors.cli import NOT_CONFIRMED, CliError

        if not environment.production:
            return
        if yes and spelled_out("environment"):
            return
        if yes:
            raise CliError(f"{action}: --yes needs --env {environment.name} spelled out", code=NOT_CONFIRMED)
        if not self.interactive:
            raise CliError(
                f"{action}: {environment.name} is production and nobody can be asked",
                code=NOT_CONFIRMED,
                next=f"Give --yes --env {environment.name}",
            )
        typed = click.prompt(f"{action}. {environment.name} is production; type its name", err=True)
        if typed != environment.name:
            raise CliError(f"{action}: {typed!r} is not {environment.name}", code=NOT_CONFIRMED)

    def export_spans(self) -> None:
        """Send the spans of a mutating command. Losing them loses no work, so that a failure is only told in debug."""
        from dative.errors import DativeError
        from dative.v1.control_pb2 import ExportSpansRequest, ExportSpansResponse

        body = encode(self.trace, {"service.instance.id": self.context.subject or "unknown"})
        try:
            request = ExportSpansRequest(otlp=body)
            self.client.write("ExecutionService/ExportSpans", request, ExportSpansResponse, timeout_s=EXPORT_TIMEOUT_S)
        except DativeError as lost:
            if self.debug:
                self.say(f"the spans of this command were not stored: {lost.message}")


def spelled_out(parameter: str) -> bool:
    """Whether an option of the running command came from the command line, not from a variable or a file."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def command(
    name: str, *, of: click.Group | None = None, mutates: bool = False, prints: bool = True, **settings: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """Declare a command. The function gets the App first.

    mutates: it changes something on the controller: its spans are sent and its trace id is told. prints: it has data
    on stdout, so that `-o` and its like exist.
    """

    def wrap(function: Callable[..., None]) -> click.Command:
        def run(**given: Any) -> None:
            ctx = click.get_current_context()
            app = _app(ctx, given, mutates)
            failed: BaseException | None = None
            try:
                function(app, **given)
            except BaseException as error:
                failed = error
                raise
            finally:
                _end(app, failed, mutates)

        update_wrapper(run, function)
        declare: Any = click.command
        made: click.Command = declare(name, **settings)(_shared(run, prints))
        if of is not None:
            of.add_command(made)
        return made

    return wrap


def _app(ctx: click.Context, given: dict[str, Any], mutates: bool) -> App:
    obj: dict[str, Any] = ctx.find_root().obj
    for option in ("context_name", "debug", "quiet", "output", "columns", "headers"):
        value = given.pop(option, None)
        if value not in (None, False, ()) or option == "headers":
            obj[option] = True if value is None else value
    trace = Trace(f"dative {ctx.command_path.partition(' ')[2]}", recording=mutates)
    return App(obj, trace, obj.get("clock") or SystemClock(), obj.get("environ") or os.environ)


def _end(app: App, failed: BaseException | None, mutates: bool) -> None:
    app.trace.finish(failed)
    # Without a client nothing was sent, and there is nothing to tell.
    if "client" not in app.__dict__:
        return
    if mutates:
        app.export_spans()
        if failed is None:
            app.say(f"  trace  {app.trace.trace_id}")
    app.client.close()


def _shared(function: Callable[..., None], prints: bool) -> Callable[..., None]:
    options = [
        click.option("--context", "context_name", metavar="NAME", help="Which controller."),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but data and errors."),
    ]
    if prints:
        options += [
            click.option("-o", "--output", type=click.Choice(FORMATS), default=None, help="Form of the data."),
            click.option("--columns", callback=_split, metavar="A,B", help="Only these columns, in this order."),
            click.option("--no-headers", "headers", is_flag=True, flag_value=False, default=True, help="No headings."),
        ]
    for option in reversed(options):
        function = option(function)
    return function


def _split(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",")) if value else ()


def env_option(function: C | Callable[..., None]) -> Any:
    """`--env NAME`."""
    return click.option(
        "--env", "environment", metavar="NAME", envvar="DATIVE_ENV", help="Environment, by name or prefix."
    )(function)


def yes_option(function: Any) -> Any:
    """`--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask; production needs --env spelled out beside it.")(
        function
    )


def molecule_option(function: Any) -> Any:
    """`--molecule NAME`."""
    return click.option("--molecule", default="default", show_default=True, metavar="NAME", help="Molecule.")(function)
