"""What tool hooks mean: evidence of work, and the catalogue of what agents do to files and shells."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

from ccm_orchestrator.adapters.claude.hook import Hook
from ccm_orchestrator.adapters.claude.payload import Json, items, number, table, tables, text
from ccm_orchestrator.domain.agent import Dialog, Evidence, Signal
from ccm_orchestrator.domain.asking import call_digest
from ccm_orchestrator.domain.events import BusEvent, EventKind

ASKING_TOOLS = {"AskUserQuestion": Dialog.QUESTION, "ExitPlanMode": Dialog.PLAN}
"""Tools whose very call opens a dialog."""
_EXIT_CODE = re.compile(r"\AExit code (\d+)\b")

Told = tuple[Sequence[Evidence], Sequence[BusEvent]]


def started(hook: Hook) -> Told:
    tool, use = text(hook.payload, "tool_name"), text(hook.payload, "tool_use_id")
    given = table(hook.payload, "tool_input")
    evidence = [hook.evidence(Signal.TOOL_STARTED, tool, tool_use_id=use, tool_name=tool, call=_call(hook, tool))]
    if tool in ASKING_TOOLS:
        evidence.append(hook.evidence(Signal.ASKED, ASKING_TOOLS[tool].value))
    events = [hook.event(EventKind.TOOL_USE_START, tool_name=tool, tool_use_id=use, parameters=given)]
    if tool == "Bash":
        events.append(_command(hook, given, use))
    return evidence, events


def finished(hook: Hook) -> Told:
    tool, use = text(hook.payload, "tool_name"), text(hook.payload, "tool_use_id")
    result = hook.payload.get("tool_response")
    spent_ms = number(hook.payload, "duration_ms")
    complete = hook.event(
        EventKind.TOOL_USE_COMPLETE, tool_name=tool, tool_use_id=use, result=result, duration_ms=spent_ms
    )
    special = _SPECIAL.get(tool)
    evidence = hook.evidence(Signal.TOOL_FINISHED, tool, tool_use_id=use, tool_name=tool, call=_call(hook, tool))
    return [evidence], [complete, *(special(hook) if special else ())]


def failed(hook: Hook) -> Told:
    tool, use = text(hook.payload, "tool_name"), text(hook.payload, "tool_use_id")
    error = text(hook.payload, "error")
    spent_ms = number(hook.payload, "duration_ms")
    events = [
        hook.event(EventKind.TOOL_USE_ERROR, tool_name=tool, tool_use_id=use, error_message=error, duration_ms=spent_ms)
    ]
    if tool == "Bash":
        events.append(_failed_command(hook, error))
    return [hook.evidence(Signal.TOOL_FAILED, tool, tool_use_id=use, tool_name=tool, call=_call(hook, tool))], events


def _call(hook: Hook, tool: str) -> str:
    return call_digest(tool, table(hook.payload, "tool_input"))


def denied(hook: Hook) -> Told:
    tool, use = text(hook.payload, "tool_name"), text(hook.payload, "tool_use_id")
    reason = text(hook.payload, "reason")
    event = hook.event(EventKind.TOOL_USE_ERROR, tool_name=tool, tool_use_id=use, error_message=f"Denied: {reason}")
    return [hook.evidence(Signal.TOOL_FAILED, tool, tool_use_id=use, tool_name=tool)], [event]


def _command(hook: Hook, given: Json, use: str) -> BusEvent:
    return hook.event(
        EventKind.BASH_COMMAND,
        command=text(given, "command"),
        working_dir=text(hook.payload, "cwd"),
        tool_use_id=use,
        background=True if given.get("run_in_background") is True else None,
    )


def _output(hook: Hook) -> Sequence[BusEvent]:
    response = table(hook.payload, "tool_response")
    unfinished = bool(response.get("interrupted")) or "backgroundTaskId" in response
    return [
        hook.event(
            EventKind.BASH_OUTPUT,
            command=text(table(hook.payload, "tool_input"), "command"),
            exit_code=None if unfinished else 0,
            stdout=text(response, "stdout"),
            stderr=text(response, "stderr"),
            duration_ms=number(hook.payload, "duration_ms"),
            tool_use_id=text(hook.payload, "tool_use_id"),
        )
    ]


def _failed_command(hook: Hook, error: str) -> BusEvent:
    """Claude Code gives a failed command's output and exit code in one text, the code first."""
    found = _EXIT_CODE.match(error)
    return hook.event(
        EventKind.BASH_OUTPUT,
        command=text(table(hook.payload, "tool_input"), "command"),
        exit_code=int(found[1]) if found else None,
        stdout="",
        stderr=error[found.end() :].strip() if found else error,
        duration_ms=number(hook.payload, "duration_ms"),
        tool_use_id=text(hook.payload, "tool_use_id"),
    )


def _path(hook: Hook) -> str:
    given = table(hook.payload, "tool_input")
    return text(given, "file_path") or text(given, "notebook_path")


def _read(hook: Hook) -> Sequence[BusEvent]:
    return [hook.event(EventKind.FILE_READ, file_path=_path(hook), tool_use_id=text(hook.payload, "tool_use_id"))]


def _written(hook: Hook) -> Sequence[BusEvent]:
    content = text(table(hook.payload, "tool_input"), "content")
    response = table(hook.payload, "tool_response")
    added, removed = _lines_changed(response)
    return [
        hook.event(
            EventKind.FILE_WRITE,
            file_path=_path(hook),
            content_size=len(content.encode("utf-8", "surrogatepass")),
            created=response.get("type") == "create",
            lines_added=len(content.splitlines()) if response.get("type") == "create" else added,
            lines_removed=removed,
            old_hash=_hash(response.get("originalFile")),
            new_hash=_hash(content),
            tool_use_id=text(hook.payload, "tool_use_id"),
        )
    ]


def _edited(hook: Hook) -> Sequence[BusEvent]:
    response = table(hook.payload, "tool_response")
    added, removed = _lines_changed(response)
    return [
        hook.event(
            EventKind.FILE_EDIT,
            file_path=_path(hook),
            lines_changed=max(added, removed),
            lines_added=added,
            lines_removed=removed,
            old_hash=_hash(response.get("originalFile")),
            new_hash=_hash(_edited_text(table(hook.payload, "tool_input"), response)),
            tool_use_id=text(hook.payload, "tool_use_id"),
        )
    ]


def _edited_text(given: Json, response: Json) -> str | None:
    """What the file holds now; None when the response does not say what it held before."""
    original, old = response.get("originalFile"), text(response, "oldString") or text(given, "old_string")
    if not isinstance(original, str) or not old:
        return None
    new = text(response, "newString") or text(given, "new_string")
    return original.replace(old, new, -1 if given.get("replace_all") is True else 1)


def _lines_changed(response: Json) -> tuple[int, int]:
    """Added and removed, from the patch that the tool reports."""
    lines = [line for part in tables(response, "structuredPatch") for line in items(part, "lines")]
    marks = [line[:1] for line in lines if isinstance(line, str)]
    return marks.count("+"), marks.count("-")


def _hash(content: object) -> str | None:
    if not isinstance(content, str):
        return None
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


_SPECIAL: Mapping[str, Callable[[Hook], Sequence[BusEvent]]] = {
    "Bash": _output,
    "Read": _read,
    "Write": _written,
    "Edit": _edited,
    "MultiEdit": _edited,
    "NotebookEdit": _edited,
}
