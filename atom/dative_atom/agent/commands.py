"""Commands from the controller, carried out at most once by their id, each answered with a coded result.

What a command may name is what the verified bundle holds; nothing here runs anything else. The record of a command is
on disk before it is carried out (Invariant 8): one that was interrupted is never blindly repeated.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from dative.errors import DativeError
from dative.errors.agent import (
    COMMAND_EXPIRED,
    COMMAND_INTERRUPTED,
    COMMAND_UNKNOWN,
    WORKER_CRASHED,
)
from dative.errors.rpc import INVALID
from dative.ids import ExecutionId
from dative.rpc import status_of
from dative.v1 import agent_pb2
from dative.waiting import WaitingClock

from dative_atom.agent import vault
from dative_atom.agent.asking import Asking
from dative_atom.agent.books import Books
from dative_atom.agent.bundles import Bundles
from dative_atom.agent.dry_runs import DryRuns
from dative_atom.agent.executions import Executions
from dative_atom.agent.letters import LetterCommands
from dative_atom.agent.log import log, redactor
from dative_atom.agent.paths import write_whole
from dative_atom.agent.profiles import Profiles
from dative_atom.agent.runner import Runner
from dative_atom.agent.worker import WorkerLost
from dative_atom.agent.xref_commands import XrefCommands
from dative_atom.worker.protocol import CheckConnection

CHECK_WITHIN_S = 60.0
KEPT_FOR = timedelta(days=2)
"""Records of commands are let go of after that; every command has expired long before."""
READS = frozenset({"dry_run", "hash_key", "profile_steps", "read_receipts", "read_xref"})
"""They change nothing, so one that comes twice is answered twice and no record of it is kept."""
_ID = re.compile(r"\A[A-Za-z0-9_-]{1,64}\Z")

Result = agent_pb2.CommandResult


class CommandLog:
    """One small file a command: empty while it is carried out, its result afterwards."""

    def __init__(self, directory: Path, clock: WaitingClock) -> None:
        self._directory = directory
        self._clock = clock

    def begin(self, command_id: str) -> Result | None:
        """None: go ahead. Otherwise the answer, because it was begun before."""
        path = self._directory / command_id
        try:
            # Made or found in one step: of two that begin the same command, one goes ahead.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            known = path.read_bytes()
        else:
            return None
        if known:
            return Result.FromString(known)
        interrupted = DativeError(f"command {command_id} was begun and not finished", code=COMMAND_INTERRUPTED)
        return Result(command_id=command_id, status=status_of(interrupted))

    def end(self, result: Result) -> None:
        write_whole(self._directory / result.command_id, result.SerializeToString())

    def sweep(self) -> None:
        oldest = (self._clock.now() - KEPT_FOR).timestamp()
        for path in self._directory.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


class Commands:
    """drain: called with True to drain, False to take work again."""

    def __init__(
        self,
        letters: LetterCommands,
        books: Books,
        bundles: Bundles,
        executions: Executions,
        runner: Runner,
        clock: WaitingClock,
        log_: CommandLog,
        drain: Callable[[bool], Awaitable[None]],
        asking: Asking,
    ) -> None:
        self._letters = letters
        self._xrefs = XrefCommands(books)
        self._books, self._journal = books, books.journal
        self._bundles = bundles
        self._executions = executions
        self._runner = runner
        self._clock = clock
        self._log = log_
        self._drain = drain
        self._asking = asking
        self._dry_runs = DryRuns(executions, runner)
        self._profiles = Profiles(bundles, runner)
        self._under_way: dict[str, asyncio.Future[Result]] = {}

    async def carry_out(self, command: agent_pb2.Command) -> Result:
        """The result, whatever happens: a refusal is a result with a status. The same id meanwhile: the same result."""
        doing = self._under_way.get(command.command_id)
        if doing is None:
            doing = asyncio.ensure_future(self._carry_out(command))
            self._under_way[command.command_id] = doing
            doing.add_done_callback(lambda _: self._under_way.pop(command.command_id, None))
        return await doing

    async def _carry_out(self, command: agent_pb2.Command) -> Result:
        command_id, kind = command.command_id, command.WhichOneof("kind") or ""
        try:
            self._check(command)
            known = await asyncio.to_thread(self._log.begin, command_id) if kind not in READS else None
            if known is not None:
                return known
            result = await self._one(kind, command)
        except DativeError as refused:
            result = Result(status=status_of(refused))
            result.status.message = redactor.redact(refused.message)
        result.command_id = command_id
        if _ID.match(command_id) and kind not in READS:
            await asyncio.to_thread(self._log.end, result)
        log.info("command.carried_out", command_id=command_id, kind=kind, code=result.status.code)
        return result

    def _check(self, command: agent_pb2.Command) -> None:
        if not _ID.match(command.command_id):
            raise DativeError("the command's id is malformed", code=INVALID)
        expires_at: datetime = command.expires_at.ToDatetime(self._clock.now().tzinfo)
        if expires_at <= self._clock.now():
            raise DativeError(f"the command was for {expires_at:%H:%M:%S} UTC at the latest", code=COMMAND_EXPIRED)

    async def _one(self, kind: str, command: agent_pb2.Command) -> Result:
        handlers: dict[str, Callable[[agent_pb2.Command], Awaitable[Result]]] = {
            "run_process": self._run_process,
            "cancel_execution": self._cancel,
            **self._letters.handlers,
            **self._xrefs.handlers,
            "drain": self._drain_or_resume,
            "test_connection": self._test,
            "hash_key": self._hash_key,
            "read_receipts": self._read_receipts,
            "reveal_token": self._reveal,
            "dry_run": self._dry_runs.carry_out,
            "profile_steps": self._profiles.carry_out,
        }
        handler = handlers.get(kind)
        if handler is None:
            raise DativeError("the command is of a kind that this version does not know", code=COMMAND_UNKNOWN)
        return await handler(command)

    async def _run_process(self, command: agent_pb2.Command) -> Result:
        wanted = command.run_process
        execution_id = await self._executions.run_now(
            wanted.process,
            command_id=command.command_id,
            traceparent=command.traceparent,
            keep_trace=True,  # somebody asked for this run, and will look at it
            parameters=wanted.parameters,
        )
        return Result(run_process=agent_pb2.RunProcessResult(execution_id=execution_id))

    async def _cancel(self, command: agent_pb2.Command) -> Result:
        await self._executions.cancel(ExecutionId(command.cancel_execution.execution_id))
        return Result()

    async def _reveal(self, command: agent_pb2.Command) -> Result:
        keys, readers = await asyncio.to_thread(self._bundles.vault)
        environment_id = self._bundles.identity.environment_id
        revealed = await self._books.run(
            vault.answer, command.reveal_token, self._journal, keys, readers, environment_id
        )
        log.info("vault.revealed", command_id=command.command_id, reader=revealed.reader)
        return Result(reveal_token=revealed)

    async def _drain_or_resume(self, command: agent_pb2.Command) -> Result:
        await self._drain(not command.drain.resume)
        return Result()

    async def _test(self, command: agent_pb2.Command) -> Result:
        binding = await asyncio.to_thread(self._bundles.binding, command.test_connection.connection)
        request = CheckConnection(command.command_id, binding)
        try:
            checked = await self._runner.check(request, CHECK_WITHIN_S)
        except (WorkerLost, TimeoutError) as lost:
            raise DativeError(f"the test of {binding.name} did not end: {lost}", code=WORKER_CRASHED) from lost
        checks = [
            agent_pb2.Check(name=name, passed=passed, detail=redactor.redact(detail))
            for name, passed, detail in checked.checks
        ]
        return Result(test_connection=agent_pb2.TestConnectionResult(checks=checks))

    async def _hash_key(self, command: agent_pb2.Command) -> Result:
        return Result(hash_key=await self._asking.hash_key(command.hash_key))

    async def _read_receipts(self, command: agent_pb2.Command) -> Result:
        return Result(read_receipts=await self._asking.read_receipts(command.read_receipts))
