"""A network that breaks: what stands between a client and a server, and can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

NOBODY = 1
"""A port at which nothing listens."""


class CuttingProxy:
    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.accepted = 0
        self.bytes_per_connection: int | None = None
        """After so many bytes towards the client the connection is reset; None: never."""
        self.asked = bytearray()
        self.said = bytearray()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Resets every connection that there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(onward)
        with suppress(OSError):
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, onward, self.asked, None))
                both.create_task(_copy(there, writer, self.said, self.bytes_per_connection))
        self._writers -= {writer, onward}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray, most: int | None) -> None:
    passed = 0
    with suppress(OSError):
        while chunk := await reader.read(512 if most else 65_536):
            passed += len(chunk)
            heard += chunk
            writer.write(chunk)
            await writer.drain()
            if most is not None and passed >= most:
                break
    writer.transport.abort()


@asynccontextmanager
async def cutting() -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(NOBODY)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await server.wait_closed()
