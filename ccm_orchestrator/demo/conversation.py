"""Reading the state of a conversation from one Messages API request, so that the server needs to remember nothing."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["allowed", "denied", "failed"]

# What the client itself writes into user messages; everything else there was said by a person or a caller.
_NOT_A_PROMPT = re.compile(
    r"\s*(<system-reminder>|\[Request interrupted by user|<local-command-|<command-name>|<bash-)", re.ASCII
)
_WORKING_DIRECTORY = re.compile(r"working directory: *(?P<path>/[^\n]*)", re.IGNORECASE)
_FAILED_RESULT = re.compile(r"\s*(Exit code|Error: Exit code|<tool_use_error>|Command failed)")


@dataclass(frozen=True)
class ToolResult:
    text: str
    is_error: bool

    @property
    def outcome(self) -> Outcome:
        if not self.is_error:
            return "allowed"
        return "failed" if _FAILED_RESULT.match(self.text) else "denied"


Results = tuple[ToolResult, ...]


@dataclass(frozen=True)
class Exchange:
    """One real prompt and what followed it.

    `rounds` has one entry per answer that was given, plus one, the last, for the answer that is asked for now; each
    holds the tool results that the answer replies to (none for the first).
    """

    prompt: str
    rounds: tuple[Results, ...]


@dataclass(frozen=True)
class Conversation:
    session_id: str
    model: str
    cwd: str
    exchanges: tuple[Exchange, ...]
    tool_names: tuple[str, ...]
    answer_schema: Mapping[str, Any] | None
    message_count: int

    @property
    def is_side_request(self) -> bool:
        """The client asks something for itself (a title, a quota check); agents always bring tools."""
        return not self.tool_names

    @property
    def last_user_text(self) -> str:
        return self.exchanges[-1].prompt if self.exchanges else ""


def read_conversation(body: Mapping[str, Any], headers: Mapping[str, str]) -> Conversation:
    messages = body["messages"]
    output_format = (body.get("output_config") or {}).get("format") or {}
    return Conversation(
        session_id=_session_id(body, headers),
        model=body["model"],
        cwd=_working_directory(body),
        exchanges=tuple(_exchanges(messages)),
        tool_names=tuple(tool["name"] for tool in body.get("tools") or ()),
        answer_schema=output_format.get("schema"),
        message_count=len(messages),
    )


def _exchanges(messages: Iterable[Mapping[str, Any]]) -> Iterator[Exchange]:
    prompt: str | None = None
    rounds: list[Results] = []
    pending: list[ToolResult] = []
    answered = False
    for message in messages:
        if message["role"] == "assistant":
            if not answered:
                rounds.append(tuple(pending))
                pending = []
            answered = True
        for block in _blocks(message) if message["role"] == "user" else ():
            if block["type"] == "tool_result":
                pending.append(ToolResult(_result_text(block), bool(block.get("is_error"))))
                answered = False
            elif _is_prompt(block):
                if prompt is not None:
                    yield Exchange(prompt, (*rounds, tuple(pending)))
                prompt, rounds, pending, answered = block["text"], [], [], False
    if prompt is not None:
        yield Exchange(prompt, (*rounds, tuple(pending)))


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _is_prompt(block: Mapping[str, Any]) -> bool:
    return block["type"] == "text" and bool(block["text"].strip()) and not _NOT_A_PROMPT.match(block["text"])


def _result_text(block: Mapping[str, Any]) -> str:
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


def _session_id(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    named = headers.get("x-claude-code-session-id")
    if named:
        return named
    user_id = str((body.get("metadata") or {}).get("user_id") or "")
    try:
        return str(json.loads(user_id)["session_id"])
    except (ValueError, KeyError, TypeError):
        return user_id


def _working_directory(body: Mapping[str, Any]) -> str:
    system = body.get("system") or ()
    texts = [system] if isinstance(system, str) else [block.get("text", "") for block in system]
    for message in body["messages"]:
        texts += [block.get("text", "") for block in _blocks(message)] if message["role"] == "system" else []
    found = next((match for text in texts if (match := _WORKING_DIRECTORY.search(text))), None)
    return found["path"].strip() if found else "."
