"""The program that runs a script: `python -I -S child.py`, alone with its code. Imports nothing of this house.

It says goodbye to everything first: limits, then a filter that leaves a handful of system calls (reading and writing what
is open, memory, time, its own end). After that a file, a socket or a process is refused by the kernel, whatever the code
tries, through ctypes as well. Messages: four bytes of length, then JSON, in on 0, out on 1. Source: seccomp(2), prctl(2),
linux/filter.h.
"""

from __future__ import annotations

import base64
import binascii
import collections
import ctypes
import datetime
import decimal
import difflib
import functools
import hashlib
import hmac
import itertools
import json
import math
import mmap
import os
import random
import re
import resource
import statistics
import string
import struct
import sys
import textwrap
import time
import unicodedata
from collections.abc import Callable
from typing import Any

# What a script may import. Some of their parts load late: they are touched here, while files can still be read.
LOADED = (
    base64, binascii, collections, datetime, decimal, difflib, functools, hashlib, hmac, itertools, json, math, random,
    re, statistics, string, textwrap, time, unicodedata,
)  # fmt: skip
datetime.datetime.strptime("2024", "%Y")
"a".encode("latin-1"), "a".encode("utf-16"), "a".encode("cp1252"), "é".encode("idna")
statistics.mean([1, 2])

_CALLS = {
    # read write close fstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn mremap sched_yield
    # madvise nanosleep getpid exit gettimeofday getrusage sigaltstack gettid futex restart_syscall clock_gettime clock_getres
    # clock_nanosleep exit_group getrandom
    "x86_64": (0xC000003E, (0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 25, 24, 28, 35, 39, 60, 96, 98, 131, 186, 202, 219,
                            228, 229, 230, 231, 318)),
    "aarch64": (0xC00000B7, (63, 64, 57, 80, 73, 62, 222, 226, 215, 214, 134, 135, 139, 216, 124, 233, 101, 172, 93, 169,
                             165, 132, 178, 98, 128, 113, 114, 115, 94, 278)),
}  # fmt: skip
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | 1  # EPERM
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction))]


def limit(memory_bytes: int, cpu_s: int) -> None:
    """The kernel's own bounds, which stand behind the filter. memory_bytes: beyond what the interpreter has by now."""
    with open("/proc/self/statm") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    for what, value in (
        (resource.RLIMIT_AS, has + memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_STACK, 16 << 20),
    ):
        resource.setrlimit(what, (value, value))


def shut_in() -> None:
    """No system call but those of the list. Raises OSError where the kernel does not do it."""
    architecture, calls = _CALLS[os.uname().machine]
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _DENY), (_LOAD, 0, 0, 0)]
    for place, number in enumerate(calls):
        lines.append((_EQUAL, len(calls) - place, 0, number))
    lines += [(_RETURN, 0, 0, _DENY), (_RETURN, 0, 0, _ALLOW)]
    program = _Program(len(lines), (_Instruction * len(lines))(*(_Instruction(*line) for line in lines)))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or library.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


class _Nowhere:
    """Where what is printed goes."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""


def receive(read: Callable[[int, int], bytes] = os.read) -> dict[str, Any] | None:
    """The next message; None at the end."""
    head = _exactly(4, read)
    body = None if head is None else _exactly(int.from_bytes(head, "big"), read)
    found: dict[str, Any] | None = None if body is None else json.loads(body)
    return found


def _exactly(count: int, read: Callable[[int, int], bytes]) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        part = read(0, min(count - len(found), 1 << 20))
        if not part:
            return None
        found += part
    return bytes(found)


def send(message: dict[str, Any], write: Any = os.write, dumps: Any = json.dumps) -> None:
    body = dumps(message).encode()
    data = memoryview(len(body).to_bytes(4, "big") + body)
    while data:
        data = data[write(1, data) :]


def plain(value: Any) -> Any:
    """A result as JSON: what is exact stays text."""
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.datetime, datetime.time)):
        return value.isoformat() if hasattr(value, "isoformat") else format(value, "f")
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise TypeError("no value of a field")


READ: dict[str, Callable[[str], Any]] = {
    "decimal": decimal.Decimal,
    "date": datetime.date.fromisoformat,
    "timestamp": datetime.datetime.fromisoformat,
    "time": datetime.time.fromisoformat,
    "binary": base64.b64decode,
}


def records(columns: dict[str, list[Any]], kinds: dict[str, str]) -> list[dict[str, Any]]:
    """A mapping a row. Columns come as JSON; kinds: name -> how a text is read."""
    for name, kind in kinds.items():
        columns[name] = [None if value is None else READ[kind](value) for value in columns[name]]
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def reason(error: BaseException) -> list[str]:
    """What happened, by its kind alone: an error's own words may hold a value."""
    if isinstance(error, MemoryError):
        return ["memory", ""]
    if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno in (1, 11, 13)):
        return ["forbidden", type(error).__name__]
    return ["failed", type(error).__name__[:60]]


def result(outputs: list[str], given: Any) -> tuple[list[Any] | None, list[str] | None]:
    if not isinstance(given, dict):
        return None, ["output", "no mapping"]
    missing = [name for name in outputs if name not in given]
    if missing:
        return None, ["output", "without " + missing[0]]
    try:
        return [plain(given[name]) for name in outputs], None
    except TypeError:
        return None, ["output", "a value of no type of fields"]


def answered(
    work: Callable[..., Any], whole: bool, request: dict[str, Any], outputs: list[str], progress: mmap.mmap
) -> tuple[list[Any], list[Any]]:
    """Rows of outputs, and the errors of those that have none: [row, kind, what]."""
    rows = records(request["columns"], request["kinds"])
    made: list[Any] = []
    errors: list[Any] = []
    if whole:
        try:
            found = list(work(rows))
            if len(found) != len(rows):
                raise ValueError("other number of results")
        except BaseException as error:
            return [None] * len(rows), [[row, *reason(error)] for row in range(len(rows))]
    for number, row in enumerate(rows):
        struct.pack_into("<q", progress, 0, number)
        try:
            given, wrong = result(outputs, found[number] if whole else work(row))
        except BaseException as error:
            given, wrong = None, reason(error)
        made.append(given)
        if wrong is not None:
            errors.append([number, *wrong])
    return made, errors


def main() -> None:
    start = receive()
    if start is None:
        return
    progress = mmap.mmap(int(sys.argv[1]), 8)
    os.close(int(sys.argv[1]))
    limit(start["memory_bytes"], start["cpu_s"])
    shut_in()
    sys.stdout = sys.stderr = _Nowhere()
    for name in ("ctypes", "_ctypes", "resource", "mmap", "ctypes._endian", "posix"):
        sys.modules.pop(name, None)
    space: dict[str, Any] = {"__name__": "script"}
    try:
        exec(compile(start["code"], "script", "exec"), space)
        work, whole = (space["batch"], True) if "batch" in space else (space["row"], False)
        callable(work) or work()
    except BaseException as error:
        line = getattr(error, "lineno", None)
        trace = error.__traceback__
        while trace is not None and line is None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "script" else line
            trace = trace.tb_next
        what = (
            "it defines neither row nor batch" if isinstance(error, KeyError) and line is None else type(error).__name__
        )
        send({"invalid": what, "line": line})
        return
    send({"ready": True})
    while (request := receive()) is not None:
        made, errors = answered(work, whole, request, start["outputs"], progress)
        send({"rows": made, "errors": errors, "cpu": time.process_time()})


if __name__ == "__main__":
    main()
