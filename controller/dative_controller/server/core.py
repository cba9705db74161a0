"""What every service of the admin API is given, and the one way in which any of them changes something."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dative.bundle.blobs import BlobStore
from dative.clock import Clock
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import Connection

from dative_controller.config import Config
from dative_controller.links.commander import Commander
from dative_controller.links.feed import Feed
from dative_controller.links.hub import Hub
from dative_controller.reporting.ingest import Ingestor
from dative_controller.reporting.spans import SpanSink
from dative_controller.server.caller import Caller, caller
from dative_controller.server.limits import Limiter
from dative_controller.signing.authority import Authority
from dative_controller.signing.online import OnlineKey
from dative_controller.signing.tokens import AccessTokens
from dative_controller.store import access, audit, changes
from dative_controller.store.database import Database
from dative_controller.telemetry.metrics import Metrics

BINDINGS_CACHED_S = 10.0
"""Roles are no part of the token, so that a removal bites within this time."""
BINDINGS_MAX = 10_000

Response = TypeVar("Response", bound=Message)


@dataclass(eq=False)
class Core:
    """The parts of a running controller."""

    config: Config
    clock: Clock
    metrics: Metrics
    database: Database
    blobs: BlobStore
    organization_id: str
    controller_id: str
    version: str
    authority: Authority
    online: OnlineKey
    tokens: AccessTokens
    hub: Hub
    feed: Feed
    commander: Commander
    ingestor: Ingestor
    spans: SpanSink
    forward: Callable[[ExportTraceServiceRequest], None]
    api_limit: Limiter
    login_limit: Limiter
    _bindings: dict[str, tuple[float, frozenset[tuple[str, str]]]] = field(default_factory=dict)

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def verify_access(self, token: str) -> str:
        """The subject of a valid access token. Errors: signing.token_invalid, signing.token_expired."""
        return self.tokens.verify(token, self.clock.now()).subject

    async def bindings_of(self, subject: str) -> frozenset[tuple[str, str]]:
        """Roles of an account, at most BINDINGS_CACHED_S old. Errors: rpc.unauthenticated."""
        now_s = self.clock.elapsed_s()
        cached = self._bindings.get(subject)
        if cached is not None and now_s - cached[0] < BINDINGS_CACHED_S:
            return cached[1]
        bindings = await self.database.read(lambda sql: access.bindings(sql, subject))
        if len(self._bindings) >= BINDINGS_MAX:
            self._bindings.clear()
        self._bindings[subject] = (now_s, bindings)
        return bindings

    def entry(self, action: str, what: str, request: Message) -> audit.Entry:
        return audit.Entry(caller().subject, action, what, digest_of(request))

    async def change(
        self,
        request: Any,
        response_type: type[Response],
        work: Callable[[Connection, Caller], tuple[Response, str]],
        *,
        remember: bool = True,
    ) -> Response:
        """Do `work` once per request id, in one transaction with its audit entry and its answer.

        work: returns the response and what it was done to. remember: False for an answer that holds a secret shown
        once; the same request again is then done again. Errors: rpc.request_id_reused and those of `work`.
        """
        who = caller()
        digest = digest_of(request)
        method = who.method.rpartition("/")[2]
        request_id = request.request_id if remember else ""

        def transaction(sql: Connection) -> Response:
            changes.lock(sql)
            if request_id:
                answered = changes.answer_of(
                    sql, request_id=request_id, actor=who.subject, method=method, request_digest=digest
                )
                if answered is not None:
                    return response_type.FromString(answered)
            response, what = work(sql, who)
            now_ms = self.now_ms()
            audit.append(sql, audit.Entry(who.subject, method, what, digest), now_ms)
            if request_id:
                changes.remember(
                    sql,
                    request_id=request_id,
                    actor=who.subject,
                    method=method,
                    request_digest=digest,
                    response=response.SerializeToString(),
                    now_ms=now_ms,
                )
            return response

        response = await self.database.write(transaction)
        self.feed.poke()
        return response


def digest_of(request: Message) -> str:
    """What was asked, without keeping it: SHA-256 over the deterministic bytes of the request."""
    name = json.dumps(request.DESCRIPTOR.full_name).encode()
    return hashlib.sha256(name + request.SerializeToString(deterministic=True)).hexdigest()


def page_size(wanted: int, default: int = 50, most: int = 500) -> int:
    return min(wanted, most) if wanted else default
