"""Rules that answer what agents ask."""

from __future__ import annotations

from ccm_orchestrator.client.call import Call, get, many, one, post
from ccm_orchestrator.client.paths import path
from ccm_orchestrator.domain.rules import ApprovalRule, RuleDecision


def find() -> Call[tuple[ApprovalRule, ...]]:
    """In the order in which they are named when several say the same: of tasks, stored, of the configuration."""
    return get("/api/approval-rules", many(ApprovalRule))


def add(
    decision: RuleDecision | str,
    *,
    tool: str | None = None,
    path: str | None = None,
    command: str | None = None,
    project: str | None = None,
    profile: str | None = None,
    reason: str = "",
) -> Call[ApprovalRule]:
    """It answers what is open already, too. Raises: InputError."""
    body = {
        "decision": str(decision),
        "tool": tool,
        "path": path,
        "command": command,
        "project": project,
        "profile": profile,
        "reason": reason,
    }
    return post("/api/approval-rules", one(ApprovalRule), {key: value for key, value in body.items() if value})


def show(rule_id: str) -> Call[ApprovalRule]:
    """Raises: RuleNotFound."""
    return get(path("/api/approval-rules/{}", rule_id), one(ApprovalRule))


def remove(rule_id: str) -> Call[ApprovalRule]:
    """The rule as it was. What it answered stays answered. Raises: RuleNotFound."""
    return Call("DELETE", path("/api/approval-rules/{}", rule_id), one(ApprovalRule))
