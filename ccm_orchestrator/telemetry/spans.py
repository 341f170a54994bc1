"""Spans of a task, its runs and their tools, made of what is stored, when a run has ended.

Nothing is kept between: the daemon that sees the end tells the whole, whichever daemon saw the beginning. Ids are
derived from those of task, run and tool, so that every part knows its parent's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ccm_orchestrator.domain.events import BusEvent, EventKind

FINAL = frozenset({EventKind.TASK_SUCCEEDED, EventKind.TASK_FAILED, EventKind.TASK_CANCELLED})
ENDS = FINAL | {EventKind.TASK_QUEUED, EventKind.TASK_HELD, EventKind.TASK_FENCED}
_TOOL_ENDS = frozenset({EventKind.TOOL_USE_COMPLETE, EventKind.TOOL_USE_ERROR})
MOST_TOOLS = 5_000

Attributes = Mapping[str, str | int | float | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Span:
    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start: datetime
    end: datetime
    attributes: Attributes = field(default_factory=dict)
    error: str = ""
    """A word of our own; empty: it ended well."""


def spans_of(events: Sequence[BusEvent], ended: BusEvent, prompt_ids: Sequence[str] = ()) -> Iterator[Span]:
    """`events` are those of the task up to `ended`, which ends a run of it, and perhaps the task."""
    task_id, run_id = str(ended.task_id), ended.run_id
    earlier = [event for event in events if event.kind in FINAL and event != ended]
    trace_id, parent_id = _number(task_id, 16), _number(f"task:{task_id}:{len(earlier)}", 8)
    cycle = [event for event in events if not earlier or event.at >= earlier[-1].at]
    if run_id is not None:
        mine = [event for event in events if event.run_id == run_id]
        run = _run(mine, ended, trace_id, parent_id, prompt_ids)
        yield run
        yield from _tools(mine, run)
    if ended.kind in FINAL:
        created = next((event for event in cycle if event.kind is EventKind.TASK_CREATED), cycle[0])
        told = {"ccm.task.id": task_id, "ccm.project": created.data.get("project"), "ccm.outcome": _outcome(ended)}
        start = created.at if not earlier else next(e.at for e in cycle if e not in earlier)
        yield Span("task", trace_id, parent_id, None, start, ended.at, _plain(told), _error(ended))


def _run(events: Sequence[BusEvent], ended: BusEvent, trace_id: int, parent_id: int, prompt_ids: Sequence[str]) -> Span:
    usage = ended.data.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    sessions = [event.data for event in events if event.kind is EventKind.SESSION_START]
    told: dict[str, object] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": next((event.data["agent"] for event in events if event.data.get("agent")), None),
        "gen_ai.conversation.id": sessions[-1].get("session_id") if sessions else None,
        "gen_ai.request.model": sessions[-1].get("model") if sessions else None,
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        "ccm.usage.cost_usd": usage.get("cost_usd"),
        "ccm.task.id": ended.task_id,
        "ccm.run.id": ended.run_id,
        "ccm.attempt": next((event.data["attempt"] for event in events if event.data.get("attempt")), None),
        "ccm.outcome": _outcome(ended),
        "prompt.id": tuple(prompt_ids) or None,
    }
    start = events[0].at if events else ended.at
    span_id = _number(f"run:{ended.run_id}", 8)
    return Span("invoke_agent", trace_id, span_id, parent_id, start, ended.at, _plain(told), _error(ended))


def _tools(events: Sequence[BusEvent], run: Span) -> Iterator[Span]:
    """One that did not end is not told of: it ended with its run, or nobody knows when."""
    started: dict[str, BusEvent] = {}
    told = 0
    for event in events:
        use = str(event.data.get("tool_use_id") or "")
        if event.kind is EventKind.TOOL_USE_START and use:
            started[use] = event
        elif event.kind in _TOOL_ENDS and use in started and told < MOST_TOOLS:
            told += 1
            yield _tool(started.pop(use), event, use, run)


def _tool(start: BusEvent, end: BusEvent, use: str, run: Span) -> Span:
    name = str(start.data.get("tool_name") or "")[:100]
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": use}
    error = "tool_error" if end.kind is EventKind.TOOL_USE_ERROR else ""
    span_id = _number(f"tool:{start.run_id}:{use}", 8)
    return Span(f"execute_tool {name}", run.trace_id, span_id, run.span_id, start.at, end.at, told, error)


def _outcome(ended: BusEvent) -> str:
    return ended.kind.value.removeprefix("task.")


def _error(ended: BusEvent) -> str:
    if ended.kind in (EventKind.TASK_SUCCEEDED, EventKind.TASK_CANCELLED):
        return ""
    return str(ended.data.get("failure_kind") or ended.data.get("hold_reason") or _outcome(ended))


def _plain(told: Mapping[str, object]) -> Attributes:
    return {name: value for name, value in told.items() if isinstance(value, str | int | float | tuple)}


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size]) or 1
