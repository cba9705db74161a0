"""Calls to etcd: to the next member, within one time, with the user's token, repeated only where that changes nothing.

Everything about an attempt lives here: who is asked, what is asked again, what an error proves. It must not know what the
messages mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
from dative.errors import DativeError
from dative.waiting import WaitingClock

from dative_atom.molecule.coordination import Unavailable
from dative_atom.molecule.etcd_endpoints import Endpoint, Endpoints
from dative_atom.molecule.etcd_failures import Failure, Proof, error_of, failure_of
from dative_atom.molecule.wire import etcd_pb2 as pb

__all__ = ["Calls", "Message", "Method", "Password"]

Password = Callable[[], str]
"""Gives the user's password when a token is fetched; it is kept nowhere."""
PAUSE_S = 0.05
REASON_S = 0.1
"""Left of a call's time for asking gRPC why there is no connection."""
_HAS_LEADER = ("hasleader", "true")


class Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802


@dataclass(frozen=True, slots=True)
class Method:
    """path: gRPC's, "/etcdserverpb.KV/Txn". answer: the type of the response.

    leader: a member that knows no leader is to refuse at once, instead of never answering.
    """

    path: str
    answer: Any
    leader: bool = True

    @property
    def name(self) -> str:
        return f"etcd {self.path.rpartition('/')[2]}"


AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse)


def serialized(message: Message) -> bytes:
    return message.SerializeToString()


class Tokens:
    """The user's token: fetched once for all who wait for it, and again when etcd no longer knows it."""

    def __init__(self, user: str, password: Password | None, fetch: Callable[[Message, float], Any]) -> None:
        self._user, self._password, self._fetch = user, password, fetch
        self._token: str | None = None
        self._lock = asyncio.Lock()

    async def get(self, within_s: float) -> str:
        """Empty: no user is set, or etcd asks for none. Errors: those of a call."""
        if not self._user or self._password is None:
            return ""
        async with self._lock:
            if self._token is None:
                self._token = await self._fetched(self._password(), within_s)
            return self._token

    async def _fetched(self, password: str, within_s: float) -> str:
        request = pb.AuthenticateRequest(name=self._user, password=password)
        try:
            answer = await self._fetch(request, within_s)
        except DativeError as refused:
            if "authentication is not enabled" in refused.message:
                return ""
            raise
        return str(answer.token)

    def forget(self, token: str) -> None:
        """That one is no longer good; a newer one stays."""
        if self._token == token:
            self._token = None


class Calls:
    """Unary calls and streams to whichever member answers."""

    def __init__(
        self, endpoints: Endpoints, clock: WaitingClock, timeout_s: float, user: str, password: Password | None
    ) -> None:
        self.endpoints, self.timeout_s = endpoints, timeout_s
        self._clock = clock
        self.tokens = Tokens(user, password, self._authenticate)

    async def _authenticate(self, request: Message, within_s: float) -> Any:
        return await self.unary(AUTHENTICATE, request, within_s=within_s, bare=True)

    async def unary(
        self,
        method: Method,
        request: Message,
        *,
        write: bool = False,
        within_s: float | None = None,
        bare: bool = False,
    ) -> Any:
        """The answer, within `timeout_s`. write: never sent twice unless the first was certainly not applied.

        Errors: Ambiguous (only of a write), Unavailable, LeaseGone, Compacted, and the coded refusals.
        """

        async def attempt(endpoint: Endpoint, timeout_s: float, metadata: Any) -> Any:
            return await _sent(endpoint, method, request, timeout_s, metadata)

        return await self._until_answered(method, attempt, write=write, within_s=within_s, bare=bare)

    async def at(self, endpoint: Endpoint, method: Method, request: Message) -> Any:
        """The answer of this member alone, asked once."""
        token, metadata = await self.metadata(method, self.timeout_s)
        try:
            return await _sent(endpoint, method, request, self.timeout_s, metadata)
        except grpc.aio.AioRpcError as failed:
            self.tokens.forget(token)
            raise error_of(failure_of(failed), f"{method.name} at {endpoint.address}", write=False) from failed

    async def first_of_stream(self, method: Method, request: Message) -> Any:
        """Send one request on a stream of its own, and take its first answer. The request must bear repetition."""

        async def attempt(endpoint: Endpoint, timeout_s: float, metadata: Any) -> Any:
            call = self.stream(endpoint, method, timeout_s, metadata)
            try:
                await call.write(request)
                answer = await call.read()
                if answer is grpc.aio.EOF:
                    raise Unavailable(f"{method.name}: {endpoint.address} closed the stream without an answer")
                return answer
            finally:
                call.cancel()

        return await self._until_answered(method, attempt, write=False, within_s=None, bare=False)

    def stream(self, endpoint: Endpoint, method: Method, timeout_s: float | None, metadata: Any) -> Any:
        """A stream in both directions. One task alone may write to it: two hang grpc.aio."""
        opened = endpoint.channel.stream_stream(
            method.path, request_serializer=serialized, response_deserializer=method.answer.FromString
        )
        return opened(timeout=timeout_s, metadata=metadata)

    async def metadata(
        self, method: Method, within_s: float, *, bare: bool = False
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The token, and what goes with a call. bare: without a token."""
        token = "" if bare else await self.tokens.get(within_s)
        return token, (*((_HAS_LEADER,) if method.leader else ()), *((("token", token),) if token else ()))

    async def _until_answered(
        self, method: Method, attempt: Any, *, write: bool, within_s: float | None, bare: bool
    ) -> Any:
        until_s = self._clock.elapsed_s() + (self.timeout_s if within_s is None else within_s)
        token_renewed = False
        failure = Failure(Proof.NOT_APPLIED, "no time was left to ask it")
        while True:
            left_s = until_s - self._clock.elapsed_s()
            if left_s <= 0.0:
                raise error_of(failure, method.name, write=write)
            endpoint = await self.endpoints.ready(left_s - REASON_S)
            left_s = max(until_s - self._clock.elapsed_s(), REASON_S)
            token, metadata = await self.metadata(method, left_s, bare=bare)
            try:
                return await attempt(endpoint, self._share_s(left_s, write), metadata)
            except grpc.aio.AioRpcError as failed:
                failure = self._noted(endpoint, failed)
                if failure.proof is Proof.OLD_CREDENTIALS and token and not token_renewed:
                    self.tokens.forget(token)
                    token_renewed = True
                elif not _again(failure.proof, write):
                    raise error_of(failure, f"{method.name} at {endpoint.address}", write=write) from failed
                else:
                    await self._clock.sleep(PAUSE_S)
            except (grpc.aio.UsageError, asyncio.InvalidStateError, asyncio.CancelledError) as ended:
                # grpc.aio says "cancelled" as well when it is the channel that was closed under the call.
                if isinstance(ended, asyncio.CancelledError) and _cancelled():
                    raise
                closed = Failure(Proof.UNKNOWN, "the connection was closed meanwhile")
                raise error_of(closed, f"{method.name} at {endpoint.address}", write=write) from ended

    def _noted(self, endpoint: Endpoint, failed: grpc.aio.AioRpcError) -> Failure:
        if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self.endpoints.pass_over(endpoint)
        return failure_of(failed)

    def _share_s(self, left_s: float, write: bool) -> float:
        """How long one attempt may take. A read leaves time for asking a second member: the first may be paused."""
        return left_s if write or len(self.endpoints.all) == 1 else min(left_s, self.timeout_s / 2)


async def _sent(endpoint: Endpoint, method: Method, request: Message, timeout_s: float, metadata: Any) -> Any:
    call = endpoint.channel.unary_unary(
        method.path, request_serializer=serialized, response_deserializer=method.answer.FromString
    )
    return await call(request, timeout=timeout_s, metadata=metadata)


def _cancelled() -> bool:
    """Whether somebody cancelled this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _again(proof: Proof, write: bool) -> bool:
    """Whether the same request may go to the next member."""
    return proof is Proof.NOT_APPLIED or (proof is Proof.UNKNOWN and not write)
