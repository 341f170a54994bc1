"""Under the real systemd: what restarts, hangs, logouts, dead tmux servers and reboots do to agents.

The tests are steps in the life of one machine, in this order.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.services.machine import USER, Machine, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOME = f"/home/{USER}"
CONFIG = f"""
[retry]
first_delay_s = 1.0
[profiles.waiter]
driver = "generic"
command = ["sh", "-c", "while [ ! -e {HOME}/go-$(basename $PWD) ]; do sleep 0.1; done; echo {{marker_done}}"]
"""
QUICK_WATCHDOG = "[Service]\nWatchdogSec=8\n"
DAEMON, TMUX = "ccm-orchestrator.service", "ccm-orchestrator-tmux.service"


@pytest.fixture(scope="module")
def desk(machine: Machine) -> Iterator[Desk]:
    desk = Desk(machine)
    desk.write(".config/ccm-orchestrator/config.toml", CONFIG)
    machine.as_root(f"loginctl enable-linger {USER}")
    wait_until(lambda: machine.try_user("systemctl --user is-system-running").stdout.strip() == "running", "a manager")
    yield desk
    desk.check()


class Desk:
    """One user's daemon on the machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def say(self, command: str) -> str:
        return self.machine.as_user(command)

    def ask(self, command: str) -> Any:
        return json.loads(self.machine.as_user(f"ccm-orchestrator {command} --json"))

    def write(self, name: str, text: str) -> None:
        path = self.machine.root / HOME[1:] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.machine.as_root(f"chown -R {USER}: {HOME}")

    def show(self, unit: str, what: str) -> str:
        return self.say(f"systemctl --user show {unit} --property={what} --value").strip()

    def begin(self, name: str) -> str:
        """The id of a task whose agent runs and waits for `go`."""
        self.say(f"mkdir -p {HOME}/{name} && ccm-orchestrator project add {HOME}/{name}")
        task_id: str = self.ask(f"task add --project {name} --profile waiter 'Wait for go'")["task_id"]
        wait_until(lambda: self.status(task_id) == "running", "the agent's start")
        return task_id

    def go(self, name: str) -> None:
        self.say(f"touch {HOME}/go-{name}")

    def status(self, task_id: str) -> str:
        found: str = self.ask(f"task show {task_id}")["status"]
        return found

    def ends_well(self, name: str, task_id: str, runs: int = 1) -> None:
        self.go(name)
        wait_until(lambda: self.status(task_id) == "succeeded", "the outcome")
        assert len(self.query(f"SELECT 1 FROM runs WHERE task_id = '{task_id}'")) == runs

    def pid(self, unit: str = DAEMON) -> str:
        return self.show(unit, "MainPID")

    def ready(self) -> bool:
        return self.machine.try_user("ccm-orchestrator status").returncode == 0

    def sessions(self) -> list[str]:
        """Logins of the user."""
        listed = self.machine.as_root("loginctl list-sessions --no-legend").splitlines()
        return [line.split()[0] for line in listed if USER in line.split()]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        database = self.machine.root / HOME[1:] / ".local/state/ccm-orchestrator/ccm.db"
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(statement).fetchall()

    def agents(self) -> int:
        """Agents that live, as the machine's process table has it."""
        return len(self.machine.try_user("pgrep -f '[/]sh -c while|^[s]h -c while'").stdout.split())

    def check(self) -> None:
        doubled = self.query("SELECT task_id, fence FROM runs GROUP BY task_id, fence HAVING count(*) > 1")
        stale = self.query(
            "SELECT t.task_id FROM tasks t JOIN runs r ON r.run_id = json_extract(t.result, '$.run_id')"
            " WHERE r.fence <> t.fence"
        )
        assert doubled == [] and stale == []


def test_it_is_installed_and_ready_and_installing_again_changes_nothing(desk: Desk) -> None:
    assert "Wrote" in desk.say("ccm-orchestrator service install")
    assert desk.ready()
    pid = desk.pid()
    assert "installed so already" in desk.say("ccm-orchestrator service install")
    assert desk.pid() == pid
    status = desk.ask("service status")
    assert (status["daemon"], status["tmux"], status["starts_with"]) == ("active", "active", "the machine")


def test_the_tmux_server_is_in_a_unit_of_its_own(desk: Desk) -> None:
    assert desk.show(TMUX, "MainPID") not in ("", "0")
    assert desk.show(DAEMON, "ControlGroup") != desk.show(TMUX, "ControlGroup")
    group = desk.say(f"cat /proc/{desk.pid(TMUX)}/cgroup")
    assert TMUX in group and DAEMON not in group


def test_an_agent_outlives_a_restart_of_the_daemon(desk: Desk) -> None:
    task_id, before = desk.begin("restart"), desk.pid()
    desk.say("ccm-orchestrator service restart")
    assert desk.pid() != before and desk.agents() == 1
    desk.ends_well("restart", task_id)


def test_an_agent_outlives_a_killed_daemon_which_is_back_within_seconds(desk: Desk) -> None:
    task_id, before = desk.begin("killed"), desk.pid()
    desk.say(f"systemctl --user kill --signal=KILL {DAEMON}")
    took_s = wait_until(lambda: desk.pid() not in (before, "0") and desk.ready(), "the daemon's return")
    print(f"killed to ready: {took_s:.1f} s")
    assert desk.agents() == 1
    desk.ends_well("killed", task_id)


def test_a_daemon_that_hangs_is_replaced_by_the_watchdog(desk: Desk) -> None:
    desk.write(f".config/systemd/user/{DAEMON}.d/quick.conf", QUICK_WATCHDOG)
    desk.say(f"systemctl --user daemon-reload && systemctl --user restart {DAEMON}")
    task_id, before = desk.begin("hung"), desk.pid()
    desk.say(f"kill -STOP {before}")
    took_s = wait_until(lambda: desk.pid() not in (before, "0") and desk.ready(), "the daemon's replacement")
    print(f"hung to ready with a watchdog of 8 s: {took_s:.1f} s")
    assert desk.agents() == 1
    desk.ends_well("hung", task_id)


def test_an_agent_outlives_the_logout(desk: Desk) -> None:
    task_id, before = desk.begin("logout"), desk.pid()
    desk.machine.as_root(f"setsid su -l {USER} -c 'sleep 600' >/dev/null 2>&1 </dev/null & true")
    wait_until(desk.sessions, "a login")
    desk.machine.as_root(f"loginctl terminate-session {' '.join(desk.sessions())}")
    wait_until(lambda: not desk.sessions(), "the logout")
    assert desk.pid() == before and desk.agents() == 1
    desk.ends_well("logout", task_id)


def test_a_killed_tmux_server_is_back_in_its_own_unit_and_its_tasks_are_tried_again(desk: Desk) -> None:
    task_id, before = desk.begin("tmux"), desk.pid(TMUX)
    desk.say(f"systemctl --user kill --signal=KILL --kill-who=main {TMUX}")
    wait_until(lambda: desk.pid(TMUX) not in (before, "0"), "the server's return")
    wait_until(lambda: len(desk.query(f"SELECT 1 FROM runs WHERE task_id = '{task_id}'")) == 2, "the new try")
    assert TMUX in desk.say(f"cat /proc/{desk.pid(TMUX)}/cgroup")
    wait_until(lambda: desk.agents() == 1, "one agent")
    desk.ends_well("tmux", task_id, runs=2)


def test_a_reboot_brings_everything_back_and_tries_again_what_it_cut_off(desk: Desk) -> None:
    task_id = desk.begin("reboot")
    desk.machine.reboot()
    took_s = wait_until(desk.ready, "the daemon after the boot")
    print(f"booted to ready: {took_s:.1f} s")
    desk.go("reboot")
    wait_until(lambda: desk.status(task_id) == "succeeded", "the outcome")
    assert len(desk.query(f"SELECT 1 FROM runs WHERE task_id = '{task_id}'")) == 2


def test_uninstalling_leaves_agents_and_data(desk: Desk) -> None:
    task_id = desk.begin("uninstall")
    said = desk.say("ccm-orchestrator service uninstall")
    assert "goes on with its agents" in said and desk.agents() == 1
    assert desk.machine.try_user("ccm-orchestrator service status").returncode == 3
    desk.say("ccm-orchestrator service install")
    desk.ends_well("uninstall", task_id)
    desk.say("ccm-orchestrator service uninstall --with-agents")
    assert desk.machine.try_user("pgrep tmux").stdout == ""
    assert Path(desk.machine.root / HOME[1:] / ".local/state/ccm-orchestrator/ccm.db").exists()


def test_the_machines_own_services_are_hardened_and_do_the_work(desk: Desk) -> None:
    """Begun with the machine, as root installs them, for the user that `sudo` was called by."""
    desk.machine.as_root(f"SUDO_USER={USER} ccm-orchestrator service install --system")
    assert desk.ready()
    for unit, most in ((f"ccm-orchestrator@{USER}", 2.0), (f"ccm-orchestrator-tmux@{USER}", 5.0)):
        told = desk.machine.as_root(f"systemd-analyze security --no-pager --threshold={most * 10:.0f} {unit}")
        assert "Overall exposure level" in told
    task_id = desk.begin("system")
    desk.machine.as_root(f"SUDO_USER={USER} ccm-orchestrator service restart --system")
    assert desk.agents() == 1
    desk.ends_well("system", task_id)
    desk.machine.as_root(f"SUDO_USER={USER} ccm-orchestrator service uninstall --system --with-agents")
    assert desk.machine.try_user("pgrep tmux").stdout == ""
