"""The command's own part of the trace: a root span, one span a call, sent through the controller.

No SDK and no exporter: a command has a handful of spans, and loading an exporter costs more than a command may take.
Attributes are what is written here by name; no argument of the command line ever gets in (Invariant 6).
"""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

SPANS_MAX = 500
"""At the bound further spans are not recorded: a watch that polls for days must not grow."""
ENDED_WELL = (0, 3)
"""Exit codes that are no error: done, and differences found."""


@dataclass
class SpanRecord:
    """One span. ids: hex; times: ns since the epoch. kind: "INTERNAL" or "CLIENT". error: its code, empty when well."""

    name: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int = 0
    kind: str = "INTERNAL"
    error: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class Trace:
    """One command's trace. recording: whether its spans are sent at the end; the id travels in any case."""

    def __init__(self, name: str, *, recording: bool) -> None:
        self.trace_id = secrets.token_hex(16)
        self.recording = recording
        self.root = SpanRecord(name, secrets.token_hex(8), "", time.time_ns())
        self.spans = [self.root]

    @contextmanager
    def span(self, name: str, **attributes: str) -> Iterator[SpanRecord]:
        """A CLIENT span under the root."""
        span = SpanRecord(name, secrets.token_hex(8), self.root.span_id, time.time_ns(), kind="CLIENT")
        span.attributes.update(attributes)
        if len(self.spans) < SPANS_MAX:
            self.spans.append(span)
        try:
            yield span
        except BaseException as failed:
            span.error = error_type(failed)
            raise
        finally:
            span.end_ns = time.time_ns()

    def traceparent(self, span: SpanRecord) -> str:
        return f"00-{self.trace_id}-{span.span_id}-{'01' if self.recording else '00'}"

    def finish(self, failed: BaseException | None) -> None:
        self.root.end_ns = time.time_ns()
        self.root.error = error_type(failed) if failed else ""


def error_type(failed: BaseException) -> str:
    """`error.type`: the code of a coded error, the exit code of a planned end, the class of any other."""
    exit_code = getattr(failed, "exit_code", None)
    if isinstance(exit_code, int):
        return "" if exit_code in ENDED_WELL else f"exit_{exit_code}"
    code = getattr(failed, "code", None)
    name = getattr(code, "name", None)
    return name if isinstance(name, str) else type(failed).__name__


def encode(trace: Trace, resource: Mapping[str, str]) -> bytes:
    """zlib of an ExportTraceServiceRequest with every span of the trace."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1 import trace_pb2

    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _attributes(group.resource.attributes, {"service.name": "dative-cli", **resource})
    scope = group.scope_spans.add()
    scope.scope.name = "dative"
    for span in trace.spans:
        scope.spans.add(
            trace_id=bytes.fromhex(trace.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=span.name,
            kind=trace_pb2.Span.SpanKind.Value(f"SPAN_KIND_{span.kind}"),
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns or time.time_ns(),
        )
        made = scope.spans[-1]
        _attributes(made.attributes, {**span.attributes, **({"error.type": span.error} if span.error else {})})
        if span.error:
            made.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    return zlib.compress(request.SerializeToString(), 1)


def _attributes(target: object, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        entry = target.add(key=key)  # type: ignore[attr-defined]
        entry.value.string_value = value
