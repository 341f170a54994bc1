"""Whichever loop around the orchestrator hangs, the watchdog names it and the process ends, to be started anew."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ccm_orchestrator.programs import PACKAGE
from ccm_orchestrator.wiring.daemon import API_BEAT_S, EXIT_HUNG
from tests.acceptance.worlds import world
from tests.systemd_socket import SystemdSocket

LOOPS = (
    "API",
    "Supabase connections",
    "event loop",
    "incidents",
    "incidents of agents",
    "notifications",
    "standing agents",
    "status",
    "telemetry",
    "upkeep",
)
WATCHDOG_S = 4.0
SLACK_S = 30.0
"""For a start, on a busy machine."""
NOWHERE = {"CCM_SUPABASE__URL": "http://127.0.0.1:9", "CCM_SUPABASE__KEY": "sb_secret_nowhere"}


@pytest.mark.tmux
@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_the_loop_that_hangs_is_named_and_ends_the_process(loop: str) -> None:
    with (
        world("", head=f"watchdog_s = {WATCHDOG_S}\n", claude=Path("/bin/false")) as sandbox,
        SystemdSocket(sandbox.directory) as manager,
    ):
        sandbox.overrides.update(NOWHERE if loop == "Supabase connections" else {})
        daemon = sandbox.start_daemon(
            wait=False,
            NOTIFY_SOCKET=manager.address,
            CCM_FAULTS__HANG_AT=loop,
            CCM_FAULTS__HANG_UNTIL=str(sandbox.directory / "never"),
        )
        code = daemon.wait((API_BEAT_S if loop == "API" else WATCHDOG_S) + SLACK_S)
        sandbox.daemon = None
        assert code == EXIT_HUNG, sandbox.log_tail()
        sentence = f"The loop {loop} of the daemon made no progress; the process ends, to be started anew."
        assert manager.told("STATUS=")[-1] == sentence
        assert json.loads((sandbox.state / "starts.json").read_text())["gave_up"] == sentence
        assert sentence in (sandbox.state / "logs" / "daemon.log").read_text()


def test_none_is_left_out() -> None:
    sources = [path.read_text() for path in (PACKAGE / "wiring").glob("*.py")]
    named = {name for source in sources for name in re.findall(r'hearts\.add\(\s*"([^"]+)"', source)}
    assert named == set(LOOPS)
