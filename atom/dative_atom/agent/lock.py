"""One agent per data directory, and none beside workers that a killed agent left behind.

Two locks. `atom.lock` is the agent's alone and falls with it. `workers.lock` is inherited by every worker, so that it
is free exactly when none of them lives any more: an execution is never resumed beside its own former attempt.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path
from types import TracebackType

from dative.errors import DativeError
from dative.errors.agent import DATA_DIR_BUSY, WORKERS_LEFT

from dative_atom.agent.paths import DataDir

WORKERS_LEAVE_S = 3.0
"""Workers see the end of their agent and leave; after this they are killed."""
WORKERS_DIE_S = 5.0
_LOOK_EVERY_S = 0.05
_WORKER_WORDS = (b"worker", b"--fd")


class AgentLock:
    """Held from `acquire` to `release`. `workers_fd` is to be inherited by workers."""

    def __init__(self, directory: DataDir) -> None:
        self._directory = directory
        self._agent_fd = -1
        self.workers_fd = -1

    async def acquire(self) -> None:
        """Errors: agent.data_dir_busy, agent.workers_left."""
        self._agent_fd = _open(self._directory.lock)
        if not _try(self._agent_fd):
            holder = os.pread(self._agent_fd, 32, 0).decode(errors="replace").strip()
            self.release()
            raise DativeError(
                f"an agent (process {holder or 'unknown'}) works in {self._directory.root}", code=DATA_DIR_BUSY
            )
        _write(self._agent_fd, str(os.getpid()))
        self.workers_fd = _open(self._directory.workers_lock)
        try:
            await self._wait_for_workers()
        except BaseException:
            self.release()
            raise
        _write(self.workers_fd, "")

    def note_workers(self, pids: list[int]) -> None:
        """Write down who inherited the lock, so that the next agent can end those who do not leave."""
        _write(self.workers_fd, " ".join(map(str, pids)))

    async def _wait_for_workers(self) -> None:
        if await self._free_within(WORKERS_LEAVE_S):
            return
        left = [pid for pid in self._noted() if _is_worker(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        if not await self._free_within(WORKERS_DIE_S):
            raise DativeError(f"workers {left or 'unknown'} of a former agent still run", code=WORKERS_LEFT)

    async def _free_within(self, seconds: float) -> bool:
        for _ in range(int(seconds / _LOOK_EVERY_S)):
            if _try(self.workers_fd):
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    def _noted(self) -> list[int]:
        return [int(pid) for pid in os.pread(self.workers_fd, 65_536, 0).split() if pid.isdigit()]

    def release(self) -> None:
        """Releasing twice is fine. Workers that still live keep their lock."""
        for descriptor in (self._agent_fd, self.workers_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._agent_fd = self.workers_fd = -1

    async def __aenter__(self) -> AgentLock:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _is_worker(pid: int) -> bool:
    """Whether that process is still one of ours, and not a stranger who got its number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return all(word in command for word in _WORKER_WORDS)
