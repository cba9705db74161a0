"""From what was recorded to OTLP: spans are made here, once, for a trace that is kept.

Attribute names stand here and nowhere else, so that a renamed convention is one commit: OpenTelemetry's own where
they exist, `dative.*` where no convention is accepted yet (workflow: none). Attributes come from an allow-list: no
payload, no query literal, no header ever gets in (Invariant 6).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dative import __version__
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from dative_atom.telemetry.recorder import Attributes, CallTuple, Recorder, StepTuple

ALLOWED: Final = frozenset(
    {
        "db.collection.name",
        "db.namespace",
        "db.operation.batch.size",
        "db.operation.name",
        "db.response.status_code",
        "db.system.name",
        "dative.api.limit",
        "dative.api.used",
        "dative.atom.id",
        "dative.attempt",
        "dative.batch",
        "dative.bundle.digest",
        "dative.deployment.generation",
        "dative.documents.dead_lettered",
        "dative.documents.failed",
        "dative.documents.filtered",
        "dative.documents.in",
        "dative.documents.masked",
        "dative.documents.out",
        "dative.documents.read",
        "dative.documents.written",
        "dative.execution.id",
        "dative.fencing_token",
        "dative.file.name",
        "dative.kept",
        "dative.process.name",
        "dative.process.version",
        "dative.schedule.planned_at",
        "dative.shape.id",
        "dative.shape.type",
        "dative.spans.dropped",
        "dative.trigger",
        "error.type",
        "http.request.method",
        "http.request.resend_count",
        "http.response.status_code",
        "network.protocol.version",
        "rpc.method",
        "server.address",
        "server.port",
        "url.template",
    }
)
SCOPE: Final = InstrumentationScope("dative", __version__)


@dataclass(frozen=True)
class Span:
    """One span about to be made. ids: hex. Times: ns since the epoch. error: error.type, empty when it went well."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    kind: SpanKind = SpanKind.INTERNAL
    error: str = ""
    links: Sequence[tuple[str, str, Attributes]] = ()


def encode(spans: Iterable[Span], resource: Mapping[str, str]) -> bytes:
    """zlib of an ExportTraceServiceRequest, as `dative.v1.Spans.otlp` carries it (27 bytes a span, measured)."""
    attributes = Resource({"service.name": "dative-atom", "service.version": __version__, **resource})
    request = encode_spans([_readable(span, attributes) for span in spans])
    return zlib.compress(request.SerializeToString(), 1)


def execution_spans(recorder: Recorder, end_ns: int, attributes: Attributes, error: str = "") -> list[Span]:
    """The whole tree of one attempt: the execution, its steps by batch, their calls."""
    root = Span(
        name=f"execute {attributes.get('dative.process.name', '')}".rstrip(),
        trace_id=recorder.trace_id,
        span_id=recorder.root_id,
        parent_id=recorder.parent[1] if recorder.parent else "",
        start_ns=recorder.start_ns,
        end_ns=end_ns,
        attributes={**attributes, **({"dative.spans.dropped": recorder.dropped} if recorder.dropped else {})},
        kind=SpanKind.CONSUMER if recorder.parent else SpanKind.INTERNAL,
        error=error,
        links=recorder.links,
    )
    steps = [_step(recorder, step) for step in recorder.steps]
    return [root, *steps, *(_call(recorder, call) for call in recorder.calls)]


def _step(recorder: Recorder, step: StepTuple) -> Span:
    return Span(
        name=f"shape {step.step}",
        trace_id=recorder.trace_id,
        span_id=step.span_id,
        parent_id=step.parent_id,
        start_ns=step.start_ns,
        end_ns=step.end_ns,
        attributes={
            "dative.shape.id": step.step,
            "dative.shape.type": step.verb,
            "dative.batch": step.batch,
            "dative.documents.in": step.documents_in,
            "dative.documents.out": step.documents_out,
            "dative.documents.failed": step.documents_failed,
        },
        error=step.error or ("documents_failed" if step.documents_failed else ""),
    )


def _call(recorder: Recorder, call: CallTuple) -> Span:
    return Span(
        name=call.name,
        trace_id=recorder.trace_id,
        span_id=call.span_id,
        parent_id=call.parent_id,
        start_ns=call.start_ns,
        end_ns=call.end_ns,
        attributes=call.attributes,
        kind=SpanKind.CLIENT,
        error=call.error,
    )


def _context(trace_id: str, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED))


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    attributes = {name: value for name, value in span.attributes.items() if name in ALLOWED}
    if span.error:
        attributes["error.type"] = span.error
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id, remote=True) if span.parent_id else None,
        resource=resource,
        attributes=attributes,
        kind=span.kind,
        instrumentation_scope=SCOPE,
        status=Status(StatusCode.ERROR) if span.error else Status(StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.end_ns,
        links=[Link(_context(trace_id, span_id), dict(links)) for trace_id, span_id, links in span.links],
    )
