"""A wire under the `httpx2` library."""

from __future__ import annotations

import httpx2

from dative_atom.connectors.wire import HttpAnswer, HttpRequest, Wire, kept_headers


class WireTransport(httpx2.BaseTransport):
    """Every request of the client goes through the wire; inner: what sends it when the wire wants it sent."""

    def __init__(self, wire: Wire, inner: httpx2.BaseTransport) -> None:
        self._wire, self._inner = wire, inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        def ask() -> HttpAnswer:
            answer = self._inner.handle_request(request)
            try:
                return HttpAnswer(answer.status_code, kept_headers(answer.headers), answer.read())
            finally:
                answer.close()

        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            found = self._wire.http(HttpRequest(request.method, str(request.url), headers, request.read()), ask)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("no answer", request=request) from error
        return httpx2.Response(found.status, headers=dict(found.headers), content=found.body, request=request)

    def close(self) -> None:
        self._inner.close()
