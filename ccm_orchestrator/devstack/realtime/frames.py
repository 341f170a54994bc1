"""The frames of the wire protocol, vsn 1.0.0. One from the server carries exactly topic, event, payload and ref."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PHOENIX = "phoenix"
CHANNEL_PREFIX = "realtime:"


class MalformedFrame(ValueError):
    """The client sent something that is not a frame."""


@dataclass(frozen=True, slots=True)
class Incoming:
    topic: str
    event: str
    payload: Mapping[str, object] = field(repr=False)
    """May carry an access token."""
    ref: str | None
    join_ref: str | None


def parse(text: str) -> Incoming:
    """Raises: MalformedFrame."""
    try:
        frame = json.loads(text)
    except ValueError as error:
        raise MalformedFrame("the frame is not JSON") from error
    if not isinstance(frame, dict) or not isinstance(payload := frame.get("payload"), dict):
        raise MalformedFrame("expected a JSON object with a payload")
    topic, event = frame.get("topic"), frame.get("event")
    if not isinstance(topic, str) or not isinstance(event, str):
        raise MalformedFrame("expected `topic` and `event` to be text")
    return Incoming(topic, event, payload, frame.get("ref"), frame.get("join_ref"))


def reply(topic: str, ref: str | None, status: str, response: Mapping[str, object]) -> str:
    return _frame(topic, "phx_reply", {"status": status, "response": response}, ref)


def refusal(topic: str, ref: str | None, reason: str) -> str:
    return reply(topic, ref, "error", {"reason": reason})


def close(topic: str, join_ref: str | None) -> str:
    return _frame(topic, "phx_close", {}, join_ref)


def crash(topic: str, join_ref: str | None) -> str:
    return _frame(topic, "phx_error", {"reason": "channel_crash"}, join_ref)


def system(topic: str, status: str, message: str, extension: str = "postgres_changes") -> str:
    channel = topic.removeprefix(CHANNEL_PREFIX)
    payload = {"extension": extension, "status": status, "message": message, "channel": channel}
    return _frame(topic, "system", payload)


def farewell(topic: str) -> str:
    """Before the server closes the socket; it has no channel, and the Python client cannot read it."""
    payload = {"extension": "system", "status": "ok", "message": "Server requested disconnect"}
    return _frame(topic, "system", payload)


def change(topic: str, ids: Sequence[int], data: str) -> str:
    """`data` stays text: a detour over Python's numbers would change what Postgres wrote."""
    head = json.dumps({"topic": topic, "event": "postgres_changes", "ref": None})[:-1]
    return f'{head}, "payload": {{"ids": {json.dumps(list(ids))}, "data": {data}}}}}'


def _frame(topic: str, event: str, payload: Mapping[str, object], ref: str | None = None) -> str:
    return json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref}, ensure_ascii=False)
