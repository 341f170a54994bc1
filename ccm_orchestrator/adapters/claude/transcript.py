"""The conversation as Claude Code keeps it: `projects/DIRECTORY/SESSION.jsonl`, subagents in files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.claude.jsonl import every, tail_lines
from ccm_orchestrator.adapters.claude.payload import Json, parse_object, table, tables, text, whole
from ccm_orchestrator.adapters.plain_files import opened
from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.result import Usage

TOLD_TOOLS = 10
"""Results in the tail that are worth telling again; there may be dozens."""
TOLD_PROMPTS = 20
_PROMPT_MARKS = (b'"enqueue"', b'"queued_command"', b'"user"')


def read_transcript(path: Path) -> Sequence[Evidence]:
    """The newest record as a sign of life, the tools that have their results (a denied call has no hook), and what was
    said to the agent (a message that 2.1.197 takes in while a tool runs has none either).

    Read again and again while an agent works, so only the lines that matter are parsed.
    """
    lines = tail_lines(path)
    newest = next((at for line in reversed(lines) if (at := _time_of(line)) is not None), None)
    if newest is None:
        return ()
    told = [record for line in lines if b'"tool_result"' in line and (record := parse_object(line)) is not None]
    finished = {
        use: _time(record) or newest for record in told if record.get("type") == "user" for use in _uses(record)
    }
    ended = [
        Evidence(Source.TRANSCRIPT, Signal.TOOL_FINISHED, at, data={"tool_use_id": use})
        for use, at in list(finished.items())[-TOLD_TOOLS:]
    ]
    return [*ended, *_prompts(lines), Evidence(Source.TRANSCRIPT, Signal.ACTIVE, newest, "transcript")]


def has_conversation(projects: Path, session_id: str, answered: bool = True) -> bool:
    """Something was said and kept: without it, `--resume` fails. `answered`: the agent said something, too."""
    marks = [b'"type":"assistant"'] if answered else [b'"type":"assistant"', b'"type":"user"']
    for path in projects.glob(f"*/{session_id}.jsonl"):
        with suppress(OSError), opened(path) as lines:
            if any(mark in line for line in lines for mark in marks):
                return True
    return False


def usage_since(path: Path, since: datetime) -> Usage:
    """Tokens of all messages from then on, subagents' included. A message is repeated for each of its blocks."""
    per_message = {use[0]: use[1] for file in _files(path) for use in _usages(file, since)}

    def total(key: str) -> int:
        return sum(whole(usage, key) for usage in per_message.values())

    return Usage(
        input_tokens=total("input_tokens"),
        output_tokens=total("output_tokens"),
        cache_read_tokens=total("cache_read_input_tokens"),
        cache_creation_tokens=total("cache_creation_input_tokens"),
        source="transcript",
    )


def last_text(path: Path, since: datetime) -> str:
    """The text of the agent's last message; empty when it said nothing."""
    said: dict[str, list[str]] = {}
    for record in every(path):
        if record.get("type") == "assistant" and not record.get("isSidechain") and _is_since(record, since):
            message = table(record, "message")
            parts = [text(block, "text") for block in tables(message, "content") if block.get("type") == "text"]
            said.setdefault(text(message, "id"), []).extend(parts)
    texts = ["\n".join(parts) for parts in said.values() if parts]
    return texts[-1] if texts else ""


def _files(path: Path) -> Iterator[Path]:
    yield path
    yield from sorted((path.with_suffix("") / "subagents").glob("*.jsonl"))


def _usages(path: Path, since: datetime) -> Iterator[tuple[str, Json]]:
    for record in every(path):
        message = table(record, "message")
        usage = table(message, "usage")
        if record.get("type") == "assistant" and usage and _is_since(record, since):
            yield text(message, "id") or text(record, "uuid"), usage


def _uses(record: Json) -> Sequence[str]:
    """Of the tools that have their results in this record."""
    blocks = tables(table(record, "message"), "content")
    return [text(block, "tool_use_id") for block in blocks if block.get("type") == "tool_result"]


def _prompts(lines: Sequence[bytes]) -> Sequence[Evidence]:
    """What people and callers said: waiting in the agent's queue, and as a part of the conversation."""
    told = [line for line in lines if any(mark in line for mark in _PROMPT_MARKS) and b'"tool_result"' not in line]
    records = [record for line in told[-TOLD_PROMPTS:] if (record := parse_object(line)) is not None]
    return [
        Evidence(Source.TRANSCRIPT, Signal.ACTIVE, at, "prompt", {"prompt": prompt, "queued": queued})
        for record in records
        for prompt, queued in [_prompt(record)]
        if prompt and (at := _time(record)) is not None
    ]


def _prompt(record: Json) -> tuple[str, bool]:
    """Empty when the record holds none; True when it only waits in the agent's queue."""
    match text(record, "type"):
        case "queue-operation" if text(record, "operation") == "enqueue":
            return text(record, "content"), True
        case "attachment" if text(table(record, "attachment"), "type") == "queued_command":
            return text(table(record, "attachment"), "prompt"), False
        case "user" if not record.get("isSidechain") and not record.get("isMeta"):
            message = table(record, "message")
            blocks = [text(block, "text") for block in tables(message, "content")]
            return text(message, "content") or "\n".join(blocks), False
    return "", False


def _is_since(record: Json, since: datetime) -> bool:
    at = _time(record)
    return at is not None and at >= since


def _time_of(line: bytes) -> datetime | None:
    record = parse_object(line) if b'"timestamp"' in line else None
    return None if record is None else _time(record)


def _time(record: Json) -> datetime | None:
    try:
        at = datetime.fromisoformat(text(record, "timestamp"))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
