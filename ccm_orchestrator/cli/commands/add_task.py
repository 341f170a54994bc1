"""`task add`"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ccm_orchestrator.cli.commands import task_options as options
from ccm_orchestrator.cli.commands.wait import wait_for
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.tasks import added_task
from ccm_orchestrator.domain.task import DEFAULT_MAX_ATTEMPTS, MAX_PROMPT_BYTES
from ccm_orchestrator.errors import InvalidTask

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection


def add_to(group: typer.Typer) -> None:
    command(group, "add")(add)


async def add(
    session: Session,
    prompt: options.Prompt = None,
    file: options.PromptFile = None,
    project: options.Project = None,
    profile: options.Profile = None,
    model: options.Model = None,
    priority: options.Priority = 0,
    run_after: options.RunAfter = None,
    after: options.After = None,
    dedup_key: options.DedupKey = None,
    max_attempts: options.MaxAttempts = DEFAULT_MAX_ATTEMPTS,
    time_limit_s: options.TimeLimit = None,
    budget_usd: options.Budget = None,
    tag: options.Tags = None,
    label: options.Labels = None,
    system: options.System = None,
    store: options.Store = None,
    idempotency_key: options.IdempotencyKey = None,
    wait: options.Wait = False,
) -> Exit | None:
    """Add a task. It is durably stored when this returns, whether the daemon runs or not.

    Example: ccm-orchestrator task add "Fix the failing test"
    """
    body: dict[str, Any] = {
        "prompt": read_prompt(prompt, file),
        "profile": profile,
        "model": model,
        "priority": priority,
        "run_after": point_in_time(run_after, datetime.now(UTC)) if run_after else None,
        "dedup_key": dedup_key,
        "max_attempts": max_attempts,
        "time_limit_s": time_limit_s,
        "budget_usd": budget_usd,
        "tags": tag or [],
        "labels": label or [],
        "system_id": system,
        "store": store or "local",
    }
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    async with connect(session.settings) as connection:
        body["after"] = await full_ids(connection, after or [])
        body["project"] = project or await project_here(connection, Path.cwd())
        task = await connection.post("/api/tasks", body, **headers)
        if not wait:
            session.show(task, added_task(task), ids=task["task_id"])
        if not connection.daemon_runs:
            session.note("No daemon runs: the task waits until you start `ccm-orchestrator serve`.")
        elif label or system:
            doubt = nobody_for(task, await connection.get("/api/systems", store=body["store"]))
            if doubt:
                session.note(doubt)
    return await wait_for(session, [task["task_id"]], None) if wait else None


def nobody_for(task: Mapping[str, Any], systems: Sequence[Mapping[str, Any]]) -> str | None:
    """One sentence when no machine that is known could take the task; None when one could."""
    named = [system for system in systems if task["system_id"] in (None, system["system_id"])]
    if not named:
        known = ", ".join(system["system_id"] for system in systems) or "none"
        return f"No system is called {task['system_id']}: the task waits until one is. Known: {known}."
    if not any(set(task["labels"]) <= set(system["labels"]) for system in named):
        wanted = ", ".join(task["labels"])
        return (
            f"No system has all of the labels {wanted}: the task waits until one does (`ccm-orchestrator system list`)."
        )
    return None


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """Raises: InvalidTask."""
    if (prompt is None) == (file is None):
        raise InvalidTask("Give the prompt as an argument, as `-` to read it from stdin, or with --file.")
    if file is not None:
        try:
            with file.open("rb") as opened:
                return _decoded(opened.read(MAX_PROMPT_BYTES + 1), str(file))
        except OSError as error:
            raise InvalidTask(f"The prompt file {file} cannot be read: {error.strerror}.") from error
    if prompt == "-":
        return _decoded(sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1), "stdin")
    return str(prompt)


def _decoded(raw: bytes, where: str) -> str:
    if len(raw) > MAX_PROMPT_BYTES:
        raise InvalidTask(
            f"The prompt from {where} is over {MAX_PROMPT_BYTES} bytes: name a file of the project instead."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidTask(f"The prompt from {where} is not UTF-8 text: see byte {error.start}.") from error


def point_in_time(text: str, now: datetime) -> str:
    """`90s`, `30m`, `2h`, `1d` from now, or an ISO time (local when it has no offset). Raises: InvalidTask."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] in units and text[:-1].isdecimal():
        return (now + timedelta(seconds=int(text[:-1]) * units[text[-1]])).isoformat()
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise InvalidTask(
            f"Expected --run-after to be like `30m`, `2h`, `1d` or 2030-01-31T18:00, got: {text!r}."
        ) from error


async def full_ids(connection: Connection, refs: Sequence[str]) -> list[str]:
    """People type the beginning of an id; dependencies are stored whole."""
    return [(await connection.get(f"/api/tasks/{segment(ref)}"))["task_id"] for ref in refs]


async def project_here(connection: Connection, directory: Path) -> str:
    """The project that the directory is in, the innermost one. Raises: InvalidTask."""
    projects = await connection.get("/api/projects")
    around = [project for project in projects if directory.resolve().is_relative_to(project["path"])]
    if not around:
        names = ", ".join(project["name"] for project in projects)
        raise InvalidTask(
            f"{directory} is in no registered project: register it with `ccm-orchestrator project add .`"
            + (f", or name one with --project ({names})." if names else ".")
        )
    return str(max(around, key=lambda project: len(Path(project["path"]).parts))["name"])
