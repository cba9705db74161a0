"""All streams that this controller holds, and what reaches them: desired state, commands, fencing, revocation, the end.

Truth is in the store; the hub holds open streams and heartbeats, nothing that a restart would miss. What other
controllers change arrives through the change feed and takes the same path as what is changed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dative.clock import Clock
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.molecules import QUARANTINED
from dative.v1 import agent_pb2, types_pb2
from sqlalchemy import Connection

from dative_controller.links import statuses
from dative_controller.links.peer import Peer
from dative_controller.links.session import Session
from dative_controller.links.statuses import Statuses
from dative_controller.store import audit, commands, deployments, fleet, molecules
from dative_controller.store.access import the_organization
from dative_controller.store.changes import Change, publish
from dative_controller.store.database import Database
from dative_controller.telemetry.log import log
from dative_controller.telemetry.metrics import Metrics
from dative_controller.telemetry.signal import Signal

PROTOCOL = 1
ATOMS_PER_HEARTBEAT_SECOND = 700
PUSHES_IN_FLIGHT = 64
FLUSH_EVERY_S = 60.0
SMALL_FLEET = 500
NONCE_CHARS_MAX, HOST_CHARS_MAX = 64, 255
REFRESH_EVERY_S = 8 * 3600.0
"""A statement of what is current lives 24 h: two may be lost before an atom says that it is stale."""


def milliseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1000)


class Hub:
    """The streams by atom. One per controller process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        *,
        controller_id: str,
        heartbeat_s: float,
        published: Callable[[], None],
    ) -> None:
        """published: told after this hub put a change into the feed."""
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._controller_id = controller_id
        self._heartbeat_s = heartbeat_s
        self._published = published
        self._sessions: dict[str, Session] = {}
        self.progressed = Signal()
        """An atom connected, left or answered: who watches a deployment looks again."""
        self.answered = Signal()
        """A command's result was stored."""
        self.push_slots = asyncio.Semaphore(PUSHES_IN_FLIGHT)
        """An unbounded fan-out would hold one copy of the manifest per atom."""
        self.statuses = Statuses()
        self.stopping = False

    def session(self, atom_id: str) -> Session | None:
        return self._sessions.get(atom_id)

    def sessions(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def count(self) -> int:
        return len(self._sessions)

    async def open(self, peer: Peer, hello: agent_pb2.Hello) -> tuple[Session, agent_pb2.Welcome]:
        """Admit an atom's stream; every older one of that atom is fenced, here now and elsewhere through the feed.

        Errors: links.protocol, fleet.atom_revoked, fleet.atom_pending.
        """
        if not hello.protocol_min <= PROTOCOL <= max(hello.protocol_max, hello.protocol_min):
            spoken = f"{hello.protocol_min}..{hello.protocol_max}"
            raise DativeError(f"the atom speaks protocol {spoken}, this controller {PROTOCOL}", code=codes.PROTOCOL)
        now_ms = milliseconds(self._clock)
        greeting = fleet.Greeting(
            hello.description.SerializeToString(),
            hello.observed,
            hello.phase,
            hello.status.SerializeToString() if hello.HasField("status") else b"",
            hello.draining,
        )
        opened = await self._database.write(lambda sql: _open(sql, peer, greeting, self._controller_id, now_ms))
        row, number = opened.row, opened.number
        if row.connected and row.controller_id != self._controller_id:
            self._published()
        heartbeat_s = max(self._heartbeat_s, len(self._sessions) / ATOMS_PER_HEARTBEAT_SECOND)
        session = Session(
            atom_id=row.atom_id,
            name=row.name,
            environment_id=row.environment_id,
            molecule_id=row.molecule_id,
            number=number,
            closes_at=peer.not_after,
            heartbeat_s=heartbeat_s,
            trust_version=hello.trust_version,
            observed=hello.observed,
            draining=hello.draining,
            last_seen_ms=now_ms,
            process=fleet.Process(
                hello.boot_nonce[:NONCE_CHARS_MAX],
                hello.instance_id[:NONCE_CHARS_MAX],
                hello.description.host[:HOST_CHARS_MAX],
            ),
        )
        self._take_over(session)
        welcome = agent_pb2.Welcome(session_id=f"{number:012d}", protocol=PROTOCOL, store_epoch=opened.store_epoch)
        welcome.molecule_config.CopyFrom(agent_pb2.MoleculeConfig(settings=opened.settings))
        welcome.heartbeat_interval.FromMilliseconds(int(heartbeat_s * 1000))
        welcome.reconnect_jitter.FromSeconds(30 if len(self._sessions) >= SMALL_FLEET else 5)
        welcome.controller_time.FromDatetime(self._clock.now())
        return session, welcome

    def _take_over(self, session: Session) -> None:
        older = self._sessions.get(session.atom_id)
        if older is not None and older.number > session.number:
            session.end(DativeError("a newer stream of this atom is open", code=codes.FENCED, where=session.name))
            return
        if older is not None:
            self._metrics.links_streams_fenced_total += 1
            older.end(DativeError("a newer stream of this atom was opened", code=codes.FENCED, where=session.name))
        self._sessions[session.atom_id] = session
        self._metrics.links_streams_opened_total += 1
        self.progressed.notify()
        if self.stopping:
            session.end(None)

    async def close(self, session: Session) -> None:
        """The stream is over, for whatever reason."""
        if self._sessions.get(session.atom_id) is session:
            del self._sessions[session.atom_id]
        now_ms = milliseconds(self._clock)
        await self._database.write(lambda sql: fleet.close_session(sql, session.atom_id, session.number, now_ms))
        self.progressed.notify()

    # ---- what an atom says --------------------------------------------------------------------------------------

    def beat(self, session: Session, heartbeat: agent_pb2.Heartbeat, sequence: int) -> None:
        """Answer at once; to the database it goes once a minute, all atoms' in one transaction."""
        self._metrics.links_heartbeats_total += 1
        if not session.beaten or session.heartbeat.healthy != heartbeat.healthy:
            session.beaten = True
            self.progressed.notify()
        session.heartbeat, session.draining = heartbeat, heartbeat.draining
        session.last_seen_ms, session.flushed = milliseconds(self._clock), False
        session.send(agent_pb2.ConnectResponse(heartbeat_ack=agent_pb2.HeartbeatAck(sequence=sequence)))

    async def hear(self, session: Session, status: types_pb2.MoleculeStatus) -> None:
        """What a member says of its own molecule."""
        place = (session.environment_id, session.molecule_id)
        if self.statuses.hear(*place, session.atom_id, status):
            said = self.statuses.take_unwritten()
            await self._database.write(lambda sql: statuses.write(sql, said))

    async def acknowledge(self, session: Session, ack: agent_pb2.DesiredStateAck) -> None:
        """Store an answer to desired state. A nonce of another stream says nothing about this one's pushes."""
        pushed = session.pushed_as(ack.nonce)
        if pushed is None:
            log.warning("ack.ignored", atom=session.name, nonce=ack.nonce)
            return
        session.observed = ack.observed
        now_ms = milliseconds(self._clock)
        status = ack.status.SerializeToString() if ack.HasField("status") else None

        def store(sql: Connection) -> None:
            if fleet.acknowledge(sql, session.atom_id, session.number, ack):
                deployments.record_ack(
                    sql, pushed.deployment_id, session.atom_id, phase=ack.phase, status=status, now_ms=now_ms
                )

        await self._database.write(store)
        self.progressed.notify()

    async def look_for_twin(self, session: Session) -> None:
        """At a stream's first heartbeat: where two processes have one identity, neither is admitted any more, and their
        streams end, wherever they are."""
        process, now_ms = session.process, milliseconds(self._clock)
        session.process = None
        if process is None or not process.nonce:
            return

        def look(sql: Connection) -> str:
            why = fleet.alive(sql, session.atom_id, session.number, process, now_ms)
            if why and fleet.quarantine(sql, session.atom_id, why):
                entry = audit.Entry(f"atom:{session.name}", "QuarantineAtom", f"{session.atom_id}: {why}"[:500])
                audit.append(sql, entry, now_ms)
                change = Change("atom", session.environment_id, session.molecule_id, session.atom_id)
                publish(sql, change, now_ms)
            return why

        why = await self._database.write(look)
        if not why:
            return
        log.warning("atom.quarantined", atom=session.name, why=why)
        self._published()
        session.end(DativeError(why, code=QUARANTINED, where=session.name))

    async def report(self, session: Session, report: agent_pb2.StatusReport) -> None:
        body = report.SerializeToString()
        await self._database.write(lambda sql: fleet.set_components(sql, session.atom_id, session.number, body))

    async def finish(self, session: Session, result: agent_pb2.CommandResult) -> None:
        if await self._database.write(lambda sql: commands.finish(sql, session.atom_id, result)):
            self.answered.notify()

    # ---- what reaches the atoms ---------------------------------------------------------------------------------

    async def apply(self, changed: list[Change]) -> None:
        """Carry out changes from the feed; those of atoms held elsewhere are for the controller that holds them."""
        for change in changed:
            if change.kind == "desired":
                for session in self.sessions():
                    if (session.environment_id, session.molecule_id) == (change.environment_id, change.molecule_id):
                        session.want_push()
            elif change.kind == "molecule":
                await self._tell_settings(change.environment_id, change.molecule_id)
            elif change.kind == "trust":
                for session in self.sessions():
                    session.want_push()
            elif (held := self._sessions.get(change.atom_id)) is None:
                continue
            elif change.kind == "command":
                await self.deliver(held)
            elif change.kind == "atom":
                await self._recheck(held)

    async def _tell_settings(self, environment_id: str, name: str) -> None:
        """A molecule's settings changed: its atoms hear of it now, or from Welcome when they connect."""
        settings = await self._database.read(lambda sql: molecules.settings_of(sql, environment_id, name))
        if settings is None:
            self.statuses.forget(environment_id, name)
        told = agent_pb2.ConnectResponse(molecule_config=agent_pb2.MoleculeConfig(settings=settings))
        for session in self.sessions():
            if (session.environment_id, session.molecule_id) == (environment_id, name):
                session.send(told)

    async def deliver(self, session: Session) -> None:
        """Claim and queue what waits for this atom. Invariant 8: claimed is never sent again."""
        now_ms = milliseconds(self._clock)
        for command in await self._database.write(lambda sql: commands.claim(sql, session.atom_id, now_ms)):
            session.send(agent_pb2.ConnectResponse(command=command))

    async def _recheck(self, session: Session) -> None:
        row = await self._database.read(lambda sql: fleet.by_id(sql, session.atom_id))
        if row is None or row.state == "revoked":
            session.end(DativeError(f"atom {session.name} was revoked", code=codes.ATOM_REVOKED, where=session.name))
        elif row.state == "quarantined":
            session.end(DativeError(row.quarantine, code=QUARANTINED, where=session.name))
        elif row.session > session.number:
            self._metrics.links_streams_fenced_total += 1
            session.end(DativeError("a newer stream is open elsewhere", code=codes.FENCED, where=session.name))

    # ---- upkeep -------------------------------------------------------------------------------------------------

    async def flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush()
            self.refresh()

    def refresh(self) -> None:
        """Have what is current said again where it was said long ago."""
        now_s = self._clock.elapsed_s()
        for session in self.sessions():
            if now_s - session.refreshed_s >= REFRESH_EVERY_S:
                session.refresh_wanted, session.refreshed_s = True, now_s
                session.want_push()

    async def flush(self) -> None:
        """Write what heartbeats said since the last time."""
        beats = {}
        for session in self.sessions():
            if not session.flushed:
                session.flushed = True
                beats[session.atom_id] = (
                    session.number,
                    session.last_seen_ms,
                    session.heartbeat.SerializeToString(),
                    session.draining,
                )
        if beats:
            await self._database.write(lambda sql: fleet.seen(sql, beats))
        if said := self.statuses.take_unwritten():
            await self._database.write(lambda sql: statuses.write(sql, said))

    async def stop(self, *, grace_s: float) -> None:
        """Tell every atom to come back, then end the streams: a server's own stop says nothing until its grace is over."""
        self.stopping = True
        await self.flush()
        goodbye = agent_pb2.ConnectResponse(reconnect=agent_pb2.Reconnect())
        goodbye.reconnect.after.FromSeconds(1)
        goodbye.reconnect.jitter.FromSeconds(30 if len(self._sessions) >= SMALL_FLEET else 5)
        for session in self.sessions():
            session.send(goodbye)
            session.end(None)
        deadline = self._clock.elapsed_s() + grace_s
        while self._sessions and (left := deadline - self._clock.elapsed_s()) > 0:
            await self.progressed.wait(self.progressed.count, left)


@dataclass(frozen=True, slots=True)
class _Opened:
    row: fleet.AtomRow
    number: int
    store_epoch: int
    settings: types_pb2.MoleculeSettings | None


def _open(sql: Connection, peer: Peer, greeting: fleet.Greeting, controller_id: str, now_ms: int) -> _Opened:
    row = fleet.admit(sql, peer.atom_id)
    if row.environment_id != peer.environment_id:
        raise DativeError(f"atom {row.name} is not of that environment", code=codes.ATOM_REVOKED, where=row.name)
    number = fleet.open_session(sql, row.atom_id, greeting, controller_id, now_ms)
    observed = greeting.observed
    running = deployments.at_generation(sql, row.environment_id, row.molecule_id, observed.generation)
    if running is not None and running.manifest_digest == observed.manifest_digest:
        deployments.record_ack(
            sql, running.deployment_id, row.atom_id, phase=types_pb2.PHASE_ACTIVE, status=None, now_ms=now_ms
        )
    if row.connected and row.controller_id != controller_id:
        publish(sql, Change("atom", row.environment_id, row.molecule_id, row.atom_id), now_ms)
    settings = molecules.settings_of(sql, row.environment_id, row.molecule_id)
    return _Opened(row, number, the_organization(sql).store_epoch, settings)
