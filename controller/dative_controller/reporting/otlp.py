"""OTLP traces, decoded into rows and stamped with the identity that the certificate proves, not the one they claim."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from dative.errors import DativeError
from dative.errors.rpc import INVALID
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from dative_controller.store.traces import SpanRow

INFLATED_BYTES_MAX = 16 << 20
SPANS_MAX = 20_000
VALUE_CHARS_MAX = 4096
_KINDS = {0: "INTERNAL", 1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


def inflate(compressed: bytes) -> bytes:
    """Errors: rpc.invalid_argument for what is no zlib stream or grows beyond the bound (a bomb is not unpacked)."""
    machine = zlib.decompressobj()
    try:
        plain = machine.decompress(compressed, INFLATED_BYTES_MAX)
    except zlib.error as broken:
        raise DativeError("the spans are not zlib-compressed", code=INVALID) from broken
    if machine.unconsumed_tail or not machine.eof:
        raise DativeError(f"the spans are cut off or larger than {INFLATED_BYTES_MAX} bytes", code=INVALID)
    return plain


def decode(compressed: bytes, identity: Mapping[str, str]) -> tuple[list[SpanRow], ExportTraceServiceRequest]:
    """(rows, the request stamped with `identity` for forwarding). Errors: rpc.invalid_argument."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(inflate(compressed))
    except DecodeError as broken:
        raise DativeError("the spans are no OTLP request", code=INVALID) from broken
    rows: list[SpanRow] = []
    for group in request.resource_spans:
        stamp(group.resource, identity)
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            rows.extend(_row(span, resource) for span in scope.spans if len(span.trace_id) == 16)
    if len(rows) > SPANS_MAX:
        raise DativeError(f"{len(rows)} spans at once, {SPANS_MAX} are allowed", code=INVALID)
    return rows, request


def stamp(resource: Resource, identity: Mapping[str, str]) -> None:
    """Overwrite these attributes of the resource; the others stay as they came."""
    kept = [item for item in resource.attributes if item.key not in identity]
    del resource.attributes[:]
    resource.attributes.extend(kept)
    for key, value in identity.items():
        resource.attributes.append(KeyValue(key=key, value=AnyValue(string_value=value)))


def encode(rows: Iterable[SpanRow], service_version: str) -> ExportTraceServiceRequest:
    """The controller's own spans as OTLP, for forwarding."""
    request = ExportTraceServiceRequest()
    for row in rows:
        group = request.resource_spans.add()
        stamp(
            group.resource,
            {"service.name": row.service, "service.instance.id": row.instance, "service.version": service_version},
        )
        span = group.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(row.trace_id),
            span_id=bytes.fromhex(row.span_id),
            parent_span_id=bytes.fromhex(row.parent_span_id),
            name=row.name,
            kind=trace_pb2.Span.SPAN_KIND_SERVER,
            start_time_unix_nano=row.start_ns,
            end_time_unix_nano=row.end_ns,
        )
        for key, value in row.attributes.items():
            span.attributes.append(KeyValue(key=key, value=AnyValue(string_value=value)))
        if row.error:
            span.status.code = trace_pb2.Status.STATUS_CODE_ERROR
            span.status.message = row.status_message
    return request


def _row(span: trace_pb2.Span, resource: Mapping[str, str]) -> SpanRow:
    return SpanRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=_clean(span.name),
        kind=_KINDS.get(span.kind, "INTERNAL"),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        service=resource.get("service.name", ""),
        instance=resource.get("service.instance.id", ""),
        error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        status_message=_clean(span.status.message),
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links),
    )


def _attributes(items: Iterable[KeyValue]) -> dict[str, str]:
    return {_clean(item.key): _clean(_text(item.value)) for item in items}


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return ", ".join(_text(item) for item in value.array_value.values)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind)) if kind else ""


def _clean(text: str) -> str:
    """PostgreSQL's text holds no NUL; one bad character must not cost a trace."""
    return text.replace("\x00", "�")[:VALUE_CHARS_MAX]
