"""`doctor --prove`: the daemon is really started anew while an agent works, and the agent's task succeeds all the same.

The agent is a real one, in a throw-away project whose own settings send it to a scripted model on this machine: no
model of the user's is asked, and nothing of the user's is touched.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ccm_orchestrator.adapters.rundir.records import started
from ccm_orchestrator.client.address import of_this_machine
from ccm_orchestrator.client.blocking import Client
from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.scenario import shipped_scenarios
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.restarting import restart, running_daemon, way_of

TOOL_S = 20
START_S, END_S = 60.0, 120.0
LOOK_S = 0.2
PROMPT = f"Take your time. [scenario:slow-tool seconds={TOOL_S}]"
ENDED = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.HELD})

Say = Callable[[str], None]


def intention(settings: Settings, config: Path | None) -> str:
    """What will be done, to be agreed to. Raises: InputError when no daemon runs."""
    pid, (how, _) = running_daemon(settings), way_of(settings, config)
    return (
        f"The daemon (process {pid}) will be started anew {how}, while an agent of a throw-away project runs a command "
        f"of {TOOL_S} s for a scripted model. Other agents go on. The agent's file .claude.json will name the project."
    )


def prove(settings: Settings, config: Path | None, say: Say) -> None:
    """Says each step. Raises: OrchestratorError when it is not as promised."""
    running_daemon(settings)
    model = ScriptedModel(shipped_scenarios())
    with model.in_thread() as url, _project(url) as directory, _client(settings) as ccm:
        name = f"proof-{secrets.token_hex(4)}"
        ccm.projects.add(str(directory), name=name)
        ccm.projects.trust(name, ccm.projects.show_trust(name).fingerprint)  # its files are ours
        task_id = ""
        try:
            task_id = ccm.tasks.add(name, PROMPT).task_id
            say(f"Handed in the task {task_id[:8]}.")
            _prove(settings, config, task_id, say)
        finally:
            with _client(settings) as again:
                _tidy(again, name, task_id)


def _prove(settings: Settings, config: Path | None, task_id: str, say: Say) -> None:
    agent, tool = _at_work(settings, task_id)
    say(f"Its agent (process {agent.pid}) runs a command (process {tool.pid}).")
    done = restart(settings, config)
    say(f"Started the daemon anew {done.how}: process {done.before} ended, {done.after} is ready.")
    if not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE:
        raise OrchestratorError(f"The agent (process {agent.pid}) did not outlive the daemon.")
    say(f"The agent (process {agent.pid}) lives" + (", and so does its command." if tool.is_running() else "."))
    with _client(settings) as ccm:
        task = ccm.tasks.show(task_id)
        deadline = time.monotonic() + END_S
        while task.status not in ENDED and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            task = ccm.tasks.show(task_id)
    if task.status is not TaskStatus.SUCCEEDED or task.attempt != 1:
        look = f"`ccm-orchestrator task show {task_id}`"
        raise OrchestratorError(f"The task is {task.status} in attempt {task.attempt}: {look}.")
    say("Its task succeeded, in its first attempt.")


def _at_work(settings: Settings, task_id: str) -> tuple[psutil.Process, psutil.Process]:
    """The agent, and the command that it runs. Raises: OrchestratorError."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with _client(settings) as ccm:
            task = ccm.tasks.show(task_id)
        if task.status in ENDED:
            why = f": {task.hold.detail}" if task.hold else ""
            raise OrchestratorError(f"The task was {task.status} before its agent worked{why}")
        record = started(settings.state_directory / "runs" / task.run_id) if task.run_id else None
        tool = _command(record.agent.pid) if record else None
        if record and tool:
            return psutil.Process(record.agent.pid), tool
        time.sleep(LOOK_S)
    raise OrchestratorError(f"No agent was at work within {START_S:g} s: `ccm-orchestrator task show {task_id}`.")


def _command(agent: int) -> psutil.Process | None:
    """That of the scenario, where it runs by now."""
    try:
        children = psutil.Process(agent).children(recursive=True)
        return next((child for child in children if child.cmdline()[:2] == ["sleep", str(TOOL_S)]), None)
    except psutil.Error:
        return None


def _client(settings: Settings) -> Client:
    url, token = of_this_machine(settings.state_directory)
    return Client(url, token, allow_plain_http=True)


@contextmanager
def _project(model_url: str) -> Iterator[Path]:
    """Its settings are for this agent alone: where the model is, and that it may run commands."""
    directory = Path(tempfile.mkdtemp(prefix="ccm-proof-"))
    try:
        (directory / ".claude").mkdir()
        local = {"env": {"ANTHROPIC_BASE_URL": model_url}, "permissions": {"allow": ["Bash"]}}
        (directory / ".claude" / "settings.local.json").write_text(json.dumps(local))
        subprocess.run(["git", "init", "-q"], cwd=directory, check=False, capture_output=True)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _tidy(ccm: Client, name: str, task_id: str) -> None:
    """Nothing of the proof goes on."""
    if task_id and not ccm.tasks.show(task_id).status.terminal:
        ccm.tasks.stop(task_id)
    ccm.projects.remove(name)
