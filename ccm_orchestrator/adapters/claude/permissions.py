"""Permission hooks: what they ask, and the body that answers them."""

from __future__ import annotations

from collections.abc import Mapping

from ccm_orchestrator.adapters.claude.payload import items, table, text
from ccm_orchestrator.adapters.claude.tool_hooks import ASKING_TOOLS
from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, Verdict
from ccm_orchestrator.ports.agents import AskedPermission

EVENT = "PermissionRequest"
_DENIED = "Denied by {who}."


def read_permission(payload: Mapping[str, object]) -> AskedPermission:
    """Raises: ValueError."""
    if payload.get("hook_event_name") != EVENT:
        raise ValueError(f"expected `hook_event_name` to be {EVENT}, got: {payload.get('hook_event_name')!r}")
    tool = text(payload, "tool_name")
    if not tool:
        raise ValueError("expected `tool_name` to name a tool")
    return AskedPermission(
        dialog=ASKING_TOOLS.get(tool, Dialog.PERMISSION),
        tool_name=tool,
        tool_input=table(payload, "tool_input"),
        suggestions=tuple(items(payload, "permission_suggestions")),
        directory=text(payload, "cwd"),
        permission_mode=text(payload, "permission_mode"),
        subagent=text(payload, "agent_type"),
    )


def permission_answer(request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
    """A plan is only taken as allowed with an input, whatever it is; a question only with its answers in it."""
    if verdict.decision is Decision.DENY:
        message = verdict.reason or _DENIED.format(who=verdict.decided_by)
        return _answer({"behavior": "deny", "message": message})
    allow: dict[str, object] = {"behavior": "allow"}
    if verdict.updated_input is not None:
        allow["updatedInput"] = dict(verdict.updated_input)
    elif request.tool_name in ASKING_TOOLS:
        allow["updatedInput"] = dict(request.tool_input)
    return _answer(allow)


def _answer(decision: Mapping[str, object]) -> Mapping[str, object]:
    return {"hookSpecificOutput": {"hookEventName": EVENT, "decision": decision}}
