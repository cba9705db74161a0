"""The control stream to the controller: dialled by the atom, kept up for as long as it runs, reconciled at each start.

One task writes, because two tasks writing to one gRPC stream hang it for good. Heartbeats must be answered; silence
ends the stream. What is lost with a stream is made up for by the next Hello; results of commands are sent again until
a later answer proves that they arrived.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
from dative.errors import DativeError
from dative.errors.agent import LINK_PROTOCOL, LINK_SILENT
from dative.rpc import error_from
from dative.v1 import agent_pb2, types_pb2
from dative.waiting import Backoff, WaitingClock, either

from dative_atom.agent.connection import Connection, atom_service, given_up
from dative_atom.agent.health import Health
from dative_atom.agent.log import log

PROTOCOL = 1
OUTBOX_MAX = 256
"""Messages waiting for a slow peer; beyond it the stream is ended and the next one reconciles."""
RESULTS_KEPT = 256
WELCOME_WITHIN_S = 15.0
ANSWER_WITHIN_S = 15.0
RECONNECT_MAX_S = 60.0
DEFAULT_JITTER_S = 5.0
GOODBYE_WITHIN_S = 2.0

Stream = grpc.aio.StreamStreamCall[agent_pb2.ConnectRequest, agent_pb2.ConnectResponse]


class MoleculeTalk(Protocol):
    """What is heard and said of the molecule."""

    def take(self, told: types_pb2.MoleculeSettings | None) -> None:
        """The settings that the controller holds now; None: it holds none."""

    def say(self) -> types_pb2.MoleculeStatus | None:
        """What goes beside a heartbeat; None: nothing."""


@dataclass(frozen=True)
class LinkHooks:
    """What the link asks and tells. command: must not block, results come back through `Link.result`.

    refused: why a stream ended or was not had.
    """

    hello: Callable[[], agent_pb2.Hello]
    heartbeat: Callable[[], agent_pb2.Heartbeat]
    desired: Callable[[agent_pb2.DesiredState], None]
    command: Callable[[agent_pb2.Command], None]
    connected: Callable[[], None]
    refused: Callable[[DativeError], None]
    molecule: MoleculeTalk


class _Reconnect(Exception):
    """The controller asked for it. wait_s: before dialling again."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s


class Link:
    """`connected` is set while a stream is welcomed. `run` never ends by itself."""

    def __init__(
        self,
        connection: Connection,
        health: Health,
        clock: WaitingClock,
        hooks: LinkHooks,
        *,
        random_: random.Random | None = None,
    ) -> None:
        self._connection = connection
        self._health = health
        self._clock = clock
        self._hooks = hooks
        self._random = random_ or random.Random()  # noqa: S311  spreads load, guards nothing
        self._backoff = Backoff(1.0, RECONNECT_MAX_S, self._random)
        self._outbox: deque[agent_pb2.ConnectRequest] = deque()
        self._results: dict[str, agent_pb2.CommandResult] = {}
        self._sent: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self._jitter_s = DEFAULT_JITTER_S
        self._sequence = 0
        self._awaited = 0
        self._answered = asyncio.Event()
        self._overflow = False
        self._over = asyncio.Event()
        self._heartbeat_s = ANSWER_WITHIN_S
        self.connected = asyncio.Event()
        self.session_id = ""
        self.store_epoch = 0
        self.skew_s: float | None = None

    # ---- what others send ---------------------------------------------------------------------------------------

    def acknowledge(self, ack: agent_pb2.DesiredStateAck) -> None:
        self._send(agent_pb2.ConnectRequest(desired_state_ack=ack))

    def report(self, report: agent_pb2.StatusReport) -> None:
        self._send(agent_pb2.ConnectRequest(status_report=report))

    def result(self, result: agent_pb2.CommandResult) -> None:
        """Kept and sent again after a reconnect, until an answer shows that it arrived; at most RESULTS_KEPT."""
        self._results[result.command_id] = result
        while len(self._results) > RESULTS_KEPT:
            gone = next(iter(self._results))
            del self._results[gone]
            self._sent.pop(gone, None)
        self._send(agent_pb2.ConnectRequest(command_result=result))

    def renew(self) -> None:
        """Dial again at once, with the certificate that is current then."""
        self._again.set()

    def _send(self, message: agent_pb2.ConnectRequest) -> None:
        if not self.connected.is_set():
            return  # the next Hello says it all
        if len(self._outbox) >= OUTBOX_MAX:
            self._overflow = True
        else:
            self._outbox.append(message)
        self._wake.set()

    # ---- one stream after the other -----------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            wait_s = await self._once()
            self._health_of_certificate()
            await either(self._clock, self._again, wait_s)
            self._again.clear()

    async def _once(self) -> float:
        """One stream, from dialling to its end. Returns how long to wait before the next."""
        self._over.clear()
        welcomed = False
        try:
            await self._stream()
        except _Reconnect as asked:
            return asked.wait_s
        except DativeError as failed:
            self._health.set("link", failed)
            self._hooks.refused(failed)
            welcomed = self.connected.is_set()
            log.warning("link.lost", code=failed.code.name, reason=failed.message)
        else:
            return 0.0  # a renewed certificate
        finally:
            self.connected.clear()
            self._over.set()
        if welcomed:
            # The first try after a loss is spread as the controller said, for its whole fleet lost it at once.
            self._backoff.reset()
            return self._random.uniform(0, self._jitter_s)
        await self._connection.try_next()
        return self._backoff.next_s()

    def _health_of_certificate(self) -> None:
        try:
            self._connection.certificate.check(self._clock.now())
        except DativeError as wrong:
            self._health.set("certificate", wrong)
        else:
            self._health.set("certificate", None)

    async def _stream(self) -> None:
        """Errors: why it ended; returns when it is to be dialled again at once."""
        call: Stream = atom_service(self._connection.channel()).Connect()
        try:
            await self._greet(call)
            await self._carry(call)
        except grpc.RpcError as failed:
            raise error_from(failed) from failed
        except asyncio.CancelledError as closed:
            if given_up():
                raise
            raise DativeError("the stream's channel was closed", code=LINK_SILENT) from closed
        except asyncio.InvalidStateError as ended:
            # What grpc.aio raises for a write after the other side ended the call.
            raise await _ended(call) from ended
        finally:
            call.cancel()

    async def _greet(self, call: Stream) -> None:
        self._sequence, self._overflow = 1, False
        self._outbox.clear()
        await call.write(agent_pb2.ConnectRequest(sequence=1, hello=self._hooks.hello()))
        try:
            async with asyncio.timeout(WELCOME_WITHIN_S):
                answer = await call.read()
        except TimeoutError as silent:
            raise DativeError(f"no Welcome within {WELCOME_WITHIN_S:.0f} s", code=LINK_SILENT) from silent
        if not isinstance(answer, agent_pb2.ConnectResponse):
            raise await _ended(call)
        if answer.WhichOneof("kind") != "welcome" or answer.welcome.protocol != PROTOCOL:
            raise DativeError("the controller does not begin with a Welcome of protocol 1", code=LINK_PROTOCOL)
        self._welcomed(answer.welcome)

    def _welcomed(self, welcome: agent_pb2.Welcome) -> None:
        self.session_id, self.store_epoch = welcome.session_id, welcome.store_epoch
        self._heartbeat_s = max(welcome.heartbeat_interval.ToTimedelta().total_seconds(), 0.1)
        self._jitter_s = welcome.reconnect_jitter.ToTimedelta().total_seconds() or DEFAULT_JITTER_S
        now = self._clock.now()
        self.skew_s = (now - welcome.controller_time.ToDatetime(now.tzinfo)).total_seconds()
        self._awaited = 0
        self.connected.set()
        self._health.set("link", None)
        for result in self._results.values():
            self._send(agent_pb2.ConnectRequest(command_result=result))
        self.report(self._health.report())
        if welcome.HasField("molecule_config"):
            self._told_settings(welcome.molecule_config)
        self._hooks.connected()
        log.info("link.connected", session=self.session_id, heartbeat_s=self._heartbeat_s)

    async def _carry(self, call: Stream) -> None:
        """Until one of them ends: the reader, the one writer, the watch over answers, or a wish to dial anew."""
        tasks = [
            asyncio.create_task(self._read_all(call), name="link reader"),
            asyncio.create_task(self._write_all(call), name="link writer"),
            asyncio.create_task(self._beat(), name="link heartbeat"),
            asyncio.create_task(self._wait_again(), name="link renewal"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_again(self) -> None:
        await self._again.wait()

    async def _write_all(self, call: Stream) -> None:
        """The one writer of this stream."""
        while True:
            if self._overflow:
                raise DativeError(f"{OUTBOX_MAX} messages wait unsent", code=LINK_SILENT)
            if not self._outbox:
                self._wake.clear()
                await self._wake.wait()
                continue
            message = self._outbox.popleft()
            self._sequence += 1
            message.sequence = self._sequence
            kind = message.WhichOneof("kind")
            if kind == "heartbeat":
                self._awaited = self._sequence
            elif kind == "command_result":
                self._sent[message.command_result.command_id] = self._sequence
            await call.write(message)
            if kind == "goodbye":
                await call.done_writing()
                return

    async def _beat(self) -> None:
        """A heartbeat an interval; one that stays unanswered ends the stream (the dead man's timer)."""
        while True:
            self._answered.clear()
            self._send(agent_pb2.ConnectRequest(heartbeat=self._hooks.heartbeat()))
            if (status := self._hooks.molecule.say()) is not None:
                self._send(agent_pb2.ConnectRequest(molecule_status=status))
            if not await either(self._clock, self._answered, max(ANSWER_WITHIN_S, self._heartbeat_s)):
                raise DativeError(f"no answer to a heartbeat within {ANSWER_WITHIN_S:.0f} s", code=LINK_SILENT)
            await self._clock.sleep(self._heartbeat_s)

    async def _read_all(self, call: Stream) -> None:
        while True:
            answer = await call.read()
            if not isinstance(answer, agent_pb2.ConnectResponse):
                raise await _ended(call)
            self._take(answer)

    def _take(self, answer: agent_pb2.ConnectResponse) -> None:
        kind = answer.WhichOneof("kind")
        if kind == "heartbeat_ack":
            self._arrived(answer.heartbeat_ack.sequence)
        elif kind == "desired_state":
            self._hooks.desired(answer.desired_state)
        elif kind == "command":
            self._hooks.command(answer.command)
        elif kind == "molecule_config":
            self._told_settings(answer.molecule_config)
        elif kind == "report_full_state":
            self.report(self._health.report())
        elif kind == "reconnect":
            raise self._asked(answer.reconnect)
        # A kind unknown here comes from a newer controller and is passed over.

    def _told_settings(self, config: agent_pb2.MoleculeConfig) -> None:
        self._hooks.molecule.take(config.settings if config.HasField("settings") else None)

    def _asked(self, reconnect: agent_pb2.Reconnect) -> _Reconnect:
        log.info("link.reconnect_asked")
        after_s = reconnect.after.ToTimedelta().total_seconds()
        return _Reconnect(after_s + self._random.uniform(0, reconnect.jitter.ToTimedelta().total_seconds()))

    def _arrived(self, sequence: int) -> None:
        """The controller has handled everything up to here, in order: results among it need not be sent again."""
        for command_id in [one for one, at in self._sent.items() if at <= sequence]:
            self._results.pop(command_id, None)
            del self._sent[command_id]
        if sequence >= self._awaited:
            self._answered.set()

    async def goodbye(self, reason: str) -> None:
        """Say so before leaving, if there is anybody to say it to."""
        if not self.connected.is_set():
            return
        self._outbox.append(agent_pb2.ConnectRequest(goodbye=agent_pb2.Goodbye(reason=reason)))
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_WITHIN_S):
                await self._over.wait()


async def _ended(call: Stream | grpc.aio.StreamStreamCall[Any, Any]) -> DativeError:
    """Why the controller ended the call, in its own words where it sent them."""
    code, details = await call.code(), await call.details()
    if code is grpc.StatusCode.OK:
        return DativeError("the controller closed the stream", code=LINK_SILENT)
    trailing = await call.trailing_metadata()
    return error_from(grpc.aio.AioRpcError(code, await call.initial_metadata(), trailing, details))
