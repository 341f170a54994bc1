"""`task list|show|stop|retry|release`"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.task_report import task_report
from ccm_orchestrator.cli.views.tasks import task_line, task_table
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.errors import InputError

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection

TaskRef = Annotated[str, typer.Argument(metavar="TASK", help="Id of the task, or its beginning.")]
TaskRefs = Annotated[list[str], typer.Argument(metavar="TASK...", help="Ids of tasks, or their beginnings.")]


def add_to(group: typer.Typer) -> None:
    command(group, "list")(list_tasks)
    command(group, "show")(show)
    command(group, "stop")(stop)
    command(group, "retry")(retry)
    command(group, "release")(release)


async def list_tasks(
    session: Session,
    status: Annotated[list[TaskStatus] | None, typer.Option("--status", "-s", help="Only these; repeatable.")] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only of this project.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 50,
    before: Annotated[str | None, typer.Option(metavar="TASK", help="Only those older than this task.")] = None,
    store: Annotated[str | None, typer.Option(help="`supabase`: the tasks there; default: the embedded ones.")] = None,
) -> None:
    """List tasks, newest first."""
    query = {
        "status": [each.value for each in status or ()],
        "project": project,
        "tag": tag,
        "limit": limit,
        "before": before,
        "store": store,
    }
    async with connect(session.settings) as connection:
        page = await connection.get("/api/tasks", **query)
        ids = "\n".join(task["task_id"] for task in page["items"])
        narrowed = bool(status or project or tag or before)
        session.show(page, lambda: task_table(page, narrowed), ids=ids)


async def show(
    session: Session,
    task: TaskRef,
    prompt: Annotated[bool, typer.Option("--prompt", help="Also print the whole prompt.")] = False,
) -> None:
    """Show a task: its result, what was touched, what it cost, and how to look on."""
    async with connect(session.settings) as connection:
        found = await connection.get(f"/api/tasks/{segment(task)}")
        projects = {each["name"]: each["path"] for each in await connection.get("/api/projects")}
        path = projects.get(found["project"])
        last = await _last_try(connection, found)
        session.show(found, lambda: task_report(found, path, last, with_prompt=prompt), ids=found["task_id"])


async def _last_try(connection: Connection, task: dict[str, Any]) -> dict[str, Any] | None:
    """The run after which a task waits for another one."""
    if task["status"] != "queued" or not task["attempt"] + task["infra_attempt"]:
        return None
    with suppress(InputError):  # nothing is known of it here: it was another machine's
        run: dict[str, Any] = await connection.get(f"/api/agents/{task['task_id']}")
        return run if run["ended_at"] and run["ending"] else None
    return None


async def stop(session: Session, tasks: TaskRefs) -> None:
    """Stop tasks: those that wait are cancelled now, running agents are interrupted, then terminated, then killed."""
    await _change(session, tasks, "stop")


async def retry(session: Session, tasks: TaskRefs) -> None:
    """Queue failed, cancelled or held tasks again, with all their attempts anew."""
    await _change(session, tasks, "retry")


async def release(session: Session, tasks: TaskRefs) -> None:
    """Queue held tasks again, once what held them is mended."""
    await _change(session, tasks, "release")


async def _change(session: Session, refs: list[str], verb: str) -> None:
    changed = []
    async with connect(session.settings) as connection:
        for ref in refs:
            task = await connection.post(f"/api/tasks/{segment(ref)}/{verb}")
            changed.append(task)
            if not session.as_json:
                session.show(task, task_line(task), ids=task["task_id"])
    if session.as_json:
        session.show(changed, "")
