"""`agent permissions|approve|deny`"""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.commands.agents import AgentRef
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.agents import permission_line, permission_list
from ccm_orchestrator.errors import InputError

RequestOption = Annotated[
    str | None, typer.Option("--request", "-r", metavar="ID", help="Which one, when the agent asks several things.")
]


def add_to(group: typer.Typer) -> None:
    command(group, "permissions")(permissions)
    command(group, "approve")(approve)
    command(group, "deny")(deny)


async def permissions(
    session: Session,
    agent: Annotated[str | None, typer.Argument(metavar="AGENT", help="Only of this agent.")] = None,
    closed: Annotated[bool, typer.Option("--all", "-a", help="Also those that are settled.")] = False,
) -> None:
    """List what agents ask: permissions, questions, plans."""
    async with connect(session.settings) as connection:
        path = f"/api/agents/{(await connection.agent(agent))['run_id']}/permissions" if agent else "/api/permissions"
        found = await connection.get(path, closed=closed)
        ids = "\n".join(request["request_id"] for request in found)
        session.show(found, lambda: permission_list(found), ids=ids)


async def approve(
    session: Session,
    agent: AgentRef,
    answer: Annotated[
        list[str] | None, typer.Option(metavar="QUESTION=ANSWER", help="Answer to a question; repeatable.")
    ] = None,
    request: RequestOption = None,
) -> None:
    """Allow what an agent asks, or answer its question."""
    answers = dict(_pair(each) for each in answer or ()) or None
    await _decide(session, agent, request, {"decision": "allow", "answers": answers})


async def deny(
    session: Session,
    agent: AgentRef,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Told to the agent.")] = "",
    request: RequestOption = None,
) -> None:
    """Refuse what an agent asks."""
    await _decide(session, agent, request, {"decision": "deny", "reason": reason})


async def _decide(session: Session, agent: str, request: str | None, body: dict[str, Any]) -> None:
    async with connect(session.settings) as connection:
        run_id = (await connection.agent(agent))["run_id"]
        path = f"/api/permissions/{segment(request)}" if request else f"/api/agents/{run_id}/permissions"
        decided = await connection.post(path, body | {"decided_by": f"cli:{getpass.getuser()}"})
        session.show(decided, permission_line(decided), ids=decided["request_id"])


def _pair(text: str) -> tuple[str, str]:
    question, separator, answer = text.rpartition("=")
    if not separator:
        raise InputError(f"Expected --answer to be QUESTION=ANSWER, got: {text!r}.")
    return question, answer
