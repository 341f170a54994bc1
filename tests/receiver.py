"""A real receiver of messages on loopback, for Apprise's `json://`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.serving import serving


class Receiver(ThreadingHTTPServer):
    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), Receiving)
        self.got: list[dict[str, str]] = []
        self.answer = 200
        self.url = f"json://127.0.0.1:{self.server_port}"
        self.url_file = directory / "url"
        self.url_file.touch(mode=0o600)
        self.url_file.write_text(self.url)


class Receiving(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.answer == 200:
            self.server.got.append(told)
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    with tempfile.TemporaryDirectory() as directory, serving(Receiver(Path(directory))) as server:
        yield server
