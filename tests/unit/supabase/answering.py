"""A server on loopback that answers as it is told: what a gateway, a portal or a failing database may say."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "sb_secret_canary-of-the-key"
SIGNING = "a shared secret of more than 32 characters"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answering:
    """Answers in the order told, the last one for good."""

    url: str = ""
    answers: deque[Answer] = field(default_factory=deque)
    functions: dict[str, Answer] = field(default_factory=dict)
    """What single functions answer, whatever is told else."""
    asked: list[Asked] = field(default_factory=list)

    def say(self, *answers: Answer) -> None:
        self.answers = deque(answers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.path, dict(request.headers), await request.json()))
        function = request.path.rpartition("/")[2]
        if function in self.functions:
            return await self.functions[function](request)
        chosen = self.answers[0] if len(self.answers) == 1 else self.answers.popleft()
        return await chosen(request)

    def called(self, function: str) -> list[Any]:
        """The arguments of its calls."""
        return [asked.body for asked in self.asked if asked.path.endswith(f"/{function}")]


def replies(body: Any = None, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def page(status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        text = "<html><body>Please log in to the hotel's network</body></html>"
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    return answer


async def breaks_off(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def refused(status: int, code: str | None = None, message: str = "no", **more: Any) -> Answer:
    return replies({"code": code, "message": message, "hint": None, "details": None} | more, status)


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    server = Answering()
    app = web.Application(client_max_size=16_000_000)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
