"""One user's daemon on a machine, and what a person does to it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.claude import DUMMY_KEY
from tests.invariants import check_invariants
from tests.services.machine import USER, Machine, wait_until

HOME = f"/home/{USER}"
CONFIG = f"""
max_agents = 25
[retry]
first_delay_s = 1.0
[profiles.waiter]
driver = "generic"
command = ["sh", "-c", "while [ ! -e {HOME}/go-$(basename $PWD) ]; do sleep 0.1; done; echo {{marker_done}}"]
[profiles.eater]
driver = "generic"
memory_limit_mb = 300
command = ["sh", "-c", "exec tail /dev/zero"]
[profiles.trusted]
permission_mode = "acceptEdits"
end_marker = true
allowed_tools = ["Bash"]
"""
DAEMON, TMUX = "ccm-orchestrator.service", "ccm-orchestrator-tmux.service"
MODEL_PORT = 18080
AGENTS_ENVIRONMENT = f"""ANTHROPIC_API_KEY={DUMMY_KEY}
ANTHROPIC_BASE_URL=http://127.0.0.1:{MODEL_PORT}
CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
DISABLE_AUTOUPDATER=1
"""
MODEL_UNIT = """[Unit]
Description=the scripted model
[Service]
{environment}
ExecStart={python} -m ccm_orchestrator.demo.model --port {port}
[Install]
WantedBy=multi-user.target
"""


class Desk:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def state(self) -> Path:
        return self.machine.root / HOME[1:] / ".local/state/ccm-orchestrator"

    def proc(self) -> Path:
        """The machine's process table, by its own numbers."""
        return self.machine.proc()

    def say(self, command: str) -> str:
        return self.machine.as_user(command)

    def ask(self, command: str) -> Any:
        return json.loads(self.machine.as_user(f"ccm-orchestrator {command} --json"))

    def write(self, name: str, text: str) -> None:
        path = self.machine.root / HOME[1:] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.machine.as_root(f"chown -R {USER}: {HOME}")

    def take_away(self, name: str) -> None:
        (self.machine.root / HOME[1:] / name).unlink()

    def show(self, unit: str, what: str) -> str:
        return self.say(f"systemctl --user show {unit} --property={what} --value").strip()

    def start_model(self, python: str, environment: str = "") -> None:
        """In the place of the real one, for agents of this user; begun with the machine."""
        unit = self.machine.root / "etc/systemd/system/scripted-model.service"
        unit.write_text(MODEL_UNIT.format(python=python, environment=environment, port=MODEL_PORT))
        self.machine.as_root("systemctl daemon-reload && systemctl enable --now scripted-model")
        self.write(".config/ccm-orchestrator/environment", AGENTS_ENVIRONMENT)

    def add(self, name: str, prompt: str, profile: str = "waiter", attempts: int = 2) -> str:
        """The id of a task in a project of its own."""
        self.say(f"mkdir -p {HOME}/{name} && ccm-orchestrator project add {HOME}/{name}")
        task_id: str = self.ask(
            f"task add --project {name} --profile {profile} --max-attempts {attempts} '{prompt}'"
        )["task_id"]  # fmt: skip
        return task_id

    def insert(self, name: str, number: int) -> list[str]:
        """So many tasks for agents that wait, as rows."""
        self.say(f"mkdir -p {HOME}/{name} && ccm-orchestrator project add {HOME}/{name}")
        with (
            closing(sqlite3.connect(f"file:{self.state / 'ccm.db'}?mode=rw", uri=True, timeout=10)) as database,
            database,
        ):
            statement = (
                "INSERT INTO tasks(project, profile, prompt) VALUES (?, 'waiter', 'Wait for go') RETURNING task_id"
            )
            return [str(database.execute(statement, (name,)).fetchone()[0]) for _ in range(number)]

    def begin(self, name: str) -> str:
        """The id of a task whose agent runs and waits for `go`."""
        task_id = self.add(name, "Wait for go")
        wait_until(lambda: self.status(task_id) == "running", "the agent's start")
        return task_id

    def go(self, name: str) -> None:
        self.say(f"touch {HOME}/go-{name}")

    def status(self, task_id: str) -> str:
        return str(self.query("SELECT status FROM tasks WHERE task_id = ?", task_id)[0][0])

    def runs(self, task_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        rows = self.query("SELECT run FROM runs WHERE task_id = ? ORDER BY seq", task_id)
        return [json.loads(str(run)) for (run,) in rows]

    def exit_record(self, run_id: str) -> dict[str, Any]:
        """What the launcher wrote when its agent had ended."""
        return dict(json.loads((self.state / "runs" / run_id / "exit.json").read_text()))

    def result(self, task_id: str) -> dict[str, Any]:
        return dict(json.loads(str(self.query("SELECT result FROM tasks WHERE task_id = ?", task_id)[0][0])))

    def ends_well(self, name: str, task_id: str, runs: int = 1) -> None:
        self.go(name)
        self.succeeds(task_id, runs)

    def succeeds(self, task_id: str, runs: int = 1) -> None:
        wait_until(lambda: self.status(task_id) in ("succeeded", "failed", "held"), "the outcome")
        assert self.status(task_id) == "succeeded", self.result(task_id)
        assert len(self.runs(task_id)) == runs

    def conversations(self, name: str) -> list[Path]:
        """Transcripts of the agents in a project."""
        return sorted((self.machine.root / HOME[1:] / ".claude/projects").glob(f"*-{name}/*.jsonl"))

    def said(self, name: str) -> list[str]:
        """Prompts and answers of the newest conversation in a project, oldest first: what its last one follows from."""
        if not (files := self.conversations(name)):
            return []
        lines = [json.loads(line) for line in files[-1].read_text().split("\n")[:-1]]
        messages = {line["uuid"]: line for line in lines if "uuid" in line}
        spoken = [line for line in messages.values() if line.get("type") in ("user", "assistant")]
        found: list[str] = []
        line = spoken[-1] if spoken else None
        while line is not None:
            found += reversed(_texts(line.get("message", {}).get("content", [])))
            line = messages.get(line.get("parentUuid") or "")
        return found[::-1]

    def pid(self, unit: str = DAEMON) -> str:
        return self.show(unit, "MainPID")

    def ready(self) -> bool:
        return self.machine.try_user("ccm-orchestrator status").returncode == 0

    def ready_again(self, before: str) -> float:
        """`time.monotonic()` when another daemon than that process said READY, which the machine's systemd noted."""
        wait_until(
            lambda: self.pid() not in (before, "0") and self.show(DAEMON, "ActiveState") == "active", "the next daemon"
        )
        wait_until(self.ready, "its answer")
        return int(self.show(DAEMON, "ActiveEnterTimestampMonotonic")) / 1e6

    def sessions(self) -> list[str]:
        """Logins of the user."""
        listed = self.machine.as_root("loginctl list-sessions --no-legend").splitlines()
        return [line.split()[0] for line in listed if USER in line.split()]

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.state / 'ccm.db'}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    def agents(self) -> int:
        """Waiting agents that live, as the machine's process table has it. A shell that is about to run a command is
        two processes for a moment."""
        parents = dict[str, str]()
        for process in self.proc().glob("[0-9]*"):
            try:
                line, stat = (process / "cmdline").read_bytes(), (process / "stat").read_text()
            except OSError:
                continue
            if line.startswith((b"sh\0-c\0while", b"/bin/sh\0-c\0while", b"/usr/bin/sh\0-c\0while")):
                parents[stat.split(" ", 1)[0]] = stat.rpartition(")")[2].split()[1]
        return sum(parent not in parents for parent in parents.values())

    def check(self) -> None:
        if (self.state / "ccm.db").exists():
            check_invariants(self)


def _texts(content: str | list[dict[str, Any]]) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [str(part["text"]) for part in content if part.get("type") == "text"]
