"""Starts the program that runs a script, talks with it, and ends it at its bounds.

Wall time is bounded here, memory and CPU by the kernel in there. Whatever the script does to its own process, this side
learns at which document it happened and nothing else: what it says is read as data, its length first.
"""

from __future__ import annotations

import mmap
import os
import selectors
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from dative.errors import StopRun
from dative.errors import script as codes
from dative.errors.base import Code

PROGRAM: Final = Path(__file__).with_name("child.py")
CPU_RETIRE_S: Final = 60
"""After so much CPU time a process is replaced, so that each batch has its whole time before the kernel's limit."""
ANSWER_BYTES_MAX: Final = 256 << 20
START_S: Final = 20.0
_KILLED_FOR_CPU: Final = (-24, -9)


@dataclass(frozen=True)
class ScriptSpec:
    """What is run. timeout_s: of one call. outputs: names that a result has."""

    code: str
    outputs: Sequence[str]
    timeout_s: float
    memory_bytes: int


class Died(Exception):
    """The process is gone. row: the document at which it was. code: why.

    exact: false where it went on after it had broken its answer, so that any document up to `row` may have done it.
    """

    def __init__(self, row: int, code: Code, *, exact: bool) -> None:
        super().__init__(code.name)
        self.row, self.code, self.exact = row, code, exact


@dataclass
class Answer:
    """rows: values in the order of the outputs, None where there is an error. errors: (row, kind, what)."""

    rows: list[list[Any] | None]
    errors: list[tuple[int, str, str]] = field(default_factory=list)


class ScriptProcess:
    """One script's process: started when it is needed, replaced when it died. For one thread."""

    def __init__(self, spec: ScriptSpec) -> None:
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._progress: mmap.mmap | None = None

    def start(self) -> None:
        """StopRun script.invalid for code that can not be loaded, script.unsupported where it can not be shut in."""
        descriptor = os.memfd_create("dative-script")
        try:
            os.ftruncate(descriptor, 8)
            self._progress = mmap.mmap(descriptor, 8)
            # Nothing is inherited but the two pipes and the page of progress: no environment, no secret, no socket.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(PROGRAM), str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        spec = self._spec
        hello = {
            "code": spec.code,
            "outputs": list(spec.outputs),
            "memory_bytes": spec.memory_bytes,
            "cpu_s": CPU_RETIRE_S + int(spec.timeout_s) + 1,
        }
        try:
            said = self._exchange(hello, START_S)
        except Died as died:
            self.close()
            code = codes.UNSUPPORTED if died.code is codes.ENDED else died.code
            raise StopRun("the script's process did not start", code=code) from died
        if "invalid" in said:
            self.close()
            where = f"line {said['line']}: " if said.get("line") else ""
            raise StopRun(f"the script can not be loaded: {where}{said['invalid']}", code=codes.INVALID)

    def call(self, columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, str], rows: int) -> Answer:
        """Run it over these rows. Raises Died when its process did not outlive them; the next call has a new one."""
        if self._process is None:
            self.start()
        assert self._progress is not None  # noqa: S101  (start made it)
        struct.pack_into("<q", self._progress, 0, 0)
        said = self._exchange({"columns": columns, "kinds": kinds}, self._spec.timeout_s)
        try:
            answer = msgspec.convert(said, _Said)
        except msgspec.ValidationError as error:
            raise self._died(codes.ENDED, exact=False) from error
        if len(answer.rows) != rows or any(not 0 <= row < rows for row, _, _ in answer.errors):
            raise self._died(codes.ENDED, exact=False)
        if answer.cpu > CPU_RETIRE_S:
            self.close()
        return Answer(answer.rows, answer.errors)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _died(self, code: Code, *, exact: bool = True) -> Died:
        row = struct.unpack_from("<q", self._progress, 0)[0] if self._progress is not None else 0
        self.close()
        return Died(max(row, 0), code, exact=exact)

    def _exchange(self, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Say it and hear the answer, both at once and within the time. Raises Died."""
        process = self._process
        assert process is not None  # noqa: S101  (callers have started it)
        assert process.stdin is not None  # noqa: S101  (it has pipes)
        assert process.stdout is not None  # noqa: S101
        body = msgspec.json.encode(message)
        left = memoryview(len(body).to_bytes(4, "big") + body)
        found = bytearray()
        deadline = time.monotonic() + timeout_s
        for pipe in (process.stdin, process.stdout):
            os.set_blocking(pipe.fileno(), False)
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            waiting.register(process.stdin, selectors.EVENT_WRITE)
            while True:
                ready = waiting.select(max(deadline - time.monotonic(), 0))
                if not ready:
                    raise self._died(codes.OUT_OF_TIME)
                for key, _ in ready:
                    if key.fileobj is process.stdin:
                        left = self._write(process, left)
                        if not left:
                            waiting.unregister(process.stdin)
                    elif not self._read(process, found):
                        raise self._died(self._why(process))
                    elif _too_much(found):
                        raise self._died(codes.ENDED, exact=False)
                if len(found) >= 4 and len(found) >= 4 + int.from_bytes(found[:4], "big"):
                    return self._decoded(found)

    def _write(self, process: subprocess.Popen[bytes], left: memoryview) -> memoryview:
        try:
            return left[os.write(process.stdin.fileno(), left[: 1 << 20]) :]  # type: ignore[union-attr]
        except BlockingIOError:
            return left
        except OSError as error:
            raise self._died(self._why(process)) from error

    def _read(self, process: subprocess.Popen[bytes], found: bytearray) -> bool:
        """False at the end."""
        try:
            part = os.read(process.stdout.fileno(), 1 << 20)  # type: ignore[union-attr]
        except BlockingIOError:
            return True
        found += part
        return bool(part)

    def _why(self, process: subprocess.Popen[bytes]) -> Code:
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            return codes.ENDED
        return codes.OUT_OF_TIME if process.returncode in _KILLED_FOR_CPU else codes.ENDED

    def _decoded(self, found: bytearray) -> dict[str, Any]:
        try:
            return msgspec.json.decode(bytes(found[4:]), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._died(codes.ENDED, exact=False) from error


def _too_much(found: bytearray) -> bool:
    """It says more than anybody wants to hear, or more than it has announced."""
    if len(found) < 4:
        return False
    announced = int.from_bytes(found[:4], "big")
    return announced > ANSWER_BYTES_MAX or len(found) > announced + 4


class _Said(msgspec.Struct):
    rows: list[list[Any] | None]
    errors: list[tuple[int, str, str]]
    cpu: float
