"""HTTP/1.1 on asyncio streams, with the one thing a web framework will not do: break off in every possible way."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import h11

_READ_SIZE = 1 << 16


class ClientGone(Exception):
    """The client closed the connection."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without the query
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Connection:
    """One client connection; serves its requests one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.SERVER)
        self._sends_bodies = True

    async def requests(self) -> AsyncIterator[Request]:
        """Ends when the client leaves, breaks the protocol, or the last answer broke off."""
        try:
            while (request := await self._next_request()) is not None:
                self._sends_bodies = request.method != "HEAD"
                yield request
                if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
                    return
                self._protocol.start_next_cycle()
        except h11.RemoteProtocolError as error:
            raise ClientGone from error

    async def send_json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        all_headers = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        await self._send(h11.Response(status_code=status, headers=list(all_headers.items())))
        if self._sends_bodies:
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def start_stream(self, headers: Mapping[str, str]) -> None:
        """Starts a 200 whose body comes in chunks, until `end_stream`."""
        all_headers = {"transfer-encoding": "chunked", **headers}
        await self._send(h11.Response(status_code=200, headers=list(all_headers.items())))

    async def send_chunk(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def end_stream(self) -> None:
        await self._send(h11.EndOfMessage())

    async def wait_until_client_leaves(self) -> None:
        while await self._read():
            pass

    def reset(self) -> None:
        """The client sees 'connection reset by peer' instead of an orderly end."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    async def _next_request(self) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            match await self._next_event():
                case h11.Request() as head:
                    if (b"expect", b"100-continue") in list(head.headers):
                        await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                case h11.Data(data=data):
                    body += data
                case h11.EndOfMessage():
                    assert head is not None
                    return _request(head, bytes(body))
                case h11.ConnectionClosed():
                    return None

    async def _next_event(self) -> Any:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._read())
        return event

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_READ_SIZE)
        except ConnectionError as error:
            raise ClientGone from error

    async def _send(self, event: Any) -> None:
        self._writer.write(self._protocol.send(event) or b"")
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ClientGone from error


def _request(head: h11.Request, body: bytes) -> Request:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
    path = head.target.decode().partition("?")[0]
    return Request(head.method.decode(), path, headers, body)
