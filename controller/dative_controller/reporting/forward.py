"""Spans onwards to an SRE's OTLP endpoint: bounded, retried, and every drop counted. The own store is the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from dative.clock import Clock
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from dative_controller.config import OtelConfig
from dative_controller.telemetry.log import log
from dative_controller.telemetry.metrics import Metrics

ATTEMPTS_MAX = 5
FIRST_BACKOFF_S = 0.5
SAY_DROPS_EVERY_S = 60.0
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

Send = Callable[[ExportTraceServiceRequest], Awaitable[bool]]


class Forwarder:
    """A bounded queue in front of one sender. Full: the newest batch is dropped, counted, and said once a minute."""

    def __init__(self, config: OtelConfig, metrics: Metrics, clock: Clock) -> None:
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._queue: asyncio.Queue[ExportTraceServiceRequest] = asyncio.Queue(config.queue_batches)
        self._said_at_s = -SAY_DROPS_EVERY_S

    def offer(self, request: ExportTraceServiceRequest) -> None:
        try:
            self._queue.put_nowait(request)
        except asyncio.QueueFull:
            self._dropped("the queue is full")

    def _dropped(self, why: str) -> None:
        self._metrics.otel_batches_dropped_total += 1
        now_s = self._clock.elapsed_s()
        if now_s - self._said_at_s >= SAY_DROPS_EVERY_S:
            self._said_at_s = now_s
            log.warning("otel.dropped", why=why, dropped_total=self._metrics.otel_batches_dropped_total)

    async def run(self) -> None:
        async with _sender(self._config) as send:
            while True:
                await self._deliver(send, await self._queue.get())

    async def _deliver(self, send: Send, request: ExportTraceServiceRequest) -> None:
        for attempt in range(ATTEMPTS_MAX):
            if await send(request):
                self._metrics.otel_batches_sent_total += 1
                return
            if attempt + 1 < ATTEMPTS_MAX:
                await asyncio.sleep(FIRST_BACKOFF_S * 2**attempt)
        self._dropped(f"{self._config.endpoint} did not take it in {ATTEMPTS_MAX} tries")


@asynccontextmanager
async def _sender(config: OtelConfig) -> AsyncIterator[Send]:
    """Opens a connection; what it yields sends one request and says whether it was taken."""
    if config.protocol == "grpc":
        async with _grpc_channel(config.endpoint) as channel:
            export = channel.unary_unary(
                _METHOD,
                request_serializer=ExportTraceServiceRequest.SerializeToString,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )

            async def over_grpc(request: ExportTraceServiceRequest) -> bool:
                headers = [(name.lower(), value) for name, value in config.headers.items()]
                try:
                    await export(request, timeout=config.timeout_s, metadata=headers)
                except grpc.aio.AioRpcError:
                    return False
                return True

            yield over_grpc
    else:
        # Imported here, because most controllers forward nowhere or over gRPC.
        import httpx2

        headers = {**config.headers, "content-type": "application/x-protobuf"}
        async with httpx2.AsyncClient(timeout=config.timeout_s, headers=headers) as client:

            async def over_http(request: ExportTraceServiceRequest) -> bool:
                url = config.endpoint.rstrip("/") + "/v1/traces"
                try:
                    answer = await client.post(url, content=request.SerializeToString())
                except httpx2.HTTPError:
                    return False
                return bool(answer.is_success)

            yield over_http


def _grpc_channel(endpoint: str) -> grpc.aio.Channel:
    if endpoint.startswith("http://"):
        return grpc.aio.insecure_channel(endpoint.removeprefix("http://"))
    return grpc.aio.secure_channel(endpoint.removeprefix("https://"), grpc.ssl_channel_credentials())
