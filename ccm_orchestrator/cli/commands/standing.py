"""`agent create|update|start|delete|messages`, and what an agent's name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.standing import message_table, standing_line
from ccm_orchestrator.domain.standing_agent import DEFAULT_IDLE_S
from ccm_orchestrator.errors import InputError

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection

StandingRef = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a standing agent.")]


def add_to(group: typer.Typer) -> None:
    command(group, "create")(create)
    command(group, "update")(update)
    command(group, "start")(start)
    command(group, "messages")(messages)
    command(group, "delete")(delete)


async def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and `-`.")],
    project: Annotated[str | None, typer.Option(help="Default: the one you are in.")] = None,
    profile: Annotated[str | None, typer.Option(help="Default: the project's, else `executor`.")] = None,
    model: Annotated[str | None, typer.Option(help="Default: the profile's; a message may change it.")] = None,
    system_prompt: Annotated[str, typer.Option(help="Appended after the profile's.")] = "",
    idle_s: Annotated[
        float, typer.Option("--idle", metavar="SECONDS", help="It hibernates after so long without anything to do.")
    ] = DEFAULT_IDLE_S,
    shared: Annotated[
        bool, typer.Option("--shared", help="In the project's own directory, not in a work tree of its own.")
    ] = False,
) -> None:
    """Create a standing agent: one with a name, whose conversation outlives its processes."""
    async with connect(session.settings) as connection:
        body = {
            "name": name,
            "project": project or await _project_here(connection),
            "profile": profile,
            "model": model,
            "system_prompt": system_prompt,
            "idle_s": idle_s,
            "isolated": not shared,
        }
        _show(session, await connection.post("/api/agents", body))


async def update(
    session: Session,
    agent: StandingRef,
    profile: Annotated[str | None, typer.Option(help="Its profile.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model; empty: the profile's.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Appended after the profile's.")] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option("--tool", metavar="TOOL", help="What it may use, again for more; empty: its profile's."),
    ] = None,
    idle_s: Annotated[
        float | None, typer.Option("--idle", metavar="SECONDS", help="It hibernates after so long.")
    ] = None,
    time_limit_s: Annotated[
        float | None, typer.Option("--time-limit", metavar="SECONDS", help="Of each turn; 0: the profile's.")
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option("--budget", metavar="USD", help="Of each process; 0: the profile's.")
    ] = None,
) -> None:
    """Change a standing agent, from its next process on: its next message begins one as soon as it rests."""
    said = {"profile": profile, "system_prompt": system_prompt, "idle_s": idle_s}
    or_profile = {"model": model, "time_limit_s": time_limit_s, "budget_usd": budget_usd}
    changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    changes |= {name: value or None for name, value in or_profile.items() if value is not None}
    if tools:
        changes["allowed_tools"] = [tool for tool in tools if tool] or None
    if not changes:
        raise InputError("Say what to change: see `ccm-orchestrator agent update --help`.")
    async with connect(session.settings) as connection:
        _show(session, await connection.patch(f"/api/agents/{segment(agent)}", changes))


async def start(session: Session, agent: StandingRef) -> None:
    """Let a standing agent take messages again that was stopped or failed."""
    async with connect(session.settings) as connection:
        _show(session, await connection.post(f"/api/agents/{segment(agent)}/start"))


async def delete(session: Session, agent: StandingRef) -> None:
    """End a standing agent for good. Its directory goes, unless it holds work that is nowhere else."""
    async with connect(session.settings) as connection:
        found = await standing_of(connection, agent)
        await connection.delete(f"/api/agents/{found['agent_id']}")
        _show(session, await connection.get(f"/api/agents/{found['agent_id']}"))


async def messages(
    session: Session,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="A standing agent, or an agent's name.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 20,
) -> None:
    """List the newest messages to an agent, with what became of them."""
    async with connect(session.settings) as connection:
        found = await connection.agent(agent)
        ref = found["agent_id"] if found["kind"] == "standing" else found["run_id"]
        sent = await connection.get(f"/api/agents/{ref}/messages", limit=limit)
        session.show(sent, lambda: message_table(sent), ids="\n".join(message["message_id"] for message in sent))


async def standing_of(connection: Connection, ref: str) -> dict[str, Any]:
    """Raises: InputError."""
    found: dict[str, Any] = await connection.agent(ref)
    if found["kind"] != "standing":
        raise InputError(f"{found['agent']} is the agent of a task, not a standing one.")
    return found


def run_of(found: dict[str, Any]) -> dict[str, Any]:
    """The process behind what the API calls an agent. Raises: InputError."""
    run: dict[str, Any] | None = found["run"] if found["kind"] == "standing" else found
    if run is None:
        raise InputError(f"The agent {found['agent']} has no process before its first message.")
    return run


async def _project_here(connection: Connection) -> str | None:
    """None: the daemon decides, or says that it cannot."""
    here = Path.cwd()
    projects = await connection.get("/api/projects")
    return next((str(each["name"]) for each in projects if here.is_relative_to(each["path"])), None)


def _show(session: Session, agent: dict[str, Any]) -> None:
    session.show(agent, lambda: standing_line(agent), ids=agent["agent"])
