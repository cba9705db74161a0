"""`dative dlq edit`: fields of a waiting dead letter replaced, after a dry run says where it would end."""

from __future__ import annotations

from typing import Any

import click

from dative_controller.cli.app import App, command
from dative_controller.cli.commands.dlq_many import begin_retry
from dative_controller.cli.letters import MANY_TIMEOUT_S, REPAIR_PURPOSE, get, group, opened
from dative_controller.cli.output import Column, known

FIELDS_BYTES_MAX = 900_000
"""Of all new values together: they travel in one message."""


@command("edit", of=group, mutates=True)
@click.argument("dead_letter_id", metavar="ID")
@click.argument("fields", nargs=-1, metavar="[FIELD=TEXT | FIELD:=JSON]...")
@click.option(
    "--from-file", metavar="FILE", help="A JSON object of fields; - is stdin. For values that must not be arguments."
)
@click.option(
    "--dry-run", is_flag=True, help="Store nothing: say where the edited document would end, up to its targets."
)
@click.option("--reveal", is_flag=True, help="With --dry-run: targets' classified fields too. Needs the role revealer.")
@click.option("--retry", "also_retry", is_flag=True, help="Retry it at once.")
@click.option("--force", is_flag=True, help="Also when somebody changed it meanwhile.")
def edit(
    app: App,
    dead_letter_id: str,
    fields: tuple[str, ...],
    from_file: str | None,
    dry_run: bool,
    reveal: bool,
    also_retry: bool,
    force: bool,
) -> None:
    """Replace fields of a waiting dead letter; sealed on this machine to the atom that holds it, which checks them."""
    from dative.secrets import seal, seal_info
    from dative.v1.control_pb2 import ControlRepairDeadLetterRequest, ControlRepairDeadLetterResponse

    from dative_controller.cli.reader_key import key_for

    if dry_run and also_retry:
        raise click.UsageError("--dry-run stores nothing, so there is nothing to retry")
    values = _fields(fields, from_file)
    letter = (answer := get(app, dead_letter_id)).dead_letter
    identity, reader = letter.dead_letter_id, key_for(app, reveal=reveal)
    request = ControlRepairDeadLetterRequest(
        request_id=app.request_id(),
        dead_letter_id=identity,
        sealed_fields=seal(_encoded(values), answer.seal_public_key, seal_info(REPAIR_PURPOSE, identity)),
        expected_revision=0 if force else letter.revision,
        dry_run=dry_run,
        reader_public_key=reader.public_raw if dry_run else b"",
        reveal=reveal,
    )
    done = app.client.write(
        "DeadLetterService/RepairDeadLetter", request, ControlRepairDeadLetterResponse, timeout_s=MANY_TIMEOUT_S
    )
    if dry_run:
        _show_outcome(app, identity, opened(done.sealed_outcome, reader, identity))
        return
    names = sorted(values)
    item = {"dead_letter_id": identity, "process": letter.process, "revision": done.revision, "fields": names}
    app.done(f"dead letter {identity} of {letter.process}: {', '.join(names)} replaced")
    app.undo(f"dative dlq edit {identity} {' '.join(f'{name}=…' for name in names)}   (with the former values)")
    if also_retry:
        item["execution_ids"] = begin_retry(app, [identity])
    else:
        app.say(f"  next   dative dlq retry {identity}")
    if not app.out.is_table:
        app.out.item("DeadLetterEdit", item, [], name="dead_letter_id")


def _show_outcome(app: App, identity: str, outcome: dict[str, Any]) -> None:
    """Where it would end: the targets' documents, or the failure that is next."""
    rows: list[Column] = [
        ("would end", lambda item: f"{item['ends'].replace('_', '-')} at {item['step']}"),
        ("why", lambda item: f"{item['reason']} ({item['code']})" if item.get("code") else ""),
        ("field", "field"),
        ("queue", "queue"),
    ]
    for target in outcome.get("targets", []):
        rows += [(f"{target['step']} {name}", known(value)) for name, value in target["document"].items()]
    app.out.item("DeadLetterRehearsal", {"dead_letter_id": identity, **outcome}, rows, name="dead_letter_id")
    if outcome.get("ends") == "dead_lettered":
        app.say("  nothing was stored; edited so, it would wait again")
    else:
        app.say("  nothing was stored; the same command without --dry-run stores it")


def _fields(assignments: tuple[str, ...], from_file: str | None) -> dict[str, Any]:
    """New values by field. FIELD=TEXT is a text, FIELD:=JSON anything else."""
    values: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or name in ("", ":"):
            raise click.UsageError(f"{name}: give FIELD=TEXT or FIELD:=JSON")
        if name.endswith(":"):
            values[name[:-1]] = _json(value, text)
        else:
            values[name] = value
    if from_file:
        values.update(_from_file(from_file))
    if not values:
        raise click.UsageError("give at least one FIELD=TEXT, or --from-file")
    return values


def _json(text: str, said: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        raise click.UsageError(
            f"{said.partition(':=')[0]}:= takes JSON: a number, true, null, a list, an object"
        ) from None


def _from_file(name: str) -> dict[str, Any]:
    import json
    import sys
    from pathlib import Path

    try:
        found = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise click.UsageError(f"{name} holds no JSON object")
    return found


def _encoded(values: dict[str, Any]) -> bytes:
    import json

    body = json.dumps(values, ensure_ascii=False).encode()
    if len(body) > FIELDS_BYTES_MAX:
        raise click.UsageError(f"the new values have {len(body)} bytes; {FIELDS_BYTES_MAX} can be sent")
    return body
