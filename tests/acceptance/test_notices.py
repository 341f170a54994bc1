"""A real daemon tells real people: what needs them, what failed, and that it was started again; each once."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import CONFIG, wait_for, wait_status, world
from tests.receiver import Receiver, receiving

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

BOARD = "https://board.example"


def titles(receiver: Receiver) -> list[str]:
    return [told["title"].removeprefix("ccm-orchestrator: ") for told in receiver.got]


def message(receiver: Receiver, title: str) -> str:
    (told,) = [told for told in receiver.got if told["title"].endswith(title)]
    return told["message"]


def incidents(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    with sandbox.api() as api:
        return {incident["kind"]: incident for incident in api.get("/api/incidents").json()["items"]}


def recovered(sandbox: Sandbox, kind: str) -> bool:
    return incidents(sandbox).get(kind, {}).get("recovered_at") is not None


def test_people_are_told_once_and_incidents_are_rows_from_detection_to_recovery() -> None:
    with receiving() as receiver, world(CONFIG + targets(receiver)) as sandbox:
        sandbox.start_daemon()
        asks = sandbox.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
        wait_for("a message that somebody is needed", lambda: receiver.got, sandbox)
        with sandbox.api() as api:
            request = api.get("/api/permissions").json()[0]["request_id"]
        assert f"{BOARD}/api/permissions/{request}" in message(receiver, "An agent asks for permission")

        os.kill(int(tmux(sandbox, "display-message", "-p", "#{pid}")), signal.SIGKILL)
        wait_for("a new try", lambda: recovered(sandbox, "agent_lost"), sandbox)
        assert incidents(sandbox)["agent_lost"]["subject"] == f"task {asks}"
        assert incidents(sandbox)["agent_lost"]["recovered_by"] == "a new try, whose agent works"
        sandbox.run("task", "stop", asks)

        fails = sandbox.insert_task("Do it.", profile="hopeless", max_attempts=1)
        wait_status(sandbox, fails, "failed")
        wait_for("a message of the failure", lambda: "A task failed" in titles(receiver), sandbox)
        assert f"{BOARD}/api/tasks/{fails}" in message(receiver, "A task failed")

        wait_for("a fresh tmux server", lambda: recovered(sandbox, "tmux_server_lost"), sandbox)
        queued = "SELECT 1 FROM notices WHERE status = 'queued'"
        wait_for("the record of all deliveries", lambda: not sandbox.query(queued), sandbox)
        sandbox.kill_daemon()
        sandbox.start_daemon()
        wait_for("a message of the restart", lambda: "Incident: daemon crashed" in titles(receiver), sandbox)
        wait_for("the end of that incident", lambda: "Over: daemon crashed" in titles(receiver), sandbox)
        assert recovered(sandbox, "daemon_crashed")
        told = [title for title in titles(receiver) if "asks" not in title]
        assert len(set(told)) == len(told), "each comes once"
        assert "No incident is open" in sandbox.run("incident", "list").stdout


def targets(receiver: Receiver) -> str:
    return f"""
[profiles.hopeless]
driver = "generic"
command = ["sh", "-c", "echo {{marker_error}} it broke; exec sleep 600"]

[notifications]
public_url = "{BOARD}"
waiting_s = 0

[notifications.targets.phone]
url_file = "{receiver.url_file}"
events = ["needs_person", "failed", "daemon_restarted", "incident_closed", "recovery_failed"]
"""


def tmux(sandbox: Sandbox, *arguments: str) -> str:
    return subprocess.run(sandbox.tmux(*arguments), capture_output=True, text=True, check=True, timeout=20).stdout
