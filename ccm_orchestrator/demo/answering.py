"""From one HTTP request to one response of the Messages API, the broken ones included."""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ccm_orchestrator.demo.answer import PromptError
from ccm_orchestrator.demo.conversation import Conversation, read_conversation
from ccm_orchestrator.demo.playback import Ledger, Step, next_step
from ccm_orchestrator.demo.scenario import ApiError, Fault, Scenario
from ccm_orchestrator.demo.sse import encode, message_events, message_json
from ccm_orchestrator.demo.wire import Connection, Request

_GARBAGE = b'event: content_block_delta\ndata: {"type": "content_block_delta", \xff\xfe\x00 <<<\n\n\x00\x01\x02'
_SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key"})
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it came, and what was answered. Headers that carry a credential are left out."""

    at: float  # seconds since the epoch
    method: str
    path: str
    headers: Mapping[str, str]
    session_id: str = ""
    model: str = ""
    message_count: int = 0
    tool_names: tuple[str, ...] = ()
    last_user_text: str = ""
    cwd: str = ""
    answered: str = ""
    """Which step was played: `edit-and-run turn 2`, `echo`, `side request`, …, with ` error 529` or ` hang` added."""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Answering:
    def __init__(self, scenarios: Sequence[Scenario], record: list[RecordedRequest], *, keep_bodies: bool) -> None:
        self._scenarios = scenarios
        self._record = record
        self._keep_bodies = keep_bodies
        self._ledger = Ledger()

    async def answer(self, request: Request, connection: Connection) -> None:
        match request.method, request.path:
            case "POST", "/v1/messages":
                await self._messages(request, connection)
            case "POST", "/v1/messages/count_tokens":
                self._note(request)
                await connection.send_json(200, {"input_tokens": max(1, len(request.body) // 4)})
            case "GET", "/v1/models":
                self._note(request)
                await connection.send_json(200, {"data": [], "has_more": False, "first_id": None, "last_id": None})
            case "HEAD", "/":
                self._note(request)
                await connection.send_json(200, {})
            case _:
                self._note(request)
                problem = f"the scripted model has no {request.method} {request.path}"
                await connection.send_json(404, _error_body("not_found_error", problem))

    async def _messages(self, request: Request, connection: Connection) -> None:
        try:
            body = json.loads(request.body)
            conversation = read_conversation(body, request.headers)
        except (ValueError, KeyError, TypeError) as error:
            self._note(request)
            problem = f"not a Messages API request: {type(error).__name__} {error}"
            await connection.send_json(400, _error_body("invalid_request_error", problem))
            return
        try:
            step = next_step(self._scenarios, conversation, self._ledger)
        except PromptError as error:
            self._note(request, conversation, "bad tag", body)
            await connection.send_json(400, _error_body("invalid_request_error", str(error)))
            return
        self._note(request, conversation, _label(step), body)
        await asyncio.sleep(step.answer.delay_s)
        await self._play(step, conversation, connection, stream=bool(body.get("stream")))

    async def _play(self, step: Step, conversation: Conversation, connection: Connection, *, stream: bool) -> None:
        if step.error:
            await connection.send_json(step.error.status, *_error_response(step.error))
            return
        if step.fault and step.fault.kind in ("hang", "reset"):
            await _break_off(step.fault, connection)
            return
        content_type, pieces = _on_the_wire(step, conversation.model, stream=stream)
        await connection.start_stream({"content-type": content_type, "request-id": _request_id()})
        for pause_s, piece in pieces[: len(pieces) // 2] if step.fault else pieces:
            if pause_s:
                await asyncio.sleep(pause_s)
            await connection.send_chunk(piece)
        if step.fault:
            await _break_off(step.fault, connection)
        else:
            await connection.end_stream()

    def _note(
        self,
        request: Request,
        conversation: Conversation | None = None,
        answered: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> None:
        about: dict[str, Any] = {"answered": answered}
        if conversation:
            names = ("session_id", "model", "message_count", "tool_names", "last_user_text", "cwd")
            about |= {name: getattr(conversation, name) for name in names}
        if self._keep_bodies and body:
            about["body"] = body
        headers = {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}
        self._record.append(RecordedRequest(time.time(), request.method, request.path, headers, **about))


def _on_the_wire(step: Step, model: str, *, stream: bool) -> tuple[str, list[tuple[float, bytes]]]:
    """The content type, and the pieces of the body with the seconds to wait before each."""
    if stream:
        return "text/event-stream", [(pause_s, encode(event)) for pause_s, event in message_events(step.answer, model)]
    body = json.dumps(message_json(step.answer, model)).encode()
    middle = len(body) // 2
    return "application/json", [(step.answer.thinking_s + step.answer.text_s, body[:middle]), (0.0, body[middle:])]


async def _break_off(fault: Fault, connection: Connection) -> None:
    match fault.kind:
        case "hang" | "stall":
            await connection.wait_until_client_leaves()
        case "reset" | "reset-midstream":
            connection.reset()
        case "garbage":
            await connection.send_chunk(_GARBAGE)
            await connection.end_stream()
        case "truncate":
            await connection.end_stream()


def _label(step: Step) -> str:
    if step.error:
        return f"{step.name} error {step.error.status}"
    return f"{step.name} {step.fault.kind}" if step.fault else step.name


def _error_response(error: ApiError) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {"request-id": _request_id()}
    if error.retry is not None:
        headers["x-should-retry"] = "true" if error.retry else "false"
    if error.retry_after_s is not None:
        headers["retry-after"] = f"{float(error.retry_after_s):g}"
    if error.limit_resets_in_s is not None:
        headers["anthropic-ratelimit-unified-status"] = "rejected"
        headers["anthropic-ratelimit-unified-representative-claim"] = "five_hour"
        headers["anthropic-ratelimit-unified-reset"] = str(int(time.time() + float(error.limit_resets_in_s)))
    return _error_body(_ERROR_TYPES.get(error.status, "api_error"), error.message), headers


def _error_body(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": _request_id()}


def _request_id() -> str:
    return f"req_{uuid.uuid4().hex[:24]}"
