"""`dative execution`: runs, and how their documents came to rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command, env_option
from dative_controller.cli.lazy import NounGroup
from dative_controller.cli.output import Column, moment

if TYPE_CHECKING:
    from dative.v1.control_pb2 import GetExecutionResponse

    from dative_controller.cli.plain import Plain

STATES = ("pending", "running", "succeeded", "partial", "failed", "cancelled")
_COLUMNS: list[Column] = [
    ("execution", "execution_id"),
    ("process", lambda item: f"{item['process']} r{item['process_version']}"),
    ("state", "state"),
    ("read", "counts.read"),
    ("written", "counts.written"),
    ("dead", "counts.dead_lettered"),
    ("started", moment("started_at")),
    ("why", "failure.code"),
]


@click.group(cls=NounGroup, name="execution")
def group() -> None:
    """Runs: list, show, watch, cancel, receipts."""


@command("list", of=group)
@env_option
@click.option("--process", default="", metavar="NAME", help="Of this process only.")
@click.option("--status", "states", multiple=True, type=click.Choice(STATES), help="In these states only.")
@click.option("--since", metavar="24h", help="Not older: 30m, 24h, 7d, or a moment in ISO 8601.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
def list_(
    app: App, environment: str | None, process: str, states: tuple[str, ...], since: str | None, limit: int
) -> None:
    """Runs, newest first."""
    from dative.v1 import types_pb2
    from dative.v1.control_pb2 import ListExecutionsRequest, ListExecutionsResponse

    from dative_controller.cli.moments import since as moment_of
    from dative_controller.cli.plain import plain

    request = ListExecutionsRequest(
        environment=environment or app.context.environment,
        process=process,
        states=[types_pb2.ExecutionState.Value(f"EXECUTION_STATE_{state.upper()}") for state in states],  # type: ignore[misc]
    )
    if since:
        request.since.FromDatetime(moment_of(since, app.clock.now()))
    items: list[Plain] = []
    while len(items) < limit:
        request.page_size = min(limit - len(items), 500)
        answer = app.client.read("ExecutionService/ListExecutions", request, ListExecutionsResponse)
        items += [plain(execution) for execution in answer.executions]
        request.before_execution_id = answer.next_before_execution_id
        if not answer.next_before_execution_id:
            break
    app.out.items("Execution", items, _COLUMNS, name="execution_id")


@command("show", of=group)
@click.argument("execution_id", metavar="EXECUTION")
def show(app: App, execution_id: str) -> None:
    """One run: its counts as the sum they are, its steps, what it told, its dead letters."""
    from dative.v1.control_pb2 import GetExecutionRequest, GetExecutionResponse

    request = GetExecutionRequest(execution_id=execution_id)
    print_execution(app, app.client.read("ExecutionService/GetExecution", request, GetExecutionResponse))


@command("watch", of=group)
@click.argument("execution_id", metavar="EXECUTION")
def watch(app: App, execution_id: str) -> None:
    """Follow a run to its end. Exit code: 0 all well, 8 some dead-lettered, 1 failed."""
    from dative_controller.cli import watching

    last = watching.execution(app, execution_id)
    print_execution(app, last)
    code = watching.EXIT_CODES.get(last.execution.state, 7)
    if code:
        click.get_current_context().exit(code)


@command("cancel", of=group, mutates=True, prints=False)
@click.argument("execution_id", metavar="EXECUTION")
def cancel(app: App, execution_id: str) -> None:
    """Stop a run at its next batch. What was written stays written; the position stands after it."""
    from dative.v1.control_pb2 import (
        ControlCancelExecutionRequest,
        ControlCancelExecutionResponse,
        GetExecutionRequest,
        GetExecutionResponse,
    )

    found = app.client.read(
        "ExecutionService/GetExecution", GetExecutionRequest(execution_id=execution_id), GetExecutionResponse
    ).execution
    request = ControlCancelExecutionRequest(request_id=app.request_id(), execution_id=found.execution_id)
    app.client.write("ExecutionService/CancelExecution", request, ControlCancelExecutionResponse)
    app.done(f"execution {found.execution_id} of {found.process} is asked to stop")
    app.undo(f"dative process run {found.process}   (goes on from the saved position)")


@command("receipts", of=group)
@click.argument("execution_id", metavar="EXECUTION")
@click.option(
    "--csv", "as_csv", is_flag=True, help="CSV with a header, for a program that compares it with the target."
)
def receipts(app: App, execution_id: str, as_csv: bool) -> None:
    """What each target has of each document, from the atom that ran it; one JSON object a line with -o jsonl. Audited."""
    from itertools import chain

    from dative.receipts import About, lines, whole
    from dative.receipts import receipts as of_record
    from dative.v1.control_pb2 import ControlReadReceiptsRequest, ControlReadReceiptsResponse

    request = ControlReadReceiptsRequest(execution_id=execution_id)
    answers = app.client.stream("ExecutionService/ReadReceipts", request, ControlReadReceiptsResponse)
    first = next(answers)
    run = first.execution
    about = About(run.execution_id, run.process, run.process_version)
    parts = (part for answer in chain([first], answers) for part in answer.parts)
    found = (receipt for record in whole(parts) for receipt in of_record(about, record))
    if not as_csv and app.out.format in ("json", "yaml", "name"):
        app.out.items("Receipt", found, [], name="document")
        return
    count = 0
    for count, line in enumerate(lines(found, "csv" if as_csv else app.out.format), 1):  # noqa: B007
        click.echo(line)
    if not count:
        app.say(f"execution {run.execution_id} left no receipt: nothing came to a target, or they are older than kept")


def print_execution(app: App, answer: GetExecutionResponse) -> None:
    """The run as a page, or as data."""
    from dative_controller.cli import watching
    from dative_controller.cli.plain import plain

    item = {**plain(answer.execution), "atom_name": answer.atom_name}
    item["dead_letters"] = [plain(one) for one in answer.dead_letters]
    item["notices"] = [plain(one) for one in answer.notices]
    rows: list[Column] = [
        ("execution", "execution_id"),
        ("process", lambda item: f"{item['process']} r{item['process_version']}"),
        ("atom", lambda item: item["atom_name"] or item["atom_id"]),
        ("state", "state"),
        ("trigger", "trigger"),
        ("documents", lambda _: watching.counts(answer.execution)),
        ("started", moment("started_at")),
        ("finished", moment("finished_at")),
        ("failure", _failure),
        ("next", "failure.next"),
        ("trace", "trace_id"),
    ]
    app.out.item("Execution", item, rows, name="execution_id")
    if not app.out.is_table:
        return
    for line in attempt_lines(item["attempts"]):
        click.echo(line)
    for step in item["steps"]:
        failed = click.style(f"  failed {step['documents_failed']}", fg="red") if step["documents_failed"] else ""
        click.echo(
            f"  step {step['step']} ({step['verb']})  in {step['documents_in']}  out {step['documents_out']}{failed}"
            f"  {step['seconds']:.3g} s"
        )
        for rule, times in sorted(step["rules"].items()):
            click.echo(f"    rule {rule}  {times}")
    for notice in item["notices"]:
        text = f"  {notice['text']}" if notice["text"] else ""
        click.echo(f"  {notice['level']}  {notice['title']}  (step {notice['step']}){text}")
    for letter in item["dead_letters"]:
        keys = " ".join(f"{key}={value}" for key, value in letter["keys"].items())
        click.echo(f"  dead letter {letter['dead_letter_id']}  {keys}  {letter['code']}: {letter['reason']}")
    if item["dead_letters"]:
        app.say(f"  next   dative dlq show {item['dead_letters'][0]['dead_letter_id']}")
    if item["trace_id"]:
        app.say(f"  next   dative trace show {item['execution_id']}")


_ENDS = {
    "": "ended by loss of {0}",
    "lost": "ended by loss of {0}",
    "drained": "handed over by {0}, which drains",
    "crashed": "ended by a crash of its worker on {0}",
    "stalled": "ended on {0}, where it did not get on",
}


def attempt_lines(attempts: Sequence[Plain]) -> Iterator[str]:
    """One a line: who had it, and how it went on: "ended by loss of hq-2, continued on hq-3"."""
    if len(attempts) < 2:
        return
    for one, following in pairwise([*attempts, None]):
        assert one is not None  # noqa: S101  only the last of a pair is
        name = one["atom"] or one["atom_id"] or "?"
        line = f"  attempt {one['attempt']} on {name}"
        times = [text[11:19] for text in (one["started_at"], one["ended_at"]) if text]
        line += f"  {'–'.join(times)}" if times else ""
        if following is not None:
            to = following["atom"] or following["atom_id"] or "?"
            unsaid = "crashed" if to == name else ""  # nobody loses an execution to itself
            how = _ENDS.get(one["reason"] or unsaid, f"ended on {{0}}: {one['reason']}").format(name)
            line += f"  {how}, continued {'there' if to == name else f'on {to}'}"
        yield line


def _failure(item: Plain) -> str:
    failure = item["failure"]
    return f"{failure['message']} ({failure['code']})" if failure and failure["code"] else ""
