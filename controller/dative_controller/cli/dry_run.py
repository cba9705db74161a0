"""`dative process dry-run`: asks an atom, opens its sealed answer on this machine, and shows what would change.

The answer crosses sealed to a key that lives for one call; nothing of it is stored here. Classified values never come.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from dative.dry_run import PURPOSE, lines

from dative_controller.cli.app import App
from dative_controller.cli.output import Column

if TYPE_CHECKING:
    from dative.v1.control_pb2 import ControlDryRunRequest


def show(app: App, request: ControlDryRunRequest) -> None:
    """Exit 1 when the execution would fail as a whole, 8 when documents of it would."""
    from dative.secrets import SealKey, open_sealed, seal_info
    from dative.v1.control_pb2 import ControlDryRunResponse

    reader = SealKey.generate()
    request.reader_public_key = reader.public_raw
    answer = app.client.read("ExecutionService/DryRun", request, ControlDryRunResponse)
    outcome = json.loads(open_sealed(answer.sealed_outcome, reader, seal_info(PURPOSE, request.process)))
    if app.out.is_table:
        for line in lines(outcome):
            click.echo(line)
    else:
        app.out.item("DryRun", {"process": request.process, "atom": answer.atom, **outcome}, columns(), name="process")
    app.say(f"  nothing was written; dative process run {request.process} does it")
    if outcome["failure"]:
        click.get_current_context().exit(1)
    if outcome["counts"]["dead_lettered"]:
        click.get_current_context().exit(8)


def columns() -> list[Column]:
    return [("process", "process"), ("atom", "atom"), ("state", "state")]
