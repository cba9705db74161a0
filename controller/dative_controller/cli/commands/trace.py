"""`dative trace`: what happened, in order of cause."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command
from dative_controller.cli.lazy import NounGroup

if TYPE_CHECKING:
    from dative.v1.control_pb2 import GetTraceResponse, Span

    from dative_controller.cli.waterfall import Bar

_TRACE_ID = re.compile(r"\A[0-9a-f]{32}\Z")
_TOLD = (
    "dative.attempt",
    "dative.atom.id",
    "http.response.status_code",
    "db.response.status_code",
    "error.type",
    "dative.documents.failed",
)


@click.group(cls=NounGroup, name="trace")
def group() -> None:
    """The trace of an execution as a waterfall."""


@command("show", of=group)
@click.argument("wanted", metavar="EXECUTION|TRACE_ID")
def show(app: App, wanted: str) -> None:
    """A waterfall: who called whom, when, for how long, and where it went wrong."""
    from dative.v1.control_pb2 import GetTraceRequest, GetTraceResponse

    from dative_controller.cli.plain import plain

    request = GetTraceRequest(trace_id=wanted) if _TRACE_ID.match(wanted) else GetTraceRequest(execution_id=wanted)
    answer = app.client.read("ExecutionService/GetTrace", request, GetTraceResponse)
    if app.out.is_table:
        _draw(app, answer)
    else:
        app.out.items("Span", [plain(span) for span in answer.spans], [], name="span_id")
    if answer.incomplete:
        app.say("  note   the trace is not whole: some spans have not come yet, or were let go by a full spool")


def _draw(app: App, answer: GetTraceResponse) -> None:
    from dative_controller.cli.waterfall import duration, render

    bars = [_bar(span) for span in answer.spans]
    if not bars:
        app.say("no spans are stored for it")
        return
    took = max(bar.end_ns for bar in bars) - min(bar.start_ns for bar in bars)
    errors = sum(bar.error for bar in bars)
    app.say(f"trace {answer.spans[0].trace_id}  {duration(took / 1e9)}  {len(bars)} spans, {errors} with errors")
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    colours = {"error": {"fg": "red"}, "dim": {"dim": True}, "service": {"fg": "cyan"}, "plain": {}}
    width = shutil.get_terminal_size((120, 24)).columns
    for line in render(bars, width=width, unicode=unicode, style=lambda text, kind: click.style(text, **colours[kind])):  # type: ignore[arg-type]
        click.echo(line)


def _bar(span: Span) -> Bar:
    from dative_controller.cli.waterfall import Bar

    told = " ".join(f"{key}={span.attributes[key]}" for key in _TOLD if key in span.attributes)
    message = " ".join(part for part in (span.status_message, told) if part) if span.error else ""
    links = tuple(_link(link.trace_id, dict(link.attributes)) for link in span.links)
    service = f"{span.service}/{span.instance}" if span.instance else span.service
    return Bar(
        span.span_id, span.parent_span_id, span.name, service, span.start_ns, span.end_ns, span.error, message, links
    )


def _link(trace_id: str, attributes: dict[str, str]) -> str:
    if "dative.attempt" in attributes:
        whose = f" of {attributes['dative.atom.id']}" if attributes.get("dative.atom.id") else ""
        return f"goes on after attempt {attributes['dative.attempt']}{whose}: {attributes.get('dative.ended', 'lost')}"
    why = " ".join(f"{key}={value}" for key, value in attributes.items())
    return f"linked trace {trace_id}" + (f" ({why})" if why else "")
