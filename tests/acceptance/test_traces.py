"""Traces of a real daemon, received as OTLP on loopback, also when it died in the middle of a run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import wait_status
from tests.serving import answering

CONFIG = """
[traces]
enabled = true

[profiles.patient]
driver = "generic"
command = ["sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; echo {marker_done}; exec sleep 600"]
"""


@contextmanager
def collector(spans: list[Span]) -> Iterator[str]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            request = ExportTraceServiceRequest.FromString(body)
            spans.extend(s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with answering(Receiver) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.tmux
@pytest.mark.slow
def test_a_run_is_one_whole_span_though_its_daemon_died_in_the_middle() -> None:
    spans: list[Span] = []
    with (
        collector(spans) as url,
        TemporaryDirectory(prefix="ccm-", ignore_cleanup_errors=True) as name,
        Sandbox(Path(name), Path("/bin/true"), "http://127.0.0.1:9", CONFIG) as sandbox,
    ):
        sandbox.overrides |= {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        sandbox.start_daemon()
        sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
        arguments = ("--project", "sample", "--profile", "patient", "--json")
        task_id = json.loads(sandbox.run("task", "add", "Wait", *arguments).stdout)["task_id"]
        wait_status(sandbox, task_id, "running")
        sandbox.kill_daemon()
        assert spans == []
        daemon = sandbox.start_daemon()
        (sandbox.project / "go").touch()
        wait_status(sandbox, task_id, "succeeded")
        daemon.terminate()
        assert daemon.wait(15) == 0
        assert len(spans) == 2, "what ended just before the daemon was stopped is told, too"
        ((claimed_at,),) = sandbox.query("SELECT at FROM events WHERE kind = 'task.claimed'")
    run, task = sorted(spans, key=lambda span: span.name)
    assert (run.name, task.name) == ("invoke_agent", "task") and not task.parent_span_id
    assert run.trace_id == task.trace_id and run.parent_span_id == task.span_id
    attributes = {entry.key: entry.value for entry in run.attributes}
    assert attributes["ccm.task.id"].string_value == task_id and attributes["ccm.outcome"].string_value == "succeeded"
    assert run.start_time_unix_nano > task.start_time_unix_nano and run.end_time_unix_nano == task.end_time_unix_nano
    assert claimed_at
