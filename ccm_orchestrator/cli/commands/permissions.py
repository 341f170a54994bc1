"""`agent permissions|approve|deny`"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccm_orchestrator.cli.commands.approval_rules import CommandOption, PathOption, ToolOption
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.approvals import permission_line, permission_list
from ccm_orchestrator.domain.asking import ID_PREFIX
from ccm_orchestrator.domain.dialogue import AnswerScope
from ccm_orchestrator.errors import InputError

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection

AskingRef = Annotated[
    str,
    typer.Argument(
        metavar="AGENT|REQUEST",
        help="The agent, or its task, when it asks one thing; else the request's whole id (perm-…).",
    ),
]

ScopeOption = Annotated[
    AnswerScope,
    typer.Option(
        help="`task`: the same again is answered the same for the rest of the task; `rule`: from now on in this "
        "project. What is the same, --tool, --path and --command may say; else it is the very command, file or input."
    ),
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
    asking: AskingRef,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[QUESTION=]ANSWER",
            help="Answer to a question; repeatable. Where one question is asked, the answer alone will do.",
        ),
    ] = None,
    scope: ScopeOption = AnswerScope.ONCE,
    tool: ToolOption = None,
    path: PathOption = None,
    shell_command: CommandOption = None,
) -> None:
    """Allow what an agent asks, or answer its question."""
    rule = _conditions(tool, path, shell_command)
    body = {"decision": "allow", "scope": scope.value, "rule": rule}
    await _decide(session, asking, body, answer or ())


async def deny(
    session: Session,
    asking: AskingRef,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Told to the agent.")] = "",
    scope: ScopeOption = AnswerScope.ONCE,
    tool: ToolOption = None,
    path: PathOption = None,
    shell_command: CommandOption = None,
) -> None:
    """Refuse what an agent asks."""
    rule = _conditions(tool, path, shell_command)
    await _decide(session, asking, {"decision": "deny", "reason": reason, "scope": scope.value, "rule": rule})


async def _decide(session: Session, asking: str, body: dict[str, Any], answers: Sequence[str] = ()) -> None:
    async with connect(session.settings) as connection:
        if answers:
            questions = await _questions(connection, asking)
            body |= {"answers": dict(question_and_answer(each, questions) for each in answers)}
        if asking.startswith(ID_PREFIX):
            path = f"/api/permissions/{segment(asking)}"
        else:
            path = f"/api/agents/{(await connection.agent(asking))['run_id']}/permissions"
        decided = await connection.post(path, body | {"decided_by": f"cli:{getpass.getuser()}"})
        session.show(decided, permission_line(decided), ids=decided["request_id"])


def _conditions(tool: str | None, path: str | None, shell_command: str | None) -> dict[str, str] | None:
    """None: the same again."""
    given = {"tool": tool, "path": path, "command": shell_command}
    return {name: value for name, value in given.items() if value is not None} or None


async def _questions(connection: Connection, asking: str) -> list[str]:
    """Those of the one request that is meant; none when it is not clear which one is."""
    if asking.startswith(ID_PREFIX):
        requests = await connection.get("/api/permissions")
        requests = [each for each in requests if each["request_id"] == asking]
    else:
        requests = await connection.get(f"/api/agents/{(await connection.agent(asking))['run_id']}/permissions")
    if len(requests) != 1:
        return []
    asked = requests[0]["tool_input"].get("questions") or ()
    return [str(each.get("question", "")) for each in asked if isinstance(each, dict)]


def question_and_answer(said: str, questions: Sequence[str]) -> tuple[str, str]:
    """A question that is asked, and an answer to it, may hold `=` themselves."""
    for question in questions:
        if said.startswith(f"{question}="):
            return question, said.removeprefix(f"{question}=")
    asked, separator, answer = said.rpartition("=")
    if separator:
        return asked, answer
    if len(questions) == 1:
        return questions[0], said
    raise InputError(f"Expected --answer to be QUESTION=ANSWER, got: {said!r}.")
