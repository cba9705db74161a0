"""What may stand between a connector and its system: something that records exchanges, or answers them from a recording.

A connector that makes HTTP calls gives its library the transport that belongs to it (`wire_requests.py`,
`wire_httpx2.py`); one that speaks SQL wraps its session (`database/wired.py`). Without a wire neither is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class HttpRequest:
    """One request as it goes out. headers: lower case names."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class HttpAnswer:
    """One answer, whole and decoded. headers: lower case names, without those of the transfer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Wire(Protocol):
    """Called from any thread."""

    def http(self, request: HttpRequest, send: Callable[[], HttpAnswer]) -> HttpAnswer:
        """The answer to the request; `send` asks the system itself. TimeoutError stands for an answer that never came."""
        ...

    def sql(self, call: str, arguments: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
        """The result of a call of a session; `ask` asks the database itself.

        Arguments and result are JSON values, Arrow schemas and record batches, in mappings and lists of these.
        """
        ...


TRANSFER_HEADERS = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})
"""Headers about how an answer came, which is over when it is whole."""


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """An answer's headers without those of its transfer."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if name not in TRANSFER_HEADERS}
