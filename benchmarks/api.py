"""How much of a bare FastAPI application's speed is left when the daemon does what it must do beside the insert.

Both are processes of their own, asked over kept connections by a client that does next to nothing. The daemon is
drained: it starts no agents meanwhile. Its `POST` stores the task, an event and an entry of the audit log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.harness import Goal, Report, Samples, Unit, take_turns
from ccm_orchestrator.demo.sandbox import free_port
from ccm_orchestrator.security.secrets import API_TOKEN_FILE, read_secret

ROUNDS = 12
REQUESTS = 400
CONNECTIONS = 8
SHARE = 0.7
LIMIT_S = 60.0
BODY = json.dumps({"project": "sample", "prompt": "Fix the failing test in calc.py and say what it was. " * 4}).encode()
JSON = "Content-Type: application/json\r\n"


@dataclass
class Contender:
    """A server, and how long its answers took."""

    port: int
    token: str = ""
    latencies_s: dict[str, list[float]] = field(default_factory=dict)

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
        length = f"{JSON}Content-Length: {len(body)}\r\n" if body else ""
        return f"{head}{length}\r\n".encode() + body

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            return await exchange(reader, writer, self.request(method, path, body))
        finally:
            writer.close()

    async def create(self) -> str:
        status, answer = await self.ask("POST", "/api/tasks", BODY)
        assert status == 201, answer
        return str(json.loads(answer)["task_id"])


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return int(head[9:12]), await reader.readexactly(int(length[1]) if length else 0)


async def load(contender: Contender, name: str, request: bytes, expected: int) -> float:
    """Seconds for each request, when several connections ask without a pause."""
    latencies_s = contender.latencies_s.setdefault(name, [])

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", contender.port)
        for _ in range(REQUESTS // CONNECTIONS):
            began = time.perf_counter()
            status, answer = await exchange(reader, writer, request)
            latencies_s.append(time.perf_counter() - began)
            assert status == expected, answer
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return (time.perf_counter() - began) / REQUESTS


async def measure(rounds: int | None) -> Sequence[Report]:
    with tempfile.TemporaryDirectory(prefix="ccm-") as name:
        async with floor(Path(name)) as bare, daemon(Path(name)) as ours:
            contenders = {"bare FastAPI": bare, "daemon": ours}
            requests: dict[str, Mapping[str, bytes]] = {
                "get": {k: c.request("GET", f"/api/tasks/{await c.create()}") for k, c in contenders.items()},
                "post": {k: c.request("POST", "/api/tasks", BODY) for k, c in contenders.items()},
            }
            return [
                report
                for kind, asked in requests.items()
                for report in await compared(kind, contenders, asked, rounds or ROUNDS)
            ]


async def compared(
    kind: str, contenders: Mapping[str, Contender], asked: Mapping[str, bytes], rounds: int
) -> Sequence[Report]:
    expected = 201 if kind == "post" else 200
    what = "POST /api/tasks" if kind == "post" else "GET /api/tasks/{id}"

    samples = await take_turns(
        {key: partial(load, contender, kind, asked[key], expected) for key, contender in contenders.items()}, rounds
    )
    share = samples["bare FastAPI"].median / samples["daemon"].median
    goal = Goal("of the bare application's requests per second", share, SHARE, at_least=True)
    speed = Report(f"api_{kind}", f"how many {what} per second?", Unit.PER_SECOND, samples, [goal])
    times = {key: Samples(tuple(contender.latencies_s[kind])) for key, contender in contenders.items()}
    notes = [f"p99 of {key}: {of.quantile(99) * 1000:.1f} ms" for key, of in times.items()]
    note = f"{CONNECTIONS} connections, {REQUESTS} requests a round"
    latency = Report(f"api_{kind}_latency", f"how long takes {what}?", Unit.MILLISECONDS, times, [], [note, *notes])
    return [speed, latency]


@contextlib.asynccontextmanager
async def floor(directory: Path) -> AsyncIterator[Contender]:
    port = free_port()
    argv = ("-m", "benchmarks.api_floor", str(directory / "floor.db"), str(port))
    async with server(argv, dict(os.environ), directory / "floor.log"):
        contender = Contender(port)
        await listening(contender, "/api/tasks/x")
        yield contender


@contextlib.asynccontextmanager
async def daemon(directory: Path) -> AsyncIterator[Contender]:
    port, state, project = free_port(), directory / "state", directory / "project"
    project.mkdir()
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "TMUX_TMPDIR": str(directory),
        "CCM_STATE_DIRECTORY": str(state),
        "CCM_API__PORT": str(port),
        "CCM_TMUX__SOCKET_NAME": f"bench-{port}",
        "CCM_QUEUE_LIMIT": "1000000",
        "CCM_SYSTEM_ID": "bench",
    }
    async with server(("-m", "ccm_orchestrator", "serve"), env, directory / "daemon.log"):
        contender = Contender(port)
        await listening(contender, "/health")
        contender.token = read_secret(state / API_TOKEN_FILE).reveal()
        try:
            for path, body in (("systems/bench/drain", {"draining": True}), ("projects", project_of(project))):
                status, answer = await contender.ask("POST", f"/api/{path}", json.dumps(body).encode())
                assert status < 300, answer
            yield contender
        finally:
            await (await asyncio.create_subprocess_exec("tmux", "-L", f"bench-{port}", "kill-server", env=env)).wait()


def project_of(directory: Path) -> Mapping[str, str]:
    return {"name": "sample", "path": str(directory)}


@contextlib.asynccontextmanager
async def server(argv: Sequence[str], env: Mapping[str, str], output: Path) -> AsyncIterator[None]:
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=file, stderr=file, env=env)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def listening(contender: Contender, path: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        with contextlib.suppress(OSError):
            status, _ = await contender.ask("GET", path)
            if status != 503:
                return
        assert time.monotonic() < deadline, "the server does not answer"
        await asyncio.sleep(0.05)
