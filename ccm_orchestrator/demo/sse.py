"""An answer in the two shapes of the Messages API: one JSON message, or a stream of server-sent events."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

from ccm_orchestrator.demo.answer import Answer

_PIECE = 24  # characters of one delta
_LONGEST_PIECES = 400  # an answer has at most so many deltas per block; long texts get larger ones

Event = dict[str, Any]
PacedEvent = tuple[float, Event]
"""Seconds to wait before sending, and the event."""


def encode(event: Event) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def message_json(answer: Answer, model: str) -> dict[str, Any]:
    blocks = list(_blocks(answer))
    return {
        **_envelope(model),
        "content": blocks,
        "stop_reason": answer.stop_reason,
        "usage": {**_input_usage(answer), "output_tokens": answer.usage["output"]},
    }


def message_events(answer: Answer, model: str) -> Iterator[PacedEvent]:
    start = {**_envelope(model), "content": [], "usage": {**_input_usage(answer), "output_tokens": 1}}
    yield 0.0, {"type": "message_start", "message": start}
    for index, block in enumerate(_blocks(answer)):
        yield 0.0, {"type": "content_block_start", "index": index, "content_block": _empty(block)}
        for pause_s, delta in _deltas(block, answer):
            yield pause_s, {"type": "content_block_delta", "index": index, "delta": delta}
        yield 0.0, {"type": "content_block_stop", "index": index}
    yield (
        0.0,
        {
            "type": "message_delta",
            "delta": {"stop_reason": answer.stop_reason, "stop_sequence": None},
            "usage": {"output_tokens": answer.usage["output"]},
        },
    )
    yield 0.0, {"type": "message_stop"}


def _envelope(model: str) -> dict[str, Any]:
    message_id = f"msg_{uuid.uuid4().hex[:24]}"
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _input_usage(answer: Answer) -> dict[str, int]:
    return {
        "input_tokens": answer.usage["input"],
        "cache_read_input_tokens": answer.usage["cache_read"],
        "cache_creation_input_tokens": answer.usage["cache_write"],
    }


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.thinking:
        yield {"type": "thinking", "thinking": answer.thinking, "signature": "scripted"}
    if answer.text:
        yield {"type": "text", "text": answer.text}
    for name, tool_input in answer.tools:
        yield {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": name, "input": tool_input}


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "text":
            return {"type": "text", "text": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: dict[str, Any], answer: Answer) -> Iterator[PacedEvent]:
    match block["type"]:
        case "thinking":
            pieces = _pieces(block["thinking"])
            for piece in pieces:
                yield answer.thinking_s / len(pieces), {"type": "thinking_delta", "thinking": piece}
            yield 0.0, {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            pieces = _pieces(block["text"])
            for piece in pieces:
                yield answer.text_s / len(pieces), {"type": "text_delta", "text": piece}
        case _:
            for piece in _pieces(json.dumps(block["input"], ensure_ascii=False)):
                yield 0.0, {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str) -> list[str]:
    size = max(_PIECE, -(-len(text) // _LONGEST_PIECES))
    return [text[start : start + size] for start in range(0, len(text), size)]
