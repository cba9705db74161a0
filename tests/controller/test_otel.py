"""Spans onwards to an SRE's endpoint, over gRPC and HTTP; drops are counted, the own store keeps everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from dative.clock import SystemClock
from dative.rpc import TraceContext
from dative.v1 import control_pb2 as c
from dative_controller.config import OtelConfig
from dative_controller.reporting.forward import Forwarder
from dative_controller.telemetry.metrics import Metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

Sink = Callable[[asyncio.Queue[otlp.ExportTraceServiceRequest]], Any]


@asynccontextmanager
async def grpc_sink(queue: asyncio.Queue[otlp.ExportTraceServiceRequest]) -> AsyncIterator[str]:
    class Servicer(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
        async def Export(self, request: Any, context: Any) -> Any:
            assert dict(context.invocation_metadata())["x-tenant"] == "t1"
            await queue.put(request)
            return otlp.ExportTraceServiceResponse()

    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def http_sink(queue: asyncio.Queue[otlp.ExportTraceServiceRequest]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("post /v1/traces")
        assert "x-tenant: t1" in head
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        await queue.put(otlp.ExportTraceServiceRequest.FromString(await reader.readexactly(size)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(("sink", "protocol"), [(grpc_sink, "grpc"), (http_sink, "http")], ids=["grpc", "http"])
async def test_a_span_of_the_controller_reaches_the_endpoint(start: Any, sink: Sink, protocol: str) -> None:
    queue: asyncio.Queue[otlp.ExportTraceServiceRequest] = asyncio.Queue()
    async with sink(queue) as endpoint:
        otel = OtelConfig(endpoint=endpoint, headers={"X-Tenant": "t1"}, protocol=protocol)  # type: ignore[arg-type]
        world = await start(otel=otel)
        admin = world.admin
        admin.trace = TraceContext.new()
        await admin.call(admin.environment.CreateEnvironment, c.CreateEnvironmentRequest(name="traced"))
        while True:
            request = await asyncio.wait_for(queue.get(), 15)
            spans = [span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans]
            if any(span.trace_id.hex() == admin.trace.trace_id for span in spans):
                break
        await world.controller.stop()


async def test_what_a_full_queue_drops_is_counted() -> None:
    metrics = Metrics()
    config = OtelConfig(endpoint="http://127.0.0.1:1", queue_batches=2)
    forwarder = Forwarder(config, metrics, SystemClock())
    for _ in range(5):
        forwarder.offer(otlp.ExportTraceServiceRequest())
    assert metrics.otel_batches_dropped_total == 3
