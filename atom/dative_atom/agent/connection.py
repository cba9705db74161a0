"""The channel to the controller: mutual TLS with whatever certificate is current, through the proxy when there is one.

One channel at a time for the stream, the blobs and the records; a renewed certificate gets a new one.
"""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
from dative.rpc import channel_options
from dative.v1 import agent_pb2_grpc, telemetry_pb2_grpc
from dative.waiting import WaitingClock

from dative_atom.agent import identity as identities
from dative_atom.agent import proxy
from dative_atom.agent.identity import AtomIdentity, Certificate
from dative_atom.agent.paths import DataDir

CLOSE_GRACE_S = 5.0


def given_up() -> bool:
    """Whether this task itself is being cancelled; if not, a CancelledError tells that its call's channel was closed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def dial(
    address: str, *, ca_pem: bytes, way: proxy.Proxy | None, certificate: Certificate | None = None
) -> grpc.aio.Channel:
    """A TLS channel that trusts `ca_pem` alone; mutual when there is a certificate."""
    credentials = grpc.ssl_channel_credentials(
        ca_pem, certificate.key_pem if certificate else None, certificate.chain_pem if certificate else None
    )
    options = [*channel_options(), *proxy.channel_options(way)]
    return grpc.aio.secure_channel(address, credentials, options=options)


# The generated stubs carry no types of their own; these three are the only places that make one.


def enrollment_service(channel: grpc.aio.Channel) -> agent_pb2_grpc.EnrollmentServiceStub:
    return agent_pb2_grpc.EnrollmentServiceStub(channel)  # type: ignore[no-untyped-call]


def atom_service(channel: grpc.aio.Channel) -> agent_pb2_grpc.AtomServiceStub:
    return agent_pb2_grpc.AtomServiceStub(channel)  # type: ignore[no-untyped-call]


def telemetry_service(channel: grpc.aio.Channel) -> telemetry_pb2_grpc.TelemetryServiceStub:
    return telemetry_pb2_grpc.TelemetryServiceStub(channel)  # type: ignore[no-untyped-call]


class Connection:
    """Gives out the current channel. `renewed` replaces the certificate for every call that begins afterwards."""

    def __init__(self, directory: DataDir, identity: AtomIdentity, clock: WaitingClock, proxy_flag: str = "") -> None:
        """Errors: agent.identity_damaged, agent.proxy_invalid."""
        self._identity = identity
        self._clock = clock
        self._proxy_flag = proxy_flag
        self._ca_pem = identities.read_bounded(directory.ca)
        self.certificate = identities.read_certificate(directory)
        self._channel: grpc.aio.Channel | None = None
        self._endpoint = 0
        proxy.choose(identity.endpoints[0], proxy_flag)

    @property
    def address(self) -> str:
        return self._identity.endpoints[self._endpoint % len(self._identity.endpoints)]

    def channel(self) -> grpc.aio.Channel:
        """The certificate is checked before it is shown. Errors: agent.certificate_expired and its sister."""
        self.certificate.check(self._clock.now())
        if self._channel is None:
            way = proxy.choose(self.address, self._proxy_flag)
            self._channel = dial(self.address, ca_pem=self._ca_pem, way=way, certificate=self.certificate)
        return self._channel

    def renewed(self, certificate: Certificate, ca_pem: bytes) -> grpc.aio.Channel | None:
        """Calls from now on show this certificate. Returns the former channel, for the caller to close in its time."""
        self.certificate, self._ca_pem = certificate, ca_pem
        former, self._channel = self._channel, None
        return former

    async def try_next(self) -> None:
        """The current endpoint did not answer: the next call dials the next one."""
        if len(self._identity.endpoints) > 1:
            self._endpoint += 1
            await self.close(None)

    async def close(self, grace_s: float | None = None) -> None:
        former, self._channel = self._channel, None
        if former is not None:
            await former.close(grace_s)
