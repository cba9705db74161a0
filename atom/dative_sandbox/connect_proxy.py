"""An HTTP CONNECT proxy that leads every *.salesforce.com host to the sandbox, and refuses every other host.

With it and a test CA, clients whose host names are fixed in their code reach the sandbox unchanged: they only need a proxy
and a CA bundle in their settings.
"""

import asyncio
import contextlib

_HEAD_BYTES_MAX = 16_384
_CHUNK_BYTES = 65_536


class ConnectProxy:
    """Listens on loopback. target: host and port of the sandbox. connects: the hosts asked for, the last 1,000."""

    def __init__(self, target: tuple[str, int], suffix: str = ".salesforce.com", host: str = "127.0.0.1") -> None:
        self._target, self._suffix, self._host = target, suffix, host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connects: list[str] = []
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self._host, 0, limit=_HEAD_BYTES_MAX)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{self._host}:{port}"

    async def stop(self) -> None:
        """Close the listener and every tunnel. Stopping twice or unstarted is fine."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # The client went away, spoke no HTTP, or the proxy stops: the tunnel ends, and with it its business.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, _, rest = head.partition(" ")
        host, _, _ = rest.split(" ", 1)[0].rpartition(":")
        self.connects = [*self.connects[-999:], host]
        if method != "CONNECT" or not host.endswith(self._suffix):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await asyncio.gather(_pipe(reader, inner_writer), _pipe(inner_reader, writer))
        finally:
            inner_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof() if writer.can_write_eof() else writer.close()
