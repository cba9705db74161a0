"""The wires under both HTTP libraries: what goes through is what came, byte for byte, and no answer is a timeout."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
import requests
from dative_atom.connectors.wire import HttpAnswer, HttpRequest
from dative_atom.connectors.wire_httpx2 import WireTransport
from dative_atom.connectors.wire_requests import WireAdapter
from requests.adapters import HTTPAdapter

BODY = bytes(range(256))


class Canned:
    """A wire that answers by itself."""

    def __init__(self, answer: HttpAnswer | None) -> None:
        self.answer, self.asked = answer, list[HttpRequest]()

    def http(self, request: HttpRequest, send: Callable[[], HttpAnswer]) -> HttpAnswer:
        self.asked.append(request)
        if self.answer is None:
            raise TimeoutError
        return self.answer


def test_requests_gets_the_answer_of_the_wire() -> None:
    wire = Canned(HttpAnswer(418, {"content-type": "x/y", "retry-after": "3"}, BODY))
    with requests.Session() as session:
        session.mount("https://", WireAdapter(wire, HTTPAdapter()))
        answer = session.post("https://nowhere.invalid/a?b=c", data=b"asked", headers={"X-A": "1"}, stream=True)
        assert b"".join(answer.iter_content(7)) == BODY
    assert (answer.status_code, answer.headers["Retry-After"]) == (418, "3")
    (asked,) = wire.asked
    assert (asked.method, asked.url, asked.body, asked.headers["x-a"]) == (
        "POST", "https://nowhere.invalid/a?b=c", b"asked", "1",
    )  # fmt: skip


def test_httpx2_gets_the_answer_of_the_wire() -> None:
    wire = Canned(HttpAnswer(418, {"content-type": "x/y", "retry-after": "3"}, BODY))
    with httpx2.Client(transport=WireTransport(wire, httpx2.HTTPTransport())) as client:
        answer = client.post("https://nowhere.invalid/a?b=c", content=b"asked", headers={"X-A": "1"})
    assert (answer.status_code, answer.headers["Retry-After"], answer.content) == (418, "3", BODY)
    (asked,) = wire.asked
    assert (asked.method, asked.url, asked.body, asked.headers["x-a"]) == (
        "POST", "https://nowhere.invalid/a?b=c", b"asked", "1",
    )  # fmt: skip


def test_an_answer_passes_whole_and_without_the_headers_of_its_transfer() -> None:
    class Through(Canned):
        def http(self, request: HttpRequest, send: Callable[[], HttpAnswer]) -> HttpAnswer:
            self.answer = send()
            return self.answer

    def system(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Transfer-Encoding": "chunked", "ETag": "1"}, content=BODY)

    wire = Through(None)
    with httpx2.Client(transport=WireTransport(wire, httpx2.MockTransport(system))) as client:
        assert client.get("https://x.invalid/").content == BODY
    assert wire.answer is not None
    assert wire.answer.body == BODY
    assert "transfer-encoding" not in wire.answer.headers
    assert wire.answer.headers["etag"] == "1"


def test_no_answer_is_a_timeout_of_the_library() -> None:
    with requests.Session() as session:
        session.mount("https://", WireAdapter(Canned(None), HTTPAdapter()))
        with pytest.raises(requests.Timeout):
            session.get("https://nowhere.invalid/")
    with (
        httpx2.Client(transport=WireTransport(Canned(None), httpx2.HTTPTransport())) as client,
        pytest.raises(httpx2.TimeoutException),
    ):
        client.get("https://nowhere.invalid/")
