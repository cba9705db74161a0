"""The worker process: warm before it says Ready, then one execution at a time, until its agent goes.

Two threads: this one reads frames, so that a cancel is heard while an execution runs in the other. A bad process, a bad
source or a defect ends an execution with a coded failure, never the worker; a kill ends the worker and no execution,
because everything that matters is in the journal.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import structlog
from dative.clock import Clock, SystemClock
from dative.errors import DativeError
from dative.ids import ConnectionName

from dative_atom.connectors.base import UNFENCED, ConnectionConfig, Fence
from dative_atom.connectors.connection import open_connection
from dative_atom.engine.effects.fence import is_fenced
from dative_atom.engine.failpoints import JOURNAL_COMMITTED, reach
from dative_atom.engine.failures import failure_of
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Connect, Surroundings, run_execution
from dative_atom.journal.contract import Counts, ExecutionState
from dative_atom.worker.deadline import Deadline
from dative_atom.worker.dry_runs import dry_ran
from dative_atom.worker.journals import journal_of
from dative_atom.worker.letters import rehearsed
from dative_atom.worker.memory import limit_growth
from dative_atom.worker.profiles import looked
from dative_atom.worker.protocol import (
    FENCED,
    FRAME_BYTES_MAX,
    CancelExecution,
    CheckConnection,
    Checks,
    DryRun,
    Finished,
    FromWorker,
    LookSteps,
    Progress,
    Ready,
    Rehearse,
    RunExecution,
    Shutdown,
    StepsLooked,
    ToWorker,
    frame,
)

PROGRESS_INTERVAL_S: Final = 0.1
_decoder = msgspec.msgpack.Decoder(ToWorker)


def main(arguments: list[str]) -> int:
    """Serve the agent on the socket with that number until it closes it or says Shutdown. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="dative_atom.worker", description="Runs executions for the agent beside it.")
    parser.add_argument("--fd", type=int, required=True, help="inherited end of the agent's socket pair")
    parser.add_argument("--deadline-fd", type=int, help="the agent's `Deadline`; none where it is in no molecule")
    given = parser.parse_args(arguments)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    warm_up()
    return Worker(socket.socket(fileno=given.fd), deadline_fd=given.deadline_fd).serve()


def warm_up() -> None:
    """Pay for the imports and DuckDB's first query before the first execution has to."""
    from dative_atom.engine.evaluation.database import MEMORY_BYTES_MIN, Database

    database = Database(MEMORY_BYTES_MIN)
    database.session().rows("SELECT 1")
    database.close()


class Worker:
    """One agent's worker. Writes to the socket are whole frames, from either thread."""

    def __init__(
        self,
        connection: socket.socket,
        connect: Connect = open_connection,
        clock: Clock | None = None,
        deadline_fd: int | None = None,
    ) -> None:
        """connect, clock: what a process test puts in the place of real systems and of real time."""
        self._connection = connection
        self._deadline_fd = deadline_fd
        self._connect = connect
        self._work: queue.Queue[RunExecution | CheckConnection | Rehearse | DryRun | LookSteps | None] = queue.Queue(
            maxsize=1
        )
        self._writing = threading.Lock()
        self._running: tuple[str, Control] | None = None
        self._clock: Clock = clock or SystemClock()
        self._log = structlog.get_logger()

    def serve(self) -> int:
        thread = threading.Thread(target=self._run_all, name="dative-execute", daemon=True)
        thread.start()
        self._send(Ready(os.getpid()))
        for message in self._messages():
            if isinstance(message, CancelExecution):
                self._cancel(message.execution_id)
            elif isinstance(message, Shutdown):
                break
            else:
                # Invariant 7: one waits at most. An agent that sends more waits in its own socket.
                self._work.put(message)
        else:
            # The agent has gone: what runs can report to nobody, and its successor resumes it from the journal.
            os._exit(0)
        self._work.put(None)
        thread.join()
        return 0

    def _messages(self) -> Iterator[ToWorker]:
        while (head := self._receive(4)) is not None:
            length = int.from_bytes(head, "big")
            if length > FRAME_BYTES_MAX or (body := self._receive(length)) is None:
                return
            try:
                yield _decoder.decode(body)
            except msgspec.DecodeError as error:
                self._log.error("frame.refused", bytes=length, error=type(error).__name__)
                return

    def _receive(self, length: int) -> bytes | None:
        chunks: list[bytes] = []
        while length:
            try:
                chunk = self._connection.recv(min(length, 1 << 20))
            except OSError:
                return None
            if not chunk:
                return None
            chunks.append(chunk)
            length -= len(chunk)
        return b"".join(chunks)

    def _send(self, message: FromWorker) -> None:
        try:
            with self._writing:
                self._connection.sendall(frame(message))
        except OSError as error:
            # The reading thread meets the same end and leaves; the journal knows what this message said.
            self._log.warning("agent.lost", message=type(message).__name__, error=type(error).__name__)

    def _cancel(self, execution_id: str) -> None:
        running = self._running
        if running is not None and running[0] == execution_id:
            running[1].cancel()

    def _run_all(self) -> None:
        while (message := self._work.get()) is not None:
            if isinstance(message, RunExecution):
                self._send(self._run(message))
            elif isinstance(message, Rehearse):
                self._send(rehearsed(message, self._connect, self._clock))
            elif isinstance(message, LookSteps):
                self._send(StepsLooked(message.request_id, looked(message.steps, self._connect, self._clock)))
            elif isinstance(message, DryRun):
                self._send(dry_ran(message, self._connect, self._clock, Control()))
            else:
                self._send(self._check(message))

    def _run(self, message: RunExecution) -> Finished:
        """Run it; whatever happens, the agent gets an answer."""
        control = Control()
        self._running = (message.execution_id, control)
        log = self._log.bind(execution_id=message.execution_id)
        try:
            limit_growth(message.limits.memory_bytes)
            with self._fence(message) as fence, journal_of(message, self._clock, fenced(fence)) as journal:
                progress = _Progress(self, message.execution_id, self._clock)
                ended = run_execution(
                    message,
                    journal,
                    Surroundings(self._clock, self._connect, control, progress=progress.settled, fence=fence),
                )
        except Exception as error:  # noqa: BLE001 - the worker outlives every execution; the agent is told
            failure = failure_of(error, cancelled=control.cancelled)
            if is_fenced(error, message.fencing_token):
                log.warning("run.fenced", **failure)
                return Finished(message.execution_id, FENCED, {}, failure)
            log.error("run.broken", **failure)  # noqa: TRY400 - a traceback may hold values
            return Finished(message.execution_id, ExecutionState.FAILED.value, {}, failure)
        finally:
            self._running = None
        failed = dict(ended.failure) if ended.failure else None
        log.info(
            "run.finished", state=ended.state.value, attempt=ended.attempt, failure=failed, **_numbers(ended.counts)
        )
        return Finished(message.execution_id, ended.state.value, _numbers(ended.counts), failed)

    @contextmanager
    def _fence(self, message: RunExecution) -> Iterator[Fence]:
        if self._deadline_fd is None:
            yield UNFENCED
            return
        deadline = Deadline.open(self._deadline_fd, message.session)
        try:
            yield deadline
        finally:
            deadline.close()

    def progressed(self, execution_id: str, counts: Counts) -> None:
        self._send(Progress(execution_id, _numbers(counts)))

    def _check(self, message: CheckConnection) -> Checks:
        binding = message.binding
        config = ConnectionConfig(ConnectionName(binding.name), binding.connector, binding.settings, binding.secrets)
        try:
            connector = open_connection(config)
            try:
                checks = [(check.name, check.passed, check.detail) for check in connector.check(self._clock)]
            finally:
                connector.close()
        except DativeError as error:
            checks = [("settings", False, f"{error} {error.next}")]
        except Exception as error:  # noqa: BLE001 - a connector's defect is a failed check, not a dead worker
            checks = [("connector", False, type(error).__name__)]
        return Checks(message.request_id, checks)


def fenced(fence: Fence) -> Callable[[str], None]:
    """What a journal tells each boundary of each of its write transactions, whoever makes it.

    Invariant 4: whatever an execution writes into the journal, a vault's token and a number of a sequence too, is
    committed under a live lease only.
    """

    def reached(name: str) -> None:
        reach(name)
        if name != JOURNAL_COMMITTED:
            fence.check()

    return reached


class _Progress:
    """Tells the agent after a settled batch, at most ten times a second; what it leaves out the end repeats."""

    def __init__(self, worker: Worker, execution_id: str, clock: Clock) -> None:
        self._worker = worker
        self._execution_id = execution_id
        self._clock = clock
        self._told_s = float("-inf")

    def settled(self, counts: Counts) -> None:
        now_s = self._clock.elapsed_s()
        if now_s - self._told_s >= PROGRESS_INTERVAL_S:
            self._told_s = now_s
            self._worker.progressed(self._execution_id, counts)


def _numbers(counts: Counts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in Counts.__dataclass_fields__}
