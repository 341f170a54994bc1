"""What an agent in print mode writes to its standard output: one JSON object a line, kept as `stream.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.claude.failures import failure_of_status, resets_at
from ccm_orchestrator.adapters.claude.jsonl import every, tail_lines
from ccm_orchestrator.adapters.claude.payload import Json, number, parse_object, table, tables, text
from ccm_orchestrator.adapters.claude.prices import trusted_model
from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.result import FailureKind, Usage

TOLD_TOOLS = 10
"""Results in the tail that are worth telling again; there may be dozens."""
_FAILED_AS = {
    "budget_exhausted": FailureKind.BUDGET,
    "max_turns": FailureKind.AGENT_ERROR,
    "prompt_too_long": FailureKind.INVALID_REQUEST,
    "aborted_tools": FailureKind.AGENT_EXIT,
    "aborted_streaming": FailureKind.AGENT_EXIT,
}
_FAILED_SUBTYPES = {"error_max_budget_usd": FailureKind.BUDGET, "error_max_turns": FailureKind.AGENT_ERROR}


@dataclass(frozen=True, slots=True)
class Ended:
    """The last result record."""

    text: str
    usage: Usage
    session_id: str | None


def read_stream(path: Path) -> Sequence[Evidence]:
    """What the end of the stream says now. Records carry no time: the newest is as old as the file.

    Read again after each line of an agent that may write a hundred a second, so only the lines that matter are parsed.
    """
    lines = tail_lines(path)
    last = next((record for line in reversed(lines) if (record := parse_object(line)) is not None), None)
    if last is None:
        return ()
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if last.get("type") == "result":
        return [_result(last, at)]
    if last.get("subtype") == "api_retry":
        return [_retry(last, at)]
    return [*_finished_tools(lines, at), Evidence(Source.STREAM, Signal.ACTIVE, at, text(last, "type"))]


def ended(path: Path) -> Ended | None:
    """The last result of the whole stream; None when there is none."""
    last = None
    for record in every(path):
        if record.get("type") == "result":
            last = record
    return None if last is None else Ended(text(last, "result"), _usage(last), text(last, "session_id") or None)


def _result(record: Json, at: datetime) -> Evidence:
    """`subtype` says success of a failed request, too: `is_error` and `terminal_reason` count."""
    message = text(record, "result")
    cost = {} if (usage := _usage(record)).cost_usd is None else {"cost_usd": usage.cost_usd}
    if record.get("is_error") is not True and text(record, "subtype") not in _FAILED_SUBTYPES:
        return Evidence(Source.STREAM, Signal.TURN_ENDED, at, message, cost)
    reason = text(record, "terminal_reason")
    data: dict[str, object] = {**cost, "failure_kind": _failure(record, message).value, "terminal_reason": reason}
    reset = resets_at(message, at)
    if reset is not None:
        data["resets_at"] = reset
    return Evidence(Source.STREAM, Signal.TURN_FAILED, at, message or _sentence(record), data)


def _failure(record: Json, message: str) -> FailureKind:
    known = _FAILED_AS.get(text(record, "terminal_reason")) or _FAILED_SUBTYPES.get(text(record, "subtype"))
    status = number(record, "api_error_status")
    return known or failure_of_status(None if status is None else int(status), message)


def _sentence(record: Json) -> str:
    errors = record.get("errors")
    told = "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
    return told or f"Claude Code ended with {text(record, 'terminal_reason') or text(record, 'subtype')}."


def _retry(record: Json, at: datetime) -> Evidence:
    attempt, most = number(record, "attempt"), number(record, "max_retries")
    detail = f"{text(record, 'error')} {record.get('error_status')}, attempt {attempt} of {most}"
    return Evidence(Source.STREAM, Signal.RETRYING, at, detail)


def _finished_tools(lines: Sequence[bytes], at: datetime) -> Sequence[Evidence]:
    """Denied calls have no hook at their end, only a result."""
    newest: list[str] = []
    for line in reversed(lines):
        if len(newest) >= TOLD_TOOLS:
            break
        record = parse_object(line) if b'"tool_result"' in line else None
        if record is not None and record.get("type") == "user":
            newest += [text(block, "tool_use_id") for block in reversed(_blocks(record)) if _is_result(block)]
    return [
        Evidence(Source.STREAM, Signal.TOOL_FINISHED, at, data={"tool_use_id": use})
        for use in reversed(newest[:TOLD_TOOLS])
    ]


def _is_result(block: Json) -> bool:
    return block.get("type") == "tool_result" and bool(text(block, "tool_use_id"))


def _blocks(record: Json) -> Sequence[Json]:
    return tables(table(record, "message"), "content")


def _usage(record: Json) -> Usage:
    """`modelUsage` counts the whole process, `usage` only the last turn of several."""
    models = {name: value for name, value in table(record, "modelUsage").items() if isinstance(value, dict)}
    cost = number(record, "total_cost_usd")
    trusted = all(trusted_model(name, text(model, "costBasis")) for name, model in models.items())

    def total(key: str) -> int:
        return sum(int(number(model, key) or 0) for model in models.values())

    return Usage(
        input_tokens=total("inputTokens"),
        output_tokens=total("outputTokens"),
        cache_read_tokens=total("cacheReadInputTokens"),
        cache_creation_tokens=total("cacheCreationInputTokens"),
        cost_usd=cost if trusted else None,
        source="result",
    )
