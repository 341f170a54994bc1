import json
from typing import Any

from ccm_orchestrator.demo.answer import Answer
from ccm_orchestrator.demo.sse import encode, message_events, message_json

USAGE = {"input": 10, "output": 7, "cache_read": 5, "cache_write": 3}
TOOLS: tuple[tuple[str, dict[str, Any]], ...] = (("Bash", {"command": "printf 'é\n\U0001f600'"}), ("Read", {}))
ANSWER = Answer("Grüße " * 40, "hm " * 30, TOOLS, thinking_s=2.0, text_s=1.0, usage=USAGE, stop_reason="tool_use")


def assembled(answer: Answer) -> dict[str, Any]:
    """The message as a client puts it together again."""
    blocks: list[dict[str, Any]] = []
    message: dict[str, Any] = {}
    for _, event in message_events(answer, "claude-test"):
        match event["type"]:
            case "message_start":
                message = dict(event["message"])
            case "content_block_start":
                blocks.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                add(blocks[event["index"]], event["delta"])
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return {**message, "content": blocks}


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    fields = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
    if delta["type"] == "input_json_delta":
        block["json"] += delta["partial_json"]
    else:
        block[fields[delta["type"]]] += delta[fields[delta["type"]]]


def test_the_stream_says_the_same_as_the_message() -> None:
    streamed, whole = assembled(ANSWER), message_json(ANSWER, "claude-test")
    thinking, text, bash, read = streamed["content"]
    assert thinking["thinking"] == ANSWER.thinking == whole["content"][0]["thinking"]
    assert thinking["signature"] == whole["content"][0]["signature"]
    assert text["text"] == ANSWER.text == whole["content"][1]["text"]
    assert [json.loads(bash["json"]), json.loads(read["json"])] == [tool_input for _, tool_input in TOOLS]
    assert [block["input"] for block in whole["content"][2:]] == [tool_input for _, tool_input in TOOLS]
    for message in (streamed, whole):
        assert message["stop_reason"] == "tool_use"
        assert message["usage"] == {
            "input_tokens": 10,
            "output_tokens": 7,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
        }


def test_events_come_in_the_order_of_the_protocol() -> None:
    kinds = [event["type"] for _, event in message_events(Answer("hi"), "claude-test")]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", *block, "message_delta", "message_stop"]


def test_pauses_add_up_to_the_durations() -> None:
    pauses = [pause_s for pause_s, _ in message_events(ANSWER, "claude-test")]
    assert abs(sum(pauses) - 3.0) < 1e-6


def test_a_long_text_has_a_bounded_number_of_events() -> None:
    assert len(list(message_events(Answer("x" * 200_000), "claude-test"))) < 410


def test_ids_are_never_used_twice() -> None:
    messages = [message_json(ANSWER, "claude-test") for _ in range(2)]
    ids = [message["id"] for message in messages] + [b["id"] for m in messages for b in m["content"] if "id" in b]
    assert len(ids) == len(set(ids)) == 6


def test_an_event_is_one_block_of_lines() -> None:
    raw = encode({"type": "ping", "text": "a\nb\u2028é"})
    assert raw.endswith(b"\n\n") and raw.count(b"\n") == 3
    assert json.loads(raw.split(b"data: ", 1)[1]) == {"type": "ping", "text": "a\nb\u2028é"}
