"""`session …`: conversations with an agent, streamed line by line"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccm_orchestrator.cli.commands.add_task import project_here
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.sessions import event_json, session_table, spoken
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.errors import DaemonUnreachable, InvalidTask

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection
    from ccm_orchestrator.client.awaited import Sessions
    from ccm_orchestrator.client.conversations import SessionEvent

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id of a session.")]
Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What the agent is told.")]
Model = Annotated[str | None, typer.Option(help="Default: the session's, else the profile's.")]
NO_DAEMON = "No daemon runs, and only it starts agents: start it with `ccm-orchestrator serve`."


def add_to(group: typer.Typer) -> None:
    command(group, "list")(list_sessions)
    command(group, "start")(start)
    command(group, "resume")(resume)
    command(group, "output")(output)
    command(group, "terminate")(terminate)


async def list_sessions(
    session: Session,
    one_shot: Annotated[bool, typer.Option("--one-shot", help="Also those that take no messages.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 20,
) -> None:
    """List sessions, newest first."""
    async with connect(session.settings) as connection:
        page = await connection.get("/sessions", one_shot=one_shot or None, limit=limit)
        found = page["sessions"]
        session.show(page, lambda: session_table(found), ids="\n".join(each["session_id"] for each in found))


async def start(
    session: Session,
    prompt: Prompt,
    project: Annotated[
        str | None, typer.Option(help="Default: the one you are in, else the only one there is.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Default: the project's, else `executor`.")] = None,
    model: Model = None,
    tool: Annotated[list[str] | None, typer.Option(help="Keep the agent to these tools; repeatable.")] = None,
) -> Exit:
    """Begin a conversation, and show what the agent writes until its turn has ended. Ctrl-C leaves it at work."""
    async with connect(session.settings) as connection:
        sessions = _sessions(connection)
        project = project or await _here(connection)
        events = sessions.spawn(prompt, project=project, profile=profile, model=model, tools_allowed=tool)
        return await _follow(session, events)


async def _here(connection: Connection) -> str | None:
    with suppress(InvalidTask):
        return await project_here(connection, Path.cwd())
    return None


async def resume(session: Session, session_id: SessionId, prompt: Prompt, model: Model = None) -> Exit:
    """Go on with a conversation. It waits for the turns before it."""
    async with connect(session.settings) as connection:
        sessions = _sessions(connection)
        return await _follow(session, sessions.message(session_id, prompt, model=model))


async def output(
    session: Session,
    session_id: SessionId,
    turn: Annotated[int | None, typer.Option(min=1, help="Default: the last one.")] = None,
) -> Exit:
    """Show what the agent wrote in one turn, from its beginning, and follow it while it goes on."""
    async with connect(session.settings) as connection:
        return await _follow(session, _sessions(connection).output(session_id, turn=turn))


async def terminate(session: Session, session_id: SessionId) -> None:
    """End the session's agent and cancel what waits. The conversation can be gone on with."""
    async with connect(session.settings) as connection:
        told = await _running(connection).post(f"/terminate/{segment(session_id)}")
        session.show(told, told["message"], ids=told["session_id"])


async def _follow(session: Session, events: AsyncIterator[SessionEvent]) -> Exit:
    outcome = None
    async with aclosing(events) as following:  # type: ignore[type-var]  # they are generators
        async for event in following:
            outcome = event.outcome or outcome
            if session.as_json:
                typer.echo(event_json(event))
            elif event.type == "session_created":
                session.note(f"session {event.session_id}")
            elif not session.quiet and (said := spoken(event)):
                session.out.print(said)
    return Exit.OK if outcome in (None, TaskStatus.SUCCEEDED) else Exit.FAILED


def _sessions(connection: Connection) -> Sessions:
    sessions: Sessions = load(Heavy.SESSIONS)(_running(connection).carrier)
    return sessions


def _running(connection: Connection) -> Connection:
    if not connection.daemon_runs:
        raise DaemonUnreachable(NO_DAEMON)
    return connection
