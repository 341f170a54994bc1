"""The command line and a real daemon. No Claude Code is found here, so tasks are held for a person at once."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ccm_orchestrator.cli import reaching
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.demo.sandbox import free_port
from tests.command_line import CalledHere, CommandLine, command_line

pytestmark = pytest.mark.tmux


@pytest.fixture
def ccm(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path, CalledHere) as ccm:
        assert ccm("project", "add", ".", "--name", "sample").code == 0
        yield ccm


def test_the_same_answers_with_and_without_a_daemon(ccm: CommandLine) -> None:
    task_id = ccm("task", "add", "Fix the test", "--run-after", "1d", "-q").out.strip()
    questions = (
        ("task", "list", "--json"),
        ("task", "show", task_id, "--json"),
        ("project", "list", "--json"),
        ("agent", "list", "--json"),
        ("logs", task_id, "--json"),
        ("config", "get", "--json"),
    )
    before = [ccm(*words) for words in questions]
    with ccm.daemon():
        during = [ccm(*words) for words in questions]
        status = ccm("status", "--json")
        assert (status.code, status.json["daemon"]) == (Exit.OK, "running")
        assert "runs at http://127.0.0.1" in ccm("status").out
        quiet = ccm("task", "add", "More", "--run-after", "1d")
        assert "No daemon runs" not in quiet.err
        assert ccm("doctor", "--json").json
    assert [said.out for said in during] == [said.out for said in before]
    assert ccm("status").code == Exit.UNREACHABLE


def test_the_same_refusals_with_a_daemon(ccm: CommandLine) -> None:
    questions = (("task", "show", "ffffffff"), ("task", "add", "x", "-p", "nix"), ("agent", "send", "ffffffff", "x"))
    before = [ccm(*words) for words in questions]
    with ccm.daemon():
        assert [ccm(*words) for words in questions] == before


def test_a_task_that_was_added_without_a_daemon_is_picked_up(ccm: CommandLine) -> None:
    task_id = ccm("task", "add", "Fix the test", "-q").out.strip()
    with ccm.daemon():
        said = ccm("task", "wait", task_id, "--timeout", "60")
        assert said.code == Exit.TASK_HELD and "setup: " in said.out
        assert "ccm-orchestrator task release" in ccm("task", "show", task_id).out
        assert [agent["task_id"] for agent in ccm("agent", "list", "--all", "--json").json] == [task_id]
        assert ccm("agent", "state", task_id[:8], "--explain").out
        assert ccm("agent", "list", "--task", task_id[:8], "-q").out.startswith("ccm-")
        ended = ccm("attach", task_id[:8])
        assert ended.code == Exit.BAD_INPUT and "has no window" in ended.err


def test_a_second_daemon_is_refused(ccm: CommandLine) -> None:
    with ccm.daemon():
        said = CommandLine(ccm.home, free_port())("serve")
    assert said.code == Exit.FAILED and "Another daemon (process" in said.err


def test_a_daemon_is_found_wherever_it_listens(ccm: CommandLine) -> None:
    port = free_port()
    with ccm.daemon("--port", str(port)):
        assert str(port) in ccm.state.joinpath("api-url").read_text()
        assert ccm("task", "add", "x", "--run-after", "1d").err == ""


def test_waiting_outlives_a_restart(ccm: CommandLine) -> None:
    task_id = ccm("task", "add", "Fix the test", "--run-after", "1d", "-q").out.strip()
    with ccm.running("task", "wait", task_id, "--timeout", "120") as waiting:
        for _ in range(2):
            with ccm.daemon():
                assert waiting.poll() is None
        ccm("task", "stop", task_id)
        assert waiting.wait(60) == Exit.TASK_CANCELLED


def test_following_outlives_a_restart(ccm: CommandLine) -> None:
    def followed() -> list[str]:
        lines = ccm.output.read_text().splitlines()
        return [json.loads(line)["kind"] for line in lines if line.startswith("{")]

    with ccm.running("logs", "-f", "-n", "0", "--json"):
        with ccm.daemon():
            ccm.wait_until(lambda: "daemon.started" in followed())
            ccm("task", "add", "x", "--run-after", "1d")
            ccm.wait_until(lambda: "task.created" in followed())
        ccm.wait_until(lambda: "daemon.stopped" in followed())
        ccm("task", "add", "y", "--run-after", "1d")
        ccm.wait_until(lambda: followed().count("task.created") == 2)
        with ccm.daemon():
            ccm.wait_until(lambda: followed().count("daemon.started") == 2)
    assert followed().count("task.created") == 2, "nothing is told twice"


def test_a_daemon_that_hangs_is_not_mistaken_for_none(ccm: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "START_PATIENCE_S", 1.0)
    monkeypatch.setattr(reaching, "ANSWER_TIMEOUT_S", 1.0)
    with ccm.daemon() as daemon:
        daemon.send_signal(signal.SIGSTOP)
        try:
            said = ccm("task", "list")
        finally:
            daemon.send_signal(signal.SIGCONT)
        assert said.code == Exit.UNREACHABLE
        assert "does not answer" in said.err and said.err.count("\n") == 1
        assert ccm("task", "list").code == Exit.OK


def test_a_daemon_that_was_killed_is_none(ccm: CommandLine) -> None:
    with ccm.daemon() as daemon:
        daemon.kill()
        daemon.wait(30)
        assert "No daemon runs" in ccm("task", "add", "x").err


def test_a_program_that_listens_in_the_daemons_place_gets_no_token(ccm: CommandLine) -> None:
    with ccm.daemon():
        pass
    heard: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)

    with HTTPServer(("127.0.0.1", ccm.port), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert ccm("task", "list").code == Exit.OK
        server.shutdown()
    assert heard == []


def test_a_system_is_listed_drained_and_let_go_with_and_without_its_daemon(tmp_path: Path) -> None:
    machine = {"CCM_SYSTEM_ID": "desk", "CCM_SYSTEM_NAME": "The desk", "CCM_LABELS": "gpu,linux"}
    with command_line(tmp_path, CalledHere, machine) as ccm:
        assert "was ever here" in ccm("system", "list").out
        unknown = ccm("system", "drain")
        assert unknown.code == Exit.BAD_INPUT and "There is no system 'desk'" in unknown.err
        with ccm.daemon():
            (desk,) = ccm("system", "list", "--json").json
            assert (desk["system_id"], desk["system_name"], desk["labels"]) == ("desk", "The desk", ["gpu", "linux"])
            assert ccm("system", "drain").out == "desk claims nothing new; what it has, it finishes.\n"
            assert "drains" in ccm("system", "list").out
        assert ccm("system", "list", "--json").json[0]["draining"] is True
        assert ccm("system", "drain", "desk", "--off", "--json").json == {"system_id": "desk", "draining": False}
        assert ccm("system", "list", "-q").out == "desk\n"
        assert "drains" not in ccm("system", "list").out


def test_a_task_that_asks_for_what_this_machine_has_not_waits(tmp_path: Path) -> None:
    with command_line(tmp_path, CalledHere, {"CCM_LABELS": "linux"}) as ccm:
        assert ccm("project", "add", ".", "--name", "sample").code == 0
        moon = ccm("task", "add", "Fly", "--label", "linux", "--label", "moon", "-q").out.strip()
        here = ccm("task", "add", "Walk", "--label", "linux", "-q").out.strip()
        with ccm.daemon():
            assert ccm("task", "wait", here, "--timeout", "60").code == Exit.TASK_HELD
            assert ccm("task", "show", moon, "--json").json["status"] == "queued"
            assert "linux, moon" in ccm("task", "show", moon).out
            told = ccm("task", "add", "Dive", "--label", "sea")
            assert told.code == 0 and "No system has all of the labels sea" in told.err
            assert ccm("task", "add", "Stroll", "--label", "linux").err == ""
        refused = ccm("task", "add", "x", "--label", "two words")
        assert refused.code == Exit.BAD_INPUT and "Expected each of `labels`" in refused.err
