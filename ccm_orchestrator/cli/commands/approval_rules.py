"""`approval rule add|list|remove`"""

from __future__ import annotations

from typing import Annotated

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.approvals import rule_line, rule_table
from ccm_orchestrator.domain.rules import RuleDecision

ToolOption = Annotated[str | None, typer.Option(metavar="PATTERN", help="Name of the tool; `*` is any text.")]
PathOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="File, from the agent's working directory or absolute; `*` within a directory, `**` through any number.",
    ),
]
CommandOption = Annotated[
    str | None, typer.Option("--command", metavar="PATTERN", help="Command of a shell; `*` is any text.")
]


def add_to(group: typer.Typer) -> None:
    command(group, "add")(add)
    command(group, "list")(list_rules)
    command(group, "remove")(remove)


async def add(
    session: Session,
    decision: Annotated[RuleDecision, typer.Argument(metavar="deny|ask|allow", help="In this order rules win.")],
    tool: ToolOption = None,
    path: PathOption = None,
    shell_command: CommandOption = None,
    project: Annotated[str | None, typer.Option(help="Only for agents in this project.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only for agents of this profile.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Told to an agent that is denied.")] = "",
) -> None:
    """Let a rule answer what agents ask, from now on and what is open already.

    Example: ccm-orchestrator approval rule add allow --command 'npm test *' --project shop
    """
    body = {
        "decision": decision.value,
        "tool": tool,
        "path": path,
        "command": shell_command,
        "project": project,
        "profile": profile,
        "reason": reason,
    }
    async with connect(session.settings) as connection:
        rule = await connection.post("/api/approval-rules", body)
        session.show(rule, rule_line(rule), ids=rule["rule_id"])


async def list_rules(session: Session) -> None:
    """List the rules: of tasks, stored, and of the configuration."""
    async with connect(session.settings) as connection:
        rules = await connection.get("/api/approval-rules")
        session.show(rules, lambda: rule_table(rules), ids="\n".join(rule["rule_id"] for rule in rules))


async def remove(
    session: Session, rule: Annotated[str, typer.Argument(metavar="RULE", help="Its id, or the beginning of it.")]
) -> None:
    """Remove a stored rule. What it answered stays answered."""
    async with connect(session.settings) as connection:
        found = await connection.get(f"/api/approval-rules/{segment(rule)}")
        await connection.delete(f"/api/approval-rules/{segment(found['rule_id'])}")
        session.show({"removed": found["rule_id"]}, rule_line(found, "Removed"), ids=found["rule_id"])
