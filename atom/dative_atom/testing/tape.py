"""Wires that record exchanges, and wires that answer from recorded ones.

An exchange is a mapping of JSON values: connection, kind, request, answer. A request is found again by its scrubbed
form, whatever the order of the threads that ask; each recorded answer is given once, in the order of recording.
"""

from __future__ import annotations

import base64
import difflib
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dative.errors.base import StopRun
from dative.errors.testing import RECORDING_TOO_LARGE, REQUEST_NOT_RECORDED
from dative.process.case_model import Fault

from dative_atom.connectors.wire import HttpAnswer, HttpRequest
from dative_atom.testing.scrub import HEADERS_KEPT, Scrubber
from dative_atom.testing.system import error_of
from dative_atom.testing.values import decoded, encoded

Exchange = dict[str, Any]
BYTES_MAX: Final = 32 * 1024**2
"""Of a whole recording; over it nothing is recorded."""
BODY_BYTES_MAX: Final = 4 * 1024**2
NEAREST_LENGTH_MAX: Final = 200


class Tape:
    """What several connections recorded, in order."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._bytes = 0
        self._guard = threading.Lock()

    def add(self, connection: str, kind: str, request: Any, answer: Any) -> None:
        """StopRun testing.recording_too_large over BYTES_MAX."""
        exchange = {"connection": connection, "kind": kind, "request": request, "answer": answer}
        with self._guard:
            self._bytes += len(json.dumps(exchange))
            if self._bytes > BYTES_MAX:
                raise StopRun(f"more than {BYTES_MAX} bytes were exchanged", code=RECORDING_TOO_LARGE)
            self.exchanges.append(exchange)


class Recorder:
    """A `Wire` that passes everything on and writes it down."""

    def __init__(self, tape: Tape, connection: str) -> None:
        self._tape, self._connection = tape, connection

    def http(self, request: HttpRequest, send: Callable[[], HttpAnswer]) -> HttpAnswer:
        answer = send()
        if max(len(request.body), len(answer.body)) > BODY_BYTES_MAX:
            raise StopRun(f"{request.method} has a body of more than {BODY_BYTES_MAX} bytes", code=RECORDING_TOO_LARGE)
        told = {"status": answer.status, "headers": _kept(answer.headers), **body_value(answer.body)}
        self._tape.add(self._connection, "http", http_value(request), told)
        return answer

    def sql(self, call: str, arguments: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
        answer = ask()
        self._tape.add(self._connection, "sql", sql_value(call, arguments), encoded(answer))
        return answer


def http_value(request: HttpRequest) -> dict[str, Any]:
    """A request as it is written down."""
    head = {"method": request.method, "url": request.url, "headers": _kept(request.headers)}
    return {**head, **body_value(request.body)}


def sql_value(call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"call": call, **encoded(arguments)}


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(headers.items()) if name in HEADERS_KEPT}


def body_value(body: bytes) -> dict[str, str]:
    """Text where it is text, base64 otherwise."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def body_bytes(value: Mapping[str, Any]) -> bytes:
    if "body_base64" in value:
        return base64.b64decode(value["body_base64"])
    return str(value.get("body", "")).encode()


class Replay:
    """Recorded exchanges, to be asked again. faults: of connections, which happen before a recorded answer is given."""

    def __init__(self, exchanges: Sequence[Exchange], scrubber: Scrubber, faults: Sequence[Fault] = ()) -> None:
        self._scrubber, self._faults = scrubber, faults
        self._answers: dict[str, deque[Any]] = defaultdict(deque)
        self._told: list[str] = []
        self._calls: dict[str, int] = defaultdict(int)
        self._guard = threading.Lock()
        for exchange in exchanges:
            self._answers[self._key(exchange["connection"], exchange["request"])].append(exchange["answer"])
            self._told.append(told(exchange["connection"], exchange["request"]))

    def wire(self, connection: str) -> ReplayWire:
        return ReplayWire(self, connection)

    def answer(self, connection: str, request: Mapping[str, Any]) -> Any:
        """The next recorded answer. StopRun testing.request_not_recorded naming the nearest request."""
        scrubbed = self._scrubber.values(dict(request))
        with self._guard:
            known = self._answers.get(self._key(connection, request))
            if known:
                return known.popleft()
        asked = told(connection, scrubbed)
        near = difflib.get_close_matches(asked, self._told, n=1, cutoff=0.0)
        again = " once more than it was recorded" if known is not None else ""
        raise StopRun(
            f"{asked} was asked{again}; the nearest recorded one is {near[0] if near else 'none'}",
            code=REQUEST_NOT_RECORDED,
            where=f"connection {connection}",
        )

    def fault(self, connection: str) -> Fault | None:
        with self._guard:
            self._calls[connection] += 1
            number = self._calls[connection]
        for fault in self._faults:
            if fault.connection == connection and fault.call <= number < fault.call + fault.times:
                return fault
        return None

    def _key(self, connection: str, request: Mapping[str, Any]) -> str:
        """The scrubbed request, without headers: a trace's id and a date are never the same again."""
        asked = {name: value for name, value in request.items() if name != "headers"}
        return json.dumps([connection, self._scrubber.key(asked)], sort_keys=True)


class ReplayWire:
    """A `Wire` of one connection that never asks a system."""

    def __init__(self, replay: Replay, connection: str) -> None:
        self._replay, self._connection = replay, connection

    def http(self, request: HttpRequest, send: Callable[[], HttpAnswer]) -> HttpAnswer:  # noqa: ARG002
        fault = self._replay.fault(self._connection)
        if fault is not None:
            return _faulty(fault)
        answer = self._replay.answer(self._connection, http_value(request))
        return HttpAnswer(answer["status"], answer["headers"], body_bytes(answer))

    def sql(self, call: str, arguments: Mapping[str, Any], ask: Callable[[], Any]) -> Any:  # noqa: ARG002
        fault = self._replay.fault(self._connection)
        if fault is not None:
            raise error_of(fault)
        return decoded(self._replay.answer(self._connection, sql_value(call, arguments)))


def _faulty(fault: Fault) -> HttpAnswer:
    if fault.kind == "timeout":
        raise TimeoutError
    status = {"rate_limited": 429, "unavailable": 503}.get(fault.kind, 409)
    asked = {"retry-after": f"{fault.retry_after.total_seconds():.0f}"} if fault.retry_after is not None else {}
    return HttpAnswer(status, asked)


def told(connection: str, request: Mapping[str, Any]) -> str:
    """A request in a line."""
    if "method" in request:
        text = f"{request['method']} {request['url']}"
    else:
        rest = " ".join(str(value) for name, value in request.items() if name != "call" and isinstance(value, str))
        text = f"{request['call']} {rest}"
    text = f"{connection}: {text}".strip()
    return text if len(text) <= NEAREST_LENGTH_MAX else f"{text[: NEAREST_LENGTH_MAX - 1]}…"
