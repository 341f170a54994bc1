"""From an agent's events to a summary of what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import CommandRun, Summary

MAX_FILES = 1_000
MAX_COMMANDS = 500
MAX_ERRORS = 100
MAX_COMMAND_CHARACTERS = 2_000
MAX_ERROR_CHARACTERS = 300
MAX_TOOLS = 200

_READING = frozenset({EventKind.FILE_READ})
_WRITING = frozenset({EventKind.FILE_WRITE, EventKind.FILE_EDIT})
_TOOL_ENDS = frozenset({EventKind.TOOL_USE_COMPLETE, EventKind.TOOL_USE_ERROR})
_ERRORS = frozenset({EventKind.TOOL_USE_ERROR, EventKind.SESSION_ERROR})


def summarise(events: Iterable[BusEvent]) -> Summary:
    """Of one run's events in their order, in which an event may come twice, or without its counterpart.

    Bounded: of very many files the first are named, of commands and errors the last.
    """
    told = list(events)
    return Summary(
        files_read=_paths(told, _READING),
        files_written=_paths(told, _WRITING),
        commands=tuple(_commands(told)[-MAX_COMMANDS:]),
        tool_counts=_tool_counts(told),
        errors=_errors(told),
    )


def _paths(events: Sequence[BusEvent], kinds: frozenset[EventKind]) -> tuple[str, ...]:
    paths = dict.fromkeys(_text(event, "file_path") for event in events if event.kind in kinds)
    return tuple(path for path in paths if path)[:MAX_FILES]


def _commands(events: Sequence[BusEvent]) -> list[CommandRun]:
    """In the order of their starts; an output whose start was not seen stands where it ended."""
    runs: dict[str | int, CommandRun] = {}
    for place, event in enumerate(events):
        call = _text(event, "tool_use_id") or place
        if event.kind is EventKind.BASH_COMMAND and call not in runs:
            runs[call] = CommandRun(_text(event, "command")[:MAX_COMMAND_CHARACTERS], None)
        elif event.kind is EventKind.BASH_OUTPUT:
            command = runs[call].command if call in runs else _text(event, "command")[:MAX_COMMAND_CHARACTERS]
            runs[call] = CommandRun(command, _exit_code(event))
    return list(runs.values())


def _exit_code(event: BusEvent) -> int | None:
    code = event.data.get("exit_code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _tool_counts(events: Sequence[BusEvent]) -> dict[str, int]:
    """Calls by tool, most used first; a call whose start was lost counts by its end."""
    calls = {
        _text(event, "tool_use_id") or place: name
        for place, event in enumerate(events)
        if (event.kind is EventKind.TOOL_USE_START or (event.kind in _TOOL_ENDS and _text(event, "tool_use_id")))
        and (name := _text(event, "tool_name"))
    }
    return dict(Counter(calls.values()).most_common(MAX_TOOLS))


def _errors(events: Sequence[BusEvent]) -> tuple[str, ...]:
    """Each once, where it came up last."""
    errors: dict[str, None] = {}
    for event in events:
        if event.kind in _ERRORS and (message := " ".join(_text(event, "error_message").split())):
            tool = _text(event, "tool_name")
            error = (f"{tool}: {message}" if tool else message)[:MAX_ERROR_CHARACTERS]
            errors.pop(error, None)
            errors[error] = None
    return tuple(errors)[-MAX_ERRORS:]


def _text(event: BusEvent, name: str) -> str:
    value = event.data.get(name)
    return value if isinstance(value, str) else ""
