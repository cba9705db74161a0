"""Calls to the controller: TLS, the session, trace context, coded errors, and the one retry that is always safe.

Reads are tried again while the controller is unreachable; writes never are, because a person or a script decides that
(each carries a request id, so that trying again is safe). Imports gRPC: only ever imported by a command that calls.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import grpc
from dative.errors import DativeError
from dative.errors.rpc import UNAUTHENTICATED, UNREACHABLE
from dative.rpc import channel_options, error_from
from google.protobuf.message import Message

from dative_controller.cli.session import Session
from dative_controller.cli.tracing import SpanRecord, Trace

R = TypeVar("R", bound=Message)
T = TypeVar("T")
Metadata = tuple[tuple[str, str | bytes], ...]

READ_ATTEMPTS_MAX = 3
"""At the bound the last error is raised, after at most 3 × the timeout and two pauses under 2 s together."""
TIMEOUT_S = 30.0
CHUNK_BYTES = 64 << 10


class Client:
    """One channel to one controller. Every call is named "EnvironmentService/GetEnvironment".

    Errors of every call: the controller's coded one; rpc.unreachable, rpc.deadline; cli.login_needed.
    """

    def __init__(self, server: str, ca_pem: bytes, session: Session, trace: Trace) -> None:
        self._server = server
        self._session = session
        self._trace = trace
        self._channel = grpc.secure_channel(server, grpc.ssl_channel_credentials(ca_pem), options=channel_options())

    def read(self, method: str, request: Message, answer: type[R], *, timeout_s: float = TIMEOUT_S) -> R:
        """A call that changes nothing; repeated a little while the controller is unreachable."""
        for attempt in range(1, READ_ATTEMPTS_MAX + 1):
            try:
                return self.write(method, request, answer, timeout_s=timeout_s)
            except DativeError as failed:
                if failed.code is not UNREACHABLE or attempt == READ_ATTEMPTS_MAX:
                    raise
                time.sleep(random.uniform(0.1, 0.3 * 2**attempt))  # noqa: S311 -- spreads retries, guards nothing
        raise AssertionError("the last attempt returns or raises")

    def write(self, method: str, request: Message, answer: type[R], *, timeout_s: float = TIMEOUT_S) -> R:
        """A call that may change something; sent once, and a second time only when its token had expired."""
        call = self._channel.unary_unary(*_wire(method, answer))

        def send(metadata: Metadata) -> R:
            response: R = call(request, timeout=timeout_s, metadata=metadata)
            return response

        return self._with_session(method, send)

    def login(self, method: str, request: Message, answer: type[R]) -> R:
        """The call that needs no session."""
        call = self._channel.unary_unary(*_wire(method, answer))
        with self._trace.span(f"dative.v1.{method}", **_attributes(method)) as span, self._coded():
            response: R = call(request, timeout=TIMEOUT_S, metadata=(self._traceparent(span),))
            return response

    def stream(self, method: str, request: Message, answer: type[R], *, timeout_s: float | None = None) -> Iterator[R]:
        """Answers as they come. timeout_s: None waits for as long as the controller goes on."""
        call = self._channel.unary_stream(*_wire(method, answer))
        started: Any = None

        def send(metadata: Metadata) -> list[R]:
            # The first answer is awaited here, so that an expired token is noticed and renewed.
            nonlocal started
            started = call(request, timeout=timeout_s, metadata=metadata)
            return [first for first in [next(started, None)] if first is not None]

        yield from self._with_session(method, send)
        try:
            with self._coded():
                yield from started
        finally:
            started.cancel()

    def upload(self, method: str, requests: Callable[[], Iterable[Message]], answer: type[R]) -> R:
        """A stream of requests, one answer. requests: called anew for each attempt."""
        call = self._channel.stream_unary(*_wire(method, answer))

        def send(metadata: Metadata) -> R:
            response: R = call(iter(requests()), timeout=10 * TIMEOUT_S, metadata=metadata)
            return response

        return self._with_session(method, send)

    def close(self) -> None:
        self._channel.close()

    def _with_session(self, method: str, send: Callable[[Metadata], T]) -> T:
        try:
            return self._once(method, send, self._session.access_token(self))
        except DativeError as failed:
            if failed.code is not UNAUTHENTICATED:
                raise
        # A clock that is off, or a controller with other keys: one new token decides whether the session still lives.
        return self._once(method, send, self._session.access_token(self, renew=True))

    def _once(self, method: str, send: Callable[[Metadata], T], token: str) -> T:
        with self._trace.span(f"dative.v1.{method}", **_attributes(method)) as span, self._coded():
            return send((("authorization", f"Bearer {token}"), self._traceparent(span)))

    def _traceparent(self, span: SpanRecord) -> tuple[str, str | bytes]:
        return ("traceparent", self._trace.traceparent(span))

    def _coded(self) -> _Coded:
        return _Coded(self._server)


class _Coded:
    """Turns a failed call into its coded error, at the border, once."""

    def __init__(self, server: str) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, failed: BaseException | None, trace: object) -> None:
        if isinstance(failed, grpc.RpcError):
            error = error_from(failed)
            if error.code is UNREACHABLE:
                error.where = error.where or f"controller {self._server}"
            raise error from failed


def _wire(method: str, answer: type[Message]) -> tuple[str, Any, Any]:
    return f"/dative.v1.{method}", lambda message: message.SerializeToString(), answer.FromString


def _attributes(method: str) -> dict[str, str]:
    return {"rpc.system.name": "grpc", "rpc.method": f"dative.v1.{method}"}
