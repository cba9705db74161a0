"""The agent, assembled: opens what lies on the disk, starts every part, and sees to a clean end.

An unexpected end of any part ends the process with a code; SIGTERM drains. The agent does no work of its own: workers
do, so that a long computation never stalls a heartbeat.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import signal
from collections.abc import Sequence
from typing import Any

from dative import __version__
from dative.bundle.blobs import BlobStore
from dative.errors import DativeError
from dative.errors.agent import DISK_FULL
from dative.errors.molecules import QUARANTINED
from dative.v1 import agent_pb2, agent_pb2_grpc
from dative.waiting import SystemWaitingClock, WaitingClock

from dative_atom.agent import identity as identities
from dative_atom.agent import standing
from dative_atom.agent.apply import Applier, Hooks
from dative_atom.agent.asking import Asking
from dative_atom.agent.books import Books
from dative_atom.agent.bundles import Bundles
from dative_atom.agent.commands import CommandLog, Commands
from dative_atom.agent.config import Config
from dative_atom.agent.connection import Connection, atom_service
from dative_atom.agent.content import ScheduleTrigger
from dative_atom.agent.executions import Executions
from dative_atom.agent.fetch import Fetcher
from dative_atom.agent.health import Health
from dative_atom.agent.letters import LetterCommands
from dative_atom.agent.link import Link, LinkHooks
from dative_atom.agent.local import LocalServer
from dative_atom.agent.lock import AgentLock
from dative_atom.agent.log import log
from dative_atom.agent.molecule_side import MoleculeSide
from dative_atom.agent.paths import DataDir, write_whole
from dative_atom.agent.placement import LocalPlacement
from dative_atom.agent.relay import Relay
from dative_atom.agent.renew import Renewal
from dative_atom.agent.reporter import Reporter
from dative_atom.agent.retries import Retries
from dative_atom.agent.runner import Runner, WorkerSettings
from dative_atom.agent.running import Running, RunningSettings
from dative_atom.agent.schedule import FileRecord, Scheduler
from dative_atom.agent.supervise import Supervisor
from dative_atom.agent.worker import COMMAND
from dative_atom.journal.open import open_journal

UPKEEP_EVERY_S = 60.0
HOUSEKEEPING_MAX = 20
COMMANDS_AT_ONCE = 16
"""Further commands wait in order; the link's own queue bounds how many."""
FLUSH_WITHIN_S = 5.0
"""At a clean end, how long the last records may take to reach the controller; they are in the spool anyhow."""


class Agent:
    """Made by `open`, run by `run`. worker_command and blobs are passed in by tests."""

    def __init__(
        self,
        config: Config,
        directory: DataDir,
        lock: AgentLock,
        clock: WaitingClock,
        worker_command: Sequence[str],
        blobs: BlobStore,
    ) -> None:
        self.config, self._directory, self._lock, self.clock = config, directory, lock, clock
        self.identity = identities.read_identity(directory)
        seal_key = identities.read_seal_key(directory)
        self.fingerprint = seal_key.fingerprint
        self.molecule = MoleculeSide(directory, self.identity.atom_id)
        self.connection = Connection(directory, self.identity, clock, config.proxy)
        self.books = Books(open_journal(directory.journal, clock))
        self.journal = self.books.journal
        self.reporter = Reporter(self.books, self.identity, clock)
        self.health = Health(clock)
        self.bundles = Bundles(directory, self.identity.for_verdicts(__version__), seal_key, blobs)
        self.runner = Runner(self._worker_settings(worker_command), self.health, clock, lock.note_workers)
        self.running = Running(self.books, self.bundles, self.runner, self.reporter, clock, self._running_settings())
        self.placement = LocalPlacement(self.books, self.running, config.slots)
        self.executions = Executions(
            self.books, self.bundles, self.running, self.placement, self.reporter, clock, config.queue_max
        )
        self.applier = Applier(
            self.bundles,
            Fetcher(blobs, self._stub, clock),
            self.reporter,
            self.health,
            clock,
            Hooks(self._acknowledge, self._activated, self.executions.manifests_in_use),
            kept=config.bundles_kept,
        )
        self.scheduler = Scheduler(
            FileRecord(directory.schedules),
            self.identity.environment_id,
            self.identity.atom_id,
            self.executions,
            self.reporter,
            clock,
            triggers=self._triggers,
            broken=lambda: self.bundles.active.broken if self.bundles.active else {},
            draining=lambda: self.executions.draining,
            expect=self.runner.expect,
        )
        self.command_log = CommandLog(directory.commands, clock)
        self.retries = Retries(self.books, self.executions, self.reporter, clock)
        letters = LetterCommands(
            self.books, self.bundles, self.executions, self.retries, self.runner, seal_key, clock, self.reporter.written
        )
        self.commands = Commands(
            letters,
            self.books,
            self.bundles,
            self.executions,
            self.runner,
            clock,
            self.command_log,
            self.drain,
            Asking(self.books, seal_key, clock, self.identity.environment_id, lambda: self.bundles.vault()[0]),
        )
        hooks = LinkHooks(
            lambda: standing.hello(self),
            lambda: standing.heartbeat(self, self._spooled),
            self.applier.offer,
            self._commanded,
            self._connected,
            self._refused,
            self.molecule,
        )
        self.link = Link(self.connection, self.health, clock, hooks)
        self.renewal = Renewal(directory, self.identity, self.connection, clock)
        self.relay = Relay(self.books, self.connection, self.link, self.health, clock, self.reporter.written)
        self._local = LocalServer(directory.socket, self._asked)
        self._tasks = Supervisor()
        self._queue: asyncio.Queue[agent_pb2.Command] = asyncio.Queue()
        self._spooled = (0, 0)
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()

    @classmethod
    async def open(
        cls,
        config: Config,
        *,
        clock: WaitingClock | None = None,
        worker_command: Sequence[str] = COMMAND,
        blobs: BlobStore | None = None,
    ) -> Agent:
        """Take the data directory and check everything on it. Errors: agent.not_joined, agent.data_dir_busy, …"""
        directory = DataDir(config.directory)
        directory.prepare()
        identities.read_identity(directory)  # said first: a directory without an identity needs no lock
        lock = AgentLock(directory)
        await lock.acquire()
        try:
            return cls(
                config,
                directory,
                lock,
                clock or SystemWaitingClock(),
                worker_command,
                blobs or BlobStore(directory.blobs),
            )
        except BaseException:
            lock.release()
            raise

    def _worker_settings(self, command: Sequence[str]) -> WorkerSettings:
        config = self.config
        return WorkerSettings(
            slots=config.slots,
            warm=config.warm,
            warm_for_s=config.warm_for_s,
            executions_max=config.worker_executions_max,
            stall_s=config.execution_stall_s,
            command=command,
            inherited=(self._lock.workers_fd,),
        )

    def _running_settings(self) -> RunningSettings:
        config = self.config
        return RunningSettings(
            journal=str(self._directory.journal),
            crashes_max=config.crashes_max,
            memory_bytes=config.worker_memory_mb << 20,
            allows=config.allows,
            damaged=self._damaged,
            ended=self._execution_ended,
        )

    def _damaged(self, process: str, error: DativeError) -> None:
        self.applier.damaged(process, error)

    def _execution_ended(self) -> None:
        self.retries.wake.set()

    # ---- the life of it -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `stop` is called or a part fails. Errors: the code of the part that failed."""
        try:
            await self._start()
            log.info("agent.started", atom=self.identity.name, pid=os.getpid(), version=__version__)
            self.ready.set()
            waiting = [asyncio.ensure_future(event.wait()) for event in (self._stopping, self._tasks.failed)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            if self._tasks.failure is None:
                await self._leave()
        finally:
            await self._end()
        if self._tasks.failure is not None:
            raise self._tasks.failure

    async def _start(self) -> None:
        for refused in await asyncio.to_thread(self.bundles.restore, self.clock.now()):
            self.health.set("bundle", refused)
            await self.reporter.event("bundle.refused", refused)
        if self.bundles.active is not None and self.applier.error is None:
            self.applier.phase = agent_pb2.DesiredStateAck(phase="PHASE_ACTIVE").phase
        await self.applier.report_broken()
        if self._directory.drained.exists():
            self.executions.drain()
        resumed = await self.executions.take_up()
        if resumed:
            log.info("executions.taken_up", count=resumed)
        await self._local.start()
        for name, work in (
            ("workers", self.runner.run()),
            ("executions", self.executions.run()),
            ("retries", self.retries.run()),
            ("bundles", self.applier.run()),
            ("schedules", self.scheduler.run()),
            ("link", self.link.run()),
            ("records", self.relay.run()),
            ("certificate", self.renewal.run()),
            ("upkeep", self._upkeep()),
            ("health", self._report_health()),
            ("renewed", self._follow_renewals()),
            *((f"commands {index}", self._carry_out()) for index in range(COMMANDS_AT_ONCE)),
        ):
            self._tasks.start(name, work)

    def stop(self) -> None:
        """SIGTERM: no new work, running executions finish, forced after `drain_timeout_s`. A second time: at once."""
        if self._stopping.is_set():
            self.running.force.set()
        self._stopping.set()

    async def _leave(self) -> None:
        """Drain and say goodbye. Not persistent: the next start takes work again."""
        self.executions.drain()
        if not await self.running.wait_idle(self.config.drain_timeout_s):
            log.warning("agent.drain_forced", running=self.executions.running)
        if self.link.connected.is_set():
            self.reporter.written.set()
            try:
                async with asyncio.timeout(FLUSH_WITHIN_S):
                    await self.relay.flushed()
            except TimeoutError:
                log.warning("agent.records_left", records=self.journal.spooled()[0])
        await self.link.goodbye("drained")

    async def _end(self) -> None:
        await self._local.stop()
        await self.running.stop()
        await self._tasks.stop()
        await self.runner.stop()
        await self.connection.close()
        await asyncio.to_thread(self.books.close)
        self._lock.release()
        log.info("agent.stopped", atom=self.identity.name)

    def stop_on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def drain(self, wanted: bool) -> None:
        """Take no new work from now on, also after a restart; or take work again."""
        self._set_draining(wanted)

    def _refused(self, why: DativeError) -> None:
        """Whoever shares its identity with another process does nothing that the other may do as well."""
        if why.code is QUARANTINED and not self.executions.draining:
            self._set_draining(True)

    def _set_draining(self, wanted: bool) -> None:
        if wanted:
            write_whole(self._directory.drained, b"")
            self.executions.drain()
        else:
            self._directory.drained.unlink(missing_ok=True)
            self.executions.resume()
        self.scheduler.changed()
        log.info("agent.draining" if wanted else "agent.resumed")

    # ---- what the link asks and tells ---------------------------------------------------------------------------

    def _stub(self) -> agent_pb2_grpc.AtomServiceStub:
        return atom_service(self.connection.channel())

    def _acknowledge(self, ack: agent_pb2.DesiredStateAck) -> None:
        self.link.acknowledge(ack)

    def _connected(self) -> None:
        self.applier.linked()
        self.renewal.wake.set()

    def _commanded(self, command: agent_pb2.Command) -> None:
        self._queue.put_nowait(command)

    async def _carry_out(self) -> None:
        while True:
            command = await self._queue.get()
            self.link.result(await self.commands.carry_out(command))

    def _activated(self) -> None:
        self.scheduler.changed()

    def _triggers(self) -> dict[str, tuple[ScheduleTrigger, ...]]:
        active = self.bundles.active
        return {name: content.triggers for name, content in active.processes.items()} if active else {}

    # ---- upkeep -------------------------------------------------------------------------------------------------

    async def _upkeep(self) -> None:
        while True:
            self._spooled = await self.books.run(self.journal.spooled)
            self.applier.look_at_freshness()
            self._look_at_disk()
            await self._keep_letters()
            await asyncio.to_thread(self.command_log.sweep)
            await self.clock.sleep(UPKEEP_EVERY_S)

    async def _keep_letters(self) -> None:
        """Announce and expire dead letters; at most HOUSEKEEPING_MAX transactions a time, the rest a minute later."""
        for _ in range(HOUSEKEEPING_MAX):
            done = await self.books.run(self.journal.keep_house)
            if done.idle:
                return
            self.reporter.written.set()
            log.info("dead_letters.kept", **dataclasses.asdict(done))

    def _look_at_disk(self) -> None:
        free_mb = shutil.disk_usage(self._directory.root).free >> 20
        least_mb = self.config.disk_free_min_mb
        low = DativeError(f"{free_mb} MB free of the {least_mb} MB that should be", code=DISK_FULL)
        self.health.set("disk", low if free_mb < least_mb else None)

    async def _report_health(self) -> None:
        while True:
            await self.health.changed.wait()
            self.health.changed.clear()
            self.link.report(self.health.report())

    async def _follow_renewals(self) -> None:
        while True:
            await self.renewal.renewed.wait()
            self.renewal.renewed.clear()
            self.link.renew()

    # ---- the person on this host --------------------------------------------------------------------------------

    async def _asked(self, what: str) -> dict[str, Any]:
        if what in ("drain", "resume"):
            await self.drain(what == "drain")
        self._spooled = await self.books.run(self.journal.spooled)
        return self.status()

    def status(self) -> dict[str, Any]:
        """What `dative-atom status -o json` prints; a contract."""
        return standing.status(self, self._spooled)
