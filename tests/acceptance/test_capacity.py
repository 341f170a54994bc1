"""Many agents: how many at once, in which order, and each exactly once, also when the daemon is killed among them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import launches, wait_for, wait_status, world
from tests.invariants import AgentCensus, check_invariants

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

AGENT = """\
directory=$(dirname "$0")
echo "start $CCM_TASK_ID" >>"$directory/log"
read -r gate <"$1"
[ "$gate" = brief ] && sleep 0.3
while [ "$gate" = gated ] && [ ! -e "$directory/gate" ]; do sleep 0.1; done
echo "end $CCM_TASK_ID" >>"$directory/log"
echo "$2"
"""
"""An agent that ends at once; when its prompt says `brief` a little later, when `gated` as soon as the gate is open."""
CONFIG = """
[retry]
first_delay_s = 0.2
tries = 2

[profiles.executor]
driver = "generic"
command = ["sh", "{agent}", "{{prompt_file}}", "{{marker_done}}"]

[profiles.failing]
driver = "generic"
command = ["sh", "-c", "exit 3"]

[profiles.greedy]
driver = "generic"
memory_limit_mb = 80
command = ["{python}", "-c", "x = bytearray(300 << 20); import time; time.sleep(60)"]
"""


class Crowd:
    """A sandbox whose agents write down when they start and end."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self._directory = directory

    def open_gate(self) -> None:
        (self._directory / "gate").touch()

    def close_gate(self) -> None:
        (self._directory / "gate").unlink()

    @property
    def log(self) -> Sequence[tuple[str, str]]:
        """(`start` or `end`, task id), in order."""
        path = self._directory / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(what, task_id) for what, _, task_id in (line.partition(" ") for line in lines)]

    @property
    def started(self) -> Sequence[str]:
        return [task_id for what, task_id in self.log if what == "start"]

    @property
    def most_at_once(self) -> int:
        return max(accumulate(1 if what == "start" else -1 for what, _ in self.log))

    def add(self, prompt: str = "free", count: int = 1, **columns: object) -> list[str]:
        return [self.sandbox.insert_task(prompt, **columns) for _ in range(count)]

    def wait_started(self, count: int) -> None:
        wait_for(f"{count} started agents", lambda: len(self.started) >= count, self.sandbox)

    def wait_all(self, status: str = "succeeded") -> None:
        ended = "SELECT 1 FROM tasks WHERE status <> ?"
        wait_for(f"every task {status}", lambda: not self.sandbox.query(ended, status), self.sandbox)


@contextmanager
def crowd(directory: Path, head: str) -> Iterator[Crowd]:
    agent = directory / "agent.sh"
    agent.write_text(AGENT)
    config = CONFIG.format(agent=agent, python=sys.executable)
    with world(config, head=head, claude=Path("/nonexistent/claude")) as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        yield Crowd(sandbox, directory)
        check_invariants(sandbox)


def agents(sandbox: Sandbox) -> list[int]:
    """The processes of all agents that are alive."""
    records = [json.loads(path.read_text()) for path in (sandbox.state / "runs").glob("*/run.json")]
    return [pid for record in records if Path(f"/proc/{(pid := record['agent']['pid'])}").exists()]


def test_twenty_agents_outlive_a_killed_daemon_and_are_adopted(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 20\n") as them:
        sandbox = them.sandbox
        tasks = them.add("gated", 20)
        running = "SELECT 1 FROM tasks WHERE status = 'running'"
        wait_for("20 running tasks", lambda: len(sandbox.query(running)) == 20, sandbox)
        before = agents(sandbox)
        sandbox.kill_daemon()
        assert len(before) == 20
        sandbox.start_daemon()
        assert agents(sandbox) == before, "none died, none was doubled"
        adopted = sandbox.query("SELECT json_extract(data, '$.decision') FROM events WHERE kind = 'agent.adopted'")
        assert adopted == [("adopt",)] * 20
        them.open_gate()
        them.wait_all()
        assert sorted(them.started) == sorted(tasks)
        assert [launches(sandbox, task_id) for task_id in tasks] == [1] * 20
        assert sandbox.query("SELECT DISTINCT attempt, infra_attempt, fence FROM tasks") == [(1, 0, 1)]


def test_agents_that_ended_while_no_daemon_looked_are_settled(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 5\n") as them:
        tasks = them.add("gated", 5)
        them.wait_started(5)
        running = "SELECT 1 FROM tasks WHERE status = 'running'"
        wait_for("5 running tasks", lambda: len(them.sandbox.query(running)) == 5, them.sandbox)
        them.sandbox.kill_daemon()
        them.open_gate()
        wait_for("their end", lambda: not agents(them.sandbox), them.sandbox)
        them.sandbox.start_daemon()
        them.wait_all()
        assert sorted(them.started) == sorted(tasks)


def test_forty_quick_tasks_run_exactly_once_and_never_more_at_a_time_than_allowed(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 6\n") as them:
        tasks = them.add("brief", 40)
        them.wait_all()
        assert sorted(them.started) == sorted(tasks)
        assert 2 <= them.most_at_once <= 6
        assert them.sandbox.query("SELECT DISTINCT attempt, infra_attempt, fence FROM tasks") == [(1, 0, 1)]


def test_priority_goes_first_and_a_dependency_after_what_it_waits_for(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 1\n") as them:
        (blocker,) = them.add("gated")
        them.wait_started(1)
        them.add(task_id="last", after='["low-1", "high-2"]', priority=900)
        them.add(task_id="low-1", priority=-5)
        them.add(task_id="high-1", priority=10)
        them.add(task_id="normal")
        them.add(task_id="high-2", priority=10)
        them.add(task_id="urgent", priority=1000)
        them.open_gate()
        them.wait_all()
        assert them.started == [blocker, "urgent", "high-1", "high-2", "normal", "low-1", "last"]
        assert them.most_at_once == 1


def test_what_waits_for_a_failed_task_is_held_and_runs_once_that_one_succeeds(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 2\n") as them:
        sandbox = them.sandbox
        them.add(task_id="base", profile="failing", max_attempts=1)
        them.add(task_id="next", after='["base"]')
        wait_status(sandbox, "next", "held")
        assert sandbox.query("SELECT hold_reason FROM tasks WHERE task_id = 'next'") == [("dependency",)]
        assert them.started == []
        sandbox.execute("UPDATE tasks SET profile = 'executor' WHERE task_id = 'base'")
        sandbox.run("task", "retry", "base")
        sandbox.run("task", "release", "next")
        them.wait_all()
        assert them.started == ["base", "next"]


def test_attack_53_a_project_with_many_tasks_does_not_starve_another(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 4\n") as them:
        other = tmp_path / "other"
        other.mkdir()
        them.sandbox.run("project", "add", str(other), "--name", "other")
        them.add("gated", 4)
        them.wait_started(4)
        them.add(count=8)
        few = set(them.add(count=3, project="other"))
        them.open_gate()
        them.wait_all()
        first = them.started[4:8]
        assert len(few.intersection(first)) >= 2, "half of the first places, although it came last"


def test_an_agent_beyond_its_memory_limit_is_ended_alone_and_no_attempt_is_consumed(tmp_path: Path) -> None:
    with crowd(tmp_path, "max_agents = 2\n") as them:
        sandbox = them.sandbox
        (neighbour,) = them.add("gated")
        them.wait_started(1)
        (greedy,) = them.add(profile="greedy")
        wait_status(sandbox, greedy, "held", "failed", "succeeded")
        row = "SELECT status, hold_reason, attempt, infra_attempt FROM tasks WHERE task_id = ?"
        assert sandbox.query(row, greedy) == [("held", "attempts_exhausted", 0, 1)]
        kinds = "SELECT json_extract(run, '$.failure_kind') FROM runs WHERE task_id = ?"
        wait_for("two ended runs", lambda: sandbox.query(kinds, greedy) == [("out_of_memory",)] * 2, sandbox)
        ((detail,),) = sandbox.query("SELECT hold_detail FROM tasks WHERE task_id = ?", greedy)
        assert "memory" in str(detail)
        assert len(agents(sandbox)) == 1, "its neighbour lives"
        them.open_gate()
        wait_status(sandbox, neighbour, "succeeded")
