"""What the verbs of `dative dlq` share: the noun, which letters are meant, and documents opened on this machine.

A document crosses sealed to a key that lives for one call; nothing of it is stored here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App
from dative_controller.cli.lazy import NounGroup

if TYPE_CHECKING:
    from dative.secrets import SealKey
    from dative.v1.control_pb2 import GetDeadLetterResponse
    from dative.v1.types_pb2 import DeadLetterSelection

STATES = ("waiting", "retrying", "resolved", "discarded", "expired", "all")
PAYLOAD_PURPOSE = "dative/dead-letter/v1"
REPAIR_PURPOSE = "dative/dead-letter-repair/v1"
MANY_TIMEOUT_S = 150.0
"""A command about many letters is answered when every atom has gone through them."""


@click.group(cls=NounGroup, name="dlq")
def group() -> None:
    """Dead letters: look at them, edit, retry, assign or discard them."""


def filters(function: Any) -> Any:
    """The options that say which letters; a command gets them as one dict, `given`."""
    options = [
        click.option("--queue", metavar="NAME", help="In this queue only."),
        click.option("--process", metavar="NAME", help="Of this process only."),
        click.option("--code", metavar="CODE", help="With this error only."),
        click.option("--assignee", metavar="NAME", help="Of this person only; - is nobody's."),
        click.option("--execution", metavar="ID", help="Of this run only."),
        click.option("--older", metavar="7d", help="Parked longer ago: 30m, 24h, 7d, or a moment in ISO 8601."),
        click.option("--newer", metavar="24h", help="Parked since then."),
    ]
    names = ("queue", "process", "code", "assignee", "execution", "older", "newer")

    def gathered(*arguments: Any, **options_: Any) -> Any:
        given = {name: value for name in names if (value := options_.pop(name))}
        return function(*arguments, given=given, **options_)

    gathered.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    gathered.__doc__, gathered.__name__ = function.__doc__, function.__name__
    wrapped: Callable[..., Any] = gathered
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def chosen(function: Any) -> Any:
    """`ID...`, or the filters, or --all; a command gets them as `ids`, `given` and `everything`."""
    function = click.option("--all", "everything", is_flag=True, help="Every waiting one of the environment.")(function)
    return click.argument("ids", nargs=-1, metavar="[ID]...")(filters(function))


def selection(app: App, ids: tuple[str, ...], given: dict[str, str], *, everything: bool) -> DeadLetterSelection:
    """Of a command's own words. A usage error unless it is exactly one of ids, filters and --all."""
    from dative.v1.types_pb2 import DeadLetterSelection

    from dative_controller.cli.moments import since

    if sum(map(bool, (ids, given, everything))) != 1:
        raise click.UsageError("name IDs, or give filters (--queue, --process, --code, …), or --all")
    made = DeadLetterSelection(
        dead_letter_ids=ids,
        queue=given.get("queue", ""),
        process=given.get("process", ""),
        code=given.get("code", ""),
        assignee=given.get("assignee", ""),
        execution_id=given.get("execution", ""),
        all=everything,
    )
    now = app.clock.now()
    if "older" in given:
        made.created_before.FromDatetime(since(given["older"], now, "--older"))
    if "newer" in given:
        made.created_after.FromDatetime(since(given["newer"], now, "--newer"))
    return made


def get(app: App, dead_letter_id: str, reader: bytes = b"", *, reveal: bool = False) -> GetDeadLetterResponse:
    """One letter; with a reader's key its document too, sealed to it."""
    from dative.v1.control_pb2 import GetDeadLetterRequest, GetDeadLetterResponse

    request = GetDeadLetterRequest(dead_letter_id=dead_letter_id, reader_public_key=reader, reveal=reveal)
    return app.client.read("DeadLetterService/GetDeadLetter", request, GetDeadLetterResponse)


def opened(sealed: bytes, reader: SealKey, dead_letter_id: str) -> dict[str, Any]:
    """What an atom sealed to this call's key. Errors: cli.not_a_payload."""
    import json

    from dative.errors.cli import NOT_A_PAYLOAD, CliError
    from dative.secrets import open_sealed, seal_info

    text = open_sealed(sealed, reader, seal_info(PAYLOAD_PURPOSE, dead_letter_id))
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CliError(f"the payload of {dead_letter_id} is no JSON object", code=NOT_A_PAYLOAD) from None
    return found
