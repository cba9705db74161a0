"""One worker process as the agent sees it: started by exec with a socket pair, spoken to in frames, watched to its end.

Never forked with Python code in between: gRPC's threads do not survive that. What a worker writes to stderr passes
through the redactor on its way to the agent's own stderr (Invariant 6).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import msgspec
from dative.errors import DativeError
from dative.errors.agent import WORKER_START

from dative_atom.agent.log import redactor
from dative_atom.worker.protocol import (
    FRAME_BYTES_MAX,
    CancelExecution,
    CheckConnection,
    Checks,
    DryRan,
    DryRun,
    Finished,
    FromWorker,
    LookSteps,
    Progress,
    Ready,
    Rehearse,
    Rehearsed,
    RunExecution,
    Shutdown,
    StepsLooked,
    ToWorker,
    frame,
)

COMMAND = (sys.executable, "-m", "dative_atom.worker")
READY_WITHIN_S = 60.0
"""Importing DuckDB and Arrow takes a second; on a loaded machine much longer."""
SHUTDOWN_WITHIN_S = 10.0
STDERR_LINE_MAX = 64 * 1024

_decoder = msgspec.msgpack.Decoder(FromWorker)


class WorkerLost(Exception):
    """The process ended, or said something that is no frame. returncode: negative is a signal's number."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"worker ended with {returncode}")
        self.returncode = returncode

    @property
    def killed(self) -> bool:
        return self.returncode == -signal.SIGKILL


class Worker:
    """Made by `start`. One execution or connection test at a time; the caller sees to that."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        stderr: asyncio.Task[None],
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._stderr = stderr
        self.executions = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @classmethod
    async def start(cls, command: Sequence[str], inherited: Sequence[int] = ()) -> Worker:
        """Start one and wait until it is warm. inherited: descriptors it keeps open (the workers' lock).

        Errors: agent.worker_start_failed.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await _spawn(command, theirs.fileno(), inherited)
            assert process.stderr is not None  # noqa: S101  `_spawn` asks for it
            stderr = asyncio.create_task(_pass_on(process.stderr), name="worker stderr")
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        worker = cls(process, reader, writer, stderr)
        await worker._come_up()
        return worker

    async def _come_up(self) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                first = await self._read()
        except (TimeoutError, WorkerLost) as failed:
            await self.kill()
            raise DativeError(f"the worker did not come up: {failed or 'no answer'}", code=WORKER_START) from failed
        except BaseException:
            await self.kill()
            raise
        if not isinstance(first, Ready):
            await self.kill()
            raise DativeError(f"the worker began with {type(first).__name__}", code=WORKER_START)

    async def run(self, request: RunExecution, progress: Callable[[Progress], None]) -> Finished:
        """Run one execution to its end. Errors: WorkerLost."""
        self.executions += 1
        await self._send(request)
        while True:
            message = await self._read()
            if isinstance(message, Finished) and message.execution_id == request.execution_id:
                return message
            if isinstance(message, Progress):
                progress(message)

    async def check(self, request: CheckConnection) -> Checks:
        """Test one connection. Errors: WorkerLost."""
        await self._send(request)
        while True:
            message = await self._read()
            if isinstance(message, Checks) and message.request_id == request.request_id:
                return message

    async def rehearse(self, request: Rehearse) -> Rehearsed:
        """Lead one document through its process, writing nothing. Errors: WorkerLost."""
        await self._send(request)
        while True:
            message = await self._read()
            if isinstance(message, Rehearsed) and message.request_id == request.request_id:
                return message

    async def dry_run(self, request: DryRun) -> DryRan:
        """Run an execution that writes nothing. Errors: WorkerLost."""
        await self._send(request)
        while True:
            message = await self._read()
            if isinstance(message, DryRan) and message.request_id == request.request_id:
                return message

    async def look(self, request: LookSteps) -> StepsLooked:
        """Ask the systems of some steps for their fields. Errors: WorkerLost."""
        await self._send(request)
        while True:
            message = await self._read()
            if isinstance(message, StepsLooked) and message.request_id == request.request_id:
                return message

    async def cancel(self, execution_id: str) -> None:
        with contextlib.suppress(WorkerLost):
            await self._send(CancelExecution(execution_id))

    async def _send(self, message: ToWorker) -> None:
        try:
            self._writer.write(frame(message))
            await self._writer.drain()
        except OSError as gone:
            raise WorkerLost(await self._gone()) from gone

    async def _read(self) -> FromWorker:
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            if length > FRAME_BYTES_MAX:
                raise WorkerLost(await self._gone())
            body = await self._reader.readexactly(length)
            return _decoded(body)
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError) as gone:
            raise WorkerLost(await self._gone()) from gone

    async def _gone(self) -> int:
        """Its connection ended or holds nonsense: it is no use any more. Returns how it ended."""
        try:
            async with asyncio.timeout(1.0):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return self._process.returncode or 0

    async def shutdown(self) -> None:
        """Let it finish and leave; kill it after SHUTDOWN_WITHIN_S."""
        with contextlib.suppress(WorkerLost):
            await self._send(Shutdown())
        try:
            async with asyncio.timeout(SHUTDOWN_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            pass
        await self.kill()

    async def kill(self) -> None:
        """End it now; killing one that is gone is fine."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await self._process.wait()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._stderr


def _decoded(body: bytes) -> FromWorker:
    message: FromWorker = _decoder.decode(body)
    return message


async def _spawn(command: Sequence[str], descriptor: int, inherited: Sequence[int]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        "--fd",
        str(descriptor),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(descriptor, *inherited),
        limit=STDERR_LINE_MAX,
        # Its own group, so that Ctrl-C at a terminal reaches the agent alone, which drains.
        process_group=0,
    )


async def _pass_on(stderr: asyncio.StreamReader) -> None:
    """Line by line to our own stderr, redacted. A line over the limit is cut into pieces."""
    while True:
        try:
            line = await stderr.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            line = end.partial
        except asyncio.LimitOverrunError as long:
            line = await stderr.read(long.consumed)
        if not line:
            return
        sys.stderr.write(redactor.redact(line.decode(errors="replace")))
        sys.stderr.flush()
