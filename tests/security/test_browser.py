"""A real browser on a page of somebody else: it reads nothing, changes nothing and opens nothing.

A careless server is attacked by the same page beside ours, to prove that the page does what it says.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest
from websockets.asyncio.server import ServerConnection, serve

from ccm_orchestrator.ports.audit import AuditQuery
from tests.api_house import API_TOKEN, RUN_A, House, eventually, served
from tests.serving import answering

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: run `scripts/setup chromium`, or install `chromium`"),
]

PAGE = Path(__file__).with_name("attack.html")
PATIENCE_MS = 4000
LIMIT_S = 100.0
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"),
]
BLIND = {"post a task without asking first", "post a task by a form"}
"""A browser sends these without asking anybody; what becomes of them is the server's to decide."""


class Attacker(BaseHTTPRequestHandler):
    """Serves the page, and takes its report."""

    page: ClassVar[bytes]
    report: ClassVar[dict[str, dict[str, str]]]

    def do_GET(self) -> None:
        self._answer(self.page if self.path == "/" else b"")

    def do_POST(self) -> None:
        self.report.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Careless(BaseHTTPRequestHandler):
    """Believes everybody, as several tools of this kind did."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        kind = "text/event-stream" if "events" in self.path else "text/javascript"
        self.send_header("Content-Type", kind)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "authorization, content-type")
        self.end_headers()
        self.wfile.write(b"retry: 1\n\n" if "events" in self.path else b"'secrets'")

    do_GET = do_POST = do_OPTIONS = _answer

    def log_message(self, *_: object) -> None: ...


@asynccontextmanager
async def browser(directory: Path, url: str, hosts: Mapping[str, str]) -> AsyncIterator[None]:
    assert CHROMIUM is not None
    rules = ", ".join(f"MAP {name} {address}" for name, address in hosts.items())
    argv = (*FLAGS, f"--user-data-dir={directory}", f"--host-resolver-rules={rules}", url)
    with (directory / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *argv, stdout=output, stderr=output, env={"HOME": str(directory), "PATH": "/usr/bin:/bin"}
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def attacked(house: House, directory: Path) -> dict[str, dict[str, str]]:
    """What the page reports, by target and attack."""
    report: dict[str, dict[str, str]] = {}

    class Evil(Attacker):
        pass

    Evil.report = report

    async def echo(_connection: ServerConnection) -> None: ...

    def choose(_connection: ServerConnection, offered: Any) -> Any:
        return offered[0] if offered else None

    async with (
        served(house) as ours,
        serve(echo, "127.0.0.1", 0, select_subprotocol=choose) as sockets,
    ):
        with answering(Evil) as evil_port, answering(Careless) as careless_port:
            socket_port = next(iter(sockets.sockets)).getsockname()[1]
            targets = {
                "ours": f"http://127.0.0.1:{ours.port}",
                "ours by name": f"http://localhost:{ours.port}",
                "ours by rebinding": f"http://rebound.test:{ours.port}",
                "careless": f"http://127.0.0.1:{careless_port}",
                "careless sockets": f"http://127.0.0.1:{socket_port}",
            }
            knows = json.dumps({"targets": targets, "token": API_TOKEN, "patience": PATIENCE_MS})
            Evil.page = PAGE.read_text().replace("PLACE_FOR_WHAT_IT_KNOWS", knows).encode()
            hosts = {"evil.test": "127.0.0.1", "rebound.test": "127.0.0.1"}
            async with browser(directory, f"http://evil.test:{evil_port}/", hosts):

                async def reported() -> bool:
                    return bool(report)

                await eventually(reported, "the page's report", LIMIT_S)
    return report


async def test_attacks_2_3_and_4_a_page_of_another_site_gets_nowhere_even_with_the_token(tmp_path: Path) -> None:
    house = House()
    await house.prepare()
    await house.agent()
    before = await house.store.counts()
    report = await attacked(house, tmp_path)

    careless, sockets = report["careless"], report["careless sockets"]
    reads = ["read tasks", "read tasks with the token", "post a task with the token", "stop everything with the token"]
    assert {careless[attack][:8] for attack in reads} == {"read 200"}, "the page does not do what it says"
    assert (careless["follow events"], careless["include as a script"]) == ("opened", "loaded")
    assert {sockets["open a socket"], sockets["open a socket with the token"]} == {"opened"}

    for name in ("ours", "ours by name", "ours by rebinding"):
        wrong = {attack: what for attack, what in report[name].items() if what != "refused" and attack not in BLIND}
        assert wrong == {}, name
    assert await house.store.counts() == before, "a task was made"
    assert house.launchpad.runs[RUN_A].agent_alive and await house.events.last_seq() == 0
    assert await house.audit.read(AuditQuery()) == []
