"""`dative dlq`: documents that could not go on, waiting for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App, command, env_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, known, moment

if TYPE_CHECKING:
    from dative.v1.control_pb2 import GetDeadLetterResponse

    from dative_controller.cli.plain import Plain

STATES = ("waiting", "retrying", "resolved", "discarded")
_COLUMNS: list[Column] = [
    ("dead letter", "dead_letter_id"),
    ("process", "process"),
    ("step", "step"),
    ("code", "code"),
    ("field", "field"),
    ("keys", "keys"),
    ("tries", "attempts"),
    ("state", "state"),
    ("since", moment("created_at")),
]


@click.group(cls=NounGroup, name="dlq")
def group() -> None:
    """Dead letters: look at them, repair and retry them."""


@command("list", of=group)
@env_option
@click.option("--process", default="", metavar="NAME", help="Of this process only.")
@click.option("--code", default="", metavar="CODE", help="With this error only.")
@click.option(
    "--state",
    default="",
    type=click.Choice(["", "waiting", "retrying", "resolved", "discarded"]),
    help="Default: waiting.",
)
@click.option("--execution", default="", metavar="ID", help="Of this run only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
def list_(app: App, environment: str | None, process: str, code: str, state: str, execution: str, limit: int) -> None:
    """Dead letters, newest first. Reasons name fields and codes, never a value."""
    from dative.v1.control_pb2 import ListDeadLettersRequest, ListDeadLettersResponse

    from dative_controller.cli.plain import plain

    request = ListDeadLettersRequest(
        environment=environment or app.context.environment,
        process=process,
        code=code,
        state=state,
        execution_id=execution,
    )
    items: list[Plain] = []
    while len(items) < limit:
        request.page_size = min(limit - len(items), 500)
        answer = app.client.read("DeadLetterService/ListDeadLetters", request, ListDeadLettersResponse)
        items += [plain(letter) for letter in answer.dead_letters]
        request.before_dead_letter_id = answer.next_before_dead_letter_id
        if not answer.next_before_dead_letter_id:
            break
    app.out.items("DeadLetter", items, _COLUMNS, name="dead_letter_id")


@command("show", of=group)
@click.argument("dead_letter_id", metavar="ID")
@click.option("--payload", is_flag=True, help="Ask its atom for the document; classified fields come masked. Audited.")
def show(app: App, dead_letter_id: str, payload: bool) -> None:
    """One dead letter: where it stopped, why, and what helps."""
    from dative.secrets import SealKey

    from dative_controller.cli.plain import plain

    reader = SealKey.generate() if payload else None
    answer = _get(app, dead_letter_id, reader.public_raw if reader else b"")
    letter = answer.dead_letter
    item: dict[str, Any] = plain(letter)
    rows: list[Column] = [(key, key) for key in ("dead_letter_id", "state", "process", "queue", "step", "document")]
    rows += [("why", lambda item: f"{item['reason']} ({item['code']})"), ("field", "field"), ("keys", "keys")]
    rows += [
        ("execution", "execution_id"),
        ("attempts", "attempts"),
        ("until", moment("expires_at")),
        ("trace", "trace_id"),
    ]
    if reader is not None:
        item["payload"] = _open(answer.sealed_payload, reader, letter.dead_letter_id)
        rows += [(f"payload {key}", known(str(value))) for key, value in item["payload"].items()]
    app.out.item("DeadLetter", item, rows, name="dead_letter_id")
    if app.out.is_table and letter.state == "waiting":
        field = letter.field or "FIELD"
        app.say(
            f"  next   dative dlq repair {letter.dead_letter_id} {field}=VALUE   ·   dative dlq retry {letter.dead_letter_id}"
        )
        app.say(f"  next   dative explain {letter.code}")


@command("repair", of=group, mutates=True, prints=False)
@click.argument("dead_letter_id", metavar="ID")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "--from-file", metavar="FILE", help="A JSON object of fields; - is stdin. For values that must not be arguments."
)
@click.option("--retry", "also_retry", is_flag=True, help="Retry it at once.")
def repair(app: App, dead_letter_id: str, fields: tuple[str, ...], from_file: str | None, also_retry: bool) -> None:
    """Replace fields of a waiting dead letter; sealed on this machine to the atom that holds it."""
    from dative.bundle.canonical import canonical_json
    from dative.secrets import seal, seal_info
    from dative.v1.control_pb2 import ControlRepairDeadLetterRequest, ControlRepairDeadLetterResponse

    values = _fields(fields, from_file)
    answer = _get(app, dead_letter_id, b"")
    identity = answer.dead_letter.dead_letter_id
    info = seal_info("dative/dead-letter-repair/v1", identity)
    request = ControlRepairDeadLetterRequest(
        request_id=app.request_id(),
        dead_letter_id=identity,
        sealed_fields=seal(canonical_json(values), answer.seal_public_key, info),
    )
    app.client.write("DeadLetterService/RepairDeadLetter", request, ControlRepairDeadLetterResponse)
    app.done(f"dead letter {identity} of {answer.dead_letter.process}: {', '.join(sorted(values))} replaced")
    app.undo(
        f"dative dlq repair {identity} {' '.join(f'{name}=…' for name in sorted(values))}   (with the former values)"
    )
    if also_retry:
        _retry(app, [identity], "", "", "")
    else:
        app.say(f"  next   dative dlq retry {identity}")


@command("retry", of=group, mutates=True)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@env_option
@click.option("--process", default="", metavar="NAME", help="All waiting ones of this process.")
@click.option("--code", default="", metavar="CODE", help="All waiting ones with this error.")
def retry(app: App, ids: tuple[str, ...], environment: str | None, process: str, code: str) -> None:
    """Send dead letters through their process again; the same documents, under their own identity."""
    if bool(ids) == bool(process or code):
        raise click.UsageError("name IDs, or give --process or --code")
    where = "" if ids else app.environment_name(environment)
    executions = _retry(app, list(ids), where, process, code)
    columns: list[Column] = [("execution", "execution_id")]
    app.out.items("Execution", [{"execution_id": one} for one in executions], columns, name="execution_id")


def _retry(app: App, ids: list[str], environment: str, process: str, code: str) -> list[str]:
    from dative.v1.control_pb2 import ControlRetryDeadLettersRequest, ControlRetryDeadLettersResponse

    request = ControlRetryDeadLettersRequest(
        request_id=app.request_id(), environment=environment, dead_letter_ids=ids, process=process, code=code
    )
    answer = app.client.write("DeadLetterService/RetryDeadLetters", request, ControlRetryDeadLettersResponse)
    count = answer.dead_letters
    app.done(f"{count} dead letter{'s' if count != 1 else ''} retried in {len(answer.execution_ids)} executions")
    for execution in list(answer.execution_ids)[:3]:
        app.say(f"  next   dative execution watch {execution}")
    return list(answer.execution_ids)


def _get(app: App, dead_letter_id: str, reader: bytes) -> GetDeadLetterResponse:
    from dative.v1.control_pb2 import GetDeadLetterRequest, GetDeadLetterResponse

    request = GetDeadLetterRequest(dead_letter_id=dead_letter_id, reader_public_key=reader)
    return app.client.read("DeadLetterService/GetDeadLetter", request, GetDeadLetterResponse)


def _open(sealed: bytes, reader: Any, dead_letter_id: str) -> dict[str, Any]:
    """The document's fields. Its key lives for this one call."""
    import json

    from dative.errors.cli import NOT_A_PAYLOAD, CliError
    from dative.secrets import open_sealed, seal_info

    text = open_sealed(sealed, reader, seal_info("dative/dead-letter/v1", dead_letter_id))
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CliError(f"the payload of {dead_letter_id} is no JSON object", code=NOT_A_PAYLOAD) from None
    return found


def _fields(assignments: tuple[str, ...], from_file: str | None) -> dict[str, Any]:
    import json
    import sys
    from pathlib import Path

    values: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{name}: give FIELD=VALUE")
        values[name] = value
    if from_file:
        try:
            values.update(json.loads(sys.stdin.read() if from_file == "-" else Path(from_file).read_text()))
        except (ValueError, TypeError):
            raise click.UsageError(f"{from_file} holds no JSON object") from None
    if not values:
        raise click.UsageError("give at least one FIELD=VALUE, or --from-file")
    return values
