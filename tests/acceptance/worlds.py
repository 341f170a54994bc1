"""Sandboxes with a real daemon, the real Claude Code and the scripted model; and what to wait for in them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.demo.scenario import shipped_scenarios
from tests.claude import claude_binary, claude_versions

POLL_S = 0.05
CONFIG = """
[retry]
first_delay_s = 0.5

[profiles.marked]
permission_mode = "acceptEdits"
end_marker = true

[profiles.careful]
permission_mode = "default"
end_marker = true

[profiles.print]
mode = "print"
permission_mode = "acceptEdits"
"""


@contextmanager
def world(
    config: str = CONFIG,
    version: str | None = None,
    head: str = "",
    claude: Path | None = None,
    model: ScriptedModel | None = None,
    system_id: str = "demo",
) -> Iterator[Sandbox]:
    """A sandbox whose project is registered with the first daemon that `start_daemon` starts.

    `claude` stands in the place of the release, `model` of the one with the shipped scenarios.
    """
    model = model or ScriptedModel(shipped_scenarios())
    claude = claude or claude_binary(version or claude_versions()[-1])
    with (
        tempfile.TemporaryDirectory(prefix="ccm-", ignore_cleanup_errors=True) as name,
        model.in_thread() as url,
        Sandbox(Path(name), claude, url, config, head, system_id) as sandbox,
    ):
        sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
        yield sandbox


def wait_for(what: str, condition: Callable[[], object], sandbox: Sandbox, limit_s: float = 60) -> None:
    """Raises: AssertionError with the daemon's log when the condition does not come true in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {limit_s} s\n{sandbox.log_tail()}"
        time.sleep(POLL_S)


def status(sandbox: Sandbox, task_id: str) -> str:
    return str(sandbox.query("SELECT status FROM tasks WHERE task_id = ?", task_id)[0][0])


def wait_status(sandbox: Sandbox, task_id: str, *wanted: str, limit_s: float = 60) -> None:
    wait_for(f"{' or '.join(wanted)} of task {task_id}", lambda: status(sandbox, task_id) in wanted, sandbox, limit_s)


def launches(sandbox: Sandbox, task_id: str) -> int:
    """How many agents were ever started for the task: launchers that wrote a `run.json`."""
    runs = [str(run) for (run,) in sandbox.query("SELECT run_id FROM runs WHERE task_id = ?", task_id)]
    return sum((sandbox.state / "runs" / run / "run.json").exists() for run in runs)
