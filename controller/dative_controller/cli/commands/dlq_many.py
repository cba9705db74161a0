"""`dative dlq retry`, `discard`, `assign` and `expire`: the same for one dead letter, for some, and for all that fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App, command, env_option, yes_option
from dative_controller.cli.letters import MANY_TIMEOUT_S, chosen, group, selection
from dative_controller.cli.output import Column

if TYPE_CHECKING:
    from dative.v1.types_pb2 import DeadLetterSelection
    from google.protobuf.message import Message

_RATE = re.compile(r"\A(\d{1,5}(?:\.\d{1,3})?)(?:/([smh]))?\Z")
_KEEP = re.compile(r"\A(\d{1,5})([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@command("retry", of=group, mutates=True)
@chosen
@env_option
@click.option("--rate", metavar="50/s", help="Documents a second (/m, /h), on average. Default: as fast as they go.")
@click.option("--batch", type=click.IntRange(1, 1000), metavar="N", help="Documents in one execution, at most 1000.")
def retry(
    app: App,
    ids: tuple[str, ...],
    given: dict[str, str],
    everything: bool,
    environment: str | None,
    rate: str | None,
    batch: int | None,
) -> None:
    """Send dead letters through their process again; the same documents, under their own identity.

    Many go in batches, one execution each, one after the other. It goes on at the atom without this command, also after
    a restart; a batch whose execution fails, or is cancelled, ends it, and what is left waits.
    """
    wanted = selection(app, ids, given, everything=everything)
    where = "" if ids else app.environment_name(environment)
    executions = begin_retry(app, ids, wanted, where, rate_per_s=_rate(rate), chunk=batch or 0)
    columns: list[Column] = [("execution", "execution_id")]
    app.out.items("Execution", [{"execution_id": one} for one in executions], columns, name="execution_id")


def begin_retry(
    app: App,
    ids: Sequence[str],
    matching: DeadLetterSelection | None = None,
    environment: str = "",
    *,
    rate_per_s: float = 0.0,
    chunk: int = 0,
) -> list[str]:
    """Begin it and say so; returns the first executions."""
    from dative.v1.control_pb2 import ControlRetryDeadLettersRequest, ControlRetryDeadLettersResponse

    request = ControlRetryDeadLettersRequest(
        request_id=app.request_id(),
        environment=environment,
        dead_letter_ids=ids,
        matching=None if ids else matching,
        rate_per_s=rate_per_s,
        chunk=chunk,
    )
    answer = app.client.write(
        "DeadLetterService/RetryDeadLetters", request, ControlRetryDeadLettersResponse, timeout_s=MANY_TIMEOUT_S
    )
    at = f", {rate_per_s:g} a second" if rate_per_s else ""
    app.done(f"{_counted(answer.dead_letters)} retried{at}")
    for execution in list(answer.execution_ids)[:3]:
        app.say(f"  next   dative execution watch {execution}")
    if answer.dead_letters > max(chunk, 1) and answer.execution_ids:
        app.say(f"  stop   dative execution cancel {answer.execution_ids[0]}   (or the one that runs then)")
    return list(answer.execution_ids)


@command("discard", of=group, mutates=True, prints=False)
@chosen
@env_option
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays on record.")
@yes_option
def discard(
    app: App,
    ids: tuple[str, ...],
    given: dict[str, str],
    everything: bool,
    environment: str | None,
    reason: str,
    yes: bool,
) -> None:
    """Give dead letters up for a reason that stays on record; they can not be retried any more."""
    from dative.v1.control_pb2 import ControlDiscardDeadLettersRequest

    if not reason.strip():
        raise click.UsageError("--reason needs a text")
    wanted = selection(app, ids, given, everything=everything)
    where = _asked(app, f"discard {_named(wanted)}", ids, environment, yes=yes)
    request = ControlDiscardDeadLettersRequest(
        request_id=app.request_id(), environment=where, selection=wanted, reason=reason
    )
    app.done(f"{_change(app, 'DiscardDeadLetters', request)} discarded: {reason}")


@command("assign", of=group, mutates=True, prints=False)
@chosen
@env_option
@click.option("--to", metavar="NAME", help="Who looks after them from now on.")
@click.option("--nobody", is_flag=True, help="Take them back from whoever had them.")
def assign(
    app: App,
    ids: tuple[str, ...],
    given: dict[str, str],
    everything: bool,
    environment: str | None,
    to: str | None,
    nobody: bool,
) -> None:
    """Say who looks after dead letters; with who said so and when, it stays on record."""
    from dative.v1.control_pb2 import ControlAssignDeadLettersRequest

    if bool(to) == nobody:
        raise click.UsageError("give --to NAME or --nobody")
    wanted = selection(app, ids, given, everything=everything)
    where = "" if ids else app.environment_name(environment)
    request = ControlAssignDeadLettersRequest(
        request_id=app.request_id(), environment=where, selection=wanted, assignee=to or ""
    )
    count = _change(app, "AssignDeadLetters", request)
    app.done(f"{count} assigned to {to}" if to else f"{count} assigned to nobody")
    if to:
        app.say(f"  next   dative dlq list --assignee {to}")


@command("expire", of=group, mutates=True, prints=False)
@chosen
@env_option
@click.option("--keep", metavar="30d", help="Do not expire them now, but so long from now: 90s, 30m, 12h, 30d.")
@yes_option
def expire(
    app: App,
    ids: tuple[str, ...],
    given: dict[str, str],
    everything: bool,
    environment: str | None,
    keep: str | None,
    yes: bool,
) -> None:
    """End the keep of dead letters now, which destroys their documents; or move it, with --keep."""
    from dative.v1.control_pb2 import ControlExpireDeadLettersRequest

    wanted = selection(app, ids, given, everything=everything)
    request = ControlExpireDeadLettersRequest(request_id=app.request_id(), selection=wanted)
    if keep is None:
        request.environment = _asked(app, f"destroy the documents of {_named(wanted)}", ids, environment, yes=yes)
        app.done(f"{_change(app, 'ExpireDeadLetters', request)} expired, their documents destroyed")
        return
    request.keep.FromTimedelta(_keep(keep))
    request.environment = "" if ids else app.environment_name(environment)
    app.done(f"{_change(app, 'ExpireDeadLetters', request)} kept for another {keep}")


def _change(app: App, method: str, request: Message) -> str:
    from dative.v1.control_pb2 import ControlChangeDeadLettersResponse

    answer = app.client.write(
        f"DeadLetterService/{method}", request, ControlChangeDeadLettersResponse, timeout_s=MANY_TIMEOUT_S
    )
    return _counted(answer.dead_letters)


def _asked(app: App, action: str, ids: Sequence[str], environment: str | None, *, yes: bool) -> str:
    """The environment of a filter, after production was asked for; letters that are named need neither.

    Errors: cli.not_confirmed.
    """
    if ids:
        return ""
    from dative_controller.cli.estate import environment as found

    here = found(app, environment)
    app.confirm(action, here, yes=yes)
    return here.name


def _named(wanted: Any) -> str:
    if wanted.all:
        return "every waiting dead letter"
    said = [f"{item.name.replace('_', ' ')} {getattr(wanted, item.name)}" for item, _ in wanted.ListFields()]
    return f"every waiting dead letter with {', '.join(said)}"


def _counted(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _rate(text: str | None) -> float:
    """Documents a second; 0 without a rate."""
    if text is None:
        return 0.0
    found = _RATE.match(text)
    if found is None or not float(found[1]):
        raise click.UsageError(f"--rate {text}: give 50/s, 100/m or 3600/h")
    return float(found[1]) / _SECONDS[found[2] or "s"]


def _keep(text: str) -> timedelta:
    found = _KEEP.match(text)
    if found is None or not int(found[1]):
        raise click.UsageError(f"--keep {text}: give 90s, 30m, 12h or 30d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
