"""Runs one program to its end or its bounds: no shell, no environment, a process group that is killed as a whole."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from dative.errors import command as codes
from dative.errors.base import Code, StopRun

from dative_atom.connectors.base import UNFENCED, Fence

PIECE: Final = 1 << 16
FENCE_EVERY_S: Final = 0.2
"""How often a program that runs is looked after: one whose member lost its lease is killed."""


@dataclass(frozen=True)
class Ended:
    """code: None where it ended by itself with `status` (negative: by that signal)."""

    status: int
    output: bytes
    code: Code | None = None


def run_program(
    arguments: Sequence[str], given: bytes, timeout_s: float, output_max: int, fence: Fence = UNFENCED
) -> Ended:
    """arguments: the program's path first. given: its standard input. StopRun command.unusable when it can not start,
    molecule.fenced when its member may act no more, at its start or while it runs."""
    fence.check()
    try:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        if error.errno == 7:  # E2BIG: the arguments together are more than the kernel takes.
            return Ended(0, b"", codes.ARGUMENT)
        raise StopRun(f"{arguments[0]} can not be executed: {error.strerror}", code=codes.UNUSABLE) from error
    ended = os.pidfd_open(process.pid)
    try:
        output, code = _led(process, ended, memoryview(given), time.monotonic() + timeout_s, output_max, fence)
    finally:
        # Before it is waited for, so that its number still is this group's. Children that it left behind end with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ended)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
    return Ended(process.returncode, output, code)


def _led(
    process: subprocess.Popen[bytes], ended: int, left: memoryview, deadline: float, output_max: int, fence: Fence
) -> tuple[bytes, Code | None]:
    """Give it its input and take its output until it ends, its time is over or it says too much."""
    assert process.stdin is not None  # noqa: S101  (it has pipes)
    assert process.stdout is not None  # noqa: S101
    found = bytearray()
    given, taken = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(given, False)
    os.set_blocking(taken, False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(taken, selectors.EVENT_READ)
        waiting.register(ended, selectors.EVENT_READ)
        waiting.register(given, selectors.EVENT_WRITE)
        while True:
            # Invariant 4: a program can not be undone, so it ends with the lease under which it was started.
            fence.check()
            ready = [key.fd for key, _ in waiting.select(min(max(deadline - time.monotonic(), 0), FENCE_EVERY_S))]
            if not ready and time.monotonic() >= deadline:
                return bytes(found), codes.OUT_OF_TIME
            if given in ready:
                left = _given(given, left)
                if not left:
                    waiting.unregister(given)
                    process.stdin.close()
                    given = -1
            over = ended in ready
            while taken in ready or over:
                part = _taken(taken)
                if part == b"" and taken in waiting.get_map():
                    waiting.unregister(taken)
                found += part or b""
                if len(found) > output_max:
                    return bytes(found[:output_max]), codes.OUTPUT
                if not part or not over:
                    break
            if over:
                return bytes(found), None


def _given(pipe: int, left: memoryview) -> memoryview:
    """What is left to give; nothing where nobody reads any more."""
    try:
        return left[os.write(pipe, left[:PIECE]) :]
    except BlockingIOError:
        return left
    except OSError:
        return left[:0]


def _taken(pipe: int) -> bytes | None:
    """None where there is nothing now, nothing at the end."""
    try:
        return os.read(pipe, PIECE)
    except BlockingIOError:
        return None
