"""A wire under the `requests` library."""

from __future__ import annotations

import io
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

from dative_atom.connectors.wire import HttpAnswer, HttpRequest, Wire, kept_headers


class WireAdapter(BaseAdapter):
    """Every request of the session goes through the wire; inner: what sends it when the wire wants it sent."""

    def __init__(self, wire: Wire, inner: BaseAdapter) -> None:
        super().__init__()
        self._wire, self._inner = wire, inner

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        def ask() -> HttpAnswer:
            with self._inner.send(request, **options) as answer:
                return HttpAnswer(answer.status_code, kept_headers(answer.headers), answer.content)

        try:
            return _response(self._wire.http(_asked(request), ask), request)
        except TimeoutError as error:
            raise requests.ReadTimeout(request=request) from error

    def close(self) -> None:
        self._inner.close()


def _asked(request: requests.PreparedRequest) -> HttpRequest:
    body = request.body or b""
    if not isinstance(body, str | bytes):
        raise TypeError("a streamed body can not go through a wire: it could not be sent after it was looked at")
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    return HttpRequest(
        request.method or "", request.url or "", headers, body.encode() if isinstance(body, str) else body
    )


def _response(answer: HttpAnswer, request: requests.PreparedRequest) -> requests.Response:
    response = requests.Response()
    response.status_code, response.headers = answer.status, CaseInsensitiveDict(answer.headers)
    response.raw = HTTPResponse(io.BytesIO(answer.body), dict(answer.headers), answer.status, preload_content=False)
    response.url, response.request = request.url or "", request
    response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    return response
