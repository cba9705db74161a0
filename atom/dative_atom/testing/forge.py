"""Makes workers that die where they are told: one warm process that forks a real worker for every attempt.

One JSON object a line, each way, over stdin and stdout. The forge itself runs nothing and has one thread, so that a fork
of it is whole; a worker that was forked pays for no import.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from dative.clock import ManualClock
from dative.process.case_model import Fault

from dative_atom.engine import failpoints
from dative_atom.testing.system import CaseSystem
from dative_atom.worker.main import Worker
from dative_atom.worker.protocol import RunExecution, Shutdown, frame

MESSAGE: Final = "message.json"
PASSED: Final = "passed.json"
ATTEMPT_S: Final = 120
"""How long one attempt may take; at the bound the kernel ends it, and the case fails."""


def main() -> int:
    """Serve until stdin ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps({"status": attempt(asked)}) + "\n")
        sys.stdout.flush()
    return 0


def attempt(asked: dict[str, Any]) -> int:
    """One worker, from its start to its end: its exit code, or minus the signal that ended it."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _work(asked, theirs)
    theirs.close()
    message = msgspec.json.decode((Path(asked["folder"]) / MESSAGE).read_bytes(), type=RunExecution)
    try:
        ours.sendall(frame(message) + frame(Shutdown()))
        while ours.recv(65_536):
            pass
    except OSError:
        pass  # it died before it read everything; its status says so
    finally:
        ours.close()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(asked: dict[str, Any], connection: socket.socket) -> None:
    """The forked worker. Never returns."""
    signal.alarm(ATTEMPT_S)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    folder = Path(asked["folder"])
    passed = failpoints.count()
    failpoints.arm(asked["failpoint"])
    system = CaseSystem(folder, [Fault.model_validate(fault) for fault in asked["faults"]])
    code = Worker(connection, system.connect, ManualClock(datetime.fromisoformat(asked["now"]))).serve()
    (folder / PASSED).write_text(json.dumps(passed), encoding="utf-8")
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
