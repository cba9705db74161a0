"""`dative find`: where a record went."""

from __future__ import annotations

import click

from dative_controller.cli.app import App, command, env_option
from dative_controller.cli.output import Column, moment


@command("find")
@click.argument("key")
@env_option
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="At most so many, newest first."
)
def find(app: App, key: str, environment: str | None, limit: int) -> None:
    """Where a record went, by the value of any tracked field: which run, which step, which target, and why."""
    from dative.errors import control
    from dative.errors.cli import CliError
    from dative.v1.control_pb2 import FindDocumentsRequest, FindDocumentsResponse

    from dative_controller.cli.plain import plain

    request = FindDocumentsRequest(key=key, environment=environment or "", page_size=limit)
    answer = app.client.read("ExecutionService/FindDocuments", request, FindDocumentsResponse)
    columns: list[Column] = [
        ("when", moment("at")),
        ("process", "process"),
        ("execution", "execution_id"),
        ("outcome", "outcome"),
        ("step", "step"),
        ("target", "target"),
        ("why", "reason"),
        ("keys", "keys"),
    ]
    items = [plain(one) for one in answer.documents]
    app.out.items("Document", items, columns, name="execution_id")
    if not items:
        where = f" in {environment}" if environment else ""
        raise CliError(
            f"no tracked document with key {key}{where}", code=control.NOT_FOUND, next="Is the field in `track:`?"
        )
    first = items[0]
    if first["dead_letter_id"]:
        app.say(f"  next   dative dlq show {first['dead_letter_id']}")
    app.say(f"  next   dative trace show {first['trace_id'] or first['execution_id']}")
