"""The invariants of every fault test, checked on what a daemon left behind."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

TERMINAL = ("succeeded", "failed", "cancelled")
SAMPLE_S = 0.05
_RETRIED = "SELECT task_id FROM events WHERE kind = 'task.queued' AND json_extract(data, '$.reason') = 'retried'"
"""Each gives the task one more outcome."""


class Left(Protocol):
    """What a daemon leaves behind, here or on another machine."""

    @property
    def state(self) -> Path: ...

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]: ...


def check_invariants(sandbox: Left) -> None:
    """Raises: AssertionError naming the broken one."""
    _one_claim_per_fence(sandbox)
    _one_outcome_per_task(sandbox)
    _no_outcome_of_a_stale_fence(sandbox)
    _nothing_is_stuck(sandbox)
    assert sandbox.query("PRAGMA integrity_check") == [("ok",)]


def _one_claim_per_fence(sandbox: Left) -> None:
    runs = Counter(sandbox.query("SELECT task_id, fence FROM runs"))
    assert [key for key, count in runs.items() if count > 1] == [], "two runs of one claim"


def _one_outcome_per_task(sandbox: Left) -> None:
    kinds = ", ".join(f"'task.{status}'" for status in TERMINAL)
    ended = Counter(task for (task,) in sandbox.query(f"SELECT task_id FROM events WHERE kind IN ({kinds})"))
    retried = Counter(task for (task,) in sandbox.query(_RETRIED))
    assert [task for task, count in ended.items() if count > 1 + retried[task]] == [], "two outcomes of one task"


def _no_outcome_of_a_stale_fence(sandbox: Left) -> None:
    stale = sandbox.query(
        "SELECT tasks.task_id FROM tasks JOIN runs ON runs.run_id = json_extract(tasks.result, '$.run_id')"
        " WHERE tasks.status IN ('succeeded', 'failed', 'cancelled') AND runs.fence <> tasks.fence"
    )
    assert stale == [], "tasks that were ended by an older claim"


def _nothing_is_stuck(sandbox: Left) -> None:
    stuck = sandbox.query(
        "SELECT task_id, status FROM tasks"
        " WHERE (status IN ('claimed', 'running', 'waiting') AND lease_expires_at IS NULL)"
        " OR (status = 'held' AND hold_reason IS NULL)"
    )
    assert stuck == [], "tasks without owner, timer or reason"


class AgentCensus:
    """Counts live launchers per task while a test runs. Use as a context manager; `most` is the highest count seen."""

    def __init__(self, sandbox: Left, proc: Callable[[], Path] = lambda: Path("/proc")) -> None:
        """`proc`: the process table of the machine that it runs on."""
        self._proc = proc
        self._runs = sandbox.state / "runs"
        self._sandbox = sandbox
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._over: set[str] = set()
        """Runs whose agent was seen dead, and comes back no more."""
        self.most: Counter[str] = Counter()

    def __enter__(self) -> AgentCensus:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert [task for task, count in self.most.items() if count > 1] == [], "two live agents for one task"

    def _sample(self) -> None:
        tasks: dict[str, str] = {}
        while not self._stop.wait(SAMPLE_S):
            live = Counter(self._task(run, tasks) for run in self._live_runs())
            for task, count in live.items():
                self.most[task] = max(self.most[task], count)

    def _live_runs(self) -> list[str]:
        """Runs whose agent process (of `run.json`) is alive right now."""
        found = []
        for record in self._runs.glob("*/run.json"):
            run_id = record.parent.name
            if run_id in self._over:
                continue
            with contextlib.suppress(OSError, ValueError, KeyError):
                agent = json.loads(record.read_text())["agent"]
                if _start_time(self._proc(), agent["pid"]) == str(agent["start"]):
                    found.append(run_id)
                else:
                    self._over.add(run_id)
        return found

    def _task(self, run_id: str, known: dict[str, str]) -> str:
        if run_id not in known:
            rows = self._sandbox.query("SELECT task_id FROM runs WHERE run_id = ?", run_id)
            known[run_id] = str(rows[0][0]) if rows else run_id
        return known[run_id]


def _start_time(proc: Path, pid: int) -> str:
    """Empty when there is no such process any more."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
