"""Permission hooks: what they ask, and the body that answers them."""

from __future__ import annotations

from collections.abc import Mapping

from ccm_orchestrator.adapters.claude.payload import items, table, text
from ccm_orchestrator.adapters.claude.tool_hooks import ASKING_TOOLS
from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, Verdict
from ccm_orchestrator.ports.agents import AskedPermission

EVENT = "PermissionRequest"
ELICITATION = "Elicitation"
"""The form of an MCP server; it is not shown before its hook has answered."""
_DENIED = "Denied by {who}."


def read_permission(payload: Mapping[str, object]) -> AskedPermission:
    """Raises: ValueError."""
    if payload.get("hook_event_name") == ELICITATION:
        return _elicited(payload)
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


def _elicited(payload: Mapping[str, object]) -> AskedPermission:
    given = {name: payload[name] for name in ("message", "mode", "requested_schema", "url") if name in payload}
    return AskedPermission(
        dialog=Dialog.ELICITATION,
        tool_name=f"mcp__{text(payload, 'mcp_server_name')}__elicitation",
        tool_input=given,
        directory=text(payload, "cwd"),
        subagent=text(payload, "agent_type"),
    )


def permission_answer(request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
    """A plan is only taken as allowed with an input, whatever it is; a question only with its answers in it."""
    if request.dialog == Dialog.ELICITATION:
        return _elicitation_answer(verdict)
    if verdict.decision is Decision.DENY:
        message = verdict.reason or _DENIED.format(who=verdict.decided_by)
        return _answer({"behavior": "deny", "message": message})
    allow: dict[str, object] = {"behavior": "allow"}
    if verdict.updated_input is not None:
        allow["updatedInput"] = dict(verdict.updated_input)
    elif request.tool_name in ASKING_TOOLS:
        allow["updatedInput"] = dict(request.tool_input)
    return _answer(allow)


def _elicitation_answer(verdict: Verdict) -> Mapping[str, object]:
    answer: dict[str, object] = {"hookEventName": ELICITATION, "action": "decline"}
    if verdict.decision is Decision.ALLOW:
        answer |= {"action": "accept", "content": (verdict.updated_input or {}).get("content", {})}
    return {"hookSpecificOutput": answer}


def _answer(decision: Mapping[str, object]) -> Mapping[str, object]:
    return {"hookSpecificOutput": {"hookEventName": EVENT, "decision": decision}}
