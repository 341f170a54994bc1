"""`ccm-orchestrator demo`: the main job, end to end, in a minute, without a key and without the internet.

A throw-away daemon, the scripted model in the place of the real one, a sample project, and three tasks inserted as
rows: one edits files and runs a command, one stops to ask a permission, one fails and is retried.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import STOP_LIMIT_S, Sandbox, find_claude
from ccm_orchestrator.demo.scenario import shipped_scenarios

LIMIT_S = 120.0
CONFIG = """
[retry]
first_delay_s = 1

[profiles.demo]
permission_mode = "acceptEdits"
end_marker = true

[profiles.careful]
permission_mode = "default"
end_marker = true
"""


@dataclass(frozen=True, slots=True)
class Act:
    """One task of the demo and how it must end."""

    title: str
    prompt: str
    profile: str = "demo"
    attempts: int = 1


ACTS = (
    Act("edits files and runs a command", "Write a friendly greeting.txt and show it. [scenario:edit-and-run]"),
    Act("asks a permission", "Note today's date in stamp.txt. [scenario:ask-permission]", profile="careful"),
    Act("fails once and is retried", "Make the tests pass. [scenario:fail-once]", attempts=2),
)


class DemoFailed(Exception):
    """The demo did not go as it should."""


def trial(claude: Path | None = None) -> int:
    """One act of the demo, told on stderr. 0 when it went as it should."""
    return main(claude, acts=ACTS[:1], console=Console(highlight=False, stderr=True))


def main(
    claude: Path | None = None, keep: bool = False, acts: Sequence[Act] = ACTS, console: Console | None = None
) -> int:
    """0 when everything went as it should. `keep` leaves the sandbox behind for a look around."""
    console = console or Console(highlight=False)
    executable = claude or find_claude()
    if executable is None:
        console.print(
            "[red]Claude Code was not found:[/] run `make demo`, or `npm install -g @anthropic-ai/claude-code`."
        )
        return 1
    directory = Path(tempfile.mkdtemp(prefix="ccm-demo-"))
    try:
        _play(console, directory, executable, acts)
    except KeyboardInterrupt:
        console.print("\nInterrupted; the demo's daemon and agents are ended.")
        return 130
    except (DemoFailed, RuntimeError, httpx.HTTPError, subprocess.TimeoutExpired) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error))}")
        keep = True
        return 1
    finally:
        if keep:
            console.print(f"The demo's files are in {directory}", soft_wrap=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


def _play(console: Console, directory: Path, claude: Path, acts: Sequence[Act]) -> None:
    started = time.monotonic()
    model = ScriptedModel(shipped_scenarios())
    with model.in_thread() as model_url, Sandbox(directory, claude, model_url, CONFIG) as sandbox:
        Show(console, sandbox, acts).play()
    console.print(
        f"\n[bold green]Everything went as it should[/] ({time.monotonic() - started:.0f} s). "
        "Daemon, tmux server and agents of the demo are ended."
    )


class Show:
    """Runs the acts and tells what happens."""

    def __init__(self, console: Console, sandbox: Sandbox, acts: Sequence[Act]) -> None:
        self._console = console
        self._sandbox = sandbox
        self._acts = acts
        self._titles: dict[str, str] = {}
        self._started = time.monotonic()
        self._answers: list[subprocess.Popen[str]] = []

    def play(self) -> None:
        """Raises: DemoFailed."""
        sandbox = self._sandbox
        self._say("starting a daemon of its own, with a scripted model in the place of the real one")
        sandbox.start_daemon()
        sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
        for act in self._acts:
            task_id = sandbox.insert_task(act.prompt, profile=act.profile, tags=json.dumps(["demo"]))
            self._titles[task_id] = act.title
            self._say(f"inserted a row: [bold]{act.title}[/] ({task_id[:8]})")
        attach = " ".join(sandbox.tmux("attach", "-t", "ccm"))
        self._console.print(f"         [dim]to watch the agents meanwhile:\n         {attach}[/]", soft_wrap=True)
        self._follow()
        self._check_answers()
        for act, task_id in zip(self._acts, self._titles, strict=True):
            self._check(act, task_id)

    def _say(self, text: str) -> None:
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(no_wrap=True)
        row.add_row(f"[cyan]{time.monotonic() - self._started:5.1f} s[/]", text)
        self._console.print(row)

    def _follow(self) -> None:
        """Tells the events of the tasks until each has ended."""
        open_tasks = set(self._titles)
        with self._sandbox.api() as api:
            for event in self._events(api):
                task_id = str(event.get("task_id") or "")
                if task_id not in self._titles:
                    continue
                self._tell(event)
                if event["kind"] == "permission.requested":
                    self._approve(event)
                if event["kind"] in ("task.succeeded", "task.failed", "task.cancelled", "task.held"):
                    open_tasks.discard(task_id)
                if not open_tasks:
                    return
        raise DemoFailed(f"{len(open_tasks)} of the tasks did not end.\n{self._sandbox.log_tail()}")

    def _events(self, api: httpx.Client) -> Iterator[Mapping[str, object]]:
        """The stream of server-sent events from the beginning, until the limit."""
        deadline = time.monotonic() + LIMIT_S
        with api.stream("GET", "/api/events", headers={"Last-Event-ID": "0"}, timeout=30) as response:
            for line in response.iter_lines():
                if time.monotonic() > deadline:
                    return
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def _tell(self, event: Mapping[str, object]) -> None:
        title = self._titles[str(event["task_id"])]
        data = event.get("data")
        text = _sentence(str(event["kind"]), data if isinstance(data, dict) else {})
        if text:
            self._say(f"[bold]{title}[/]: {text}")

    def _approve(self, event: Mapping[str, object]) -> None:
        """As a person would, by the same command; the story goes on meanwhile."""
        data = event.get("data")
        request_id = str(data["request_id"]) if isinstance(data, dict) else ""
        self._say(f"[dim]$ ccm-orchestrator agent approve {request_id}[/]")
        self._answers.append(
            subprocess.Popen(
                self._sandbox.cli("agent", "approve", request_id),
                env=self._sandbox.env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def _check_answers(self) -> None:
        for answer in self._answers:
            _, complaint = answer.communicate(timeout=STOP_LIMIT_S)
            if answer.returncode:
                raise DemoFailed(f"the permission could not be answered: {complaint}")

    def _check(self, act: Act, task_id: str) -> None:
        self._console.print()
        stream = sys.stderr if self._console.stderr else sys.stdout
        stream.flush()
        shown = self._sandbox.cli("task", "show", task_id)
        subprocess.run(shown, env=self._sandbox.env, check=True, timeout=STOP_LIMIT_S, stdout=stream)
        with self._sandbox.api() as api:
            task = api.get(f"/api/tasks/{task_id}").json()
        if task["status"] != "succeeded":
            raise DemoFailed(f"the task that {act.title} is {task['status']}.\n{self._sandbox.log_tail()}")
        if task["attempt"] != act.attempts:
            raise DemoFailed(f"the task that {act.title} took {task['attempt']} attempts, not {act.attempts}.")


_SENTENCES = {
    "task.claimed": "claimed, agent {agent}",
    "task.running": "running",
    "task.waiting": "[yellow]waits for a person[/]",
    "task.queued": "[yellow]back in the queue[/]: {reason}",
    "task.held": "[red]held[/]: {reason}",
    "task.succeeded": "[green]succeeded[/]",
    "task.failed": "[red]failed[/]: {reason}",
    "permission.requested": "asks for a permission: {subject}",
    "permission.decided": "the permission is decided: {decision} by {decided_by}",
    "tool_use_start": "uses {tool_name}",
    "agent.state": "",
}


def _sentence(kind: str, data: Mapping[str, object]) -> str:
    pattern = _SENTENCES.get(kind, "")
    return pattern.format_map(_Blank({name: escape(str(value)) for name, value in data.items()}))


class _Blank(dict[str, object]):
    """A missing field reads as nothing."""

    def __missing__(self, _key: str) -> str:
        return ""
