"""`agent list|state|screen|stop`"""

from __future__ import annotations

from typing import Annotated

import typer

from ccm_orchestrator.cli.commands.attach import require_window
from ccm_orchestrator.cli.commands.standing import run_of
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.agents import agent_state, agent_table
from ccm_orchestrator.cli.views.plain import narrowed, plain, text
from ccm_orchestrator.cli.views.standing import standing_line, standing_table
from ccm_orchestrator.cli.views.tasks import task_line

AgentRef = Annotated[
    str, typer.Argument(metavar="AGENT", help="Agent name (ccm-1f3c9a2b), run id, task id, or a beginning of one.")
]


def add_to(group: typer.Typer) -> None:
    command(group, "list")(list_agents)
    command(group, "state")(state)
    command(group, "screen")(screen)
    command(group, "stop")(stop)


async def list_agents(
    session: Session,
    ended: Annotated[bool, typer.Option("--all", "-a", help="Also those that have ended.")] = False,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Only those of this task.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 50,
    standing: Annotated[
        bool, typer.Option("--standing", help="Standing agents instead, those without a process included.")
    ] = False,
) -> None:
    """List agents, newest first."""
    async with connect(session.settings) as connection:
        if standing:
            known = await connection.get("/api/agents", kind="standing", ended=ended, limit=limit)
            session.show(known, lambda: standing_table(known), ids="\n".join(agent["agent"] for agent in known))
            return
        task_id = (await connection.get(f"/api/tasks/{segment(task)}"))["task_id"] if task else None
        agents = await connection.get("/api/agents", ended=ended or task is not None, task_id=task_id, limit=limit)
        session.show(agents, lambda: agent_table(agents), ids="\n".join(agent["agent"] for agent in agents))


async def state(
    session: Session,
    agent: AgentRef,
    explain: Annotated[bool, typer.Option("--explain", help="On which evidence, and how old it is.")] = False,
) -> None:
    """Say what an agent is doing."""
    async with connect(session.settings) as connection:
        run_id = run_of(await connection.agent(agent))["run_id"]
        found = await connection.get(f"/api/agents/{run_id}/state", explain=explain)
        session.show(found, lambda: agent_state(found), ids=found["state"])


async def screen(
    session: Session,
    agent: AgentRef,
    history_lines: Annotated[
        int, typer.Option("--history", "-n", metavar="LINES", min=0, max=10_000, help="Also lines scrolled away.")
    ] = 0,
    styled: Annotated[bool, typer.Option("--styled", help="Keep colours (escape sequences).")] = False,
) -> None:
    """Print what a person would see in the agent's window."""
    async with connect(session.settings) as connection:
        looked_at = run_of(await connection.agent(agent))
        require_window(looked_at)
        path = f"/api/agents/{looked_at['run_id']}/screen"
        found = await connection.get(path, history_lines=history_lines, styled=styled)
        if session.as_json:
            session.show(found, "")
            return
        shown = found["text"] if styled else plain(found["text"])
        is_cramped = session.out.is_terminal and not styled
        typer.echo((narrowed(shown, session.out.width) if is_cramped else shown).rstrip())


async def stop(session: Session, agent: AgentRef) -> None:
    """Stop an agent, which cancels its task. A standing one takes no messages until `agent start`."""
    async with connect(session.settings) as connection:
        found = await connection.agent(agent)
        if found["kind"] == "standing":
            stopped = await connection.post(f"/api/agents/{found['agent_id']}/stop")
            session.show(stopped, lambda: standing_line(stopped), ids=stopped["agent"])
            return
        task = await connection.post(f"/api/agents/{found['run_id']}/stop")
        session.show(task, lambda: text("Stopping: ").append_text(task_line(task)), ids=task["task_id"])
