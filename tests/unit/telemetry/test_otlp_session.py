"""Receivers of traces that redirect, or answer without end."""

from __future__ import annotations

import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from ccm_orchestrator.telemetry.otlp_session import OtlpSession
from ccm_orchestrator.telemetry.tracing import exporter
from tests.serving import serving


class Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, redirect_to: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.redirect_to = redirect_to
        self.asked = 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1/traces"


class Answers(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.redirect_to:
            self.send_response(307)
            self.send_header("Location", self.server.redirect_to)
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b" " * 65_536)

    def log_message(self, *_: object) -> None: ...


def test_spans_go_nowhere_but_to_the_configured_address() -> None:
    with serving(Collector()) as other, serving(Collector(other.url)) as server, OtlpSession() as session:
        with pytest.raises(requests.RequestException, match="redirect"):
            session.post(server.url, data=b"spans")
        assert (server.asked, other.asked) == (1, 0)


def test_an_endless_answer_is_not_read() -> None:
    with serving(Collector()) as server, OtlpSession() as session:
        began_s = time.monotonic()
        answer = session.post(server.url, data=b"spans", timeout=5)
        assert (answer.status_code, answer.content) == (200, b"")
        assert time.monotonic() - began_s < 5


def test_the_exporter_posts_by_it() -> None:
    with serving(Collector()) as other, serving(Collector(other.url)) as server:
        made: Any = exporter(server.url, {})
        made.export([])
        made.shutdown()
        assert server.asked >= 1 and other.asked == 0
