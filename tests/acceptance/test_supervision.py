"""The daemon under a service manager: what it tells it, how it ends when it hangs, stops, or dies again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.wiring.daemon import EXIT_HUNG
from tests.acceptance.worlds import wait_for, world
from tests.invariants import check_invariants
from tests.systemd_socket import SystemdSocket

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

AGENTS, REAL = 20, 2
STOP_S = 10.0
WAITERS = """
[profiles.waiter]
driver = "generic"
command = ["sh", "-c", "while [ ! -e go ]; do sleep 0.5; done; echo {marker_done}"]
[profiles.executor]
permission_mode = "acceptEdits"
"""


@contextmanager
def supervised(head: str = "") -> Iterator[tuple[Sandbox, SystemdSocket]]:
    with world("", head=head, claude=Path("/bin/false")) as sandbox, SystemdSocket(sandbox.directory) as manager:
        yield sandbox, manager


def starts(sandbox: Sandbox) -> dict[str, object]:
    kept: dict[str, object] = json.loads((sandbox.state / "starts.json").read_text())
    return kept


def open_incidents(sandbox: Sandbox) -> dict[str, str]:
    """Details by kind, those that are over, too."""
    return {str(kind): str(detail) for kind, detail in sandbox.query("SELECT kind, detail FROM incidents")}


def test_it_tells_how_it_stands_and_a_loop_that_hangs_ends_the_process_by_its_name() -> None:
    with supervised(head="watchdog_s = 4\n") as (sandbox, manager):
        daemon = sandbox.start_daemon(
            NOTIFY_SOCKET=manager.address,
            CCM_FAULTS__HANG_AT="upkeep",
            CCM_FAULTS__HANG_UNTIL=str(sandbox.directory / "never"),
        )
        assert manager.told("STATUS=")[0] == "checks the database"
        wait_for("a status", lambda: any("of 10 agents run" in said for said in manager.told("STATUS=")), sandbox)
        code = daemon.wait(30)
        sandbox.daemon = None
        assert code == EXIT_HUNG
        sentence = "The loop upkeep of the daemon made no progress; the process ends, to be started anew."
        assert manager.told("STATUS=")[-1] == sentence == starts(sandbox)["gave_up"]
        assert sentence in (sandbox.state / "logs" / "daemon.log").read_text()
        manager.heard.clear()
        sandbox.start_daemon(NOTIFY_SOCKET=manager.address)
        assert sentence in open_incidents(sandbox)["daemon_crashed"]
        wait_for("proof of life", lambda: len(manager.told("WATCHDOG=1")) > 2, sandbox)
        assert manager.heard.index("READY=1") < manager.heard.index("WATCHDOG=1")
        assert sandbox.stop_daemon() == 0
        assert "STOPPING=1" in manager.heard and starts(sandbox)["deaths"] == 0


def test_one_that_died_again_and_again_waits_says_so_and_is_an_incident() -> None:
    with supervised() as (sandbox, manager):
        (sandbox.state / "starts.json").write_text('{"deaths": 5, "refused": "The port is taken."}')
        began = time.monotonic()
        sandbox.start_daemon(NOTIFY_SOCKET=manager.address)
        assert time.monotonic() - began > 4
        assert manager.told("STATUS=")[0] == (
            "waits 4 s before it starts, because it died 5 times in a row (The port is taken.)"
        )
        assert int(manager.told("EXTEND_TIMEOUT_USEC=")[0]) == (4 + 40) * 1_000_000
        assert "died 5 times in a row" in open_incidents(sandbox)["crash_loop"]
        sandbox.kill_daemon()
        assert starts(sandbox)["deaths"] == 6


def test_a_configuration_that_cannot_be_used_is_told_and_not_tried_in_vain() -> None:
    with supervised() as (sandbox, manager):
        config = sandbox.home / ".config" / "ccm-orchestrator" / "config.toml"
        good = config.read_text()
        config.write_text(f"max_agents = 0\n{good}")
        daemon = sandbox.start_daemon(wait=False, NOTIFY_SOCKET=manager.address)
        wait_for("the reason", lambda: manager.told("STATUS="), sandbox)
        assert "cannot start" in manager.told("STATUS=")[0] and "max_agents" in manager.told("STATUS=")[0]
        assert daemon.poll() is None
        config.write_text(good)
        assert daemon.wait(10) == 2, "so that it is started again"
        sandbox.daemon = None


@pytest.mark.claude
@pytest.mark.timeout(240)
def test_a_stop_with_twenty_agents_at_work_takes_ten_seconds_at_most_and_all_are_adopted() -> None:
    with world(WAITERS, head=f"max_agents = {AGENTS}\n") as sandbox:
        sandbox.start_daemon()
        for _ in range(AGENTS - REAL):
            sandbox.insert_task("Wait for go.", profile="waiter")
        for _ in range(REAL):
            sandbox.insert_task("Work. [scenario:slow-tool seconds=25]")
        wait_for("twenty agents", lambda: len(agents(sandbox)) == AGENTS, sandbox, 100)
        before = agents(sandbox)
        with sandbox.api() as api, api.stream("GET", "/api/events") as listener:
            assert listener.status_code == 200
            began = time.monotonic()
            assert sandbox.stop_daemon() == 0
            took_s = time.monotonic() - began
        assert took_s < STOP_S
        assert all(Path(f"/proc/{pid}").exists() for pid in before.values())
        sandbox.start_daemon()
        adopted = sandbox.query("SELECT json_extract(data, '$.decision') FROM events WHERE kind = 'agent.adopted'")
        assert adopted == [("adopt",)] * AGENTS
        assert agents(sandbox) == before, "the same processes"
        (sandbox.project / "go").touch()
        wait_for("all outcomes", lambda: ended(sandbox) == AGENTS, sandbox, 100)
        assert sandbox.query("SELECT DISTINCT status, attempt FROM tasks") == [("succeeded", 1)], sandbox.log_tail()
        assert sandbox.query("SELECT count(*) FROM runs") == [(AGENTS,)]
        check_invariants(sandbox)
        print(f"stopped with {AGENTS} agents in {took_s:.1f} s")


def agents(sandbox: Sandbox) -> dict[str, int]:
    """Processes of agents by run id, of runs that work."""
    running = {str(run) for (run,) in sandbox.query("SELECT run_id FROM tasks WHERE status IN ('running', 'waiting')")}
    found = {}
    for run in running:
        record = sandbox.state / "runs" / run / "run.json"
        if record.exists():
            found[run] = int(json.loads(record.read_text())["agent"]["pid"])
    return found


def ended(sandbox: Sandbox) -> int:
    return len(sandbox.query("SELECT 1 FROM tasks WHERE status IN ('succeeded', 'failed', 'cancelled', 'held')"))
