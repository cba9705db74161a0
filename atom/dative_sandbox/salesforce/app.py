"""The org as an ASGI application: what holds for every request, around the routes.

In this order: the fault script, size limits, the API version, the request allocation, the session, the route; then the
answer gets the org's Date, Sforce-Limit-Info, compression, and perhaps a fault on its way out. Every request is journaled.
"""

import asyncio
import contextlib
import gzip
import re
import socket
import struct
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dative_sandbox.salesforce import collections, identity, rest
from dative_sandbox.salesforce.clock import stamp_millis
from dative_sandbox.salesforce.errors import ApiError, not_found
from dative_sandbox.salesforce.faults import HTML_PAGE, Fault, FaultScript
from dative_sandbox.salesforce.http import Desk, error_answer, session_for
from dative_sandbox.salesforce.journal import BODY_CHARS_MAX, Entry, RequestJournal
from dative_sandbox.salesforce.org import NEWEST_VERSION, OLDEST_VERSION, Org
from dative_sandbox.salesforce.queries import Queries

URI_BYTES_MAX, BODY_BYTES_MAX = 16_384, 64 * 1024 * 1024
_VERSIONED = re.compile(r"/services/data/v(\d+)\.(\d)(?=/|$)")
_JOURNALED_HEADERS = ("sforce-query-options", "sforce-call-options", "user-agent", "traceparent", "accept-encoding")
_GZIP_BYTES_MIN = 1000


@dataclass
class Answer:
    """An answer on its way out."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def of(cls, response: Response) -> "Answer":
        return cls(response.status_code, list(response.raw_headers), bytes(response.body))


class OrgApp:
    """See the module. `stopping` ends faults that would wait: the server sets it when it stops."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.faults = FaultScript()
        self.journal = RequestJournal()
        self.stopping = asyncio.Event()
        routes = [*identity.routes(), *collections.routes(), *rest.routes()]
        self.routes = Starlette(routes=routes, exception_handlers=_HANDLERS)
        self.routes.state.desk = Desk(org, Queries(org))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = _normalized(scope)
        method, path = scope["method"], scope["path"]
        query = scope["query_string"].decode("latin-1")
        fault = self.faults.strike(method, f"{path}?{query}" if query else path)
        body = await _read_body(receive)
        answer = await self._answer(scope, body, fault)
        self.journal.add(self._entry(scope, body, query, answer, fault))
        if answer is None:
            await self._withhold(fault or Fault(kind="close"), scope, receive)
        elif fault is not None and fault.kind in ("truncate", "drip"):
            await self._maim(fault, answer, scope, receive, send)
        else:
            await _send(answer, send)

    async def _answer(self, scope: Scope, body: bytes | None, fault: Fault | None) -> Answer | None:
        """The answer, finished; None when the fault withholds it."""
        if fault is not None and fault.kind == "expire_tokens":
            self.org.expire_tokens()
        if fault is not None and fault.kind == "delay":
            await self._wait(fault.seconds)
        replaces = fault is not None and fault.kind in ("status", "html", "hang", "reset", "close")
        answer = None
        if not (fault is not None and replaces and fault.stage == "before"):
            answer = await self._carry_out(scope, body)
        if fault is not None and replaces:
            if fault.kind not in ("status", "html"):
                return None
            answer = _scripted(fault)
        assert answer is not None
        return self._finish(scope, answer)

    async def _carry_out(self, scope: Scope, body: bytes | None) -> Answer:
        running = 0
        try:
            self._check_sizes(scope, body)
            versioned = _VERSIONED.match(scope["path"])
            if versioned is not None:
                _check_version(int(versioned[1]), versioned[2])
                running = self.org.limits.begin()
                session_for(self.org, Request(scope).headers.get("authorization", ""))
            return await self._route(scope, body or b"")
        except ApiError as error:
            return Answer.of(error_answer(error))
        finally:
            self.org.limits.end(running)

    async def _route(self, scope: Scope, body: bytes) -> Answer:
        answer = Answer(500)

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self.routes(scope, receive, keep)
        return answer

    def _check_sizes(self, scope: Scope, body: bytes | None) -> None:
        if body is None:
            raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", f"The request body is larger than {BODY_BYTES_MAX} bytes")
        uri_bytes = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        if uri_bytes > URI_BYTES_MAX:
            raise ApiError(414, "URI_TOO_LONG", f"The URI is longer than {URI_BYTES_MAX} bytes")
        if uri_bytes + sum(len(name) + len(value) for name, value in scope["headers"]) > URI_BYTES_MAX:
            message = f"URI and headers together are longer than {URI_BYTES_MAX} bytes"
            raise ApiError(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", message)

    def _finish(self, scope: Scope, answer: Answer) -> Answer:
        """What every answer carries. The version list is neither counted nor shows the count."""
        headers = Request(scope).headers
        if headers.get("x-prettyprint") == "1" and answer.body[:1] in (b"{", b"["):
            answer.body = msgspec.json.format(answer.body, indent=2)
        kept = [(name, value) for name, value in answer.headers if name.lower() not in (b"content-length", b"date")]
        kept.append((b"date", format_datetime(self.org.clock.now(), usegmt=True).encode()))
        if _VERSIONED.match(scope["path"]):
            kept.append((b"sforce-limit-info", self.org.limits.header().encode()))
        if "gzip" in headers.get("accept-encoding", "") and len(answer.body) >= _GZIP_BYTES_MIN:
            answer.body = gzip.compress(answer.body, compresslevel=1, mtime=0)
            kept += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        if answer.status not in (204, 304):
            kept.append((b"content-length", str(len(answer.body)).encode()))
        answer.headers = kept
        return answer

    # --- faults on the connection -------------------------------------------------------------------------------------

    async def _withhold(self, fault: Fault, scope: Scope, receive: Receive) -> None:
        transport = scope["state"]["transport"]
        if fault.kind == "hang":
            async with _cancelled_at_end(receive()) as gone, _cancelled_at_end(self.stopping.wait()) as stopped:
                await asyncio.wait({gone, stopped}, timeout=fault.seconds, return_when=asyncio.FIRST_COMPLETED)
        if fault.kind == "reset":
            # Lingering for zero seconds makes the kernel send RST instead of FIN.
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await _until_gone(receive)

    async def _maim(self, fault: Fault, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if fault.kind == "truncate":
            # One byte less than promised at most: a truncated answer is never by accident a whole one.
            cut = answer.body[: min(fault.after_bytes, max(0, len(answer.body) - 1))]
            await send({"type": "http.response.body", "body": cut, "more_body": True})
            scope["state"]["transport"].close()
            await _until_gone(receive)
            return
        size = max(1, fault.after_bytes)
        for start in range(0, len(answer.body), size):
            await send({"type": "http.response.body", "body": answer.body[start : start + size], "more_body": True})
            await self._wait(fault.seconds)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _entry(self, scope: Scope, body: bytes | None, query: str, answer: Answer | None, fault: Fault | None) -> Entry:
        path = scope["path"]
        secret = path.startswith(("/services/oauth2", "/services/Soap", "/id/"))
        headers = Request(scope).headers
        return Entry(
            scope["method"],
            path,
            "" if secret else query,
            answer.status if answer is not None else 0,
            fault.kind if fault is not None else None,
            stamp_millis(self.org.clock.now()),
            "" if secret or body is None else body[:BODY_CHARS_MAX].decode("utf-8", "replace"),
            {name: headers[name] for name in _JOURNALED_HEADERS if name in headers},
        )


def _normalized(scope: Scope) -> Scope:
    """A trailing slash is optional, and `_HttpMethod` in the query of a POST names the method really meant."""
    path = scope["path"].rstrip("/") or "/"
    method = scope["method"]
    found = re.search(rb"(?:^|&)_HttpMethod=([A-Za-z]+)", scope["query_string"])
    if method == "POST" and found is not None:
        method = found[1].decode().upper()
    return {**scope, "path": path, "method": method}


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None when it is larger than BODY_BYTES_MAX (what is above is read and dropped)."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        size += len(message.get("body", b""))
        if size <= BODY_BYTES_MAX:
            chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(chunks) if size <= BODY_BYTES_MAX else None


def _check_version(major: int, minor: str) -> None:
    if major > NEWEST_VERSION or minor != "0":
        raise not_found()
    if major < OLDEST_VERSION:
        raise ApiError(410, "UNSUPPORTED_API_VERSION", "This API version is retired; use a newer one.")


def _scripted(fault: Fault) -> Answer:
    if fault.kind == "html":
        response = Response(HTML_PAGE.format(status=fault.status), fault.status, fault.headers, "text/html")
        return Answer.of(response)
    default = [{"message": "The server is temporarily unavailable", "errorCode": "SERVER_UNAVAILABLE"}]
    body = default if fault.body is None else fault.body
    content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return Answer.of(Response(content, fault.status, fault.headers, "application/json;charset=UTF-8"))


async def _send(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.asynccontextmanager
async def _cancelled_at_end(waiting: Any) -> AsyncIterator[asyncio.Future[Any]]:
    task = asyncio.ensure_future(waiting)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_answer(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"HTTP Method '{request.method}' not allowed. Allowed are {allowed}"
        return error_answer(ApiError(405, "METHOD_NOT_ALLOWED", message))
    return error_answer(not_found())


_HANDLERS: dict[Any, Any] = {ApiError: _api_error, HTTPException: _http_error}
