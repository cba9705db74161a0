"""The connections to etcd's members: one channel an endpoint, used in turn, rebuilt when the certificate files changed.

One channel an endpoint and not one over all of them: so each name is verified against its own certificate, a call is only
given to a connection that stands (which proves "not sent" where there is none), and a member that let a call time out is
passed over for a while. This file knows no message of etcd.
Source: gRPC core, "Keepalive User Guide", "Connection Backoff Protocol".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_REFUSED
from dative.waiting import WaitingClock, ended

from dative_atom.molecule.coordination import Unavailable

__all__ = ["Endpoint", "Endpoints", "TlsFiles"]

FILES_EVERY_S = 1.0
"""So often at most the files of a connection that is down are looked at."""
PASSED_OVER_S = 3.0
"""So long a member that did not answer in time is asked last."""
FILE_BYTES_MAX = 1 << 20
RECEIVED_BYTES_MAX = 320 << 20
"""A page of `load` is 256 keys of at most 1 MiB each."""

_OPTIONS: list[tuple[str, int | str]] = [
    # etcd calls a client that pings more often than every 5 s, or without a call, a nuisance and hangs up.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # how long one attempt to connect may take, too
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A write repeated by the transport is one whose outcome nobody knows (Invariant 8).
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
    # etcd stands in the same site; an HTTP proxy meant for the controller is not the way to it.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", RECEIVED_BYTES_MAX),
]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. ca: whom to trust, a file or its text; None: the roots gRPC brings. cert and key: who we are, or neither."""

    ca: Path | bytes | None = None
    cert: Path | None = None
    key: Path | None = None

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when one of the files was written or replaced. A file that is missing just now has its own state."""
        return tuple(_state(path) for path in (self.ca, self.cert, self.key) if isinstance(path, Path))

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Errors: molecule.coordination_refused, one can not be read."""
        ca, cert, key = (_read(path) if isinstance(path, Path) else path for path in (self.ca, self.cert, self.key))
        return grpc.ssl_channel_credentials(ca, key, cert)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as unreadable:
        raise DativeError(
            f"the TLS file {path} of the way to etcd can not be read: {unreadable.strerror}", code=COORDINATION_REFUSED
        ) from unreadable


class Endpoint:
    """One member's address and the channel to it."""

    def __init__(self, address: str, tls: TlsFiles | None) -> None:
        self.address = address
        self.passed_over_until_s = 0.0
        self._tls = tls
        self._files = tls.state() if tls else ()
        self._looked_s = 0.0
        self.channel = self._open()

    def _open(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        return grpc.aio.secure_channel(self.address, self._tls.credentials(), options=_OPTIONS)

    def state(self) -> grpc.ChannelConnectivity:
        """Of the connection; one that is idle begins to connect."""
        return self.channel.get_state(try_to_connect=True)

    def renewed(self, now_s: float) -> grpc.aio.Channel | None:
        """Of one that is down: open a new channel where the files changed since this one read them.

        A connection that stands was accepted with the old files, and stays. Returns the old channel, to be closed.
        """
        if self._tls is None or now_s < self._looked_s + FILES_EVERY_S:
            return None
        self._looked_s, files = now_s, self._tls.state()
        if files == self._files:
            return None
        with contextlib.suppress(DativeError):  # one file of the two is being written: the next look finds both
            old, self.channel = self.channel, self._open()
            self._files = files
            return old
        return None


class Endpoints:
    """All members' endpoints. Bound: one channel each, and old ones while their last calls end."""

    def __init__(self, addresses: Sequence[str], tls: TlsFiles | None, clock: WaitingClock) -> None:
        self._clock = clock
        self.all = [Endpoint(address, tls) for address in addresses]
        self._next = 0
        self._closing: set[asyncio.Task[None]] = set()
        self.closed = False

    async def ready(self, within_s: float) -> Endpoint:
        """The next member in turn whose connection stands, or comes to stand in time.

        Where none does, one whose last attempt failed is given, so that a call on it tells the reason at once.
        Errors: Unavailable, all are still connecting: nothing was sent.
        """
        if self.closed:
            raise Unavailable("the connection to etcd was closed")
        found = self._standing()
        if found is None:
            await self._wait(within_s)
            found = self._standing()
        if found is not None:
            return found
        for endpoint in self._in_turn():
            if endpoint.state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return endpoint
        names = ", ".join(endpoint.address for endpoint in self.all)
        raise Unavailable(f"no connection to etcd at {names} within {within_s:.1f} s")

    def _in_turn(self) -> list[Endpoint]:
        self._next = (self._next + 1) % len(self.all)
        return self.all[self._next :] + self.all[: self._next]

    def _standing(self) -> Endpoint | None:
        now_s = self._clock.elapsed_s()
        standing = []
        for endpoint in self._in_turn():
            if endpoint.state() is grpc.ChannelConnectivity.READY:
                standing.append(endpoint)
            else:
                self._close_later(endpoint.renewed(now_s))
        return min(standing, key=lambda one: max(one.passed_over_until_s - now_s, 0.0), default=None)

    def pass_over(self, endpoint: Endpoint) -> None:
        """It did not answer in time: ask the others first for a while."""
        endpoint.passed_over_until_s = self._clock.elapsed_s() + PASSED_OVER_S

    def _close_later(self, old: grpc.aio.Channel | None) -> None:
        if old is not None:
            task = asyncio.ensure_future(old.close(grace=10.0))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _wait(self, within_s: float) -> None:
        """Until one connection stands, or the time is over. A little is left for the call that tells the reason."""
        waiting = [asyncio.ensure_future(endpoint.channel.channel_ready()) for endpoint in self.all]
        try:
            await asyncio.wait(waiting, timeout=max(within_s, 0.0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(*waiting)

    async def close(self) -> None:
        """Close every channel; calls in flight end. Twice is fine."""
        self.closed = True
        await asyncio.gather(*(endpoint.channel.close() for endpoint in self.all), *self._closing)
