"""A hundred subscribers of a thousand events a second: is one lost, how late do they come, what do sleepers cost?"""

import asyncio
import re
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness import Goal, Report, Samples, Unit
from tests.api_house import API_TOKEN

SUBSCRIBERS = 100
RATE = 1_000
SECONDS_S = 10
SLEEPERS = 20
LIMIT_S = 120.0
UPGRADE = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
SSE = "server-sent events"
WEBSOCKET = "WebSocket, batched"
LISTENERS: Mapping[str, tuple[str, str, bytes]] = {
    SSE: ("/api/events", "keep-alive\r\n", b"\nevent: tool_use_complete\n"),
    WEBSOCKET: ("/ws?types=tool_use&batch=true", f"Upgrade\r\n{UPGRADE}", b'"event": "tool_use_complete"'),
}
_SENT = re.compile(rb'"sent": ?([0-9.]+)')


class Server:
    """In a process of its own: its memory and its time are the daemon's alone."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    @classmethod
    async def start(cls, database: Path) -> "Server":
        command = (sys.executable, "-m", "benchmarks.subscriber_server", str(database))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        return cls(process, int(await asyncio.wait_for(process.stdout.readline(), LIMIT_S)))

    async def talk(self, seconds_s: float) -> tuple[float, float]:
        """CPU seconds that the server has taken since it began, and its memory in MB, afterwards."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{RATE} {seconds_s}\n".encode())
        answer = await asyncio.wait_for(self._process.stdout.readline(), LIMIT_S)
        _, cpu_s, memory_mb = answer.split()
        return float(cpu_s), float(memory_mb)

    async def stop(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def connect(self, path: str, connection: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        client = socket.create_connection(("127.0.0.1", self.port))
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {API_TOKEN}\r\n"
        client.sendall(f"{head}Connection: {connection}\r\n".encode())
        reader, writer = await asyncio.open_connection(sock=client, limit=1_000_000)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT_S)
        return reader, writer


class Subscriber:
    """Counts, and looks at when the first event of each piece was sent."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._rest = b""
        self.count = 0
        self._more = asyncio.Event()
        self.latencies_s: list[float] = []

    async def has(self, count: float) -> None:
        while self.count < count:
            self._more.clear()
            await self._more.wait()

    async def read(self, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(1_000_000):
            now = time.monotonic()
            text = self._rest + piece
            self.count += text.count(self._mark)
            self._more.set()
            self.latencies_s += [now - float(found) for found in _SENT.findall(text)[:1]]
            cut = text.rfind(self._mark)
            keep = len(self._mark) - 1 if cut < 0 else min(len(self._mark) - 1, len(text) - cut - len(self._mark))
            self._rest = text[len(text) - keep :] if keep > 0 else b""


async def measure(rounds: int | None) -> Sequence[Report]:
    seconds_s = rounds or SECONDS_S
    samples: dict[str, Samples] = {}
    goals: list[Goal] = []
    notes: list[str] = []
    for name, (path, connection, mark) in LISTENERS.items():
        with tempfile.TemporaryDirectory(prefix="ccm-bench-") as directory:
            server = await Server.start(Path(directory) / "ccm.db")
            try:
                subscribers, cpu_s = await _crowd(server, path, connection, mark, seconds_s)
                grown_mb = await _sleepers(server, path, connection, seconds_s)
            finally:
                await server.stop()
        lost = sum(RATE * seconds_s - subscriber.count for subscriber in subscribers)
        samples[name] = Samples(tuple(late for subscriber in subscribers for late in subscriber.latencies_s))
        goals += [
            Goal(f"{name}: events lost", lost, 0),
            Goal(f"{name}: memory for {SLEEPERS} that do not read, MB", grown_mb, 64),
        ]
        notes.append(f"{name}: {100 * cpu_s / seconds_s:.0f} % of a core for {SUBSCRIBERS} × {RATE} events a second")
    question = f"how late do {RATE} events a second come to {SUBSCRIBERS} subscribers?"
    return [Report("subscribers", question, Unit.MILLISECONDS, samples, goals, notes)]


async def _crowd(
    server: Server, path: str, connection: str, mark: bytes, seconds_s: float
) -> tuple[list[Subscriber], float]:
    subscribers = [Subscriber(mark) for _ in range(SUBSCRIBERS)]
    connections = [await server.connect(path, connection) for _ in subscribers]
    reading = [
        asyncio.create_task(subscriber.read(reader))
        for subscriber, (reader, _) in zip(subscribers, connections, strict=True)
    ]
    before_s, _ = await server.talk(0)
    await server.talk(seconds_s)
    try:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(subscriber.has(RATE * seconds_s) for subscriber in subscribers))
    except TimeoutError:
        print("some did not get everything", file=sys.stderr)
    after_s, _ = await server.talk(0)
    for _, writer in connections:
        writer.close()
    await asyncio.gather(*reading, return_exceptions=True)
    return subscribers, after_s - before_s


async def _sleepers(server: Server, path: str, connection: str, seconds_s: float) -> float:
    """How much memory those who do not read cost, in MB."""
    _, before_mb = await server.talk(0.1)
    asleep = [await server.connect(path, connection) for _ in range(SLEEPERS)]
    _, after_mb = await server.talk(seconds_s)
    for _, writer in asleep:
        writer.transport.abort()
    return after_mb - before_mb
