"""Makes the worker processes of the proof: one process that has imported everything and forks a real worker an attempt.

One JSON object a line, each way, over stdin and stdout. A worker that was forked pays for no import, and a kill takes
it alone.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
from dative_atom.connectors.database import postgres, sqlite  # noqa: F401 - imported once, for every worker
from dative_atom.engine import failpoints
from dative_atom.worker.deadline import LOST, Deadline
from dative_atom.worker.main import Worker
from dative_atom.worker.protocol import Finished, FromWorker, RunExecution, Shutdown, frame

PASSED = "passed.json"
MESSAGE = "message.json"
ATTEMPT_S = 300


@dataclass
class Attempt:
    """How a worker ended, and what it had said of its execution: state, counts, failure; None when it said nothing."""

    status: int
    finished: dict[str, Any] | None

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


@dataclass
class Workers:
    """Our end."""

    forge: subprocess.Popen[str]

    def attempt(self, folder: Path, failpoint: str = "", file_bytes: int = 0, *, lost: bool = False) -> Attempt:
        """Run the folder's message in a worker that dies at this boundary. file_bytes: no file may grow beyond. lost: it
        does not die, its member's lease is over there."""
        assert self.forge.stdin is not None
        assert self.forge.stdout is not None
        asked = {"folder": str(folder), "failpoint": failpoint, "file_bytes": file_bytes, "lost": lost}
        self.forge.stdin.write(json.dumps(asked) + "\n")
        self.forge.stdin.flush()
        return Attempt(**json.loads(self.forge.stdout.readline()))


@contextmanager
def workers() -> Iterator[Workers]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.proof.workers"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as forge:
        yield Workers(forge)
        assert forge.stdin is not None
        forge.stdin.close()


def serve() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(_attempt(asked)) + "\n")
        sys.stdout.flush()


def _attempt(asked: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _work(asked, theirs)
    theirs.close()
    message = msgspec.json.decode((Path(asked["folder"]) / MESSAGE).read_bytes(), type=RunExecution)
    said = b""
    try:
        ours.sendall(frame(message) + frame(Shutdown()))
        while chunk := ours.recv(65_536):
            said += chunk
    except OSError:
        pass  # it died before it read everything
    ours.close()
    return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "finished": _finished(said)}


def _finished(said: bytes) -> dict[str, Any] | None:
    decoder = msgspec.msgpack.Decoder(FromWorker)
    while len(said) >= 4:
        length = int.from_bytes(said[:4], "big")
        if len(said) < 4 + length:
            break
        message = decoder.decode(said[4 : 4 + length])
        if isinstance(message, Finished):
            return {"state": message.state, "counts": message.counts, "failure": message.failure}
        said = said[4 + length :]
    return None


def _work(asked: dict[str, Any], connection: socket.socket) -> None:
    """The forked worker. Never returns."""
    signal.alarm(ATTEMPT_S)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    if asked["file_bytes"]:
        # A write beyond the limit fails as on a full disk (Python ignores SIGXFSZ).
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["file_bytes"], resource.RLIM_INFINITY))
    passed = failpoints.count()
    if asked["lost"]:
        deadline = Deadline.make()
        failpoints.arm(asked["failpoint"], lambda: deadline.publish(LOST))
        code = Worker(connection, deadline_fd=deadline.fd).serve()
    else:
        failpoints.arm(asked["failpoint"])
        code = Worker(connection).serve()
    (Path(asked["folder"]) / PASSED).write_text(json.dumps(passed), encoding="utf-8")
    os._exit(code)


if __name__ == "__main__":
    serve()
