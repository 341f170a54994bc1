"""Reading the state of a conversation from one Messages API request, so that the server needs to remember nothing."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Outcome = Literal["allowed", "denied", "failed"]

# What the client itself writes into user messages; everything else there was said by a person or a caller.
_NOT_A_PROMPT = re.compile(
    r"\s*(<system-reminder>|\[Request interrupted by user|<local-command-|<command-name>|<bash-)", re.ASCII
)
_NOTIFICATION = re.compile(r"<task-notification>.*?</task-notification>", re.DOTALL)
_ASIDE = re.compile(
    r"The user sent a new message while you were working:\n(?P<text>.*?)\n\n(?:This is how|IMPORTANT:)", re.DOTALL
)
_WORKING_DIRECTORY = re.compile(r"working directory: *(?P<path>/[^\n]*)", re.IGNORECASE)
_PLAN_FILE = re.compile(r"plan (?:file already exists )?at (?P<path>/[^\n]*?\.md)\b")
_SUMMARY_REQUEST = re.compile(r"CRITICAL: Respond with TEXT ONLY|Your task is to create a detailed summary")
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


@dataclass(frozen=True)
class Round:
    """What one answer replies to: tool results (none for the first answer), and what the user said meanwhile."""

    results: tuple[ToolResult, ...] = ()
    asides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """One real prompt and what followed it.

    `rounds` has one entry per answer that was given, plus one, the last, for the answer that is asked for now.
    """

    prompt: str
    rounds: tuple[Round, ...]


@dataclass(frozen=True)
class Conversation:
    session_id: str
    model: str
    cwd: str
    plan_file: str
    """Where the client wants the plan of its plan mode; empty in every other mode."""
    exchanges: tuple[Exchange, ...]
    tool_names: tuple[str, ...]
    answer_schema: Mapping[str, Any] | None
    message_count: int

    @property
    def is_side_request(self) -> bool:
        """The client asks something for itself (a title, a quota check); agents always bring tools."""
        return not self.tool_names

    @property
    def asks_for_summary(self) -> bool:
        """The client compacts the conversation."""
        return bool(_SUMMARY_REQUEST.match(self.last_user_text))

    @property
    def last_user_text(self) -> str:
        return self.exchanges[-1].prompt if self.exchanges else ""


def read_conversation(body: Mapping[str, Any], headers: Mapping[str, str]) -> Conversation:
    messages = body["messages"]
    output_format = (body.get("output_config") or {}).get("format") or {}
    return Conversation(
        session_id=_session_id(body, headers),
        model=body["model"],
        cwd=_first_path(_WORKING_DIRECTORY, body, "system") or ".",
        plan_file=_first_path(_PLAN_FILE, body, "system", "user"),
        exchanges=tuple(_exchanges(messages)),
        tool_names=tuple(tool["name"] for tool in body.get("tools") or ()),
        answer_schema=output_format.get("schema"),
        message_count=len(messages),
    )


def _exchanges(messages: Iterable[Mapping[str, Any]]) -> Iterator[Exchange]:
    current: _Reading | None = None
    for message in messages:
        if message["role"] == "assistant" and current:
            current.note_answer()
            continue
        for block in _blocks(message):
            if current and current.takes(block):
                continue
            if message["role"] == "user" and (prompt := _prompt(block, message)):
                if current:
                    yield current.exchange()
                current = _Reading(prompt)
    if current:
        yield current.exchange()


@dataclass
class _Reading:
    """An exchange while its messages are being read."""

    prompt: str
    rounds: list[Round] = field(default_factory=list)
    pending: Round = Round()
    answered: bool = False

    def note_answer(self) -> None:
        if not self.answered:
            self.rounds.append(self.pending)
            self.pending = Round()
        self.answered = True

    def takes(self, block: Mapping[str, Any]) -> bool:
        """Whether the block belongs to this exchange."""
        if block["type"] == "tool_result":
            result = ToolResult(_result_text(block), bool(block.get("is_error")))
            self.pending = replace(self.pending, results=(*self.pending.results, result))
            self.answered = False
            return True
        aside = _ASIDE.search(block.get("text", ""))
        if aside:
            self.pending = replace(self.pending, asides=(*self.pending.asides, aside["text"]))
        return bool(aside)

    def exchange(self) -> Exchange:
        return Exchange(self.prompt, (*self.rounds, self.pending))


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _prompt(block: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    """The prompt that a text block holds, or nothing.

    The end of background work opens an exchange of its own, unless it is told beside tool results, in a running one.
    """
    text: str = block["text"] if block["type"] == "text" else ""
    notification = _NOTIFICATION.search(text)
    if notification:
        beside_results = any(other["type"] == "tool_result" for other in _blocks(message))
        return "" if beside_results else notification[0]
    return "" if _NOT_A_PROMPT.match(text) else text.strip() and text


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


def _first_path(pattern: re.Pattern[str], body: Mapping[str, Any], *roles: str) -> str:
    """The path that the system prompt or a message of one of the roles names, or nothing."""
    system = {"role": "system", "content": body.get("system") or ()}
    messages = (message for message in (system, *body["messages"]) if message["role"] in roles)
    texts = (block.get("text", "") for message in messages for block in _blocks(message))
    found = next((match for text in texts if (match := pattern.search(text))), None)
    return found["path"].strip() if found else ""
