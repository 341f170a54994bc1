"""The `[approval_rules.NAME]` tables: rules that answer what agents ask, before any person is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from ccm_orchestrator.domain.rules import ApprovalRule, RuleDecision
from ccm_orchestrator.settings.types import Expect, Slug, Table, Text

ID_PREFIX = "settings:"


class ApprovalRuleTable(Table):
    """A rule that answers what agents ask: it denies, asks a person, or allows; in this order rules win."""

    decision: Annotated[RuleDecision, Expect("`deny`, `ask` or `allow`")] | None = Field(
        default=None, description="What the rule says. Must be set."
    )
    tool: Text | None = Field(default=None, description="Name of the tool; `*` is any text: `mcp__github__*`.")
    path: Text | None = Field(
        default=None,
        description="File that the tool works on, from the agent's working directory or absolute; `*` within one "
        "directory, `**` through any number of them.",
    )
    command: Text | None = Field(
        default=None, description="Command of a shell; `*` is any text: `npm test *`. Allows only what it covers whole."
    )
    project: Text | None = Field(default=None, description="Only for agents in this project.")
    profile: Slug | None = Field(default=None, description="Only for agents of this profile.")
    reason: Text | None = Field(default=None, description="Told to an agent that is denied.")


def build_rules(tables: Mapping[str, ApprovalRuleTable]) -> tuple[ApprovalRule, ...]:
    """In the order of the file. Only tables with a `decision`."""
    return tuple(
        ApprovalRule(
            rule_id=f"{ID_PREFIX}{name}",
            decision=table.decision,
            tool=table.tool,
            path=table.path,
            command=table.command,
            project=table.project,
            profile=table.profile,
            reason=table.reason or "",
        )
        for name, table in tables.items()
        if table.decision is not None
    )
