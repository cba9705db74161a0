"""`dative audit`: who did what, and whether the log is whole."""

from __future__ import annotations

import click

from dative_controller.cli.app import App, command
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, moment


@click.group(cls=NounGroup, name="audit")
def group() -> None:
    """Who did what; and whether the log is whole."""


@command("list", of=group)
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many, newest first."
)
def list_(app: App, limit: int) -> None:
    """The audit log, newest first."""
    from dative.v1.control_pb2 import ListAuditRequest, ListAuditResponse

    from dative_controller.cli.plain import Plain, plain

    items: list[Plain] = []
    request = ListAuditRequest()
    while len(items) < limit:
        request.page_size = min(limit - len(items), 500)
        answer = app.client.read("AccessService/ListAudit", request, ListAuditResponse)
        items += [plain(entry) for entry in answer.entries]
        if not answer.entries or answer.entries[-1].sequence <= 1:
            break
        request.before_sequence = answer.entries[-1].sequence
    columns: list[Column] = [("#", "sequence"), ("at", moment("at"))]
    columns += [(key, key) for key in ("actor", "action", "object", "decision")]
    app.out.items("AuditEntry", items, columns, name="sequence")


@command("verify", of=group)
def verify(app: App) -> None:
    """Compute the chain anew. Compare the head's hash with a copy kept elsewhere: a chain alone proves no more."""
    from dative.errors import from_status
    from dative.v1.control_pb2 import VerifyAuditRequest, VerifyAuditResponse

    from dative_controller.cli.plain import plain

    answer = app.client.read("AccessService/VerifyAudit", VerifyAuditRequest(), VerifyAuditResponse, timeout_s=300)
    if answer.status.code:
        raise from_status(answer.status.code, answer.status.message, answer.status.where, answer.status.next)
    rows: list[Column] = [("entries", "entries"), ("head", "head_hash")]
    app.out.item("AuditChain", plain(answer), rows, name="head_hash")
    app.done("the chain holds")
