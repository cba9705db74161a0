"""One open stream of one atom: what was received, what waits to be written, and why it ended. No gRPC, no database.

The outbox is the only way to the wire and one task empties it: two tasks writing to one gRPC stream hang the peer for
good.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dative.errors import DativeError
from dative.errors import control as codes
from dative.v1 import agent_pb2, types_pb2

from dative_controller.store.fleet import Process

OUTBOX_MAX = 256
"""Messages that may wait for a slow peer; the stream is ended beyond, and reconciliation makes up for what was lost."""
NONCES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a nonce of this stream stands for."""

    deployment_id: str
    release_epoch: int
    generation: int
    manifest_digest: str


@dataclass(eq=False)
class Session:
    """number: rises per atom and fences older streams. closes_at: the certificate's end.

    process: who speaks, until it is noted at the first heartbeat.
    refresh_wanted: push even what runs already, for its fresh statement; refreshed_s: when that was done last.
    """

    atom_id: str
    name: str
    environment_id: str
    molecule_id: str
    number: int
    closes_at: datetime
    heartbeat_s: float
    trust_version: int
    observed: types_pb2.ObservedState
    draining: bool
    heartbeat: agent_pb2.Heartbeat = field(default_factory=agent_pb2.Heartbeat)
    last_seen_ms: int = 0
    process: Process | None = None
    beaten: bool = False
    last_sequence: int = 0
    push_wanted: bool = False
    refresh_wanted: bool = True
    refreshed_s: float = 0.0
    flushed: bool = True
    ended: asyncio.Future[DativeError | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _outbox: deque[agent_pb2.ConnectResponse] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _nonces: dict[str, Pushed] = field(default_factory=dict)

    def in_sequence(self, sequence: int) -> bool:
        """Note the sequence of a received message; False after a gap or a repeat."""
        fits = sequence == self.last_sequence + 1
        self.last_sequence = sequence
        return fits

    def send(self, message: agent_pb2.ConnectResponse) -> None:
        """Queue a message; a peer that reads too slowly is disconnected instead of buffered for (Invariant 7)."""
        if len(self._outbox) >= OUTBOX_MAX:
            self.end(DativeError(f"{OUTBOX_MAX} messages wait unread", code=codes.SILENT, where=self.name))
            return
        self._outbox.append(message)
        self._wake.set()

    def want_push(self) -> None:
        """Desired state may have changed: the newest is read when its turn comes, so that a newer one supersedes."""
        self.push_wanted = True
        self._wake.set()

    async def next_message(self) -> agent_pb2.ConnectResponse | Literal["push", "ended"]:
        """The next message to write; "push": read the desired state and write it if it differs; "ended": all is written."""
        while True:
            if self._outbox:
                return self._outbox.popleft()
            if self.ended.done():
                return "ended"
            if self.push_wanted:
                self.push_wanted = False
                return "push"
            self._wake.clear()
            await self._wake.wait()

    def nonce_for(self, pushed: Pushed) -> str:
        """A fresh nonce of this stream that stands for `pushed`; the oldest ones are forgotten."""
        nonce = secrets.token_hex(8)
        self._nonces[nonce] = pushed
        while len(self._nonces) > NONCES_KEPT:
            del self._nonces[next(iter(self._nonces))]
        return nonce

    def pushed_as(self, nonce: str) -> Pushed | None:
        return self._nonces.get(nonce)

    def last_pushed(self) -> Pushed | None:
        return next(reversed(self._nonces.values()), None)

    def runs(self, wanted: Pushed) -> bool:
        """Whether the atom says that it runs exactly this."""
        seen = self.observed
        return (seen.release_epoch, seen.generation, seen.manifest_digest) == (
            wanted.release_epoch,
            wanted.generation,
            wanted.manifest_digest,
        )

    def needs(self, wanted: Pushed) -> bool:
        """Push what differs from what runs and was not pushed on this stream already: unchanged things are not resent."""
        return not self.runs(wanted) and self.last_pushed() != wanted

    def end(self, why: DativeError | None) -> None:
        """End the stream; None is a friendly end. Only the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(why)
            self._wake.set()
