"""`logs`"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.daemon_log import DaemonLog
from ccm_orchestrator.cli.session import Session, command, escaped
from ccm_orchestrator.cli.views.events import event_line, event_row
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import DaemonUnreachable, InputError

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection

PAGE = 1000
GROWTH_S = 0.25
LOOK_INTERVAL_S = 2.0
"""Between two looks at the database while no daemon runs, and between two tries while one does not answer."""


def add_to(app: typer.Typer) -> None:
    command(app, "logs")(logs)


async def logs(
    session: Session,
    of: Annotated[
        str | None, typer.Argument(metavar="TASK|AGENT", help="Only of this task or agent; default: everything.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=PAGE, help="The last so many.")] = 50,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="The daemon's own log instead, also of one that does not run.")
    ] = False,
) -> None:
    """Show what happened: tasks, agents, tools, files, commands. With `--json` one object a line."""
    if daemon:
        await _daemon_log(session, of or "", follow, lines)
        return
    async with connect(session.settings) as connection:
        task_id, run_id = await _named(connection, of)
        kept: deque[dict[str, Any]] = deque(maxlen=lines)
        cursor = 0
        async for event in _tail(connection, task_id, lines):
            cursor = event["seq"]
            if run_id in (None, event["run_id"]):
                kept.append(event)
    for event in kept:
        _print(session, event)
    if not kept and lines and not follow:
        session.note("Nothing happened yet.")
    while follow:
        async with aclosing(_new(session, cursor, task_id)) as news:
            async for event in news:
                cursor = event["seq"]
                if run_id in (None, event["run_id"]):
                    _print(session, event)
        await asyncio.sleep(LOOK_INTERVAL_S)


async def _daemon_log(session: Session, of: str, follow: bool, lines: int) -> None:
    """Each line as it stands, or in an object when it is none. Raises: InputError where there is no file."""
    path = session.settings.state_directory / "logs" / "daemon.log"
    if not path.exists() and not follow:
        raise InputError(f"There is no log in {path.parent}: has a daemon run with this configuration?")
    with closing(DaemonLog(path, of)) as log:
        for line in log.last(lines):
            _print_line(session, line)
        while follow:
            await asyncio.sleep(GROWTH_S)
            for line in log.new():
                _print_line(session, line)


def _print_line(session: Session, line: str) -> None:
    if session.as_json:
        typer.echo(escaped(line) if line.startswith("{") else json.dumps({"line": line}))
    else:
        session.out.print(text(line), soft_wrap=True)


async def _named(connection: Connection, of: str | None) -> tuple[str | None, str | None]:
    """The task, and the run when an agent was named. Raises: InputError when it is neither."""
    if of is None:
        return None, None
    try:
        return (await connection.get(f"/api/tasks/{segment(of)}"))["task_id"], None
    except InputError:
        agent = await connection.agent(of)
        return agent["task_id"], agent["run_id"]


async def _tail(connection: Connection, task_id: str | None, lines: int) -> AsyncIterator[dict[str, Any]]:
    """The last events of all, but every one of a task: an agent's are among them."""
    if task_id:
        async for event in _stored(connection, task_id, 0):
            yield event
    else:
        page = await connection.get("/api/events/stored", last=max(lines, 1), limit=PAGE)
        for event in page["items"]:
            yield event


async def _stored(connection: Connection, task_id: str | None, after: int) -> AsyncIterator[dict[str, Any]]:
    path = f"/api/tasks/{task_id}/events" if task_id else "/api/events/stored"
    while True:
        page = await connection.get(path, after=after, limit=PAGE)
        for event in page["items"]:
            yield event
        if page["next_after"] == after:
            return
        after = page["next_after"]


async def _new(session: Session, after: int, task_id: str | None) -> AsyncGenerator[dict[str, Any], None]:
    """What came after the cursor: until the daemon ends or, when none runs, what there is now."""
    try:
        async with connect(session.settings) as connection:
            runs = connection.daemon_runs
            async for event in connection.stream(after, task_id) if runs else _stored(connection, task_id, after):
                yield event
    except DaemonUnreachable as error:
        session.note(f"{error.message} Trying again.")


def _print(session: Session, event: dict[str, Any]) -> None:
    if session.as_json:
        typer.echo(json.dumps(event))
    elif session.out.is_terminal:
        session.out.print(event_row(event))
    else:
        session.out.print(event_line(event), soft_wrap=True)
