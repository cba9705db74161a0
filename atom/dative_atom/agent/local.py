"""How `dative-atom status`, `drain` and `resume` reach the running agent: a unix socket in its data directory.

No listener on TCP: nothing can be reached from outside the host. The directory's rights (0700) are the permission.
One JSON object a line, each way.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dative.errors import DativeError
from dative.errors.agent import NOT_RUNNING
from dative.errors.base import from_status

LINE_BYTES_MAX = 1 << 20
ANSWER_WITHIN_S = 30.0
CONNECTIONS_MAX = 16
PATH_BYTES_MAX = 100
"""Of a unix socket's name, on every system; a longer one is reached through its open directory."""

Handler = Callable[[str], Awaitable[dict[str, Any]]]


@contextmanager
def _short(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class LocalServer:
    """Answers requests with `handler(what)`; a DativeError becomes an answer too."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short(self._path) as name:
            listener.bind(name)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES_MAX)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._slots:
            with suppress(OSError, ValueError, TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    what = str(json.loads(await reader.readline())["request"])
                    writer.write(json.dumps(await self._answer(what)).encode() + b"\n")
                    await writer.drain()
            writer.close()

    async def _answer(self, what: str) -> dict[str, Any]:
        try:
            return {"ok": await self._handler(what)}
        except DativeError as refused:
            return {
                "error": {
                    "code": refused.code.name,
                    "message": refused.message,
                    "where": refused.where,
                    "next": refused.next,
                }
            }

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        self._path.unlink(missing_ok=True)


def ask(path: Path, what: str) -> dict[str, Any]:
    """Ask the running agent. Blocks. Errors: agent.not_running, and what the agent answers with."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_WITHIN_S)
    with connection:
        try:
            with _short(path) as name:
                connection.connect(name)
            connection.sendall(json.dumps({"request": what}).encode() + b"\n")
            with connection.makefile("rb") as file:
                answer = json.loads(file.readline(LINE_BYTES_MAX))
        except (OSError, ValueError) as gone:
            raise DativeError(f"no agent answers at {path}", code=NOT_RUNNING) from gone
    if "error" in answer:
        error = answer["error"]
        raise from_status(error["code"], error["message"], error["where"], error["next"])
    found: dict[str, Any] = answer["ok"]
    return found
