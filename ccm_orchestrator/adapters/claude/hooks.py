"""From a raw hook record to what it means: evidence of the agent's state, and events for the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from ccm_orchestrator.adapters.claude import tool_hooks
from ccm_orchestrator.adapters.claude.failures import failure_kind, resets_at
from ccm_orchestrator.adapters.claude.hook import Hook
from ccm_orchestrator.adapters.claude.payload import items, parse_object, tables, text
from ccm_orchestrator.adapters.claude.tool_hooks import Told
from ccm_orchestrator.domain.agent import Dialog, Signal
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord
from ccm_orchestrator.ports.agents import Reading

_SYNTHETIC = "<task-notification>"
"""Begins a prompt that Claude Code gives itself when background work is through."""
_PASTED = re.compile(r'\A\s*<pasted_content id="\d+">\n(.*)\n</pasted_content id="\d+">\s*\Z', re.DOTALL)
_SHOWN = 500


def read_hook(record: HookRecord, task_id: str) -> Reading:
    """Pure; the same record always gives the same reading. `Reading.prompt` is without white space at its ends."""
    payload = parse_object(record.raw)
    if payload is None:
        return Reading((), (_malformed(record, task_id),))
    hook = Hook(record, task_id, payload)
    evidence, events = _MEANING.get(record.hook_event_name, _any_other)(hook)
    return Reading(
        evidence=evidence,
        events=events,
        session_id=text(payload, "session_id") or None,
        transcript_path=text(payload, "transcript_path") or None,
        prompt=_user_prompt(hook),
    )


def _malformed(record: HookRecord, task_id: str) -> BusEvent:
    beginning = record.raw[:_SHOWN].decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    data = {"hook_event_name": record.hook_event_name, "size": len(record.raw), "beginning": beginning}
    return BusEvent(EventKind.HOOK_MALFORMED, record.at, task_id, record.run_id, data)


def _user_prompt(hook: Hook) -> str | None:
    prompt = text(hook.payload, "prompt")
    if hook.record.hook_event_name != "UserPromptSubmit" or prompt.startswith(_SYNTHETIC):
        return None
    pasted = _PASTED.match(prompt)
    return (pasted[1] if pasted else prompt).strip()


def _session_started(hook: Hook) -> Told:
    source = text(hook.payload, "source")
    event = hook.event(
        EventKind.SESSION_START,
        session_id=text(hook.payload, "session_id"),
        source=source,
        working_directory=text(hook.payload, "cwd"),
        model=hook.payload.get("model"),
    )
    return [hook.evidence(Signal.SESSION_STARTED, source)], [event]


def _session_ended(hook: Hook) -> Told:
    return [hook.evidence(Signal.SESSION_ENDED, text(hook.payload, "reason"))], [hook.other("reason")]


def _prompted(hook: Hook) -> Told:
    prompt = text(hook.payload, "prompt")
    if prompt.startswith(_SYNTHETIC):
        return [hook.evidence(Signal.BUSY, "background work ended")], [hook.other("prompt")]
    return [hook.evidence(Signal.PROMPT_ACCEPTED)], [hook.other("prompt")]


def _stopped(hook: Hook) -> Told:
    """A turn with background work left is a pause: the work will wake the agent."""
    last = text(hook.payload, "last_assistant_message")
    left = len(tables(hook.payload, "background_tasks")) + len(items(hook.payload, "session_crons"))
    if left:
        paused = hook.evidence(Signal.TURN_PAUSED, last, background_tasks=left)
        return [paused], [hook.other("last_assistant_message", "background_tasks")]
    return [hook.evidence(Signal.TURN_ENDED, last)], [hook.event(EventKind.SESSION_COMPLETE, result=last)]


def _failed(hook: Hook) -> Told:
    error, message = text(hook.payload, "error"), text(hook.payload, "last_assistant_message")
    kind = failure_kind(error, message)
    data: dict[str, object] = {"failure_kind": kind.value, "error": error}
    reset = resets_at(message, hook.record.at)
    if reset is not None:
        data["resets_at"] = reset
    event = hook.event(EventKind.SESSION_ERROR, error_type=kind.value, error_message=message, error=error)
    return [hook.evidence(Signal.TURN_FAILED, message or error, **data)], [event]


_NOTIFIED = {
    "permission_prompt": Dialog.PERMISSION,
    "elicitation_dialog": Dialog.ELICITATION,
    "agent_needs_input": Dialog.AUTO_MODE,
}


def _notified(hook: Hook) -> Told:
    message = text(hook.payload, "message")
    dialog = _NOTIFIED.get(text(hook.payload, "notification_type"))
    events = [hook.other("notification_type", "message")]
    if dialog is None:
        return [hook.evidence(Signal.ACTIVE, message)], events
    if dialog is Dialog.PERMISSION and "plan" in message:
        dialog = Dialog.PLAN
    return [hook.evidence(Signal.ASKED, dialog.value)], events


def _elicited(hook: Hook) -> Told:
    return [hook.evidence(Signal.ASKED, Dialog.ELICITATION.value)], [hook.other("mcp_server_name", "message", "mode")]


def _subagent(hook: Hook) -> Told:
    alive = hook.evidence(Signal.ACTIVE, hook.record.hook_event_name)
    return [replace(alive, subagent=True)], [hook.other("agent_type", "last_assistant_message")]


def _any_other(hook: Hook) -> Told:
    event = hook.other("trigger", "model", "from_model", "to_model", "source")
    return [hook.evidence(Signal.ACTIVE, hook.record.hook_event_name)], [event]


_MEANING: Mapping[str, Callable[[Hook], Told]] = {
    "SessionStart": _session_started,
    "SessionEnd": _session_ended,
    "UserPromptSubmit": _prompted,
    "PreToolUse": tool_hooks.started,
    "PostToolUse": tool_hooks.finished,
    "PostToolUseFailure": tool_hooks.failed,
    "PermissionDenied": tool_hooks.denied,
    "Notification": _notified,
    "Elicitation": _elicited,
    "SubagentStart": _subagent,
    "SubagentStop": _subagent,
    "Stop": _stopped,
    "StopFailure": _failed,
}
