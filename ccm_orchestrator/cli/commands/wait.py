"""`task wait`"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import typer
from rich.status import Status

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import duration, plain
from ccm_orchestrator.cli.views.tasks import short_id, task_line
from ccm_orchestrator.errors import DaemonUnreachable

LOOK_INTERVAL_S = 0.5
LOOK_INTERVAL_WITHOUT_DAEMON_S = 3.0
"""Nothing happens then, and every look holds the lock that a daemon needs to start."""
ABSENCE_PATIENCE_S = 120.0
"""A daemon that is restarted does not end the wait."""
ENDED = frozenset({"succeeded", "failed", "cancelled"})


def add_to(group: typer.Typer) -> None:
    command(group, "wait")(wait)


async def wait(
    session: Session,
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Ids of tasks, or their beginnings.")],
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up after this time.")
    ] = None,
) -> Exit:
    """Wait until tasks have ended, or are held for a person. The exit code tells how it went."""
    return await wait_for(session, tasks, timeout_s)


async def wait_for(session: Session, refs: Sequence[str], timeout_s: float | None) -> Exit:
    """Prints every task when it is settled, and what the others do meanwhile."""
    waiting = Waiting(session, refs)
    spinner = session.err.status("") if session.err.is_terminal and not session.quiet else None
    with spinner or nullcontext():
        while True:
            pause_s = await waiting.look()
            left_s = None if timeout_s is None else timeout_s - waiting.spent_s
            if not waiting.open_refs or (left_s is not None and left_s <= 0):
                break
            waiting.tell(spinner)
            await asyncio.sleep(pause_s if left_s is None else min(pause_s, left_s))
    if session.as_json:
        session.show(list(waiting.settled.values()), "")
    if waiting.open_refs:
        count = f"{len(waiting.open_refs)} of {len(refs)} tasks"
        session.note(f"After {duration(waiting.spent_s)} {count} have not ended.")
        return Exit.TIMEOUT
    return exit_for(task["status"] for task in waiting.settled.values())


class Waiting:
    """Some tasks, and what was seen of them last."""

    def __init__(self, session: Session, refs: Sequence[str]) -> None:
        self._session = session
        self._started = self._answered = time.monotonic()
        self._seen: dict[str, dict[str, Any]] = {}
        self.open_refs = list(refs)
        self.settled: dict[str, dict[str, Any]] = {}

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self._started

    async def look(self) -> float:
        """Returns how long to wait until the next look. Raises: TaskNotFound and its kin, DaemonUnreachable."""
        try:
            async with connect(self._session.settings) as connection:
                self._seen = {ref: await connection.get(f"/api/tasks/{segment(ref)}") for ref in self.open_refs}
                pause_s = LOOK_INTERVAL_S if connection.daemon_runs else LOOK_INTERVAL_WITHOUT_DAEMON_S
        except DaemonUnreachable:
            if time.monotonic() - self._answered > ABSENCE_PATIENCE_S:
                raise
            return LOOK_INTERVAL_S
        self._answered = time.monotonic()
        for ref, task in self._seen.items():
            if is_settled(task):
                self._settle(ref, task)
        return pause_s

    def tell(self, spinner: Status | None) -> None:
        if spinner is None:
            return
        tasks = [self._seen[ref] for ref in self.open_refs if ref in self._seen]
        states = [f"{short_id(task['task_id'])} {task['status']} {task['agent'] or ''}".strip() for task in tasks]
        more = f" and {len(states) - 3} more" if len(states) > 3 else ""
        spinner.update(plain(f"{' · '.join(states[:3])}{more} · {duration(self.spent_s)}"))

    def _settle(self, ref: str, task: dict[str, Any]) -> None:
        self.settled[ref] = task
        self.open_refs.remove(ref)
        if not self._session.as_json:
            self._session.show(task, task_line(task), ids=task["task_id"])


def is_settled(task: dict[str, Any]) -> bool:
    """It has ended, or a person has to do something for it. A usage limit ends by itself."""
    return task["status"] in ENDED or (task["status"] == "held" and task["hold"]["reason"] != "usage_limit")


def exit_for(statuses: Iterable[str]) -> Exit:
    """The worst of all."""
    codes = {"failed": Exit.TASK_FAILED, "cancelled": Exit.TASK_CANCELLED, "held": Exit.TASK_HELD}
    found = {codes.get(status, Exit.OK) for status in statuses}
    return next((code for code in codes.values() if code in found), Exit.OK)
