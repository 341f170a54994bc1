"""A daemon never lives on without its API: when that cannot be loaded or served, it ends and says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import world
from tests.systemd_socket import SystemdSocket

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

LIMIT_S = 15.0
"""Sooner than the watchdog would notice."""
CANNOT_BE_LOADED = """
import sys
sys.modules["ccm_orchestrator.wiring.answering"] = None
"""
SERVER_FAILS = """
import builtins, os, sys
imported = builtins.__import__
def patching(*arguments, **named):
    module = imported(*arguments, **named)
    uvicorn = sys.modules.get("uvicorn.server")
    if uvicorn is not None and hasattr(uvicorn, "Server"):
        builtins.__import__ = imported
        tick = uvicorn.Server.on_tick
        async def on_tick(self, counter):
            if os.path.exists(os.environ["FAILS_WHEN"]):
                {failure}
            return await tick(self, counter)
        uvicorn.Server.on_tick = on_tick
    return module
builtins.__import__ = patching
"""


@contextmanager
def supervised(customised: str) -> Iterator[tuple[Sandbox, SystemdSocket, dict[str, str]]]:
    with world("", claude=Path("/bin/false")) as sandbox, SystemdSocket(sandbox.directory) as manager:
        broken = sandbox.directory / "broken"
        broken.mkdir()
        (broken / "sitecustomize.py").write_text(customised)
        environment = {"NOTIFY_SOCKET": manager.address, "PYTHONPATH": str(broken)}
        yield sandbox, manager, environment | {"FAILS_WHEN": str(sandbox.directory / "fails")}


def ends_and_is_told(sandbox: Sandbox, manager: SystemdSocket, why: str) -> None:
    assert sandbox.daemon is not None
    assert sandbox.daemon.wait(LIMIT_S) == 1
    sandbox.daemon = None
    sentence = f"The API is not served ({why}); the process ends, to be started anew."
    assert "READY=1" in manager.heard
    assert sentence in manager.told("STATUS=")
    log = (sandbox.state / "logs" / "daemon.log").read_text()
    assert sentence in log
    kept = json.loads((sandbox.state / "starts.json").read_text())
    assert (kept["deaths"], kept["gave_up"]) == (1, sentence), "no stop in order"
    sandbox.start_daemon(NOTIFY_SOCKET=manager.address)
    told = {kind for kind, detail in sandbox.query("SELECT kind, detail FROM incidents") if sentence in str(detail)}
    assert told == {"recovery_failed", "daemon_crashed"}
    assert sandbox.stop_daemon() == 0


def test_an_api_that_cannot_be_loaded_after_ready_ends_the_daemon() -> None:
    with supervised(CANNOT_BE_LOADED) as (sandbox, manager, broken):
        sandbox.start_daemon(wait=False, **broken)
        why = "ModuleNotFoundError: import of ccm_orchestrator.wiring.answering halted; None in sys.modules"
        ends_and_is_told(sandbox, manager, why)


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        ('raise RuntimeError("a bug of the server")', "RuntimeError: a bug of the server"),
        ("return True", "its server ended"),
    ],
    ids=["by an error", "without one"],
)
def test_a_server_that_ends_by_itself_ends_the_daemon(failure: str, why: str) -> None:
    with supervised(SERVER_FAILS.format(failure=failure)) as (sandbox, manager, broken):
        sandbox.start_daemon(wait=True, **broken)
        (sandbox.directory / "fails").touch()
        ends_and_is_told(sandbox, manager, why)
