"""What one line of the log looks like, as text or as JSON."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import Processor, WrappedLogger

from ccm_orchestrator.telemetry.masking import Masker

Fields = MutableMapping[str, Any]

FIELDS = {
    "at": "When, in UTC, to the millisecond.",
    "level": "`debug`, `info`, `warning`, `error` or `critical`.",
    "logger": "The part of the program that says it; libraries have their own names.",
    "message": "One sentence.",
    "system_id": "This machine, as the task store calls it.",
    "task_id": "The task that the line is about.",
    "run_id": "The run that the line is about.",
    "agent": "The agent that the line is about, by its short name.",
    "event": "The fact that the line states, by the name that `/api/events` gives it.",
    "exception": "The traceback.",
}
"""Of a JSON line, in this order; a line has those that are known. Facts may add fields of their own."""

_LEVEL_WIDTH = 7
_OWN_WORDS = frozenset({"_record", "at", "level", "logger"})
"""Hold nothing that anybody wrote."""
_ALWAYS = ("at", "level", "logger", "message", "system_id", "exception")
"""Have a place of their own in a line of text, or none."""


def formatter(style: str, masker: Masker, system_id: str = "", timed: bool = True) -> logging.Formatter:
    """`style` is `text` or `json`; `timed` False leaves the time to whoever reads the lines (journald)."""
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        _Origin(system_id),
        _Mask(masker),
    ]
    render = _json_line if style == "json" else _TextLine(timed)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(processors=[remove, render], foreign_pre_chain=chain)


class _Origin:
    """Who said it, and when."""

    def __init__(self, system_id: str) -> None:
        self._system_id = system_id

    def __call__(self, _logger: WrappedLogger, _method: str, fields: Fields) -> Fields:
        record: logging.LogRecord = fields["_record"]
        fields["message"] = fields.pop("event")
        if "fact" in fields:
            fields["event"] = fields.pop("fact")
        fields["at"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        fields["level"] = record.levelname.lower()
        fields["logger"] = record.name
        if self._system_id:
            fields["system_id"] = self._system_id
        if info := fields.pop("exc_info", None):
            fields["exception"] = "".join(traceback.format_exception(*info)).rstrip("\n")
        if stack := fields.pop("stack_info", None):
            fields["exception"] = str(stack)
        return fields


class _Mask:
    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def __call__(self, _logger: WrappedLogger, _method: str, fields: Fields) -> Fields:
        for name, value in fields.items():
            if name not in _OWN_WORDS and value is not None and not isinstance(value, bool | int | float):
                fields[name] = self._masker(str(value))
        return fields


def _json_line(_logger: WrappedLogger, _method: str, fields: Fields) -> str:
    """One object on one line, so that no text of a task can forge a second one."""
    ordered = {name: fields[name] for name in FIELDS if name in fields}
    ordered |= {name: value for name, value in fields.items() if name not in ordered and value is not None}
    line = json.dumps(ordered, ensure_ascii=False)
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


class _TextLine:
    """Control characters are shown, not obeyed. Lines of a traceback begin with a bar, so that none can pass for a
    record."""

    def __init__(self, timed: bool) -> None:
        self._timed = timed

    def __call__(self, _logger: WrappedLogger, _method: str, fields: Fields) -> str:
        head = f"{fields['at']} " if self._timed else ""
        line = f"{head}{fields['level'].upper():<{_LEVEL_WIDTH}} {_shown(fields['message'])}"
        named = [f"{name}={_shown(str(value))}" for name, value in _told(fields)]
        if named:
            line += "  " + " ".join(named)
        trace = [f"  | {_shown(text)}" for text in fields.get("exception", "").splitlines()]
        return "\n".join([line, *trace])


def _told(fields: Fields) -> list[tuple[str, object]]:
    ordered = [name for name in FIELDS if name in fields] + [name for name in fields if name not in FIELDS]
    return [(name, fields[name]) for name in ordered if name not in _ALWAYS and fields[name] is not None]


def _shown(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in line)
