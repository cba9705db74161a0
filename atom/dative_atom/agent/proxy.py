"""Which HTTP proxy leads to the controller, and how a tunnel through it is opened.

gRPC opens its own tunnels (`channel_options`); the TLS probe that checks the CA pin opens one here, so that both go the
same way. Only CONNECT over plain HTTP/1.1, with basic authentication. Source: RFC 9110 §9.3.6.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from dative.errors import DativeError
from dative.errors.agent import PROXY_INVALID, PROXY_REFUSED, UNREACHABLE
from dative.rpc import Option

ANSWER_BYTES_MAX = 16_384
_VARIABLES = ("grpc_proxy", "https_proxy", "HTTPS_PROXY", "http_proxy")
DIRECT = "none"


@dataclass(frozen=True)
class Proxy:
    """url holds the password, so it is in no repr."""

    host: str
    port: int
    url: str = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Errors: agent.proxy_invalid; the text stays out of the message, it may hold a password."""
        parts = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "http" or not parts.hostname or port is None or parts.path not in ("", "/"):
            raise DativeError(
                "the proxy's address is not of the form http://[user:password@]host:port", code=PROXY_INVALID
            )
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        at = f"{parts.username}:{parts.password or ''}@" if parts.username else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(parts.hostname, port, f"http://{at}{host}:{port}", user, password)


@dataclass(frozen=True)
class Answer:
    """What a proxy said to CONNECT. date: its Date header, "" when it sent none."""

    status: int
    reason: str
    date: str


def choose(address: str, flag: str = "", environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for `address` (host:port), None to dial directly. flag: a proxy, "none", or "" to ask the environment.

    no_proxy holds for the flag too, as it does in gRPC's own code. Errors: agent.proxy_invalid.
    """
    if flag == DIRECT:
        return None
    text = flag or next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    if not text or _excluded(address, environ):
        return None
    return Proxy.parse(text)


def _excluded(address: str, environ: Mapping[str, str]) -> bool:
    host = split_address(address)[0]
    names = environ.get("no_grpc_proxy") or environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_covers(name.strip(), host) for name in names.split(",") if name.strip())


def _covers(name: str, host: str) -> bool:
    if name == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        suffix = name.lstrip(".").lower()
        return host.lower() == suffix or host.lower().endswith("." + suffix)


def channel_options(proxy: Proxy | None) -> list[Option]:
    """What makes gRPC take this way and no other, whatever the environment says."""
    if proxy is None:
        return [("grpc.enable_http_proxy", 0)]
    return [("grpc.enable_http_proxy", 1), ("grpc.http_proxy", proxy.url)]


def split_address(address: str) -> tuple[str, int]:
    """(host, port) of "host:port" or "[v6]:port". Errors: agent.controller_unreachable."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise DativeError(f"{address!r} is not of the form host:port", code=UNREACHABLE)
    return host.strip("[]"), int(port)


def connect(address: str, proxy: Proxy | None, timeout_s: float) -> tuple[socket.socket, Answer | None]:
    """A TCP connection to `address`, through the proxy when there is one. Blocks; bounded by `timeout_s` a step.

    Errors: agent.controller_unreachable, agent.proxy_refused.
    """
    host, port = (proxy.host, proxy.port) if proxy else split_address(address)
    what = f"proxy {proxy}" if proxy else f"controller {address}"
    try:
        connection = socket.create_connection((host, port), timeout_s)
    except OSError as failed:
        raise DativeError(f"{what}: {failed.strerror or failed}", code=UNREACHABLE) from failed
    if proxy is None:
        return connection, None
    try:
        return connection, _tunnel(connection, address, proxy)
    except BaseException:
        connection.close()
        raise


def _tunnel(connection: socket.socket, address: str, proxy: Proxy) -> Answer:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if proxy.user:
        basic = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {basic}")
    try:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = _answer(connection)
    except OSError as failed:
        raise DativeError(f"proxy {proxy}: {failed.strerror or failed}", code=PROXY_REFUSED) from failed
    if answer.status != 200:
        raise DativeError(
            f"proxy {proxy} answered CONNECT {address} with {answer.status} {answer.reason}".rstrip(),
            code=PROXY_REFUSED,
        )
    return answer


def _answer(connection: socket.socket) -> Answer:
    # Byte by byte: what follows the blank line belongs to TLS.
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) >= ANSWER_BYTES_MAX:
            raise DativeError("the proxy's answer to CONNECT is cut or too long", code=PROXY_REFUSED)
        head += byte
    status, *headers = head.decode("latin-1").split("\r\n")
    words = status.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise DativeError("the proxy does not answer in HTTP/1.1", code=PROXY_REFUSED)
    date = next((line[5:].strip() for line in headers if line.lower().startswith("date:")), "")
    return Answer(int(words[1]), words[2] if len(words) > 2 else "", date)
