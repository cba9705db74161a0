"""What both sides of gRPC share: options, coded errors across the wire, trace context, mutual TLS.

A failed call carries a `dative.v1.Status` in its trailing metadata, so that the person at the other end reads the code
and the next step, not a transport's words. Nothing here knows a service.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio

from dative.errors import DativeError, code_named, from_status
from dative.errors.base import INTERNAL
from dative.errors.rpc import (
    CANCELLED,
    DEADLINE,
    DENIED,
    INVALID,
    RATE_LIMITED,
    UNAUTHENTICATED,
    UNIMPLEMENTED,
    UNREACHABLE,
)
from dative.v1 import types_pb2

STATUS_METADATA = "dative-status-bin"
TRACEPARENT_METADATA = "traceparent"
AUTHORIZATION_METADATA = "authorization"
MESSAGE_BYTES_MAX = 1 << 20
"""One message. Manifests are at most 256 KiB, blobs travel in chunks of 64 KiB, records in batches of 1 MiB at most."""
METADATA_TEXT_MAX = 1024

Option = tuple[str, int | str]
Metadata = Sequence[tuple[str, str | bytes]]

# Each option was measured; without it the named thing happens (grpcio 1.85).
_SERVER: dict[str, tuple[int, str]] = {
    "grpc.so_reuseport": (0, "a forgotten old process keeps taking its share of connections; fail loudly instead"),
    "grpc.http2.bdp_probe": (0, "bandwidth probes cost 43 % of a heartbeat's CPU"),
    "grpc.server.max_pending_requests": (20_000, "from 1,000 waiting calls on, a reconnect storm is refused at random"),
    "grpc.server.max_pending_requests_hard_limit": (20_000, "likewise, all of them from 3,000 on"),
    "grpc.server_handshake_timeout_ms": (10_000, "half-open connections stay for 120 s"),
    "grpc.max_connection_idle_ms": (60_000, "a connection without a call stays for ever"),
    # Not 16: a peer at its limit is refused at random while closed calls are still being freed (44 of 64 at once).
    "grpc.max_concurrent_streams": (128, "one peer may open calls without bound"),
    "grpc.max_receive_message_length": (MESSAGE_BYTES_MAX + 65_536, "bombs are read whole before they are refused"),
    "grpc.max_metadata_size": (8_192, "metadata may grow to 16 KiB"),
    "grpc.keepalive_time_ms": (60_000, "a silently dropped connection is never noticed"),
    "grpc.http2.ping_timeout_ms": (10_000, "keepalive alone waits another 60 s for its answer"),
    "grpc.http2.min_recv_ping_interval_without_data_ms": (10_000, "a client pinging each 20 s is told too_many_pings"),
    "grpc.http2.min_ping_interval_without_data_ms": (10_000, "likewise, in the other direction"),
}
_CLIENT: dict[str, tuple[int, str]] = {
    "grpc.keepalive_time_ms": (20_000, "a silently dropped connection is never noticed"),
    "grpc.http2.ping_timeout_ms": (5_000, "noticed after 78 s instead of 23 s"),
    "grpc.http2.max_pings_without_data": (0, "pings stop after two on an idle stream"),
    "grpc.keepalive_permit_without_calls": (1, "likewise, between calls"),
    "grpc.use_local_subchannel_pool": (1, "channels share a connection and its old certificate after a renewal"),
    "grpc.max_receive_message_length": (MESSAGE_BYTES_MAX + 65_536, "bombs are read whole before they are refused"),
    # Without a policy gRPC repeats only what no handler saw (a stream refused at the limit), which is safe.
    "grpc.service_config_disable_resolution": (1, "a DNS record may set a policy that repeats writes (Invariant 8)"),
}


def server_options(connections_max: int = 20_000) -> list[Option]:
    """Options of every listener. connections_max: excess connections are refused at the door."""
    return [
        *((name, value) for name, (value, _) in _SERVER.items()),
        ("grpc.max_allowed_incoming_connections", connections_max),
    ]


def channel_options(*, server_name: str | None = None) -> list[Option]:
    """Options of every channel. server_name: the name to verify when the address dialled is another one."""
    options: list[Option] = [(name, value) for name, (value, _) in _CLIENT.items()]
    return options + ([("grpc.ssl_target_name_override", server_name)] if server_name else [])


# ---- errors across the wire -------------------------------------------------------------------------------------

_BY_STATUS = {
    grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: DEADLINE,
    grpc.StatusCode.CANCELLED: CANCELLED,
    grpc.StatusCode.UNAUTHENTICATED: UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: RATE_LIMITED,
    grpc.StatusCode.INVALID_ARGUMENT: INVALID,
    grpc.StatusCode.UNIMPLEMENTED: UNIMPLEMENTED,
}


def status_of(error: DativeError) -> types_pb2.Status:
    """The error as the message that travels and is stored."""
    return types_pb2.Status(code=error.code.name, message=error.message, where=error.where, next=error.next)


def error_of(status: types_pb2.Status) -> DativeError:
    """The error that a `Status` stands for; the status must carry a code."""
    return from_status(status.code, status.message, status.where, status.next)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: DativeError) -> NoReturn:
    """End this call with the error's status, and the whole error in the trailing metadata. Never returns.

    Long texts are cut: metadata over the peer's limit would lose the whole answer.
    """
    status = status_of(error)
    for name in ("message", "where", "next"):
        setattr(status, name, getattr(status, name)[:METADATA_TEXT_MAX])
    await context.abort(
        grpc.StatusCode[error.code.grpc],
        f"{error.code.name}: {status.message}",
        ((STATUS_METADATA, status.SerializeToString()),),
    )
    raise AssertionError("abort always raises")


def error_from(failed: grpc.RpcError) -> DativeError:
    """The coded error behind a failed call, on the caller's side.

    A call that never reached a handler has no `Status`: its gRPC status decides, and its detail is the message.
    """
    trailing: Iterable[tuple[str, str | bytes]] = _called(failed, "trailing_metadata") or ()
    for name, value in trailing:
        if name == STATUS_METADATA and isinstance(value, bytes):
            status = types_pb2.Status.FromString(value)
            return error_of(status)
    code = _called(failed, "code")
    details = _called(failed, "details") or str(failed)
    return DativeError(str(details), code=_BY_STATUS.get(code, INTERNAL))


def _called(failed: grpc.RpcError, name: str) -> Any:
    method = getattr(failed, name, None)
    return method() if callable(method) else None


def known_code(name: str) -> bool:
    """Whether a code received from the other side is one of the catalog's."""
    return code_named(name) is not None


# ---- trace context ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context, the part that travels. trace_id: 32 hex digits, span_id: 16 hex digits, never all zero."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def new(cls) -> TraceContext:
        """The context of a new root span."""
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    def child(self) -> TraceContext:
        """The context of a new span under this one."""
        return TraceContext(self.trace_id, secrets.token_hex(8), self.sampled)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @classmethod
    def parse(cls, traceparent: str) -> TraceContext | None:
        """The context of a `traceparent`, or None when it is not one: a bad header never fails a call."""
        parts = traceparent.strip().lower().split("-")
        if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
            return None
        try:
            numbers = [int(part, 16) for part in parts[:4]]
        except ValueError:
            return None
        return cls(parts[1], parts[2], bool(numbers[3] & 1)) if numbers[1] and numbers[2] else None


def metadata_value(metadata: Iterable[tuple[str, str | bytes]] | None, name: str) -> str | None:
    """The first text value under `name`, or None."""
    return next((value for key, value in metadata or () if key == name and isinstance(value, str)), None)


def call_metadata(
    *, access_token: str | None = None, trace: TraceContext | None = None
) -> tuple[tuple[str, str | bytes], ...]:
    """What a client sends beside a request."""
    metadata: list[tuple[str, str | bytes]] = []
    if access_token:
        metadata.append((AUTHORIZATION_METADATA, f"Bearer {access_token}"))
    if trace:
        metadata.append((TRACEPARENT_METADATA, trace.traceparent))
    return tuple(metadata)


# ---- channels ---------------------------------------------------------------------------------------------------


def secure_channel(
    address: str,
    *,
    ca_pem: bytes,
    key_pem: bytes | None = None,
    chain_pem: bytes | None = None,
    server_name: str | None = None,
) -> grpc.aio.Channel:
    """A TLS channel that trusts `ca_pem` alone; mutual when the client's key and chain are given."""
    credentials = grpc.ssl_channel_credentials(ca_pem, key_pem, chain_pem)
    return grpc.aio.secure_channel(address, credentials, options=channel_options(server_name=server_name))
