"""Under the real systemd: what restarts, hangs, logouts, dead tmux servers and reboots do to agents.

The tests are steps in the life of one machine, in this order. Each ends with the invariants of every fault test.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest

from tests.services.desk import DAEMON, HOME, TMUX, Desk
from tests.services.machine import USER, python_path, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLED_S, HUNG_S = 20.0, 60.0
"""Bounds that a busy machine keeps, too; `docs/services.md` has what was measured."""
LISTENER = f"""
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with open("{HOME}/seen", "a") as notes:
            notes.write(str(self.headers))
        self.send_error(503)
    do_POST = do_GET
HTTPServer(("127.0.0.1", 18081), Handler).serve_forever()
"""
LISTENED = "Environment=CCM_SUPABASE__URL=http://127.0.0.1:18081\n"
DROP_INS = f".config/systemd/user/{DAEMON}.d"


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


def test_an_agent_outlives_a_killed_daemon_which_is_back_within_seconds(
    desk: Desk, record_property: Callable[[str, object], None]
) -> None:
    task_id, before = desk.begin("killed"), desk.pid()
    began_s = time.monotonic()
    desk.say(f"systemctl --user kill --signal=KILL --kill-who=main {DAEMON}")
    took_s = desk.ready_again(before) - began_s
    record_property("killed_to_ready_s", round(took_s, 1))
    print(f"killed to READY: {took_s:.1f} s")
    assert took_s < KILLED_S
    assert desk.agents() == 1
    desk.ends_well("killed", task_id)


def test_a_daemon_that_hangs_as_a_whole_is_replaced_by_systemd(
    desk: Desk, record_property: Callable[[str, object], None]
) -> None:
    """With the watchdog that the shipped unit has."""
    task_id, before = desk.begin("hung"), desk.pid()
    began_s = time.monotonic()
    desk.say(f"kill -STOP {before}")
    took_s = desk.ready_again(before) - began_s
    record_property("stopped_to_ready_s", round(took_s, 1))
    print(f"stopped to READY: {took_s:.1f} s")
    assert took_s < HUNG_S
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
    wait_until(lambda: len(desk.runs(task_id)) == 2, "the new try")
    assert TMUX in desk.say(f"cat /proc/{desk.pid(TMUX)}/cgroup")
    wait_until(lambda: desk.agents() == 1, "one agent")
    desk.ends_well("tmux", task_id, runs=2)


def test_an_orchestrator_that_hangs_in_its_work_is_replaced_within_the_process(desk: Desk) -> None:
    """The process answers systemd as long as its own watchdog can help."""
    hang = f"CCM_WATCHDOG_S=4 CCM_FAULTS__HANG_AT=claim.answered CCM_FAULTS__HANG_UNTIL={HOME}/never"
    desk.write(f"{DROP_INS}/hang.conf", f"[Service]\nEnvironment={hang}\n")
    other = desk.begin("other")
    desk.say(f"systemctl --user daemon-reload && systemctl --user restart {DAEMON}")
    before, restarts = desk.pid(), desk.show(DAEMON, "NRestarts")
    began_s = time.monotonic()
    task_id = desk.begin("inside")
    print(f"hung inside to the next agent, with a watchdog of 4 s: {time.monotonic() - began_s:.1f} s")
    assert (desk.pid(), desk.show(DAEMON, "NRestarts"), desk.agents()) == (before, restarts, 2)
    assert desk.query("SELECT count(*) FROM incidents WHERE kind = 'daemon_hung'") != [(0,)]
    desk.take_away(f"{DROP_INS}/hang.conf")
    desk.say(f"systemctl --user daemon-reload && systemctl --user restart {DAEMON}")
    desk.ends_well("other", other)
    desk.ends_well("inside", task_id)


def test_a_secret_is_handed_over_by_systemd_and_stands_nowhere_else(desk: Desk) -> None:
    secret = "sb_secret_canary0123456789abcdef01234"
    desk.write("listen.py", LISTENER)
    desk.write(".secret", secret)
    desk.machine.as_root(
        f"chmod 600 {HOME}/.secret && systemd-run --unit=listener --uid={USER} python3 {HOME}/listen.py"
    )
    desk.write(f"{DROP_INS}/secret.conf", f"[Service]\nLoadCredential=supabase-key:{HOME}/.secret\n{LISTENED}")
    desk.say(f"systemctl --user daemon-reload && systemctl --user restart {DAEMON}")
    seen = desk.machine.root / HOME[1:] / "seen"
    wait_until(lambda: seen.exists() and secret in seen.read_text(), "a request with the key")
    held = (desk.proc() / desk.pid() / "environ").read_bytes() + (desk.proc() / desk.pid() / "cmdline").read_bytes()
    assert b"CREDENTIALS_DIRECTORY=" in held and secret.encode() not in held
    assert secret not in desk.machine.as_root("journalctl --no-pager --output=cat")
    desk.take_away(f"{DROP_INS}/secret.conf")
    desk.say(f"systemctl --user daemon-reload && systemctl --user restart {DAEMON}")
    desk.machine.as_root("systemctl stop listener")


def test_twenty_agents_outlive_a_daemon_that_is_told_to_stop_and_stops_within_seconds(desk: Desk) -> None:
    tasks = desk.insert("twenty", 20)
    wait_until(lambda: desk.agents() == 20, "twenty agents")
    began_s = time.monotonic()
    desk.say(f"systemctl --user stop {DAEMON}")
    took_s = time.monotonic() - began_s
    print(f"stopped with 20 agents: {took_s:.1f} s")
    assert took_s < 10 and desk.agents() == 20
    desk.say(f"systemctl --user start {DAEMON}")
    desk.go("twenty")
    for task_id in tasks:
        desk.succeeds(task_id)


def test_a_reboot_brings_everything_back_and_tries_again_what_it_cut_off(desk: Desk) -> None:
    task_id = desk.begin("reboot")
    desk.machine.reboot()
    took_s = wait_until(desk.ready, "the daemon after the boot")
    print(f"booted to ready: {took_s:.1f} s")
    desk.ends_well("reboot", task_id, runs=2)


def test_after_a_power_cut_conversations_go_on_with_all_that_was_said(desk: Desk) -> None:
    """By the real Claude Code. The scripted model begins its scenario anew: the new prompt quotes the old one."""
    desk.start_model("/usr/bin/python3", f"Environment=PYTHONPATH={python_path()}")
    desk.say(f"systemctl --user restart {DAEMON}")
    task_id = desk.add("power", "Work slowly. [scenario:crash-resume seconds=15]", "trusted")
    wait_until(lambda: "Now the slow part." in desk.said("power"), "the slow part")
    desk.machine.cut_power()
    desk.machine.boot()
    desk.succeeds(task_id, runs=2)
    first, second = desk.runs(task_id)
    assert first["session_id"] == second["session_id"]
    (conversation,) = desk.conversations("power")
    assert conversation.stem == first["session_id"]
    said = desk.said("power")
    assert said[0].startswith("Work slowly.") and said.count("Now the slow part.") == 2
    resumed = next(number for number, text in enumerate(said) if text.startswith("The machine lost this session"))
    assert said.index("Now the slow part.") < resumed < said.index("Finished without interruption.\n\n[DONE]")


def test_uninstalling_leaves_agents_and_data(desk: Desk) -> None:
    task_id = desk.begin("uninstall")
    said = desk.say("ccm-orchestrator service uninstall")
    assert "goes on with its agents" in said and desk.agents() == 1
    assert desk.machine.try_user("ccm-orchestrator service status").returncode == 3
    desk.say("ccm-orchestrator service install")
    desk.ends_well("uninstall", task_id)
    desk.say("ccm-orchestrator service uninstall --with-agents")
    assert desk.machine.try_user("pgrep tmux").stdout == ""
    assert (desk.state / "ccm.db").exists()


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


def test_an_agent_that_takes_too_much_memory_ends_alone(desk: Desk) -> None:
    """The kernel ends it where systemd can limit the unit (control groups v2), else its launcher, by the profile."""
    tmux, daemon = f"ccm-orchestrator-tmux@{USER}", f"ccm-orchestrator@{USER}"
    enforced = (desk.machine.proc().parent / "sys/fs/cgroup/cgroup.controllers").exists()
    if enforced:
        desk.machine.as_root(f"systemctl set-property --runtime {tmux} MemoryMax=150M")
    print(
        f"memory is limited by {'the unit (v2)' if enforced else 'the profile (v1: systemd does not enforce it here)'}"
    )
    pids = [desk.machine.main_pid(unit) for unit in (tmux, daemon)]
    other, greedy = desk.begin("modest"), desk.add("greedy", "Eat", "eater")
    wait_until(lambda: len(desk.runs(greedy)) >= 2, "another try of the agent that was ended")
    desk.say(f"ccm-orchestrator task stop {greedy}")
    assert [desk.machine.main_pid(unit) for unit in (tmux, daemon)] == pids and desk.agents() == 1
    ending = desk.exit_record(str(desk.runs(greedy)[0]["run_id"]))
    assert ending["signal"] == signal.SIGKILL if enforced else "memory" in json.dumps(ending), ending
    desk.ends_well("modest", other)


def test_the_machines_services_go_with_their_agents_when_told(desk: Desk) -> None:
    desk.machine.as_root(f"SUDO_USER={USER} ccm-orchestrator service uninstall --system --with-agents")
    assert desk.machine.try_user("pgrep tmux").stdout == ""
