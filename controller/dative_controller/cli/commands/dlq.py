"""`dative dlq list` and `show`: documents that could not go on, waiting for a person.

The noun's other verbs stand in `dlq_edit` and `dlq_many`; they declare themselves when this module is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App, command, env_option
from dative_controller.cli.commands import dlq_edit, dlq_many
from dative_controller.cli.letters import STATES, filters, get, group, opened, selection
from dative_controller.cli.output import Column, known, moment

if TYPE_CHECKING:
    from dative_controller.cli.plain import Plain

__all__ = ["dlq_edit", "dlq_many", "group"]

_COLUMNS: list[Column] = [
    ("dead letter", "dead_letter_id"),
    ("process", "process"),
    ("step", "step"),
    ("code", "code"),
    ("field", "field"),
    ("keys", "keys"),
    ("tries", "attempts"),
    ("state", "state"),
    ("assignee", "assignee"),
    ("since", moment("created_at")),
]
SHOWN_MAX = 200
"""Characters of one field in the table; JSON has all that came."""


@command("list", of=group)
@env_option
@filters
@click.option("--state", default="", type=click.Choice(["", *STATES]), help="Default: waiting.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
def list_(app: App, environment: str | None, given: dict[str, str], state: str, limit: int) -> None:
    """Dead letters, newest first. Reasons name fields and codes, never a value."""
    from dative.v1.control_pb2 import ListDeadLettersRequest, ListDeadLettersResponse

    from dative_controller.cli.plain import plain

    wanted = selection(app, (), given, everything=not given)
    request = ListDeadLettersRequest(
        environment=environment or app.context.environment,
        process=wanted.process,
        code=wanted.code,
        state=state,
        execution_id=wanted.execution_id,
        queue=wanted.queue,
        assignee=wanted.assignee,
        created_after=wanted.created_after if wanted.HasField("created_after") else None,
        created_before=wanted.created_before if wanted.HasField("created_before") else None,
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
@click.option(
    "--reveal", is_flag=True, help="The document with its classified fields, to a reader of the vault. Audited."
)
def show(app: App, dead_letter_id: str, payload: bool, reveal: bool) -> None:
    """One dead letter: where it stopped, why, what was tried, and what helps."""
    from dative_controller.cli.plain import plain
    from dative_controller.cli.reader_key import key_for

    reader = key_for(app, reveal=reveal) if payload or reveal else None
    answer = get(app, dead_letter_id, reader.public_raw if reader else b"", reveal=reveal)
    letter = answer.dead_letter
    item: dict[str, Any] = plain(letter)
    rows: list[Column] = [(key, key) for key in ("dead_letter_id", "state", "process", "queue", "step", "document")]
    rows += [
        ("why", lambda item: f"{item['reason']} ({item['code']})"),
        ("field", "field"),
        ("keys", "keys"),
        ("execution", "execution_id"),
        ("attempts", "attempts"),
        ("assignee", "assignee"),
        ("discarded for", "note"),
        ("until", moment("expires_at")),
        ("trace", "trace_id"),
    ]
    rows += [("history", known(_told(event))) for event in item["history"]]
    if reader is not None:
        item["payload"] = opened(answer.sealed_payload, reader, letter.dead_letter_id)
        item["classified"], item["abridged"] = list(answer.classified), list(answer.abridged)
        rows += [(f"payload {key}", known(_field(key, value, letter.field))) for key, value in item["payload"].items()]
    app.out.item("DeadLetter", item, rows, name="dead_letter_id")
    if app.out.is_table:
        _next(app, letter)


def _told(event: Plain) -> str:
    """ "2026-03-01 12:00:00Z failed at upsert: no date (expression.cast_failed), execution 01J…" """
    parts = [moment("at")(event), str(event["kind"]).replace("_", " ")]
    if event["step"]:
        parts.append(f"at {event['step']}:")
    if event["reason"]:
        parts.append(event["reason"])
    if event["code"]:
        parts.append(f"({event['code']})")
    if event["fields"]:
        parts.append(", ".join(event["fields"]))
    if event["assignee"]:
        parts.append(f"to {event['assignee']}")
    if event["actor"]:
        parts.append(f"by {event['actor']}")
    if event["execution_id"]:
        parts.append(f"execution {event['execution_id']}")
    return " ".join(parts)


def _field(name: str, value: Any, offending: str) -> str:
    """A value in one line, the one that the reason is about marked."""
    text = str(value)
    text = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
    return f"{text}   ◀ here it stopped" if name == offending else text


def _next(app: App, letter: Any) -> None:
    identity = letter.dead_letter_id
    if letter.trace_id:
        app.say(f"  next   dative trace show {letter.trace_id}")
    if letter.state == "waiting":
        field = letter.field or "FIELD"
        app.say(f"  next   dative dlq edit {identity} {field}=VALUE --dry-run   ·   dative dlq retry {identity}")
    app.say(f"  next   dative explain {letter.code}")
