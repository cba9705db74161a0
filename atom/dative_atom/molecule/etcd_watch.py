"""One watch over etcd that goes on by itself: at the next member, at the first change not told yet.

Everything about a watch lives here: which revision was told last, when a stream counts as silent, what a cancellation means.
Source: etcd v3.5, "etcd API", Watch; issue 15220 (why a progress answer's revision is not believed).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from dative.waiting import Backoff, WaitingClock, ended

from dative_atom.molecule.coordination import Change, Changes, Compacted, KeyValue, Unavailable
from dative_atom.molecule.etcd_calls import Calls, Method
from dative_atom.molecule.etcd_endpoints import Endpoint
from dative_atom.molecule.etcd_failures import Failure, Proof, error_of, failure_of, proof_of_text
from dative_atom.molecule.wire import etcd_pb2 as pb

__all__ = ["ASK_EVERY_S", "SILENT_S", "UNAVAILABLE_S", "Watch", "key_value", "prefix_end"]

ASK_EVERY_S = 2.0
"""So often a stream is asked whether it is alive; its answer is told as an empty Changes."""
SILENT_S = 4.0
"""A stream that said nothing for so long is left for another member."""
UNAVAILABLE_S = 10.0
"""Nothing from any member for so long: Unavailable."""
_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.1, 1.0

WATCH = Method("/etcdserverpb.Watch/Watch", pb.WatchResponse)


def prefix_end(prefix: str) -> bytes:
    """The first key after all that begin so. Of the empty prefix: etcd's mark for "to the end"."""
    begin = prefix.encode().rstrip(b"\xff")
    return begin[:-1] + bytes([begin[-1] + 1]) if begin else b"\0"


def key_value(found: Any) -> KeyValue:
    return KeyValue(found.key.decode(), found.value, found.create_revision, found.mod_revision, found.lease)


class _Lost(Exception):
    """This stream is over; another one goes on. The message says why."""


class Watch:
    """The state of one watch: `told` is the revision up to which the caller knows everything."""

    def __init__(self, calls: Calls, clock: WaitingClock, prefix: str, after: int) -> None:
        self._calls, self._clock, self._prefix = calls, clock, prefix
        self._told = after
        self._heard_s = 0.0
        self._refused = False

    async def changes(self) -> AsyncGenerator[Changes, None]:
        """See Coordination.watch."""
        backoff = Backoff(_BACKOFF_FIRST_S, _BACKOFF_MAX_S)
        why = ""
        self._heard_s = self._clock.elapsed_s()
        while True:
            left_s = self._heard_s + UNAVAILABLE_S - self._clock.elapsed_s()
            if left_s <= 0.0:
                raise Unavailable(f"watch of {self._prefix}: nothing heard from etcd for {UNAVAILABLE_S:.0f} s; {why}")
            try:
                async with aclosing(self._one_stream(min(left_s, SILENT_S))) as stream:
                    async for changes in stream:
                        backoff.reset()
                        yield changes
                        # A caller that took its time has not made etcd silent.
                        self._heard_s = self._clock.elapsed_s()
            except (_Lost, Unavailable) as lost:
                why = str(lost)
            await self._clock.sleep(backoff.next_s())

    async def _one_stream(self, within_s: float) -> AsyncGenerator[Changes, None]:
        """What one stream tells. Ends with _Lost, Unavailable (no member), or the errors that are the caller's."""
        calls = self._calls
        endpoint = await calls.endpoints.ready(min(within_s, calls.timeout_s))
        token, metadata = await calls.metadata(WATCH, calls.timeout_s)
        stream = calls.stream(endpoint, WATCH, None, metadata)
        # The one writer of this stream.
        writer = asyncio.ensure_future(self._write(stream))
        try:
            async with aclosing(self._read(stream, endpoint, token)) as told:
                async for changes in told:
                    yield changes
        finally:
            stream.cancel()
            await ended(writer)

    async def _write(self, stream: Any) -> None:
        begin = self._prefix.encode() or b"\0"
        create = pb.WatchCreateRequest(
            key=begin,
            range_end=prefix_end(self._prefix),
            start_revision=self._told + 1,
            progress_notify=True,
            fragment=True,
        )
        await stream.write(pb.WatchRequest(create_request=create))
        while True:
            await self._clock.sleep(ASK_EVERY_S)
            await stream.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))

    async def _read(self, stream: Any, endpoint: Endpoint, token: str) -> AsyncGenerator[Changes, None]:
        events: list[Any] = []
        while True:
            answer = await self._answer(stream, endpoint, token)
            self._heard_s = self._clock.elapsed_s()
            if answer.canceled:
                self._cancelled(answer, endpoint, token)
            if answer.created:
                continue
            self._refused = False
            events.extend(answer.events)
            if answer.fragment:
                continue
            if not events:
                self._progress(answer)
            yield self._tell(events)
            events = []

    async def _answer(self, stream: Any, endpoint: Endpoint, token: str) -> Any:
        try:
            async with asyncio.timeout(SILENT_S):
                answer = await stream.read()
        except TimeoutError as silent:
            self._calls.endpoints.pass_over(endpoint)
            raise _Lost(f"{endpoint.address} was silent for {SILENT_S:.0f} s") from silent
        except grpc.aio.AioRpcError as failed:
            self._leave(failure_of(failed), endpoint, token)
        if answer is grpc.aio.EOF:
            raise _Lost(f"{endpoint.address} ended the stream")
        return answer

    def _cancelled(self, answer: Any, endpoint: Endpoint, token: str) -> None:
        """A watch that etcd ended. Errors: Compacted, the refusals, _Lost."""
        if answer.compact_revision:
            raise Compacted(
                f"watch of {self._prefix} after revision {self._told}: compacted up to {answer.compact_revision}"
            )
        reason = answer.cancel_reason or "no reason"
        self._leave(Failure(proof_of_text(reason) or Proof.UNKNOWN, f"watch ended: {reason}"), endpoint, token)

    def _leave(self, failure: Failure, endpoint: Endpoint, token: str) -> None:
        """This stream is over. A refusal is final only when it comes again with a new token.

        Up to 3.5 an expired token makes a watch "permission denied".
        """
        final = failure.proof in (Proof.COMPACTED, Proof.INVALID)
        if failure.proof in (Proof.OLD_CREDENTIALS, Proof.REFUSED):
            final = self._refused or not token
            self._refused = True
            self._calls.tokens.forget(token)
        if final:
            raise error_of(failure, f"watch of {self._prefix} at {endpoint.address}", write=False)
        raise _Lost(f"{endpoint.address}: {failure.text}")

    def _progress(self, answer: Any) -> None:
        """A progress answer of this watch itself (id not -1) comes in line with its changes: nothing until then is left out.

        The one that answers a request may overtake changes (before 3.4.25 and 3.5.8), so its revision is not believed.
        """
        if answer.watch_id != -1:
            self._told = max(self._told, answer.header.revision)

    def _tell(self, events: list[Any]) -> Changes:
        # Never the header's revision: of a watch that catches up it is ahead of the changes.
        told = [self._change(event) for event in events]
        if told:
            self._told = told[-1].revision
        return Changes(self._told, tuple(told))

    def _change(self, event: Any) -> Change:
        now = key_value(event.kv) if event.type == pb.Event.PUT else None
        return Change(event.kv.key.decode(), event.kv.mod_revision, now)
