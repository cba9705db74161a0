"""The controller's own spans, from memory to the store: written in groups, never one transaction a span."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dative_controller.reporting.otlp import encode
from dative_controller.store import traces
from dative_controller.store.database import Database, StoreError
from dative_controller.store.traces import SpanRow
from dative_controller.telemetry.log import log
from dative_controller.telemetry.metrics import Metrics

WAITING_MAX = 10_000
FLUSH_EVERY_S = 0.5


class SpanSink:
    """Full: the newest span is dropped and counted, because a trace must never stop the call that it tells of."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        version: str,
        forward: Callable[[ExportTraceServiceRequest], None],
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._version = version
        self._forward = forward
        self._waiting: deque[SpanRow] = deque()

    def add(self, span: SpanRow) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._metrics.spans_dropped_total += 1
            return
        self._waiting.append(span)

    async def flush(self) -> None:
        """Store what waits; a reader of traces calls it first, to see its own."""
        rows, self._waiting = list(self._waiting), deque()
        if not rows:
            return
        try:
            await self._database.write(lambda sql: traces.add(sql, rows))
        except StoreError as failed:
            self._metrics.spans_dropped_total += len(rows)
            log.warning("spans.dropped", spans=len(rows), error=str(failed))
            return
        self._forward(encode(rows, self._version))

    async def flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush()
